"""Error texts come back with the names that the client gave, and are else untouched."""

import base64

import pytest
from google.protobuf.message import Message as Runtime
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.named_text import client_status, client_text, client_trailers
from proxy.buildkit.wire import WireError
from proxy.grpc.status import percent_decode, percent_encode
from tests.helpers.buildkit_proto import message_class

SESSION = "team-a.k3v5q"
NAMES = {"team-a.abc": "abc", "team-a.abc.d": "abc.d", SESSION: "s1", "team-a.x": "team-a.abc"}
Status = message_class("RpcStatus")
Any = message_class("Any")


def details(message: str) -> Runtime:
    """Return a status with details that name the build, too."""
    status: Runtime = Status(code=5, message=message, details=[Any(type_url="x/y", value=b"team-a.abc")])
    return status


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("no such job team-a.abc", "no such job abc"),
        ("ref team-a.abc is deleted", "ref abc is deleted"),
        ("job team-a.abc.", "job abc."),
        ('"team-a.abc": team-a.abc.d, team-a.abc', '"abc": abc.d, abc'),
        (
            f"no active session for {SESSION}: context deadline exceeded",
            "no active session for s1: context deadline exceeded",
        ),
        ("team-a.abcd and team-a.abc-export-0", "team-a.abcd and team-a.abc-export-0"),
        ("xteam-a.abc x.team-a.abc -team-a.abc", "xteam-a.abc x.team-a.abc -team-a.abc"),
        ("team-aXabc team-a.ab team-a", "team-aXabc team-a.ab team-a"),
        ("team-a.abc.e team-a.abc.d.e", "team-a.abc.e team-a.abc.d.e"),
        ("team-a.x", "team-a.abc"),
        ("", ""),
    ],
)
def test_whole_names_are_the_clients_and_nothing_else_changes(said: str, read: str) -> None:
    assert client_text(said, NAMES) == read


@given(st.text(), st.text("ab.-", max_size=8))
def test_a_text_without_a_name_stays_as_it_is(before: str, behind: str) -> None:
    assert client_text(before + behind, NAMES) == before + behind
    assert client_text(before, {}) == before


@given(st.text(max_size=20), st.text(max_size=20))
def test_message_and_details_say_the_same_and_details_keep_code_and_the_rest(before: str, behind: str) -> None:
    said = f"{before} team-a.abc {behind}"
    encoded = base64.b64encode(details(said).SerializeToString()).rstrip(b"=")
    trailers = [(b"grpc-status", b"5"), (b"grpc-message", percent_encode(said)), (b"grpc-status-details-bin", encoded)]

    read = dict(client_trailers(trailers, NAMES))
    status = Status.FromString(base64.b64decode(read[b"grpc-status-details-bin"] + b"==="))

    assert read[b"grpc-status"] == b"5"
    assert not read[b"grpc-status-details-bin"].endswith(b"=")
    assert percent_decode(read[b"grpc-message"]) == status.message == f"{before} abc {behind}"
    assert status == details(status.message)


def test_trailers_that_name_nothing_keep_their_octets() -> None:
    encoded = base64.b64encode(details("none").SerializeToString() + b"\x20\x01")
    trailers = [(b"grpc-message", b"n%6fne %zz"), (b"grpc-status-details-bin", encoded), (b"x", b"team-a.abc")]

    assert client_trailers(trailers, NAMES) == trailers


@pytest.mark.parametrize("odd", [b"!", b"AAAAA", base64.b64encode(b"\x12\x05a"), base64.b64encode(b"\x12\x01\xff")])
def test_trailers_whose_details_cannot_be_read_stay_as_they_are(odd: bytes) -> None:
    trailers = [(b"grpc-message", b"no job team-a.abc"), (b"grpc-status-details-bin", odd)]

    assert client_trailers(trailers, NAMES) == trailers


def test_a_status_may_have_fields_that_nobody_knows() -> None:
    assert client_status(details("job team-a.abc").SerializeToString() + b"\x20\x01", NAMES) == (
        details("job abc").SerializeToString() + b"\x20\x01"
    )
    with pytest.raises(WireError):
        client_status(b"\x12\x05a", NAMES)
