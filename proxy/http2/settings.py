"""SETTINGS of both sides: what is told to whom, and whose ACK answers what.

Frame sizes and header tables are each connection's own. Only the windows go from
end to end: a side's INITIAL_WINDOW_SIZE is told to the other side, and that side is
acknowledged only when the other one has acknowledged, so that nobody counts with a
window that the other does not know yet.

Source: RFC 9113 section 6.5 and 6.9.2.
"""

from collections import deque
from typing import Final

from proxy.http2 import frames
from proxy.http2.exchange import MAX_HEADER_LIST_OCTETS, MAX_STREAMS, Daemon, Exchange
from proxy.http2.frames import (
    DEFAULT_WINDOW_OCTETS,
    ENABLE_PUSH,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_HEADER_LIST_SIZE,
    ErrorCode,
    ProtocolFault,
)

OURS: Final = ((MAX_CONCURRENT_STREAMS, MAX_STREAMS), (MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_OCTETS))
# A caller that never acknowledges may not make us remember more than this.
MAX_UNACKNOWLEDGED: Final = 64


class SettingsExchange:
    """Passes windows on and keeps the ACKs of both sides in order."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        # True where the ACK answers the other side's SETTINGS, False where it answers ours.
        self._caller_owes: deque[bool] = deque()
        self._daemon_owes: deque[bool] = deque()
        # How far below zero a stream's window may go until the caller knows a smaller one (6.9.2).
        self.caller_slack_octets = 0

    def open_caller(self) -> None:
        """Say our SETTINGS to the caller: the first frame of the connection."""
        self._exchange.to_caller.append(frames.settings(OURS))
        self._caller_owes.append(False)

    def open_daemon(self) -> None:
        """Say preface and SETTINGS to the daemon, with the windows that the caller gave so far."""
        entries = [(ENABLE_PUSH, 0)]
        if self._exchange.down_initial != DEFAULT_WINDOW_OCTETS:
            entries.append((INITIAL_WINDOW_SIZE, self._exchange.down_initial))
        self._exchange.to_daemon += [frames.PREFACE, frames.settings(entries)]
        self._daemon_owes.append(False)

    def caller_said(self, entries: list[tuple[int, int]]) -> None:
        """Take SETTINGS of the caller."""
        exchange = self._exchange
        said = dict(entries)
        if HEADER_TABLE_SIZE in said:
            exchange.caller_encoder.set_peer_table_size(said[HEADER_TABLE_SIZE])
        change = said.get(INITIAL_WINDOW_SIZE, exchange.down_initial) - exchange.down_initial
        if change:
            exchange.down_initial += change
            for stream in exchange.streams.values():
                stream.down.shift(change)
        if change and exchange.daemon is Daemon.READY:
            exchange.to_daemon.append(frames.settings([(INITIAL_WINDOW_SIZE, exchange.down_initial)]))
            self._daemon_owes.append(True)
            exchange.is_back_paused = True
        else:
            exchange.to_caller.append(frames.SETTINGS_ACK)
            exchange.pump_all_back()

    def daemon_said(self, entries: list[tuple[int, int]]) -> None:
        """Take SETTINGS of the daemon."""
        exchange = self._exchange
        said = dict(entries)
        if HEADER_TABLE_SIZE in said:
            exchange.daemon_encoder.set_peer_table_size(said[HEADER_TABLE_SIZE])
        change = said.get(INITIAL_WINDOW_SIZE, exchange.up_initial) - exchange.up_initial
        if change:
            exchange.up_initial += change
            self.caller_slack_octets += min(change, 0)
            for stream in exchange.streams.values():
                stream.up.shift(change)
        told = [(INITIAL_WINDOW_SIZE, exchange.up_initial)] if change else []
        if said.get(MAX_CONCURRENT_STREAMS, MAX_STREAMS) < MAX_STREAMS:
            told.append((MAX_CONCURRENT_STREAMS, said[MAX_CONCURRENT_STREAMS]))
        if told and len(self._caller_owes) < MAX_UNACKNOWLEDGED:
            exchange.to_caller.append(frames.settings(told))
            self._caller_owes.append(True)
        else:
            exchange.to_daemon.append(frames.SETTINGS_ACK)

    def caller_acked(self) -> None:
        """Take an ACK of the caller.

        Raises:
            ProtocolFault: nothing was to be acknowledged.
        """
        if not self._caller_owes:
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS ACK for nothing")
        if self._caller_owes.popleft():
            self._exchange.to_daemon.append(frames.SETTINGS_ACK)
        if not any(self._caller_owes):
            self.caller_slack_octets = 0

    def daemon_acked(self) -> None:
        """Take an ACK of the daemon."""
        if self._daemon_owes and self._daemon_owes.popleft():
            self._exchange.to_caller.append(frames.SETTINGS_ACK)
            self._exchange.is_back_paused = any(self._daemon_owes)
            self._exchange.pump_all_back()
