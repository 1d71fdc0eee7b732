"""One connection to the daemon: octets out and in of a non-blocking unix socket."""

import socket
from collections.abc import Callable, Sequence

from proxy.edge.tls_records import PeerClosed

# The kernel takes at most so many pieces in one call (IOV_MAX).
_MOST_PIECES = 1024


class UpstreamLink:
    """A connected socket to the daemon. The owner watches it and calls again; `closed` is told when it closes."""

    def __init__(self, sock: socket.socket, *, closed: Callable[[], None] = lambda: None) -> None:
        self._sock = sock
        self._closed = closed
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._sock.fileno()

    @property
    def unsent_octets(self) -> int:
        """Octets that the socket has not taken yet."""
        return len(self._unsent)

    def send(self, segments: Sequence[bytes | memoryview]) -> None:
        """Write `segments` in order as far as the socket takes them; keep a copy of the rest.

        Raises:
            PeerClosed: the connection broke.
        """
        if self._unsent:
            self._unsent += b"".join(segments)
            self.flush()
            return
        if len(segments) > _MOST_PIECES:
            segments = [b"".join(segments)]
        try:
            sent = self._sock.sendmsg(segments)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerClosed(str(error)) from error
        for segment in segments:
            if sent < len(segment):
                self._unsent += segment[sent:]
            sent = max(0, sent - len(segment))

    def flush(self) -> bool:
        """Write what is kept; return whether all is out.

        Raises:
            PeerClosed: the connection broke.
        """
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            return False
        except OSError as error:
            raise PeerClosed(str(error)) from error
        return True

    def receive_into(self, view: memoryview) -> int:
        """Read what has arrived into `view`; return the octets, 0 if there is nothing now.

        Raises:
            PeerClosed: the daemon closed the connection, or it broke.
        """
        try:
            octets = self._sock.recv_into(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerClosed(str(error)) from error
        if not octets:
            raise PeerClosed("the daemon closed the connection", is_clean=True)
        return octets

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
        self._closed()
