"""What a caller showed us, before anybody believes it."""

from dataclasses import dataclass, field
from typing import NamedTuple


class ChainFault(NamedTuple):
    """One complaint of OpenSSL about a presented chain.

    `code` is an X509_V_ERR number, `depth` the place in the chain (0 is the leaf), `text`
    OpenSSL's own words.
    """

    code: int
    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """A client certificate: the DER octets of its chain, leaf first, and every fault the handshake recorded.

    The chain is the one OpenSSL built if it could build one, else what was sent.
    """

    chain: tuple[bytes, ...]
    faults: tuple[ChainFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that one call showed: the certificate of its connection, and every value of its `authorization` field.

    The values are secret: they are not in the repr and belong in no event.
    """

    certificate: PresentedCertificate | None = None
    authorization: tuple[bytes, ...] = field(default=(), repr=False)
