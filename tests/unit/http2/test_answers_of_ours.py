"""Answers of ours and the windows of the caller, between two strict peers: nobody is ever sent more than it takes."""

import pytest

from proxy.http2.frames import DEFAULT_WINDOW_OCTETS, ErrorCode, ProtocolFault, data
from tests.helpers.relayed import ANSWERED, LONG_OWN_ANSWER, OWN_ANSWER, PASSED, TOLD, Relayed, own_answer

LONG = 7


def opened() -> Relayed:
    """Return a story in which the daemon has read one whole request, and may answer."""
    story = Relayed()
    stream = story.call(PASSED, 0)
    move(story)
    story.caller.say(stream, 5)
    story.end_request(stream)
    move(story)
    return story


def move(story: Relayed) -> None:
    """Let all that is on its way arrive."""
    for _ in range(4):
        story.later()
        story.up(1 << 20)
        story.open_daemon()
        story.decide()
        story.daemon.receive(1 << 20)
        story.down(1 << 20)
        story.caller.receive(1 << 20)


def ask(story: Relayed, *, ends: bool = True) -> int:
    """Make a call that we answer."""
    stream = story.call(ANSWERED, 0)
    if ends:
        story.caller.h2.end_stream(stream)
        story.caller.streams[stream].is_ended = True
        story.caller.collect()
    move(story)
    return stream


def widen(story: Relayed, octets: int, stream: int | None = None) -> None:
    """Let the caller give credit by hand."""
    story.caller.h2.increment_flow_control_window(octets, stream)
    story.caller.collect()
    move(story)


def test_an_answer_of_ours_waits_while_the_daemon_fills_the_connection() -> None:
    story = opened()
    story.fill(1)
    move(story)
    own = ask(story)
    early = bytes(story.caller.streams[own].heard)
    widen(story, 3)
    part = bytes(story.caller.streams[own].heard)
    widen(story, 100)

    assert len(story.caller.streams[1].heard) == DEFAULT_WINDOW_OCTETS
    assert (early, part) == (b"", OWN_ANSWER[:3])
    assert story.caller.streams[own].heard == OWN_ANSWER
    assert story.caller.streams[own].has_heard_end
    assert story.judge.ended_ == [own]


def test_what_is_left_of_the_credit_after_our_answer_is_the_daemons() -> None:
    story = opened()
    story.fill(1)
    move(story)
    ask(story)
    widen(story, 100)

    assert story.daemon.h2.outbound_flow_control_window == 100 - len(OWN_ANSWER)


def test_the_daemons_last_octets_wait_where_an_answer_of_ours_took_their_room() -> None:
    story = opened()
    own = ask(story)
    story.answer(1, DEFAULT_WINDOW_OCTETS - 1)
    story.fill(1)
    story.end_answer(1)
    move(story)
    early = len(story.caller.streams[1].heard)
    was_ended = story.caller.streams[1].has_heard_end
    widen(story, len(OWN_ANSWER))

    assert story.caller.streams[own].heard == OWN_ANSWER
    assert (early, was_ended) == (DEFAULT_WINDOW_OCTETS - len(OWN_ANSWER), False)
    assert story.caller.streams[1].heard == story.daemon.streams[1].wants
    assert story.caller.streams[1].has_heard_end
    assert story.relay.open_streams == 0


def test_the_daemon_is_told_of_no_credit_that_our_answer_used_up() -> None:
    story = opened()
    ask(story)
    story.fill(1)
    move(story)
    widen(story, len(OWN_ANSWER))

    assert story.daemon.h2.outbound_flow_control_window == 0


def test_octets_after_those_that_wait_keep_their_order() -> None:
    story = opened()
    ask(story)
    story.answer(1, 100_000)
    story.daemon.say(1, 16_384)
    story.fill(1)
    move(story)
    for octets in (3, 4, 20_000):
        widen(story, octets, 1)
        widen(story, octets)
        story.fill(1)
        move(story)

    heard = story.caller.streams[1].heard
    assert len(heard) == DEFAULT_WINDOW_OCTETS - len(OWN_ANSWER) + 20_007
    assert story.daemon.streams[1].wants.startswith(heard)


def test_a_daemon_that_ends_its_stream_before_the_rest_was_heard_cuts_nothing_off() -> None:
    story = Relayed()
    story.call(PASSED, 0)
    move(story)
    ask(story)
    story.answer(1, DEFAULT_WINDOW_OCTETS - 1)
    story.fill(1)
    story.end_answer(1)
    story.daemon.h2.reset_stream(1, ErrorCode.NO_ERROR)
    story.daemon.collect()
    move(story)
    early = story.caller.streams[1].has_heard_end
    widen(story, len(OWN_ANSWER))

    assert not early
    assert story.caller.streams[1].heard == story.daemon.streams[1].wants
    assert story.caller.streams[1].has_heard_end
    assert story.caller.streams[1].is_reset
    assert story.relay.open_streams == 0


def test_an_answer_that_ends_with_data_ends_when_its_rest_was_heard() -> None:
    story = opened()
    ask(story)
    story.answer(1, DEFAULT_WINDOW_OCTETS - 1)
    for _ in range(3):
        story.daemon.say(1, 16_384)
    side = story.daemon.streams[1]
    story.daemon.h2.send_data(1, side.wants[side.said :], end_stream=True)
    story.daemon.collect()
    move(story)
    early = story.caller.streams[1].has_heard_end
    widen(story, len(OWN_ANSWER))

    assert not early
    assert story.caller.streams[1].has_heard_end
    assert story.caller.streams[1].heard == side.wants


