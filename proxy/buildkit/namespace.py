"""The names of one tenant at a shared daemon: no two tenants can spell the same one.

A daemon knows no tenants: whoever names a build, a session or a shared key has it. So
each name that a client gives is changed on the way in, and changed back in what the
daemon says. Nothing is kept for that; replicas need the same key and nothing else.

* A build's ref gets the tenant's name in front, readable in the daemon's own log.
* A session id becomes a keyed hash: it stands in build definitions too, and one made
  by a frontend inside the daemon never passes here, so it must not be guessed either.
* A shared key, by which the daemon finds an earlier copy of a directory, likewise.

Tenants are named without a dot, and what follows the first dot is the client's: the
first dot parts the two.
"""

import base64
import hmac
from typing import Final

_HASH_OCTETS: Final = 15
_SEAL_OCTETS: Final = 5
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


class Namespaces:
    """The names of all tenants, made with one key (at least 16 octets)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, Namespace] = {}

    def of(self, tenant: str) -> Namespace:
        """Return the names of `tenant`, one of those that the settings declare."""
        if tenant not in self._known:
            self._known[tenant] = Namespace(tenant, self._key)
        return self._known[tenant]


def _spell(octets: bytes) -> str:
    return base64.b32encode(octets).decode().lower()
