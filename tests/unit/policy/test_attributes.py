import pytest

from proxy.buildkit.wire import WireError
from proxy.policy.attributes import is_set, listed


@pytest.mark.parametrize("value", ["", "1", "t", "T", "TRUE", "true", "True", "yes", "fALSE", "no", " false", "00"])
def test_whatever_does_not_say_no_as_a_daemon_reads_it_is_yes(value: str) -> None:
    assert is_set({"push": value}, "push")


@pytest.mark.parametrize("value", ["0", "f", "F", "false", "False", "FALSE"])
def test_no_is_no_and_so_is_nothing(value: str) -> None:
    assert not is_set({"push": value}, "push")
    assert not is_set({}, "push")


def test_a_list_is_parted_at_commas_and_nothing_is_trimmed() -> None:
    assert listed({"name": "a, b,,c"}, "name") == ["a", " b", "", "c"]
    assert listed({"name": ""}, "name") == listed({}, "name") == []


def test_a_list_longer_than_any_client_s_is_not_read() -> None:
    assert len(listed({"name": "," * 65536}, "name")) == 65537
    with pytest.raises(WireError, match="the attribute name has 65537 characters"):
        listed({"name": "," * 65537}, "name")
