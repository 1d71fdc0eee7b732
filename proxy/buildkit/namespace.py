"""The names of one tenant at a shared daemon: no two tenants can spell the same one.

A daemon knows no tenants: whoever names a build, a session or a shared key has it. So
each name that a client gives is changed on the way in, and changed back in what the
daemon says. Nothing is kept for that; replicas need the same key and nothing else.

* A build's ref gets the tenant's name in front, readable in the daemon's own log.
* A session id becomes a keyed hash: it stands in build definitions too, and one made
  by a frontend inside the daemon never passes here, so it must not be guessed either.
* A shared key, by which the daemon finds an earlier copy of a directory, likewise; and a
  trace id, by which it puts spans into the record of a build, whoever sent them.

Tenants are named without a dot, and what follows the first dot is the client's: the
first dot parts the two.
"""

import base64
import hmac
from typing import Final

_HASH_OCTETS: Final = 15
_SEAL_OCTETS: Final = 5
# A bake of many targets names two or three things for each.
_MOST_REMEMBERED: Final = 1024
_NAME_LENGTH: Final = (_HASH_OCTETS + _SEAL_OCTETS) * 8 // 5


class Namespace:
    """The names of one tenant. `key` is the farm's secret; the same key gives the same names."""

    __slots__ = ("_key", "prefix", "tenant")

    def __init__(self, tenant: str, key: bytes) -> None:
        self.tenant = tenant
        self.prefix = f"{tenant}."
        self._key = key

    def ref(self, ref: str) -> str:
        """Return what the daemon calls the build that the client calls `ref`."""
        return self.prefix + ref

    def own_ref(self, name: str) -> str | None:
        """Return what the client calls the daemon's build `name`; None if it is another tenant's."""
        return name.removeprefix(self.prefix) if name.startswith(self.prefix) else None

    def session(self, session: str) -> str:
        """Return what the daemon calls the client's session.

        A name that `session` itself made for this tenant comes back as it is: clients send
        definitions again that the daemon told them.
        """
        if self._is_sealed(session):
            return session
        digest = self._hash("session", session)[:_HASH_OCTETS]
        return self.prefix + _spell(digest + self._seal(digest))

    def shared_key(self, shared_key: str) -> str:
        """Return what the daemon shall take for the client's shared key; it may be empty, as buildctl's is."""
        return self.prefix + _spell(self._hash("shared key", shared_key)[:_HASH_OCTETS])

    def trace(self, trace_id: str) -> str:
        """Return the trace id (32 hexadecimal digits) that the daemon collects the client's spans under."""
        return self._hash("trace", trace_id)[:16].hex()

    def _is_sealed(self, name: str) -> bool:
        spelled = name.removeprefix(self.prefix)
        if len(spelled) == len(name) or len(spelled) != _NAME_LENGTH:
            return False
        try:
            octets = base64.b32decode(spelled.upper())
        except ValueError:
            return False
        # Octets of another spelling (base32 of a lower-case letter's twin) are no name of ours.
        if _spell(octets) != spelled:
            return False
        return hmac.compare_digest(octets[_HASH_OCTETS:], self._seal(octets[:_HASH_OCTETS]))

    def _seal(self, digest: bytes) -> bytes:
        return self._hash("seal", digest.hex())[:_SEAL_OCTETS]

    def _hash(self, purpose: str, text: str) -> bytes:
        # NUL occurs in no purpose and in no tenant's name: no two triples give the same octets.
        said = f"{purpose}\0{self.tenant}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, said, "sha256")


class RememberedNames(Namespace):
    """A tenant's names as one connection uses them: `clients` tells what the last of them stand for."""

    __slots__ = ("_trace", "clients")

    def __init__(self, tenant: str, key: bytes) -> None:
        super().__init__(tenant, key)
        self.clients: dict[str, str] = {}
        self._trace = ("", "")

    def ref(self, ref: str) -> str:
        """See `Namespace`."""
        return self._remember(super().ref(ref), ref)

    def session(self, session: str) -> str:
        """See `Namespace`."""
        return self._remember(super().session(session), session)

    def trace(self, trace_id: str) -> str:
        """See `Namespace`; a client has one trace for all that it does."""
        if trace_id != self._trace[0]:
            self._trace = (trace_id, super().trace(trace_id))
        return self._trace[1]

    def _remember(self, name: str, theirs: str) -> str:
        if len(self.clients) >= _MOST_REMEMBERED:
            self.clients.clear()
        self.clients[name] = theirs
        return name


def _spell(octets: bytes) -> str:
    return base64.b32encode(octets).decode().lower()
