"""The question that buildx asks after a build with `--metadata-file`."""

import pytest

from proxy.buildkit.history import asks_for_one_record

REF = b"\x12\x03abc"
EARLY = b"\x18\x01"


def test_a_question_about_one_build_is_known() -> None:
    assert asks_for_one_record(REF + EARLY)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        EARLY,
        REF,
        REF + b"\x18\x00",
        REF + EARLY + b"\x08\x01",
        b"\x12\x03a:c" + EARLY,
        REF + EARLY + b"\x2a\x01x",
        b"\xff",
    ],
    ids=["empty", "all builds", "endless", "not early", "active only", "no id", "limit", "unreadable"],
)
def test_every_other_question_is_not(message: bytes) -> None:
    assert not asks_for_one_record(message)
