"""The demo's certificates: an authority, the server's certificate, and Alice's."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from proxy.ca.authority import Authority, Issued

TRUST_DOMAIN = "kilngate.demo"
LIFE = timedelta(days=30)
RENEWED_BEFORE_END = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Identities:
    """The authority's certificate, and the two that it signed."""

    ca: Path
    server: Issued
    alice: Issued


def issue(directory: Path) -> Identities:
    """Return the identities in `directory`, made anew if they are not there or end within a day."""
    if not is_good(directory / "payments-alice.pem"):
        shutil.rmtree(directory, ignore_errors=True)
        authority = Authority.create(directory, TRUST_DOMAIN)
        authority.issue_server(["localhost", "127.0.0.1"], life=LIFE)
        authority.issue_client("payments", "alice", life=LIFE)
    return Identities(directory / "ca.pem", *(_found(directory, name) for name in ("server", "payments-alice")))


def is_good(certificate: Path) -> bool:
    """Say whether a certificate is there and lasts another day."""
    if not certificate.exists():
        return False
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends - datetime.now(UTC) > RENEWED_BEFORE_END


def _found(directory: Path, name: str) -> Issued:
    certificate = directory / f"{name}.pem"
    serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
    return Issued(certificate, directory / f"{name}.key", f"{serial:x}")
