"""Identity by client certificate: one block trusts one file of authorities.

The handshake has proven that the caller holds the key, and has written down what
OpenSSL found wrong with the chain; here that becomes a verdict. Dates, deny list and
revocations are looked at again at every call, since connections live for hours.
"""

from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from proxy.caller import DEFAULT_POLICY, Caller
from proxy.errors import Refused
from proxy.identity.chain import Certificate, Revocations, is_authority, read_certificate, read_lists
from proxy.identity.credentials import ChainFault, Credentials, PresentedCertificate
from proxy.identity.issued import Trust
from proxy.identity.rules import Rule, RulesIfAny, TenantName, explain, first_match, nearly
from proxy.reasons import Reason
from proxy.record import Record
from proxy.units import said

NameKind = Literal["uri", "dns", "email", "cn"]
MethodName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
File = Annotated[str, Field(min_length=1, max_length=4096)]

# openssl/x509_vfy.h
_EXPIRED, _NOT_YET_VALID, _WRONG_PURPOSE = 10, 9, 26
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21, 27})
_LEAF = 0


def _hex(value: str) -> str:
    plain = value.replace(":", "").lower()
    if not plain or any(digit not in "0123456789abcdef" for digit in plain):
        raise ValueError("is not written in hexadecimal digits")
    return plain


Hex = Annotated[str, AfterValidator(_hex)]
Sha256 = Annotated[str, AfterValidator(_hex), Field(min_length=64, max_length=95)]


class Deny(Record):
    """Certificates that are turned away whatever else holds. Takes effect on reload, at the next call."""

    serials: Annotated[tuple[Hex, ...], Field(strict=False)] = ()
    """Serial numbers in hexadecimal."""
    spki_sha256: Annotated[tuple[Sha256, ...], Field(strict=False)] = ()
    """SHA-256 of public keys (SubjectPublicKeyInfo) in hexadecimal."""


class Config(Record):
    """Client certificates of the authorities in one file."""

    type: Literal["mtls"]
    name: MethodName | None = None
    """What log and audit call this method; `mtls` if not given."""
    ca_file: File
    """The authorities in PEM. Only what they issued is judged by this block."""
    crl_file: File | None = None
    """Their revocation lists, PEM or DER."""
    crl_policy: Literal["hard", "soft"] = "hard"
    """`hard`: a certificate whose authority's list is missing or out of date is refused. `soft`: it is let in."""
    identity: Annotated[tuple[NameKind, ...], Field(strict=False, min_length=1)] = ("uri", "dns", "email")
    """The kinds of names that rules may match. `cn` only if you list it: anybody may write
    anything into a common name, and authorities check it least."""
    deny: Deny = Deny()
    """Certificates that are turned away."""
    tenants: Annotated[tuple[TenantName, ...], Field(strict=False)] = ()
    """The tenants that these authorities may speak for; all that the rules name if not given."""
    issued: bool = False
    """Certificates that kilngate itself issued (block `issuer`) say whose they are and need no rules: each
    keeps the tenant and role that its token had. Their authorities must lead to `ca_file`."""
    rules: Annotated[RulesIfAny, Field(validate_default=True)] = ()
    """Who becomes which tenant; the first rule that matches decides. May be left out with `issued: true`."""

    @field_validator("rules")
    @classmethod
    def _lets_somebody_in(cls, rules: RulesIfAny, info: ValidationInfo) -> RulesIfAny:
        if not rules and not info.data.get("issued"):
            raise ValueError("needs at least one rule, or issued: true: without either everybody is refused")
        return rules

    @model_validator(mode="after")
    def _rules_are_bound(self) -> "Config":
        for rule in self.rules:
            if self.tenants and rule.tenant not in self.tenants:
                raise ValueError(f"rule {rule.label} maps to {rule.tenant}, which is not in tenants")
            unlisted = [kind for kind in rule.match if kind not in self.identity]
            if unlisted:
                raise ValueError(f"rule {rule.label} matches {unlisted[0]}, which is not in identity")
        return self

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name or "mtls"

    def build(self, ca_pem: bytes, crl: bytes | None, trust: Trust | None = None) -> "Mtls":
        """Return the method; `trust` is the issuer's, if there is one.

        Raises:
            ValueError: the authorities or the lists cannot be read, or do not belong together.
        """
        return Mtls(self, ca_pem, crl, trust if self.issued else None)


