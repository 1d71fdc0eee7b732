"""What is remembered of certificates that were issued, and of what ended them. Times are wall-clock nanoseconds."""

from dataclasses import dataclass

from proxy.units import SECOND_NS

# A list goes on naming a certificate for a while after its end, for readers whose clocks are late.
LISTED_AFTER_END_NS = 3600 * SECOND_NS
# A connection may outlive its certificate, with a build that goes on; it must be found when that is revoked.
KEPT_AFTER_END_NS = 7 * 86400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued. `authority` is the key id of who signed it, `subject` the caller's own name."""

    serial: int
    authority: str
    tenant: str
    kind: str
    subject: str
    role: str
    method: str
    rule: str
    issued_at_ns: int
    not_after_ns: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """The token that is exchanged for a certificate: when it was made, and until when it can be shown.

    `token_id` is given for a token that may be exchanged once only.
    """

    issued_at_ns: int
    until_ns: int
    token_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that was revoked."""

    serial: int
    authority: str
    at_ns: int
    not_after_ns: int


@dataclass(frozen=True, slots=True)
class Target:
    """Whose certificates are revoked: one by its serial, or all of a subject, of a tenant, or of a subject in a tenant.

    Raises:
        ValueError: neither a serial alone nor a tenant or subject was given.
    """

    serial: int | None = None
    tenant: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        if (self.serial is None) is (self.tenant is None and self.subject is None):
            raise ValueError("give a serial, or a tenant, a subject or both")

    def covers(self, tenant: str, subject: str) -> bool:
        """Say whether a subject of a tenant is meant; one certificate's serial means nobody as such."""
        return self.serial is None and self.tenant in (None, tenant) and self.subject in (None, subject)
