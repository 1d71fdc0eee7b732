"""The first octets of a caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.greeting import Speech, instead_of_tls, recognise
from proxy.edge.proxy_header import SIGNATURE_2
from proxy.http2.frames import PREFACE


@pytest.mark.parametrize(
    ("start", "speech"),
    [
        (PREFACE, Speech.HTTP2),
        (PREFACE + b"\0\0\0\4", Speech.HTTP2),
        (memoryview(PREFACE), Speech.HTTP2),
        (b"", Speech.UNCLEAR),
        (b"P", Speech.UNCLEAR),
        (b"PR", Speech.UNCLEAR),
        (b"GET / HTTP/1.1\r\n", Speech.HTTP1),
        (b"PUT /x", Speech.HTTP1),
        (b"POST /grpc HTTP/1.1\r\n", Speech.HTTP1),
        (b"OPTIONS *", Speech.HTTP1),
        (b"PRI * HTTP/1.1\r\n", Speech.OTHER),
        (b"SSH-2.0-x", Speech.OTHER),
        (b"BREW ", Speech.HTTP1),
        (b"A" * 16, Speech.UNCLEAR),
        (b"A" * 17, Speech.OTHER),
        (b"G T", Speech.HTTP1),
        (b"G-T ", Speech.OTHER),
        (b"get / HTTP/1.1\r\n", Speech.OTHER),
        (b"\x16\x03\x01", Speech.OTHER),
        (b"\0", Speech.OTHER),
    ],
)
def test_the_first_octets_tell_what_is_spoken(start: bytes, speech: Speech) -> None:
    assert recognise(start) is speech


@pytest.mark.parametrize("whole", [PREFACE, b"CONNECT ", b"DELETE ", b"PATCH ", b"POST ", b"PUT ", b"TRACE ", b"HEAD "])
def test_what_comes_octet_by_octet_is_unclear_until_it_is_whole(whole: bytes) -> None:
    said = [recognise(whole[:size]) for size in range(len(whole))]

    assert said == [Speech.UNCLEAR] * len(whole)
    assert recognise(whole) in (Speech.HTTP2, Speech.HTTP1)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_is_clear_once_stays_so(start: bytes, more: bytes) -> None:
    first = recognise(start)

    assert first is Speech.UNCLEAR or recognise(start + more) is first


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"PROXY TCP4 192.0.2.7", "a PROXY header, from an address that is not in listen.proxy_protocol_from"),
        (SIGNATURE_2 + b"\x21", "a PROXY header, from an address that is not in listen.proxy_protocol_from"),
        (b"GET / HTTP/1.1\r\n", "HTTP without TLS"),
        (PREFACE, "HTTP without TLS"),
        (b"SSH-2.0-OpenSSH_9.2", "the first octets are b'SSH-2.0-'"),
        (b"\0", "the first octets are b'\\x00'"),
    ],
)
def test_what_is_spoken_instead_of_tls_is_named(start: bytes, word: str) -> None:
    assert instead_of_tls(start) == word
