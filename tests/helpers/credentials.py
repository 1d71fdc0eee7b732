"""The people and machines of the scenarios: certificates on disk, good and bad, and tokens."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from proxy.lab.client import Buildx
from tests.helpers.certificates import DAY, SERVER_AUTH, Authority, Issued, uri

SERVER_NAME = "farm.test"
TENANT = "payments"


@dataclass(frozen=True, slots=True)
class Shown:
    """Files that a client shows: its certificate and key."""

    certificate: Path
    key: Path

    def options(self, ca: Path) -> dict[str, str | Path]:
        """Return buildx's driver options for a client that trusts `ca`."""
        return {"cacert": ca, "cert": self.certificate, "key": self.key, "servername": SERVER_NAME}


class People:
    """One authority, the server it certified, and clients of every kind; all files beneath one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = Authority.create("Farm CA")
        self._stranger = Authority.create("Somebody else's CA")
        self.ca = self._write_pem("ca.pem", self._authority.pem)
        self.foreign_ca = self._write_pem("foreign-ca.pem", self._stranger.pem)
        self.server = self._write("server", self._authority.server(SERVER_NAME, "localhost", "127.0.0.1"))
        revoked = self._authority.issue(uri(f"spiffe://{SERVER_NAME}/{TENANT}/leaver"))
        self.crl = self._write_pem("crl.pem", self._authority.crl(revoked.certificate.serial_number))
        self._revoked = self._write("revoked", revoked)

    def client(self, tenant: str = TENANT, name: str = "alice") -> Shown:
        """Return a good client of a tenant."""
        return self._issued(f"{tenant}-{name}", self._authority, tenant, name)

    def expired(self) -> Shown:
        """Return a client whose certificate ended an hour ago."""
        return self._issued("expired", self._authority, begins=-2 * DAY, ends=-dt.timedelta(hours=1))

    def not_yet_valid(self) -> Shown:
        """Return a client whose certificate begins tomorrow."""
        return self._issued("early", self._authority, begins=DAY, ends=2 * DAY)

    def foreign(self) -> Shown:
        """Return a client of an authority that the farm does not know."""
        return self._issued("foreign", self._stranger)

    def server_purpose(self) -> Shown:
        """Return a client with a certificate for servers only."""
        return self._issued("server-only", self._authority, purposes=(SERVER_AUTH,))

    def revoked(self) -> Shown:
        """Return a client whose certificate is on the farm's revocation list."""
        return self._revoked

    def revoke(self, shown: Shown) -> None:
        """Put a client's certificate on the farm's revocation list, alone."""
        certificate = x509.load_pem_x509_certificate(shown.certificate.read_bytes())
        self.crl.write_bytes(self._authority.crl(certificate.serial_number, number=2))

    def renew_server(self) -> None:
        """Issue the server's certificate anew, in its files."""
        self._write("server", self._authority.server(SERVER_NAME, "localhost", "127.0.0.1"))

    def issuer(self, name: str = "issuer") -> Shown:
        """Return a new authority below the farm's own, for kilngate to issue certificates with."""
        made = self._authority.intermediate(f"Farm {name}")
        return self._write(name, Issued(made.certificate, made.key))

    def _issued(
        self, file: str, authority: Authority, tenant: str = TENANT, name: str = "alice", **odd: object
    ) -> Shown:
        path = f"spiffe://{SERVER_NAME}/{tenant}/{name}"
        return self._write(file, authority.issue(uri(path), common_name=name, **odd))  # type: ignore[arg-type]

    def _write(self, name: str, issued: Issued) -> Shown:
        return Shown(*issued.write(self._directory, name))

    def _write_pem(self, name: str, pem: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(pem)
        return path


def create_builder(buildx: Buildx, name: str, address: str, people: People, shown: Shown) -> None:
    """Create a builder that reaches `address` with the certificate `shown`."""
    buildx.create_builder(name, f"tcp://{address}", shown.options(people.ca))
