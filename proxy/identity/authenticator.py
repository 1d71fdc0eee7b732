"""All configured methods as one verdict: who calls, or why nobody does.

A call may show a certificate, a token, or both. Everything shown must hold: a bad token is
not saved by a good certificate, nor the other way round, and what no method knows is bad. If
both hold they must name the same tenant; the token, which says more of the caller, then
names it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple, Protocol

from proxy.caller import Caller
from proxy.errors import Refused
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.identity.tokens.compact import read_bearer
from proxy.reasons import Reason
from proxy.units import SECOND_NS

# A signature costs 0.2 ms and a small build makes 19 calls: a verdict is used again, but not for long,
# since keys may be withdrawn.
REMEMBERED_NS = 60 * SECOND_NS
REMEMBERED_LIMIT = 1024
# No method reads a larger authorization value than this (`token_limit`).
AUTHORIZATION_LIMIT_OCTETS = 16 << 10


class Method(Protocol):
    """One way to prove an identity."""

    name: str

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:
        """Return who calls; None if nothing of this method's was shown.

        Raises:
            Refused: something of this method's was shown, and it is bad.
            KeysNeeded: it can be judged only with fresh keys.
        """

    def check_withdrawn(self, presented: PresentedCertificate) -> None:
        """Let a certificate pass that was let in before, unless it was taken back since.

        Raises:
            Refused: it was; only a method of certificates knows.
        """

    def explain(self, shown: Credentials) -> list[str]:
        """Return lines on how the rules see what was shown, good or bad; none if it is not this method's.

        Raises:
            Refused: what was shown cannot be read.
        """


class _Verdict(NamedTuple):
    caller: Caller
    given_at_ns: int
    until_ns: int


class Authenticator:
    """The methods of one generation of settings; a reload makes a new one.

    `stranger` words the refusal of a certificate that leads to no method's authority.
    """

    def __init__(self, methods: Sequence[Method], *, stranger: Callable[[PresentedCertificate], Refused]) -> None:
        self._methods = tuple(methods)
        self._stranger = stranger
        self._remembered: dict[tuple[PresentedCertificate | None, bytes], _Verdict] = {}

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller:
        """Return who calls.

        Raises:
            Refused: NO_CREDENTIALS, AMBIGUOUS_IDENTITY, or what a method found wrong.
            KeysNeeded: fetch the issuer's keys, then ask again.
        """
        key = (shown.certificate, sha256(b"\n".join(shown.authorization)).digest())
        verdict = self._remembered.get(key)
        if verdict and verdict.given_at_ns <= now_wall_ns < verdict.until_ns:
            return verdict.caller
        caller = self._judge(shown, now_wall_ns)
        self._remember(key, caller, now_wall_ns)
        return caller

    def withdrawn(self, presented: PresentedCertificate) -> Refused | None:
        """Return why a certificate that was let in before may not be used any more; its own end is no such reason."""
        try:
            for method in self._methods:
                method.check_withdrawn(presented)
        except Refused as refused:
            return refused
        return None

    def forget(self) -> None:
        """Judge everything anew from now on."""
        self._remembered.clear()

    def explain(self, shown: Credentials) -> list[str]:
        """Return lines for an operator: how each method's rules see what was shown, whether or not it holds."""
        lines: list[str] = []
        for part in (Credentials(shown.certificate), Credentials(authorization=shown.authorization)):
            for method in self._methods:
                try:
                    lines += [f"{method.name}: {line}" for line in method.explain(part)]
                except Refused:
                    continue  # `authenticate` says what is wrong with it
        return lines

    def _judge(self, shown: Credentials, now_wall_ns: int) -> Caller:
        by_certificate = self._by_certificate(shown.certificate, now_wall_ns) if shown.certificate else None
        by_token = self._by_token(shown.authorization, now_wall_ns) if shown.authorization else None
        if by_certificate and by_token:
            return _agreed(by_certificate, by_token)
        caller = by_token or by_certificate
        if caller is None:
            raise Refused(Reason.NO_CREDENTIALS)
        return caller

    def _by_certificate(self, certificate: PresentedCertificate, now_wall_ns: int) -> Caller:
        caller = self._ask(Credentials(certificate=certificate), now_wall_ns)
        if caller is None:
            raise self._stranger(certificate)
        return caller

    def _by_token(self, authorization: tuple[bytes, ...], now_wall_ns: int) -> Caller:
        caller = self._ask(Credentials(authorization=authorization), now_wall_ns)
        if caller is None:
            read_bearer(authorization, limit_octets=AUTHORIZATION_LIMIT_OCTETS)
            raise Refused(Reason.TOKEN_UNKNOWN_ISSUER)
        return caller

    def _ask(self, shown: Credentials, now_wall_ns: int) -> Caller | None:
        answers = (method.authenticate(shown, now_wall_ns=now_wall_ns) for method in self._methods)
        return next((caller for caller in answers if caller), None)

    def _remember(self, key: tuple[PresentedCertificate | None, bytes], caller: Caller, now_wall_ns: int) -> None:
        self._remembered.pop(key, None)
        while len(self._remembered) >= REMEMBERED_LIMIT:
            del self._remembered[next(iter(self._remembered))]
        until_ns = min(caller.judged_until_ns, now_wall_ns + REMEMBERED_NS)
        self._remembered[key] = _Verdict(caller, now_wall_ns, until_ns)


def _agreed(by_certificate: Caller, by_token: Caller) -> Caller:
    """Return the token's caller, for as long as both proofs hold.

    Raises:
        Refused: AMBIGUOUS_IDENTITY, the two name different tenants.
    """
    if by_certificate.tenant != by_token.tenant:
        raise Refused(
            Reason.AMBIGUOUS_IDENTITY,
            detail=f"certificate: {by_certificate.tenant}, token: {by_token.tenant}",
            why="the certificate and the token belong to different tenants",
        )
    return replace(by_token, judged_until_ns=min(by_certificate.judged_until_ns, by_token.judged_until_ns))