def test_a_reset_of_the_daemon_is_told_at_once_and_what_waited_is_credited_to_it() -> None:
    story = opened()
    ask(story)
    story.fill(1)
    move(story)
    story.daemon.reset(1)
    move(story)
    widen(story, DEFAULT_WINDOW_OCTETS)

    assert story.caller.streams[1].is_reset
    assert story.daemon.h2.outbound_flow_control_window == DEFAULT_WINDOW_OCTETS


@pytest.mark.parametrize("who", ["the caller leaves our answer", "the caller leaves the daemon's"])
def test_what_waits_for_a_caller_that_has_left_is_the_daemons_credit(who: str) -> None:
    story = opened()
    story.fill(1)
    move(story)
    own = ask(story)
    if who == "the caller leaves the daemon's":
        story.caller.reset(1)
        move(story)
        widen(story, 50)
        assert story.caller.streams[own].heard == OWN_ANSWER
        return
    story.caller.reset(own)
    move(story)
    widen(story, 50)

    assert story.daemon.h2.outbound_flow_control_window == 50


def test_an_answer_of_ours_waits_for_the_window_of_its_own_stream() -> None:
    story = opened()
    story.caller.set_window(4)
    move(story)
    own = ask(story)
    early = bytes(story.caller.streams[own].heard)
    widen(story, 2, own)
    more = bytes(story.caller.streams[own].heard)
    story.caller.set_window(40)
    move(story)

    assert (early, more) == (OWN_ANSWER[:4], OWN_ANSWER[:6])
    assert story.caller.streams[own].heard == OWN_ANSWER
    assert story.caller.streams[own].has_heard_end


def test_an_answer_of_ours_uses_a_wider_window_when_it_was_acknowledged_and_not_before() -> None:
    story = opened()
    story.caller.set_window(4)
    move(story)
    own = ask(story)
    story.caller.set_window(40)
    story.caller.h2.increment_flow_control_window(1)
    story.caller.collect()
    story.up(1 << 20)
    story.caller.receive(1 << 20)
    early = bytes(story.caller.streams[own].heard)
    move(story)

    assert early == OWN_ANSWER[:4]
    assert story.caller.streams[own].heard == OWN_ANSWER


def test_a_long_answer_of_ours_comes_in_frames_as_the_caller_reads() -> None:
    story = Relayed()
    while (own := ask(story)) != LONG:
        story.caller.credit(1 << 20)
    for _ in range(3):
        story.caller.credit(1 << 20)
        move(story)

    assert story.caller.streams[own].heard == LONG_OWN_ANSWER
    assert not story.has_daemon


def test_an_answer_of_ours_to_a_caller_that_goes_on_talking_ends_its_stream() -> None:
    story = opened()
    story.fill(1)
    move(story)
    own = ask(story, ends=False)
    story.caller.say(own, 5)
    move(story)
    widen(story, 100)

    assert story.caller.streams[own].heard == OWN_ANSWER
    assert story.caller.streams[own].has_heard_end
    assert own not in story.daemon.streams
    assert story.caller.h2.outbound_flow_control_window == story.daemon.h2.inbound_flow_control_window


@pytest.mark.parametrize("ending", ["an answer", "a reset"])
def test_what_the_daemon_still_says_of_a_call_that_we_answer_goes_nowhere(ending: str) -> None:
    story = opened()
    told = story.call(TOLD, 0)
    story.fill(1)
    move(story)
    if ending == "an answer":
        story.daemon.h2.send_headers(told, [(b":status", b"200"), (b"grpc-status", b"5")], end_stream=True)
    else:
        story.daemon.h2.reset_stream(told, ErrorCode.REFUSED_STREAM)
    story.daemon.collect()
    story.caller.say(told, 5)
    story.end_request(told)
    story.up(1 << 20)
    story.down(1 << 20)
    story.caller.receive(1 << 20)
    early = story.caller.streams[told]
    was_over = early.has_heard_end or early.is_reset
    widen(story, 100)

    assert not was_over
    assert story.caller.streams[told].heard == own_answer(told)
    assert story.caller.streams[told].has_heard_end


def test_a_call_that_we_answer_before_the_daemon_is_there_never_reaches_it() -> None:
    story = Relayed()
    while (told := story.call(TOLD, 0)) != LONG:
        continue
    passed = story.call(PASSED, 0)
    story.up(1 << 20)
    story.caller.receive(1 << 20)
    story.caller.say(told, 5)
    story.end_request(told)
    story.up(1 << 20)
    early = story.relay.open_streams
    move(story)

    assert early == 5
    assert told not in story.daemon.streams
    assert passed in story.daemon.streams


def test_calls_whose_answers_wait_are_open_calls() -> None:
    story = opened()
    story.fill(1)
    move(story)
    before = story.relay.open_streams
    for _ in range(3):
        ask(story)

    assert story.relay.open_streams == before + 3


def test_a_daemon_that_sends_more_than_it_may_is_not_kept() -> None:
    story = opened()
    ask(story)
    story.fill(1)
    move(story)

    with pytest.raises(ProtocolFault) as caught:
        story.relay.from_daemon(memoryview(data(1, b"x")), story.now_ns)
    assert caught.value.code is ErrorCode.FLOW_CONTROL_ERROR
