"""Identity by bearer token: `authorization: Bearer`, a JWT of one issuer that this farm trusts.

Checks go from cheap to dear, and the first failure decides: form, issuer, time, key,
signature, then every other claim. What the token says is used for nothing but these checks
before its signature holds.
"""

from proxy.caller import DEFAULT_POLICY, Caller
from proxy.errors import Refused
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.identity.keyset import KeySets
from proxy.identity.rules import explain, first_match, nearly
from proxy.identity.tokens.claims import check_audience, check_subject, check_times, check_type
from proxy.identity.tokens.compact import Token, read_bearer
from proxy.identity.tokens.keys import verifies
from proxy.identity.tokens.presets import PRESETS
from proxy.identity.tokens.settings import TokenSettings
from proxy.reasons import Reason


class Config(TokenSettings):
    """Tokens of one issuer."""

    def build(self, keysets: KeySets) -> "Jwt":
        """Return the method, which looks for this issuer's keys in `keysets`."""
        return Jwt(self, keysets)


class Jwt:
    """Judges the bearer tokens of one issuer."""

    def __init__(self, config: Config, keysets: KeySets) -> None:
        self.name = config.title
        self._config = config
        self._expected = config.expectations
        self._keysets = keysets
        self._preset = PRESETS[config.preset]

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:
        """Return who calls; None if no token of this issuer was shown.

        Raises:
            Refused: the token is bad (TOKEN_*), cannot be judged (KEYS_UNAVAILABLE) or maps to nobody.
            KeysNeeded: ask the issuer for its keys, then ask again.
        """
        token = self._read(shown)
        if token is None:
            return None
        try:
            until_ns = self._verify(token, now_wall_ns)
        except Refused as refused:
            # Who shows it is not proven; whose token it is not, an operator must see.
            refused.detail = ": ".join(filter(None, (self.name, refused.detail)))
            raise
        subject = self._preset.subject(token.claims)
        rule = first_match(self._config.rules, token.claims)
        if rule is None:
            raise Refused(
                Reason.NO_RULE_MATCHED,
                detail=f"{self.name}: {nearly(self._config.rules, token.claims)}",
                subject=subject,
            )
        return Caller(
            tenant=rule.tenant,
            role=rule.granted,
            subject=subject,
            method=self.name,
            rule=rule.label,
            judged_until_ns=until_ns,
            policy=rule.policy or DEFAULT_POLICY,
            kind=rule.told_kind or self._preset.kind,
        )

    def check_withdrawn(self, presented: PresentedCertificate) -> None:
        """Say nothing: it is about certificates."""

    def explain(self, shown: Credentials) -> list[str]:
        """Return lines for an operator on how the rules see the token, verified or not; none if it is not ours."""
        token = self._read(shown)
        return explain(self._config.rules, token.claims) if token else []

    def _read(self, shown: Credentials) -> Token | None:
        token = read_bearer(shown.authorization, limit_octets=self._config.token_limit)
        return token if token and token.issuer == self._config.trusted_issuer else None

    def _verify(self, token: Token, now_wall_ns: int) -> int:
        """Return until when the token holds, in wall-clock nanoseconds.

        Raises:
            Refused, KeysNeeded: as `authenticate`.
        """
        until_ns = check_times(token.claims, self._expected, now_wall_ns=now_wall_ns)
        if token.algorithm not in self._config.algorithms:
            raise Refused(Reason.TOKEN_BAD_SIGNATURE, detail="its algorithm is not on the issuer's list")
        issuer = self._config.trusted_issuer
        key = self._keysets.find(issuer, token.key_id, token.algorithm, now_wall_ns=now_wall_ns)
        if not verifies(token.text, key):
            raise Refused(Reason.TOKEN_BAD_SIGNATURE)
        check_subject(token.claims)
        check_type(token.type, self._expected)
        check_audience(token.claims, self._expected)
        return until_ns
