"""An authority in a directory.

ca.pem          its certificate: what servers and clients trust
ca.key          its key (0600)
ca.json         its name, and every certificate it issued: serial, names, end, when revoked
crl.pem         its revocation list, for `crl_file`
NAME.pem/.key   certificates that it issued
issuerN.pem/.key  authorities below it, for the block `issuer` of the settings
"""

import itertools
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.ca import certificates
from proxy.ca.certificates import Key

AUTHORITY_LIFE = timedelta(days=3650)
CRL_LIFE = timedelta(days=30)
_OWN_FILES = ("ca.json", "ca.key", "ca.pem", "crl.pem")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}", re.ASCII)


class AuthorityError(Exception):
    """What was asked cannot be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of a certificate and its key, and the serial number in hexadecimal."""

    certificate: Path
    key: Path
    serial: str


class Authority:
    """A small certificate authority. `name` is its trust domain, such as farm.example.com."""

    def __init__(self, directory: Path, name: str, certificate: x509.Certificate, key: Key) -> None:
        self.directory = directory
        self.name = name
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, directory: Path, name: str) -> "Authority":
        """Make a new authority; nothing that is there is overwritten.

        Raises:
            AuthorityError: there is one already, or the name is no domain.
        """
        if not _DOMAIN.fullmatch(name):
            raise AuthorityError(f"{name!r} is not a domain name in small letters, such as farm.example.com")
        there = [name for name in _OWN_FILES if (directory / name).exists()]
        if there:
            raise AuthorityError(f"{directory} has an authority already ({there[0]}); choose another directory")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = certificates.new_key()
        certificate = certificates.authority(name, key, life=AUTHORITY_LIFE)
        made = cls(directory, name, certificate, key)
        _write_key(directory / "ca.key", key)
        _write_new(directory / "ca.pem", certificate.public_bytes(Encoding.PEM), mode=0o644)
        made._save({"name": name, "crl_number": 0, "issued": []})
        made.write_crl()
        return made

    @classmethod
    def load(cls, directory: Path) -> "Authority":
        """Return the authority in a directory.

        Raises:
            AuthorityError: there is none, or its files cannot be read.
        """
        try:
            state = json.loads((directory / "ca.json").read_text())
            certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
            key = load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
        except FileNotFoundError as error:
            missing = Path(error.filename).name
            raise AuthorityError(f"{directory} has no {missing}; begin with: kilngate ca init {directory}") from None
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityError(f"the authority in {directory} cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{directory}/ca.key is not an elliptic curve key")
        return cls(directory, state["name"], certificate, key)

    def issue_server(self, names: list[str], *, life: timedelta, force: bool = False) -> Issued:
        """Issue the farm's own certificate for DNS names and addresses, in `server.pem` and `server.key`.

        Raises:
            AuthorityError: there is no name, it would outlive the authority, or the files are there and
                `force` is not set.
        """
        if not names:
            raise AuthorityError("a server certificate needs a name")
        self._check_life(life)
        key = certificates.new_key()
        made = certificates.server(names, key, self.certificate, self._key, life=life)
        return self._keep("server", made, key, force=force)

    def issue_client(self, tenant: str, subject: str, *, life: timedelta, force: bool = False) -> Issued:
        """Issue a client certificate `spiffe://NAME/tenant/TENANT/SUBJECT`, in files named after both.

        Raises:
            AuthorityError: the names cannot be in a URI, it would outlive the authority, or the files are
                there and `force` is not set.
        """
        if not _TENANT.fullmatch(tenant) or not _SUBJECT.fullmatch(subject):
            raise AuthorityError("a tenant is written a-z 0-9 -, a subject A-Z a-z 0-9 . _ -")
        self._check_life(life)
        key = certificates.new_key()
        uri = f"spiffe://{self.name}/tenant/{tenant}/{subject}"
        made = certificates.client(uri, key, self.certificate, self._key, life=life)
        return self._keep(f"{tenant}-{subject}", made, key, force=force)

    def issue_issuer(self, *, life: timedelta) -> Issued:
        """Issue an authority that signs short-lived client certificates, in files that nothing had before.

        Raises:
            AuthorityError: this authority was made to sign no other, or would be outlived.
        """
        own = self.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if own.path_length == 0:
            raise AuthorityError(
                f"the authority in {self.directory} may sign no other authority; make one that may, in another "
                "directory: kilngate ca init"
            )
        self._check_life(life)
        # Without a dash: no file of a client is called so.
        names = (f"issuer{number}" for number in itertools.count(1))
        name = next(name for name in names if not (self.directory / f"{name}.pem").exists())
        key = certificates.new_key()
        made = certificates.issuer(f"{self.name} {name}", self.name, key, self.certificate, self._key, life=life)
        return self._keep(name, made, key, force=False)

    def revoke(self, serial: str) -> None:
        """Revoke a certificate by its serial in hexadecimal, and write the list anew.

        Raises:
            AuthorityError: this authority never issued it.
        """
        plain = serial.replace(":", "").lower().lstrip("0")
        state = self._state()
        found = [each for each in state["issued"] if each["serial"] == plain]
        if not found:
            raise AuthorityError(
                f"this authority issued no certificate with serial {serial}; see {self.directory}/ca.json"
            )
        found[0].setdefault("revoked", datetime.now(UTC).isoformat(timespec="seconds"))
        self._save(state)
        self.write_crl()

    def write_crl(self) -> Path:
        """Write the revocation list anew, valid for 30 days; return its file."""
        state = self._state()
        state["crl_number"] += 1
        revoked = [
            (int(each["serial"], 16), datetime.fromisoformat(each["revoked"]))
            for each in state["issued"]
            if "revoked" in each
        ]
        made = certificates.revocation_list(
            revoked, self.certificate, self._key, number=state["crl_number"], life=CRL_LIFE
        )
        path = self.directory / "crl.pem"
        _replace(path, made.public_bytes(Encoding.PEM), mode=0o644)
        self._save(state)
        return path

    def _check_life(self, life: timedelta) -> None:
        left = self.certificate.not_valid_after_utc - datetime.now(UTC)
        if not timedelta(0) < life <= left:
            raise AuthorityError(
                f"a certificate lasts more than no time and, as the authority, at most {left.days} days"
            )

    def _keep(self, name: str, made: x509.Certificate, key: Key, *, force: bool) -> Issued:
        issued = Issued(self.directory / f"{name}.pem", self.directory / f"{name}.key", f"{made.serial_number:x}")
        if not force and (issued.certificate.exists() or issued.key.exists()):
            raise AuthorityError(f"{issued.certificate} is there already; --force replaces it")
        state = self._state()
        until = made.not_valid_after_utc.isoformat(timespec="seconds")
        state["issued"].append({"serial": issued.serial, "file": issued.certificate.name, "until": until})
        self._save(state)
        _write_key(issued.key, key)
        chain = made.public_bytes(Encoding.PEM) + self.certificate.public_bytes(Encoding.PEM)
        _replace(issued.certificate, chain, mode=0o644)
        return issued

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.directory / "ca.json").read_text())
        return state

    def _save(self, state: dict[str, Any]) -> None:
        _replace(self.directory / "ca.json", json.dumps(state, indent=1).encode() + b"\n", mode=0o600)


def _write_key(path: Path, key: Key) -> None:
    _replace(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def _write_new(path: Path, octets: bytes, *, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(octets)


def _replace(path: Path, octets: bytes, *, mode: int) -> None:
    """Write a file whole or not at all: whoever reads it meanwhile sees the old one."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    _write_new(aside, octets, mode=mode)
    aside.replace(path)
