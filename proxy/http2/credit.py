"""Flow control through the relay: what each end believes, and what it is owed.

A window of the relay has two ends. The sender believes it may send `may` octets
more; the receiver takes `may + gap`. Octets that pass as they are cost both ends
the same, so the gap stays 0 and a WINDOW_UPDATE of the receiver passes as it is.
Only what we keep, drop or add opens a gap, and one rule closes it again:

    owed to the sender = gap - queued + allowance, if that is positive

`queued` is all that waits here for the receiver's window, the sender's octets and
ours. Ours take room that the sender counts on, so the gap may become negative: the
sender's octets then wait in turn, until the receiver has given more.

Law: the sender may never send more than the receiver takes, less what we keep
for it, plus what we chose to keep (`may <= takes - queued + allowance`), and when
nothing is kept and nothing owed, both ends believe the same.

Source: RFC 9113 section 5.2 and 6.9.
"""

from proxy.http2.frames import MAX_WINDOW_OCTETS, ErrorCode, ProtocolFault


class Window:
    """One direction of one stream, or of the connection. All units are octets.

    `may` is decremented in place by the relay for octets that pass (its hot path);
    everything else has a name here.
    """

    __slots__ = ("allowance", "gap", "may", "queued")

    def __init__(self, initial: int) -> None:
        self.may = initial
        self.gap = 0
        self.queued = 0
        self.allowance = 0

    @property
    def takes(self) -> int:
        """What the receiver still takes; negative after it shrank its initial window."""
        return self.may + self.gap

    def keep(self, octets: int) -> None:
        """Note octets that arrived and are kept for the receiver."""
        self.may -= octets
        self.gap += octets
        self.queued += octets

    def queue(self, octets: int) -> None:
        """Note octets of ours that wait for the receiver."""
        self.queued += octets

    def release(self, octets: int) -> None:
        """Note octets, kept or ours, that were now sent to the receiver."""
        self.gap -= octets
        self.queued -= octets

    def discard(self, octets: int) -> None:
        """Note octets, kept or ours, that will never be sent on."""
        self.queued -= octets

    def drop(self, octets: int) -> None:
        """Note octets that arrived and went nowhere."""
        self.may -= octets
        self.gap += octets

    def widen(self, octets: int) -> None:
        """Note a WINDOW_UPDATE of the receiver.

        Raises:
            ProtocolFault: FLOW_CONTROL_ERROR, the window would pass 2^31-1 (6.9.1).
        """
        if self.may + self.gap + octets > MAX_WINDOW_OCTETS:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE above 2^31-1")
        self.gap += octets

    def shift(self, octets: int) -> None:
        """Note a change of INITIAL_WINDOW_SIZE that was passed on to the sender (6.9.2).

        Raises:
            ProtocolFault: FLOW_CONTROL_ERROR, the window would pass 2^31-1.
        """
        if self.takes + octets > MAX_WINDOW_OCTETS:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE lifts a window above 2^31-1")
        self.may += octets

    def grant(self) -> int:
        """Return what must be sent to the sender as a WINDOW_UPDATE now; 0 is none."""
        owed = min(self.gap - self.queued + self.allowance, MAX_WINDOW_OCTETS - max(self.may, 0))
        if owed <= 0:
            return 0
        self.may += owed
        self.gap -= owed
        return owed
