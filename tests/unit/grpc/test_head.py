"""Heads: what a caller may send, and what the daemon may see."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.grpc.head import forwardable, is_withheld, parse_request
from proxy.reasons import Reason

Field = tuple[bytes, bytes]

BUILDX: list[Field] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/moby.buildkit.v1.Control/Solve"),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-go/1.81.1"),
    (b"te", b"trailers"),
    (b"grpc-accept-encoding", b"gzip"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]


def without(name: bytes) -> list[Field]:
    return [field for field in BUILDX if field[0] != name]


def instead(name: bytes, value: bytes) -> list[Field]:
    return [(other, value if other == name else old) for other, old in BUILDX]


def test_a_head_of_buildx_is_read() -> None:
    head = parse_request(BUILDX)

    assert head.path == b"/moby.buildkit.v1.Control/Solve"
    assert head.authorization == ()
    assert head.value(b"user-agent") == (b"grpc-go/1.81.1",)
    assert head.value(b"buildkit-controlapi-buildid") == ()


def test_every_authorization_is_read() -> None:
    more = [
        (b"grpc-timeout", b"15S"),
        (b"grpc-encoding", b"gzip"),
        (b"authorization", b"Bearer a"),
        (b"x-docker-expose-session-grpc-method", b"/a"),
        (b"authorization", b"Bearer b"),
        (b"x-docker-expose-session-grpc-method", b"/b"),
    ]
    head = parse_request(BUILDX + more)

    assert head.authorization == (b"Bearer a", b"Bearer b")
    assert head.value(b"x-docker-expose-session-grpc-method") == (b"/a", b"/b")


GOOD = {
    "https": instead(b":scheme", b"https"),
    "no authority": without(b":authority"),
    "only host": [*without(b":authority"), (b"host", b"farm")],
    "host as authority": [*BUILDX, (b"host", b"localhost")],
    "no te": without(b"te"),
    "proto": instead(b"content-type", b"application/grpc+proto"),
    "empty value": [*BUILDX, (b"x-empty", b"")],
    "UTF-8 value": [*BUILDX, (b"x-dir", "Grüße".encode())],
    "tab inside": [*BUILDX, (b"x-tab", b"a\tb")],
    "binary": [*BUILDX, (b"x-bin", b"AAEC"), (b"y-bin", b"AA=="), (b"z-bin", b"AAE,AA"), (b"e-bin", b"")],
    "odd path": instead(b":path", b"/a//b%2F?x=;"),
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_an_unusual_head_is_accepted(fields: list[Field]) -> None:
    assert parse_request(fields).fields == tuple(fields)


BAD = {
    "empty": [],
    "no method": without(b":method"),
    "no scheme": without(b":scheme"),
    "no path": without(b":path"),
    "method twice": [BUILDX[0], *BUILDX],
    "authority twice": [BUILDX[3], *BUILDX],
    "response pseudo": [(b":status", b"200"), *BUILDX],
    "extended CONNECT": [(b":protocol", b"websocket"), *BUILDX],
    "pseudo after regular": [*without(b":path"), (b":path", b"/a/b")],
    "known pseudo again after regular": [*BUILDX, (b":authority", b"b")],
    "GET": instead(b":method", b"GET"),
    "lower case method": instead(b":method", b"post"),
    "scheme": instead(b":scheme", b"ftp"),
    "empty path": instead(b":path", b""),
    "no leading slash": instead(b":path", b"moby.buildkit.v1.Control/Solve"),
    "space in path": instead(b":path", b"/a/b "),
    "newline in path": instead(b":path", b"/a/b\n"),
    "NUL in authority": instead(b":authority", b"a\0"),
    "empty name": [*BUILDX, (b"", b"a")],
    "upper case": [*BUILDX, (b"X-Tenant", b"a")],
    "colon in name": [*BUILDX, (b"a:b", b"a")],
    "space in name": [*BUILDX, (b"a b", b"a")],
    "control in name": [*BUILDX, (b"a\r\nb", b"a")],
    "high octet in name": [*BUILDX, (b"a\xff", b"a")],
    "CR": [*BUILDX, (b"a", b"a\rb")],
    "LF": [*BUILDX, (b"a", b"a\nb")],
    "NUL": [*BUILDX, (b"a", b"\0")],
    "DEL": [*BUILDX, (b"a", b"\x7f")],
    "space before": [*BUILDX, (b"a", b" a")],
    "tab after": [*BUILDX, (b"a", b"a\t")],
    "connection": [*BUILDX, (b"connection", b"close")],
    "keep-alive": [*BUILDX, (b"keep-alive", b"5")],
    "proxy-connection": [*BUILDX, (b"proxy-connection", b"close")],
    "transfer-encoding": [*BUILDX, (b"transfer-encoding", b"chunked")],
    "upgrade": [*BUILDX, (b"upgrade", b"h2c")],
    "content-length": [*BUILDX, (b"content-length", b"5")],
    "te": instead(b"te", b"trailers, deflate"),
    "te twice": [*BUILDX, (b"te", b"trailers")],
    "two hosts": [*without(b":authority"), (b"host", b"a"), (b"host", b"a")],
    "another host": [*BUILDX, (b"host", b"evil")],
    "no content-type": without(b"content-type"),
    "grpc-web": instead(b"content-type", b"application/grpc-web"),
    "content-type twice": [*BUILDX, (b"content-type", b"application/grpc")],
    **{
        f"timeout {value!r}": [*BUILDX, (b"grpc-timeout", value)]
        for value in (b"", b"S", b"1", b"+1S", b"-5S", b"1 S", b"1s", b"1.5S", b"100000000n", b"\xb2S", b"1SS")
    },
    "timeout twice": [*BUILDX, (b"grpc-timeout", b"1S"), (b"grpc-timeout", b"2S")],
    "encoding twice": [*BUILDX, (b"grpc-encoding", b"gzip"), (b"grpc-encoding", b"identity")],
    "not base64": [*BUILDX, (b"x-bin", b"a*b=")],
    "base64 of no length": [*BUILDX, (b"x-bin", b"AAECA")],
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_a_malformed_head_is_refused(fields: list[Field]) -> None:
    with pytest.raises(Refused) as refused:
        parse_request(fields)

    assert refused.value.reason is Reason.REQUEST_MALFORMED
    assert "cannot be read: " in refused.value.public_text("1-1")


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4), st.integers(0, 9))
def test_no_field_can_do_more_than_refuse(fields: list[Field], at: int) -> None:
    mixed = BUILDX[:at] + fields + BUILDX[at:]
    with suppress(Refused):
        head = parse_request(mixed)

        assert head.fields == tuple(mixed)


WITHHELD = [
    b"authorization",
    b"Authorization",
    b"cookie",
    b"forwarded",
    b"x-forwarded-for",
    b"x_forwarded_for",
    b"X-Forwarded-Client-Cert",
    b"x-kilngate-tenant",
    b"x_kilngate_tenant",
    b"x-kilngate_subject",
    b"x-tenant",
    b"X_TENANT_ID",
    b"x-auth-request-user",
    b"x-client-cert",
    b"x-real-ip",
    b"remote_user",
    b"proxy-authorization",
    b"proxy_connection",
    b"connection",
    b"upgrade",
    b"expect",
]


@pytest.mark.parametrize("name", WITHHELD)
def test_credentials_and_claimed_identities_are_withheld(name: bytes) -> None:
    assert is_withheld(name)
    assert forwardable([*BUILDX, (name, b"a")]) == BUILDX


def test_all_else_is_forwarded_in_order_and_unchanged() -> None:
    fields = [
        *BUILDX,
        (b"x-docker-expose-session-uuid", b"abc"),
        (b"x-docker-expose-session-grpc-method", b"/a"),
        (b"x-docker-expose-session-grpc-method", b"/b"),
        (b"x-buildkit-session-health-custom-timeout", b"1000"),
        (b"buildkit-controlapi-buildid", b""),
        (b"own-bin", b"AA=="),
    ]

    assert forwardable(fields) == fields