class Mtls:
    """Judges the client certificates of one block's authorities."""

    def __init__(self, config: Config, ca_pem: bytes, crl: bytes | None, trust: Trust | None) -> None:
        authorities = x509.load_pem_x509_certificates(ca_pem)
        for each in authorities:
            if not is_authority(each):
                raise ValueError(f"{each.subject.rfc4514_string()} is not an authority: it may not issue certificates")
        self.name = config.title
        self._config = config
        self._trust = trust
        self._authorities = frozenset(each.public_bytes(Encoding.DER) for each in authorities)
        self._revocations = Revocations(authorities, read_lists(crl)) if crl is not None else None
        self._denied_serials = frozenset(int(serial, 16) for serial in config.deny.serials)

    def is_mine(self, presented: PresentedCertificate) -> bool:
        """Tell whether the chain leads to an authority of this block; a leaf is never its own."""
        return len(presented.chain) > 1 and presented.chain[-1] in self._authorities

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:
        """Return who calls; None if no certificate of these authorities was shown.

        Raises:
            Refused: the certificate is bad, or maps to nobody.
        """
        presented = shown.certificate
        if presented is None or not self.is_mine(presented):
            return None
        certificate = read(presented.chain[0])
        judge_faults(presented, certificate, now_wall_ns)
        self._check_withdrawn(presented, certificate)
        if (trust := self._issuer_of(presented)) is not None:
            return self._issued(trust, presented, certificate)
        self._check_list_is_current(certificate, now_wall_ns)
        rule = first_match(self._config.rules, self._attributes(certificate))
        self._check_one_identity(certificate, rule)
        if rule is None:
            detail = f"{self.name}: {nearly(self._config.rules, self._attributes(certificate))}"
            raise Refused(Reason.NO_RULE_MATCHED, detail=detail, subject=certificate.subject)
        return Caller(
            tenant=rule.tenant,
            role=rule.granted,
            subject=certificate.subject,
            method=self.name,
            rule=rule.label,
            judged_until_ns=self._until_ns(certificate),
            policy=rule.policy or DEFAULT_POLICY,
        )

    def check_withdrawn(self, presented: PresentedCertificate) -> None:
        """Let a certificate pass that was let in before, unless it was taken back since; its end is no such thing.

        Raises:
            Refused: CERTIFICATE_DENIED or CERTIFICATE_REVOKED.
        """
        if self.is_mine(presented):
            self._check_withdrawn(presented, read(presented.chain[0]))

    def explain(self, shown: Credentials) -> list[str]:
        """Return lines for an operator on how the rules see the certificate; none if it is not ours."""
        if shown.certificate is None or not self.is_mine(shown.certificate):
            return []
        if self._issuer_of(shown.certificate) is not None:
            return ["issued by this farm: the certificate itself says tenant and role"]
        return explain(self._config.rules, self._attributes(read(shown.certificate.chain[0])))

    def _attributes(self, certificate: Certificate) -> dict[str, object]:
        return {kind: certificate.names[kind] for kind in self._config.identity}

    def _issuer_of(self, presented: PresentedCertificate) -> Trust | None:
        """Return the issuer if one of its authorities signed the certificate itself."""
        return self._trust if self._trust and presented.chain[1] in self._trust.authorities else None

    def _issued(self, trust: Trust, presented: PresentedCertificate, certificate: Certificate) -> Caller:
        caller = trust.caller(presented.chain[0], certificate, method=self.name)
        if self._config.tenants and caller.tenant not in self._config.tenants:
            detail = f"{self.name}: issued to tenant {caller.tenant}, which is not in tenants"
            raise Refused(Reason.NO_RULE_MATCHED, detail=detail, subject=caller.subject)
        return caller

    def _check_withdrawn(self, presented: PresentedCertificate, certificate: Certificate) -> None:
        """Ask the deny list and every revocation list, about the authorities between too."""
        if certificate.serial in self._denied_serials or certificate.spki_sha256 in self._config.deny.spki_sha256:
            raise Refused(Reason.CERTIFICATE_DENIED, subject=certificate.subject)
        trust = self._issuer_of(presented)
        if trust and trust.revocations.has(certificate.serial):
            raise Refused(Reason.CERTIFICATE_REVOKED, subject=certificate.subject)
        for der in presented.chain[:-1] if self._revocations else ():
            if self._revocations and self._revocations.is_revoked(read(der)):
                detail = "" if der == presented.chain[0] else "an authority above it was revoked"
                raise Refused(Reason.CERTIFICATE_REVOKED, detail=detail, subject=certificate.subject)

    def _check_list_is_current(self, certificate: Certificate, now_wall_ns: int) -> None:
        """Only the leaf's own issuer must have a list."""
        if self._revocations is None:
            return
        until_ns = self._revocations.until_ns(certificate)
        if self._config.crl_policy == "hard" and (until_ns is None or until_ns <= now_wall_ns):
            detail = "there is no list of its issuer" if until_ns is None else "the list of its issuer is out of date"
            raise Refused(Reason.REVOCATION_UNKNOWN, detail=detail, subject=certificate.subject)

    def _check_one_identity(self, certificate: Certificate, matched: Rule | None) -> None:
        """A SPIFFE certificate has exactly one URI; names of several tenants in one certificate are no identity."""
        uris = certificate.names["uri"]
        if len(uris) > 1 and any(uri.startswith("spiffe://") for uri in uris):
            raise Refused(Reason.AMBIGUOUS_IDENTITY, why="the certificate has more than one URI beside a SPIFFE id")
        alone = (
            first_match(self._config.rules, {kind: (name,)})
            for kind in self._config.identity
            for name in certificate.names[kind]
        )
        if len({rule.tenant for rule in (matched, *alone) if rule}) > 1:
            raise Refused(Reason.AMBIGUOUS_IDENTITY, why="the names in the certificate belong to different tenants")

    def _until_ns(self, certificate: Certificate) -> int:
        if self._revocations is None or self._config.crl_policy == "soft":
            return certificate.not_after_ns
        return min(certificate.not_after_ns, self._revocations.until_ns(certificate) or 0)


