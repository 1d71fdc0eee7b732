"""The upgrade of a Docker daemon's connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.upgrade import UpgradeRefused, read_upgrade

ANSWER = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def test_the_answer_of_dockerd_is_an_upgrade() -> None:
    assert read_upgrade(ANSWER) == b""


@given(st.binary(max_size=20))
def test_what_follows_the_head_is_http2(early: bytes) -> None:
    assert read_upgrade(ANSWER + early) == early


@pytest.mark.parametrize("end", range(len(ANSWER)))
def test_a_head_that_is_not_complete_is_waited_for(end: int) -> None:
    assert read_upgrade(ANSWER[:end]) is None


def test_field_names_and_values_may_be_spelled_otherwise() -> None:
    assert read_upgrade(b"HTTP/1.1 101 X\r\nUPGRADE:H2C \r\n\r\n") == b""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "'HTTP/1.1 404 Not Found' to POST /grpc"),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\n\r\n", "200 OK"),
        (b"HTTP/1.1 101 X\r\nUpgrade: tcp\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 500 " + b"\xff" * 200 + b"\r\n\r\n", "500"),
        (b"\0\0\x06\x04", "does not speak HTTP/1.1"),
        (b"HTTP/1.1 101 X\r\n" + b"a: b\r\n" * 4000, "does not speak HTTP/1.1"),
    ],
)
def test_every_other_answer_is_told_to_the_operator(answer: bytes, says: str) -> None:
    with pytest.raises(UpgradeRefused, match=says):
        read_upgrade(answer)
