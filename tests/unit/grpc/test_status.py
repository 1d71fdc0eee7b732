"""Statuses in trailers, and their texts."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.grpc.status import percent_decode, percent_encode, read_status, trailers, trailers_only
from proxy.reasons import Code


def test_a_refusal_is_one_head() -> None:
    assert trailers_only(Code.UNAUTHENTICATED, "no token") == [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"16"),
        (b"grpc-message", b"no token"),
    ]


def test_line_breaks_percent_signs_and_umlauts_are_escaped() -> None:
    assert percent_encode("50 %\nGrüße~") == b"50 %25%0AGr%C3%BC%C3%9Fe~"


def test_broken_escapes_stay_as_they_are() -> None:
    assert percent_decode(b"100% %4 %zz %41%ff") == "100% %4 %zz A�"


def test_a_lone_surrogate_does_not_stop_a_refusal() -> None:
    assert percent_encode("a\ud800b") == b"a?b"


@given(st.text())
def test_a_message_survives_the_way_in_printable_ascii(message: str) -> None:
    encoded = percent_encode(message)

    assert all(0x20 <= octet < 0x7F for octet in encoded)
    assert percent_decode(encoded) == message


@given(st.sampled_from(Code), st.text())
def test_a_status_is_read_as_it_was_written(code: Code, message: str) -> None:
    assert read_status(trailers(code, message)) == (code, message)


def test_fields_without_a_status_have_none() -> None:
    assert read_status([(b":status", b"200"), (b"content-type", b"application/grpc")]) is None


def test_a_status_without_a_message_has_an_empty_one() -> None:
    assert read_status([(b"grpc-status", b"0")]) == (Code.OK, "")


def test_no_known_code_reads_as_unknown() -> None:
    for said in (b"17", b"-1", b"", b"00", b"x"):
        assert read_status([(b"grpc-status", said)]) == (Code.UNKNOWN, "")


def test_two_statuses_that_differ_read_as_unknown() -> None:
    assert read_status([(b"grpc-status", b"0"), (b"grpc-status", b"7")]) == (Code.UNKNOWN, "")
