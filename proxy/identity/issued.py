"""Certificates of our own issuer: they say themselves who their owner is, so that no second set of rules is needed.

Tenant, kind and subject stand in a SPIFFE id, `spiffe://DOMAIN/tenant/TENANT/KIND/SUBJECT`, where the
subject is escaped: it stays one segment whatever a token names. Role, policy and rule stand in the subject's
`description`, as JSON. Both are believed only if one of our own authorities signed the certificate
itself: who else has an authority below the same root cannot write them.

An extension of our own would need a registered number: those made of UUIDs, which need none, are
too long for Go, and then stock buildx cannot load the certificate (seen with 0.13 and 0.29).

Source: SPIFFE-ID 2.2 (characters of a path segment); X.520 6.5.1 (description, 1024 characters).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography import x509

from proxy.caller import Caller, Kind, Role, RoleName
from proxy.errors import Refused
from proxy.identity.chain import Certificate
from proxy.reasons import Reason
from proxy.record import Record

DESCRIPTION: Final = x509.ObjectIdentifier("2.5.4.13")
# What SPIFFE allows, and what `identity.chain` reads.
LONGEST_URI = 2048
REMEMBERED = 512
_PLAIN = re.compile(r"[A-Za-z0-9.-]", re.ASCII)
_ESCAPE = re.compile(r"_([0-9a-f]{2})|([A-Za-z0-9.-])", re.ASCII)


class Name(NamedTuple):
    """Who a certificate was issued to."""

    tenant: str
    kind: Kind
    subject: str


class Grant(Record):
    """What its owner was granted, and by which rule of which method.

    `policy` is that of the rule; None is the tenant's own, whichever that is when the certificate is shown.
    """

    role: RoleName
    policy: str | None
    method: str
    rule: str


# --- names ----------------------------------------------------------------------------------


def write_uri(domain: str, name: Name) -> str:
    """Return the SPIFFE id of a name.

    Raises:
        ValueError: the subject is empty, too long or not text; the sentence goes on from "your name".
    """
    written = f"spiffe://{domain}/tenant/{name.tenant}/{name.kind.value}/{escaped(name.subject)}"
    if not name.subject or len(written) > LONGEST_URI:
        raise ValueError("it is empty" if not name.subject else "it is too long")
    return written


def read_uri(domain: str, uri: str) -> Name:
    """Return the name that a SPIFFE id spells, in the one way that `write_uri` spells it.

    Raises:
        ValueError: it is none of `domain`.
    """
    start, _, path = uri.partition(f"//{domain}/tenant/")
    try:
        tenant, kind, subject = path.split("/")
        name = Name(tenant, Kind(kind), _unescaped(subject))
        is_ours = start == "spiffe:" and write_uri(domain, name) == uri
    except ValueError:
        is_ours = False
    if not is_ours:
        raise ValueError("its SPIFFE id is not one that this farm writes")
    return name


def escaped(text: str) -> str:
    """Return `text` as one segment of a path: `_` and two hexadecimal digits for each octet that is not plain.

    No two texts become the same segment, and none becomes a dot segment.
    """
    written = "".join(c if _PLAIN.match(c) else "".join(f"_{octet:02x}" for octet in c.encode()) for c in text)
    return f"_2e{written[1:]}" if written.startswith(".") else written


def _unescaped(segment: str) -> str:
    parts = _ESCAPE.finditer(segment)
    return b"".join(bytes.fromhex(part[1]) if part[1] else part[2].encode() for part in parts).decode()


# --- grants ---------------------------------------------------------------------------------


def write_grant(grant: Grant) -> x509.NameAttribute[str]:
    """Return the attribute of a certificate's subject that says what was granted."""
    return x509.NameAttribute(DESCRIPTION, grant.model_dump_json())


@lru_cache(maxsize=REMEMBERED)
def read_grant(der: bytes) -> Grant:
    """Return what a certificate grants.

    Raises:
        ValueError: it grants nothing that can be read.
    """
    found = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(DESCRIPTION)
    try:
        [text] = [str(each.value) for each in found]
        grant = Grant.model_validate_json(text)
    except ValueError:
        raise ValueError("what it grants cannot be read") from None
    if write_grant(grant).value != text:
        raise ValueError("what it grants is not written as ours is")
    return grant


# --- trust ----------------------------------------------------------------------------------


class LiveRevocations:
    """Serials of issued certificates that were revoked, as the store told them last; nothing is known before."""

    def __init__(self) -> None:
        self._serials: frozenset[int] | None = None

    @property
    def is_known(self) -> bool:
        """Whether the store has told them at least once."""
        return self._serials is not None

    def take(self, serials: frozenset[int]) -> None:
        """Take what the store told."""
        self._serials = serials

    def has(self, serial: int) -> bool:
        """Say whether a certificate was revoked, as far as is known."""
        return self._serials is not None and serial in self._serials


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose certificates are believed: `authorities` are certificates in DER.

    `tenants` are those of the settings, each with the name of its own policy; `policies` are the names of all.
    """

    domain: str
    authorities: frozenset[bytes]
    tenants: Mapping[str, str]
    policies: frozenset[str]
    revocations: LiveRevocations

    def caller(self, der: bytes, certificate: Certificate, *, method: str) -> Caller:
        """Return whom an issued certificate names; it was found good and is not revoked.

        Raises:
            Refused: REVOCATION_UNKNOWN, CERTIFICATE_INVALID, or NO_RULE_MATCHED for a tenant or policy that
                is no more.
        """
        if not self.revocations.is_known:
            detail = "the store has not told which certificates were revoked"
            raise Refused(Reason.REVOCATION_UNKNOWN, detail=detail, subject=certificate.subject)
        try:
            name, grant = _only_name(self.domain, certificate), read_grant(der)
        except ValueError as error:
            raise Refused(Reason.CERTIFICATE_INVALID, subject=certificate.subject, why=str(error)) from None
        for what, known, given in (
            ("tenant", self.tenants, name.tenant),
            ("policy", self.policies, grant.policy),
        ):
            if given is not None and given not in known:
                detail = f"{method}: issued with {what} {given}, which is not in the settings any more"
                raise Refused(Reason.NO_RULE_MATCHED, detail=detail, subject=name.subject)
        return Caller(
            tenant=name.tenant,
            role=Role[grant.role.upper()],
            subject=name.subject,
            method=method,
            rule=f"{grant.method}/{grant.rule}",
            judged_until_ns=certificate.not_after_ns,
            policy=grant.policy or self.tenants[name.tenant],
            kind=name.kind,
        )


def _only_name(domain: str, certificate: Certificate) -> Name:
    names = certificate.names
    if len(names["uri"]) != 1 or names["dns"] or names["email"]:
        raise ValueError("it has other names beside its SPIFFE id")
    return read_uri(domain, names["uri"][0])
