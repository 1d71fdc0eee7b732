"""From a proven caller and a certificate request to a certificate, and to what must be remembered of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from proxy.caller import Caller, Kind
from proxy.errors import Refused, one_line
from proxy.identity.issued import Grant, Name, write_uri
from proxy.identity.tokens.compact import Token
from proxy.issuer.authority import Authority, Order
from proxy.issuer.records import Exchange, Issued
from proxy.issuer.requests import read_request
from proxy.issuer.settings import Lifetimes
from proxy.reasons import Reason
from proxy.units import SECOND_NS, said

# What ends sooner is of no use to anybody.
SHORTEST_NS = 300 * SECOND_NS
# The most that `auth[].leeway` allows: so long after its `exp` may a token still be shown.
LATEST_NS = 300 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Issuer:
    """One generation of the issuer. The first of `authorities` signs; `tenants` are told with their own policies."""

    domain: str
    authorities: Sequence[Authority]
    lifetimes: Lifetimes
    tenants: Mapping[str, str]

    def certify(self, caller: Caller, request: bytes, *, serial: int, now_ns: int) -> tuple[Issued, bytes]:
        """Return the record of a new certificate for `caller`, and its chain in PEM; nobody may get it unrecorded.

        Raises:
            Refused: CSR_UNFIT, SUBJECT_UNFIT or AUTHORITY_ENDS.
        """
        key = read_request(request)
        kind = caller.kind or Kind.MACHINE
        try:
            uri = write_uri(self.domain, Name(caller.tenant, kind, caller.subject))
        except ValueError as error:
            raise Refused(Reason.SUBJECT_UNFIT, detail=str(error), why=str(error)) from None
        grant = self._grant(caller)
        ends_ns = self._end(kind, now_ns)
        authority = self.authorities[0]
        chain = authority.sign(Order(key, uri, one_line(caller.subject), grant, now_ns, ends_ns), serial=serial)
        issued = Issued(
            serial=serial,
            authority=authority.key_id,
            tenant=caller.tenant,
            kind=kind.value,
            subject=caller.subject,
            role=grant.role,
            method=grant.method,
            rule=grant.rule,
            issued_at_ns=now_ns,
            not_after_ns=ends_ns,
        )
        return issued, chain

    def _grant(self, caller: Caller) -> Grant:
        is_own = caller.policy == self.tenants.get(caller.tenant)
        said = {"role": caller.role.label, "policy": None if is_own else caller.policy}
        return Grant.model_validate({**said, "method": caller.method, "rule": caller.rule})

    def _end(self, kind: Kind, now_ns: int) -> int:
        left_ns = self.authorities[0].ends_ns - now_ns
        if left_ns < SHORTEST_NS:
            ends = f"ends in {said(left_ns)}" if left_ns > 0 else f"ended {said(-left_ns)} ago"
            raise Refused(Reason.AUTHORITY_ENDS, detail=self.authorities[0].key_id, ends=ends)
        return (now_ns + min(self.lifetimes.of(kind), left_ns)) // SECOND_NS * SECOND_NS


def read_exchange(token: Token, kind: Kind | None) -> Exchange:
    """Return what the store must know of a token that was found good. A job's token counts once.

    Without an id of its own a token is known by what was signed: the signature itself can be written
    in another way that is as good (ECDSA, s and n - s).
    """
    issued_at, until = (token.claims[name] for name in ("iat", "exp"))
    assert isinstance(issued_at, int)
    assert isinstance(until, int)
    is_once = kind is Kind.CI
    return Exchange(
        issued_at_ns=issued_at * SECOND_NS,
        until_ns=until * SECOND_NS + LATEST_NS,
        token_id=_token_id(token) if is_once else None,
    )


def _token_id(token: Token) -> bytes:
    own = token.claims.get("jti")
    if isinstance(own, str) and own:
        return sha256(f"jti\0{token.issuer}\0{own}".encode("utf-8", "surrogatepass")).digest()
    return sha256(b"signed\0" + token.text.rpartition(".")[0].encode()).digest()
