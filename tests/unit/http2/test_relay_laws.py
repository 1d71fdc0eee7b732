"""The laws of the relay, tried with any story between two strict peers.

A story is a list of steps: calls are opened, octets said, credited, moved in pieces,
windows changed, streams reset, decisions delayed. Then everybody finishes. Whatever
the relay breaks of HTTP/2 makes one of the two `h2` peers raise on the way.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.grpc.framing import frame
from proxy.http2.frames import DEFAULT_WINDOW_OCTETS
from proxy.http2.from_caller import SMALL_MESSAGE_OCTETS
from tests.helpers.relayed import (
    ANSWERED,
    DOOMED,
    LAST_WORD,
    PASSED,
    PATHS,
    REFUSED,
    REWRITTEN,
    SWAPPED,
    TOLD,
    Peer,
    Relayed,
    own_answer,
    rewritten,
    swapped,
)

Step = tuple[str, int, int]
amounts = st.one_of(st.integers(0, 40), st.integers(0, 3000), st.integers(0, 200_000))
STREAMS = st.integers(0, 8)


def pick(peer: Peer, which: int) -> int | None:
    """Return one of the streams on which a peer may say something."""
    live = [stream for stream, _ in peer.live()]
    return live[which % len(live)] if live else None


def on(peer_name: str, act: Callable[[Relayed, int, int], Any]) -> Callable[[Relayed, int, int], None]:
    def step(story: Relayed, which: int, octets: int) -> None:
        stream = pick(getattr(story, peer_name), which)
        if stream is not None:
            act(story, stream, octets)

    return step


STEPS: dict[str, Callable[[Relayed, int, int], Any]] = {
    "call": lambda s, which, octets: s.call(PATHS[which % len(PATHS)], octets),
    "call through": lambda s, _, octets: s.call(PASSED, octets),
    "call for our answer": lambda s, which, __: s.call((ANSWERED, TOLD)[which % 2], 0),
    "caller says": on("caller", lambda s, stream, octets: s.caller.say(stream, octets)),
    "caller ends": on("caller", lambda s, stream, _: s.end_request(stream)),
    "caller resets": on("caller", lambda s, stream, _: s.caller.reset(stream)),
    "caller credits": lambda s, _, octets: s.caller.credit(octets),
    "caller's window": lambda s, _, octets: s.caller.set_window(octets),
    "up": lambda s, _, octets: s.up(octets),
    "caller hears": lambda s, _, octets: s.caller.receive(octets),
    "daemon opens": lambda s, _, __: s.open_daemon(),
    "daemon hears": lambda s, _, octets: s.daemon.receive(octets),
    "daemon answers": on("daemon", lambda s, stream, octets: s.answer(stream, octets)),
    "daemon fills": on("daemon", lambda s, stream, _: s.fill(stream)),
    "daemon says": on("daemon", lambda s, stream, octets: s.daemon.say(stream, octets)),
    "daemon ends": on("daemon", lambda s, stream, _: s.end_answer(stream)),
    "daemon resets": on("daemon", lambda s, stream, _: s.daemon.reset(stream)),
    "daemon credits": lambda s, _, octets: s.daemon.credit(octets),
    "daemon's window": lambda s, _, octets: s.daemon.set_window(octets),
    "down": lambda s, _, octets: s.down(octets),
    "decide": lambda s, _, __: s.decide(),
}
stories = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), STREAMS, amounts), max_size=60)


def play(story: list[Step]) -> Relayed:
    """Play a story and let everybody finish."""
    relayed = Relayed()
    for name, which, octets in story:
        relayed.later()
        STEPS[name](relayed, which, octets)
    relayed.settle()
    return relayed


@given(stories)
@settings(max_examples=300)
def test_whatever_happens_every_octet_arrives_and_every_window_balances(story: list[Step]) -> None:
    end = play(story)

    check_octets(end)
    check_windows(end)
    check_ends(end)


def check_octets(end: Relayed) -> None:
    """What arrived is the beginning of what was said, and all of it if nobody gave the stream up."""
    for number, said in end.caller.streams.items():
        heard = end.daemon.streams.get(number)
        if heard is not None:
            wanted = request_of(end, number)
            assert wanted.startswith(heard.heard)
            assert said.is_reset or heard.is_reset or heard.heard == wanted
    for number, answered in end.daemon.streams.items():
        asked = end.caller.streams[number]
        if number in end.judge.messages and end.judge.calls[number].path == TOLD:
            continue
        wanted = answer_of(end, number)
        assert wanted.startswith(asked.heard)
        assert asked.is_reset or answered.is_reset or asked.heard == wanted
    for number, path in ((number, call.path) for number, call in end.judge.calls.items()):
        if path == ANSWERED or (path == TOLD and number in end.judge.messages):
            check_own_answer(end, number)
    for number, observed in end.judge.observed.items():
        assert end.daemon.streams[number].wants.startswith(observed)


def request_of(end: Relayed, number: int) -> bytes:
    """What the daemon should have heard of a request."""
    said = end.caller.streams[number].wants
    return frame(swapped(number, said[5:])) if path_of(end, number) == SWAPPED else said


def answer_of(end: Relayed, number: int) -> bytes:
    """What the caller should have heard of the daemon's answer."""
    wants = end.daemon.streams[number].wants
    if path_of(end, number) != REWRITTEN or not wants:
        return wants
    length = int.from_bytes(wants[1:5], "big")
    messages = [*rewritten(number, wants[5 : 5 + length]), *rewritten(number, b""), LAST_WORD]
    return b"".join(map(frame, messages))


