"""The record layer without copies: OpenSSL reads and writes memory that this process keeps for all connections.

pyOpenSSL's own `recv_into` and `send` allocate and copy a buffer at every call; for the many
megabytes of a build that is a third of what TLS costs. The functions of OpenSSL that do
without are there, in the bindings pyOpenSSL itself stands on, but have no public name. They are
used in this file and nowhere else. Where one is missing, `Records` is made of public calls
only: slower, and the same in all else.

One event loop runs one connection at a time, so the two buffers belong to the process.
"""

from typing import Any, Final, Protocol

from OpenSSL import SSL

from proxy.edge.buffers import new_buffer

Octets = bytes | bytearray | memoryview

# A read takes what the buffer of a socket commonly holds.
ARRIVED_OCTETS: Final = 256 * 1024
# At most this much is sealed at a time.
SEALED_OCTETS: Final = 256 * 1024
# OpenSSL keeps sealed octets until they are fetched. In steps of this size it keeps little, and they stay in the
# processor's cache (measured: larger steps gain 2 %, smaller ones lose 10 %).
_STEP_OCTETS: Final = 64 * 1024

# Ciphertext as it came from a socket, and as it goes to one: each record of 16 KiB has 22 octets more than its
# content, and TLS has a little to say of its own.
arrived: Final = new_buffer(ARRIVED_OCTETS)
sealed: Final = new_buffer(2 * SEALED_OCTETS + 64 * 1024)


class RecordsEnded(Exception):
    """No more will come: the caller said so (`is_clean`), or what it sent makes no sense."""

    def __init__(self, detail: str, *, is_clean: bool = False) -> None:
        super().__init__(detail)
        self.is_clean = is_clean


class Records(Protocol):
    """The record layer of one connection whose handshake is done."""

    has_more: bool
    """Octets may be left inside; give no new ciphertext before `open(0, ...)` has taken them."""

    def open(self, count: int, target: memoryview) -> int:
        """Decrypt the first `count` octets of `arrived`, or what is left inside; return the octets now in `target`.

        Raises:
            RecordsEnded: nothing was decrypted, and nothing more can be.
        """

    def seal(self, octets: Octets, used: int) -> int:
        """Encrypt at most SEALED_OCTETS, put them after the `used` octets of `sealed`; return how many it holds then.

        With no octets at all: what TLS itself has to say, such as an alert. `used` is less than SEALED_OCTETS.

        Raises:
            RecordsEnded: this connection can say nothing more.
        """

    def shed(self) -> None:
        """Give back memory that only a busy connection needs."""


