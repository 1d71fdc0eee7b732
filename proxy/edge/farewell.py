"""How a connection of the public port ends in good form: all is said, goodbye is said, and the caller has read it.

A socket that is closed at once may throw our last words away: octets of the caller that nobody read
make the kernel send a reset.
"""

import socket

from proxy.edge.tls_records import PeerClosed, TlsConnection
from proxy.units import SECOND_NS

# A caller gets this long to read our last words before the socket goes.
LINGER_NS = 2 * SECOND_NS
_READ_OCTETS = 256 * 1024


def say_goodbye(tls: TlsConnection, sock: socket.socket) -> bool:
    """Say that nothing more will come; return whether the caller may still be there to hear it."""
    try:
        tls.say_goodbye()
        tls.flush()
        sock.shutdown(socket.SHUT_WR)
    except (OSError, PeerClosed):
        return False
    return True


def has_left(sock: socket.socket) -> bool:
    """Throw away what a caller still says after the goodbye; return whether it has left."""
    try:
        return not sock.recv(_READ_OCTETS)
    except BlockingIOError:
        return False
    except OSError:
        return True
