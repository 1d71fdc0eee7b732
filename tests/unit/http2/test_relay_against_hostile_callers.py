"""What hostile callers send, against the relay alone: whole, and octet by octet."""

from contextlib import suppress
from dataclasses import dataclass

import pytest

from proxy.errors import Refused
from proxy.http2 import frames
from proxy.http2.calls import Fields, Verdict
from proxy.http2.frames import ErrorCode, ProtocolFault
from proxy.http2.relay import Relay
from proxy.reasons import Code, Reason
from tests.helpers.h2client import INFO, head
from tests.helpers.hostile import ATTACKS, GREETING, Attack


@dataclass
class Admitted:
    """A call that passes as it is."""

    fields: tuple[tuple[bytes, bytes], ...]
    is_read: bool = False
    is_waiting: bool = False
    is_observed: bool = False
    is_rewritten: bool = False
    message_limit_octets: int = 0
    answer_limit_octets: int = 0
    answer: bytes | None = None


class Everybody:
    """Admits every call of one method and refuses the others; notes how calls ended."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ends: list[Code] = []

    def begin(self, stream: int, fields: Fields, now_ns: int) -> Admitted:  # noqa: ARG002
        if dict(fields).get(b":path") != INFO:
            raise Refused(Reason.METHOD_UNKNOWN)
        self.begun.append(stream)
        return Admitted(tuple(fields))

    def judge(self, call: Admitted, message: bytes, now_ns: int) -> Verdict:  # noqa: ARG002
        raise AssertionError

    def rewrite(self, call: Admitted, message: bytes | None) -> list[bytes]:  # noqa: ARG002
        raise AssertionError

    def reword(self, call: Admitted, trailers: Fields) -> Fields:  # noqa: ARG002
        return trailers

    def observe(self, call: Admitted, octets: memoryview) -> None:  # noqa: ARG002
        raise AssertionError

    def refused(self, stream: int, call: Admitted | None, refused: Refused, now_ns: int) -> tuple[Code, str]:  # noqa: ARG002
        if call is not None:
            self.ends.append(refused.reason.code)
        return refused.reason.code, "no"

    def ended(self, call: Admitted, code: Code, reason: Reason | None, now_ns: int) -> None:  # noqa: ARG002
        self.ends.append(code)

    def passed(self, call: Admitted, received_octets: int, sent_octets: int) -> None:
        pass


class Caller:
    """Feeds a relay with what a caller says, in pieces of any size."""

    def __init__(self) -> None:
        self.calls = Everybody()
        self.relay = Relay(self.calls)
        self._kept = b""

    def say(self, octets: bytes, piece_octets: int) -> None:
        for at in range(0, len(octets), piece_octets):
            self._kept += octets[at : at + piece_octets]
            while (taken := self.relay.from_caller(memoryview(self._kept), 0)) > 0:
                self._kept = self._kept[taken:]
                if self.relay.wants_daemon:
                    self.relay.daemon_ready()
                self.relay.take_to_daemon()
                self.relay.take_to_caller()


# Millions of octets one by one would say nothing that thousands do not.
PIECES = [
    pytest.param(attack, piece_octets, id=f"{attack.name}, in pieces of {piece_octets}")
    for attack in ATTACKS
    for piece_octets in ([1, 7, 100_000] if len(attack.octets) < 1_000_000 else [100_000])
]


@pytest.mark.parametrize(("attack", "piece_octets"), PIECES)
def test_an_attack_ends_the_connection_with_the_right_code(attack: Attack, piece_octets: int) -> None:
    caller = Caller()
    caller.say(GREETING + (head(1) if attack.is_calling else b""), 100_000)

    with pytest.raises(ProtocolFault) as caught:
        caller.say(attack.octets, piece_octets)

    assert caught.value.code == attack.code
    assert caught.value.why


@pytest.mark.parametrize("piece_octets", [1, 100])
def test_a_connection_that_does_not_begin_with_settings_ends(piece_octets: int) -> None:
    for first in (frames.ping(bytes(8)), frames.SETTINGS_ACK, head(1), frames.window_update(0, 1)):
        with pytest.raises(ProtocolFault) as caught:
            Caller().say(first, piece_octets)

        assert caught.value.code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_every_call_that_was_begun_ends_once_when_an_attack_cuts_the_connection(attack: Attack) -> None:
    caller = Caller()
    caller.say(GREETING + head(1), 100_000)
    with suppress(ProtocolFault):
        caller.say(attack.octets[:200_000], 100_000)
    caller.relay.caller_lost(0)

    assert caller.calls.begun[0] == 1
    assert len(caller.calls.ends) == len(caller.calls.begun)
