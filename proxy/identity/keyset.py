"""What is known of every issuer's keys: filled from outside, asked when a token is judged.

This room neither fetches nor waits. When a key is missing and asking the issuer may help,
`find` says so by `KeysNeeded`; whoever fetches reports by `learn` or `fail`, and the caller
asks again. Old keys stay in use while an issuer does not answer, for a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import jwt

from proxy.errors import KeysNeeded, Refused
from proxy.identity.tokens.keys import KeyPolicy, KeySet, KeysUnusable, read_key_set
from proxy.reasons import Reason
from proxy.units import SECOND_NS

# A key id that nobody knows makes us ask the issuer at most this often, however many callers show one.
COOLDOWN_NS = 30 * SECOND_NS
STALE_LIMIT_NS = 24 * 3600 * SECOND_NS


class Origin(Enum):
    """Where the keys of an issuer come from."""

    DISCOVERY = "discovery"
    URL = "url"
    FILE = "file"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class KeySource:
    """One issuer, and where its keys are: `place` is a URL or a file; inline keys are in `document`."""

    issuer: str
    origin: Origin
    place: str = ""
    document: bytes = b""
    policy: KeyPolicy = field(default_factory=KeyPolicy)
    ca_file: str | None = None
    bearer_token_file: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the issuer itself is asked for its keys."""
        return self.origin in (Origin.DISCOVERY, Origin.URL)


@dataclass(slots=True)
class _Known:
    """State of one issuer. Times are wall-clock nanoseconds; 0 is never."""

    source: KeySource
    keys: KeySet | None = None
    learned_at_ns: int = 0
    asked_at_ns: int = 0
    has_failed: bool = False


class KeySets:
    """The keys of every issuer of one generation of settings.

    What `earlier` knows of a source that did not change is taken over, so that a reload does
    not make tokens wait.

    Raises:
        KeysUnusable: the inline keys of a source are no key set.
    """

    def __init__(self, sources: Iterable[KeySource], *, earlier: "KeySets | None" = None) -> None:
        self._known: dict[str, _Known] = {}
        for source in sources:
            before = earlier._known.get(source.issuer) if earlier else None
            kept = before if before and before.source == source and source.is_remote else None
            self._known[source.issuer] = kept or _Known(source)
            if source.origin is Origin.INLINE:
                self.learn(source.issuer, source.document, now_wall_ns=0)

    @property
    def sources(self) -> tuple[KeySource, ...]:
        """Every source, in the order of the settings."""
        return tuple(known.source for known in self._known.values())

    def learn(self, issuer: str, document: bytes, *, now_wall_ns: int) -> int:
        """Replace the keys of `issuer` by those of a JWKS document; return how many there are.

        Raises:
            KeysUnusable: nothing was replaced; report it by `fail`.
        """
        known = self._known[issuer]
        known.keys = read_key_set(document, known.source.policy)
        known.learned_at_ns = known.asked_at_ns = now_wall_ns
        known.has_failed = False
        return len(known.keys)

    def fail(self, issuer: str, *, now_wall_ns: int) -> None:
        """Note that `issuer` was asked in vain."""
        known = self._known[issuer]
        known.asked_at_ns = now_wall_ns
        known.has_failed = True

    def find(self, issuer: str, key_id: str | None, algorithm: str, *, now_wall_ns: int) -> jwt.PyJWK:
        """Return the key that must have signed a token of `issuer`.

        Raises:
            KeysNeeded: ask the issuer, then call again.
            Refused: KEYS_UNAVAILABLE, the issuer did not answer; TOKEN_UNKNOWN_KEY, it has no such key.
        """
        known = self._known[issuer]
        keys = _usable_keys(known, now_wall_ns)
        key = keys.find(key_id, algorithm) if keys else None
        if key:
            return key
        if _may_ask(known, now_wall_ns):
            raise KeysNeeded(issuer)
        if keys is None or known.has_failed:
            raise Refused(Reason.KEYS_UNAVAILABLE, detail=f"no keys of {issuer}")
        raise Refused(Reason.TOKEN_UNKNOWN_KEY, detail=f"{issuer} has no {algorithm} key of that id")


def _usable_keys(known: _Known, now_wall_ns: int) -> KeySet | None:
    is_stale = known.source.is_remote and now_wall_ns - known.learned_at_ns >= STALE_LIMIT_NS
    return None if is_stale else known.keys


def _may_ask(known: _Known, now_wall_ns: int) -> bool:
    # A wall clock that was set back must not stretch the pause: outside of it on either side, ask.
    is_cooling = known.asked_at_ns and 0 <= now_wall_ns - known.asked_at_ns < COOLDOWN_NS
    return known.source.is_remote and not is_cooling


__all__ = ["COOLDOWN_NS", "STALE_LIMIT_NS", "KeySets", "KeySource", "KeysUnusable", "Origin"]