class PlainRecords:
    """`Records` by public calls of pyOpenSSL."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.has_more = True
        self._connection = connection

    def open(self, count: int, target: memoryview) -> int:
        """See `Records`."""
        if count:
            self._connection.bio_write(arrived[:count])
        filled = 0
        self.has_more = True
        try:
            while filled < len(target):
                filled += self._connection.recv_into(target[filled:])
        except SSL.WantReadError:
            self.has_more = False
        except SSL.Error as error:
            if not filled:
                raise RecordsEnded(said(error), is_clean=isinstance(error, SSL.ZeroReturnError)) from error
        return filled

    def seal(self, octets: Octets, used: int) -> int:
        """See `Records`."""
        try:
            if octets:
                self._connection.sendall(octets)
            found = self._connection.bio_read(len(sealed) - used)
        except SSL.WantReadError:
            return used
        except SSL.Error as error:
            raise RecordsEnded(said(error)) from error
        sealed[used : used + len(found)] = found
        return used + len(found)

    def shed(self) -> None:
        """See `Records`; there is no public call for it."""


class DirectRecords:
    """`Records` by OpenSSL's own functions.

    Ciphertext is read in place: `open` makes a read-only memory BIO over it and gives that to
    OpenSSL, which frees the one before. What is not read because `target` is full moves to
    memory of its own, as `arrived` is the next connection's in a moment.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        self.has_more = True
        # What the handshake read with its last record is in pyOpenSSL's own BIO until the first `open`.
        self._in = connection._into_ssl
        self._out = connection._from_ssl
        self._is_borrowed = False
        self._kept: Any = None
        self._end: tuple[str, bool] | None = None
        self._ssl = connection._ssl
        self._owner = connection
        lib.SSL_clear_mode(self._ssl, lib.SSL_MODE_ENABLE_PARTIAL_WRITE)

    def open(self, count: int, target: memoryview) -> int:
        """See `Records`."""
        if self._end is None:
            if count:
                self._read_from(_ARRIVED, count)
                self._is_borrowed, self._kept = True, None
            filled = self._decrypt(target)
            if filled or self._end is None:
                return filled
        detail, is_clean = self._end
        raise RecordsEnded(detail, is_clean=is_clean)

    def _decrypt(self, target: memoryview) -> int:
        # Nothing may be raised where a buffer of cffi is at hand: the traceback would keep it, and where the two
        # end in a cycle, CPython's collector frees the memoryview first and crashes (seen in 3.11).
        # SSL_get_error looks at the error queue of the thread, where anybody may have left something.
        lib.ERR_clear_error()
        ssl, read = self._ssl, lib.SSL_read
        start = ffi.from_buffer(target)
        filled, room, got = 0, len(target), 1
        while filled < room and (got := read(ssl, start + filled, room - filled)) > 0:
            filled += got
        self.has_more = got > 0
        if self.has_more:
            self._keep_rest()
        elif (code := lib.SSL_get_error(ssl, got)) != lib.SSL_ERROR_WANT_READ:
            self._end = _last_words(), code == lib.SSL_ERROR_ZERO_RETURN
            self.has_more = True
        return filled

    def seal(self, octets: Octets, used: int) -> int:
        """See `Records`."""
        used, is_sealed = self._encrypt(octets, used)
        if not is_sealed:
            raise RecordsEnded(_last_words())
        return used

    def _encrypt(self, octets: Octets, used: int) -> tuple[int, bool]:
        # Nothing may be raised here; see `_decrypt`.
        ssl, count, start = self._ssl, len(octets), ffi.from_buffer(octets)
        for at in range(0, count, _STEP_OCTETS):
            if lib.SSL_write(ssl, start + at, min(_STEP_OCTETS, count - at)) <= 0:
                return used, False
            used += self._fetch(used)
        return (used if count else used + self._fetch(used)), True

    def shed(self) -> None:
        """See `Records`."""
        if lib.BIO_get_mem_data(self._out, ffi.NULL) == 0:
            self._out = lib.BIO_new(lib.BIO_s_mem())
            lib.SSL_set_bio(self._ssl, self._in, self._out)

    def _fetch(self, used: int) -> int:
        # A BIO with nothing in it answers -1.
        return max(0, int(lib.BIO_read(self._out, _SEALED + used, len(sealed) - used)))

    def _read_from(self, memory: Any, count: int) -> None:
        self._in = lib.BIO_new_mem_buf(memory, count)
        lib.BIO_set_mem_eof_return(self._in, -1)
        lib.SSL_set_bio(self._ssl, self._in, self._out)

    def _keep_rest(self) -> None:
        found = ffi.new("char **")
        count = lib.BIO_get_mem_data(self._in, found) if self._is_borrowed else 0
        if count > 0:
            self._kept = ffi.new("char[]", count)
            ffi.memmove(self._kept, found[0], count)
            self._read_from(self._kept, count)
        self._is_borrowed = False


def said(error: Exception) -> str:
    """Return OpenSSL's own words for a failure, without its codes."""
    if isinstance(error, SSL.ZeroReturnError):
        return "closed"
    if isinstance(error, SSL.SysCallError):
        return "closed without close_notify"
    rows = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(row[-1]) for row in rows) or str(error) or "failed"


def fault_text(code: int) -> str:
    """Return OpenSSL's words for an X509_V_ERR number, "" where they cannot be had."""
    return ffi.string(lib.X509_verify_cert_error_string(code)).decode("ascii", "replace") if _IS_DIRECT else ""


def records_of(connection: SSL.Connection) -> Records:
    """Return the record layer of a connection whose handshake is done."""
    return DirectRecords(connection) if _IS_DIRECT else PlainRecords(connection)


def _last_words() -> str:
    code = lib.ERR_get_error()
    words = lib.ERR_reason_error_string(code) if code else ffi.NULL
    lib.ERR_clear_error()
    return "closed" if words == ffi.NULL else ffi.string(words).decode("ascii", "replace")


def _find_bindings() -> tuple[Any, Any, bool]:
    try:
        from OpenSSL._util import ffi, lib
    except ImportError:
        return None, None, False
    is_direct = all(hasattr(lib, name) for name in _NEEDED) and hasattr(SSL.Connection, "bio_write")
    return ffi, lib, is_direct


_NEEDED = (
    "BIO_get_mem_data",
    "BIO_new",
    "BIO_new_mem_buf",
    "BIO_read",
    "BIO_s_mem",
    "BIO_set_mem_eof_return",
    "ERR_clear_error",
    "ERR_get_error",
    "ERR_reason_error_string",
    "SSL_clear_mode",
    "SSL_get_error",
    "SSL_read",
    "SSL_set_bio",
    "SSL_write",
    "X509_verify_cert_error_string",
)
ffi, lib, _IS_DIRECT = _find_bindings()
_ARRIVED: Any = ffi.from_buffer(arrived) if _IS_DIRECT else None
_SEALED: Any = ffi.from_buffer(sealed) if _IS_DIRECT else None