def read(der: bytes) -> Certificate:
    """Return what a certificate that was shown says.

    Raises:
        Refused: CERTIFICATE_INVALID.
    """
    try:
        return read_certificate(der)
    except ValueError as error:
        raise Refused(Reason.CERTIFICATE_INVALID, subject="unknown", why=str(error)) from None


def judge_faults(presented: PresentedCertificate, certificate: Certificate, now_wall_ns: int) -> None:
    """Turn what OpenSSL wrote down, and the dates of now, into a verdict.

    Raises:
        Refused: CERTIFICATE_UNKNOWN_CA, _EXPIRED, _NOT_YET_VALID, _WRONG_PURPOSE or _INVALID.
    """
    subject = certificate.subject
    codes = {fault.code for fault in presented.faults}
    if codes & _UNKNOWN_CA:
        raise Refused(Reason.CERTIFICATE_UNKNOWN_CA, subject=subject)
    if certificate.not_after_ns <= now_wall_ns:
        raise Refused(Reason.CERTIFICATE_EXPIRED, subject=subject, ago=said(now_wall_ns - certificate.not_after_ns))
    if certificate.not_before_ns > now_wall_ns:
        raise Refused(
            Reason.CERTIFICATE_NOT_YET_VALID, subject=subject, until=said(certificate.not_before_ns - now_wall_ns)
        )
    if _WRONG_PURPOSE in codes or not certificate.is_for_clients:
        raise Refused(Reason.CERTIFICATE_WRONG_PURPOSE, subject=subject)
    rest = [f for f in presented.faults if f.depth != _LEAF or f.code not in (_EXPIRED, _NOT_YET_VALID)]
    why = certificate.weakness or ("; ".join(_fault_said(fault) for fault in rest[:2]))
    if why:
        raise Refused(Reason.CERTIFICATE_INVALID, subject=subject, why=why)


def _fault_said(fault: ChainFault) -> str:
    place = "" if fault.depth == _LEAF else f", {fault.depth} above it in its chain"
    return f"{fault.text or 'OpenSSL refuses it'} (OpenSSL {fault.code}{place})"


def stranger(presented: PresentedCertificate) -> Refused:
    """Return the refusal of a certificate that leads to no block's authorities."""
    try:
        subject = read(presented.chain[0]).subject
    except Refused as refused:
        return refused
    return Refused(Reason.CERTIFICATE_UNKNOWN_CA, subject=subject)
