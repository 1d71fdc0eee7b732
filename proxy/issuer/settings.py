"""The block `issuer`: short-lived client certificates for tokens."""

from typing import Annotated

from pydantic import Field

from proxy.caller import Kind
from proxy.record import Record
from proxy.units import SECOND_NS, Duration

File = Annotated[str, Field(min_length=1, max_length=4096)]
HOUR_NS = 3600 * SECOND_NS
# Longer, and a certificate would be a password again; shorter, and it ends while a build is being prepared.
Life = Annotated[Duration, Field(ge=300 * SECOND_NS, le=24 * HOUR_NS)]


class Lifetimes(Record):
    """How long a certificate lasts, by what its owner is. It never outlasts the authority."""

    ci: Life = HOUR_NS
    """For a job of GitHub, GitLab or another CI: long enough to begin its builds. A token counts once."""
    person: Life = 12 * HOUR_NS
    """For a person: a day's work."""
    machine: Life = HOUR_NS
    """For a service, such as a Kubernetes service account, which renews by itself."""

    def of(self, kind: Kind) -> int:
        """Return the life of a certificate for `kind`, in nanoseconds."""
        life: int = getattr(self, kind.value)
        return life


class AuthorityFiles(Record):
    """An authority that signs client certificates: an intermediate below a `ca_file` in `auth`."""

    certificate_file: File
    """Its certificate in PEM, and any that lead from it to the root."""
    key_file: File
    """Its private key in PEM, readable by kilngate's user only (0600)."""


class IssuerSettings(Record):
    """Client certificates for tokens: off until this block is given."""

    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$", examples=["farm.example.com"])]
    """The farm's name in every certificate: `spiffe://DOMAIN/tenant/TENANT/KIND/SUBJECT`."""
    authorities: Annotated[tuple[AuthorityFiles, ...], Field(strict=False, min_length=1, max_length=8)]
    """The first one issues; certificates of all are accepted. To change it: put a new one first, and
    take the old one out when nobody uses it any more (`kilngate certificates`)."""
    lifetimes: Lifetimes = Lifetimes()
    """How long certificates last."""