def path_of(end: Relayed, number: int) -> bytes:
    return dict(end.daemon.requests[number])[b":path"]


def check_own_answer(end: Relayed, number: int) -> None:
    """Ours follows what the daemon said before we answered, whole; to the daemon that call is over."""
    asked, answered = end.caller.streams[number], end.daemon.streams.get(number)
    own = own_answer(number)
    if asked.has_heard_end:
        before = asked.heard.removesuffix(own)
        assert len(before) + len(own) == len(asked.heard)
        assert before == (answered.wants[: len(before)] if answered else b"")
    else:
        assert asked.is_reset
    assert answered is None or (answered.is_reset and answered.heard == b"")


def check_windows(end: Relayed) -> None:
    """Nothing is on its way and everything was credited: both ends of each direction believe the same."""
    unsaid = end.caller.unsaid_octets

    takes = end.daemon.h2.inbound_flow_control_window if end.has_daemon else DEFAULT_WINDOW_OCTETS

    assert end.relay.open_streams == 0
    assert 0 <= end.caller.h2.outbound_flow_control_window - takes <= given_up(end)
    assert end.caller.h2.inbound_flow_control_window == DEFAULT_WINDOW_OCTETS - unsaid
    assert DEFAULT_WINDOW_OCTETS - unsaid <= end.daemon.h2.outbound_flow_control_window <= DEFAULT_WINDOW_OCTETS


def given_up(end: Relayed) -> int:
    """Room for long messages that were given up before they were complete: a window cannot be taken back (6.9.2)."""
    sides = end.caller.streams.values()
    return sum(len(side.wants) for side in sides if side.is_reset and len(side.wants) > SMALL_MESSAGE_OCTETS)


def check_ends(end: Relayed) -> None:
    """Every call ended once; the daemon never saw one that was refused or answered by us."""
    assert sorted(end.judge.ended_) == sorted(end.judge.begun)
    for number, fields in end.daemon.requests.items():
        assert dict(fields)[b":path"] not in (REFUSED, ANSWERED)
        if dict(fields)[b":path"] in (DOOMED, TOLD):
            assert end.daemon.streams[number].heard == b""
    for number, message in end.judge.messages.items():
        assert message == end.caller.streams[number].wants[5:]
