"""What a build asks for: the same questions to `Control/Solve` and `LLBBridge/Solve`, which both may say it.

Stock clients send an almost empty `Control/Solve`, then everything in an
`LLBBridge/Solve`; other clients, and attackers, may use either. Whoever judges or
changes what a build asks for does it through here, and so to both alike.

Source: moby/buildkit api/services/control/control.proto (SolveRequest, CacheOptions) and
frontend/gateway/pb/gateway.proto (SolveRequest); control/control.go,
translateLegacySolveRequest.
"""

from dataclasses import dataclass

from proxy.buildkit.draft import Draft, Octets
from proxy.buildkit.shapes import BRIDGE_SOLVE, CACHE_OPTIONS, CONTROL_SOLVE, TYPED
from proxy.buildkit.typed import Typed
from proxy.buildkit.wire import Message, Shapes

REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Where one of the two messages says what both may say."""

    shapes: Shapes
    definition: int
    frontend: int
    attrs: int
    inputs: int


_CONTROL = _Numbers(CONTROL_SOLVE, definition=2, frontend=6, attrs=7, inputs=10)
_BRIDGE = _Numbers(BRIDGE_SOLVE, definition=1, frontend=2, attrs=3, inputs=13)


class BuildRequest:
    """One of the two messages, read whole; what is changed here is changed in `encode`.

    `attrs` are the frontend's attributes (FrontendAttrs or FrontendOpt). `definitions[0]` is the build's own
    (or empty), then come those of its inputs. `exporters` holds field 13, which daemons since v0.13 take,
    `deprecated_exporter` what older ones take, and newer ones without the first. `cache_imports` and
    `cache_exports` hold the entries that a daemon makes of the deprecated fields too. All of them may be
    changed in place.
    """

    def __init__(self, message: bytes, *, is_bridge: bool, takes_unknown: bool = False) -> None:
        """Read `message`.

        Raises:
            UnknownField: as `Draft`, for the message and for what is read inside of it.
            WireError: as `Draft`.
        """
        self.is_bridge = is_bridge
        self._numbers = _BRIDGE if is_bridge else _CONTROL
        self.draft = Draft(message, self._numbers.shapes, takes_unknown=takes_unknown)
        self.frontend: str = self.draft.text(self._numbers.frontend)
        self.attrs: dict[str, str] = self.draft.pairs(self._numbers.attrs)
        self._inputs = list(self.draft.entries(self._numbers.inputs))
        own = self.draft.messages(self._numbers.definition)
        self.definitions: list[Octets] = [_only(sent) for sent in (own, *(entry.messages(2) for entry in self._inputs))]
        self._sent_definitions = tuple(self.definitions)
        self._read_exporters()
        self.cache_imports: list[Typed]
        self.cache_exports: list[Typed]
        self._read_cache()

    # --- questions --------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """A frontend or a definition is named: a build that does something."""
        return bool(self.frontend) or any(map(len, self.definitions))

    @property
    def entitlements(self) -> list[str]:
        """What the build wants to be allowed by the daemon; only `Control/Solve` can say."""
        return [] if self.is_bridge else self.draft.texts(9)

    @property
    def asks_session_for_exporters(self) -> bool:
        """The daemon is to ask the client's session for exporters, which pass here unseen."""
        return not self.is_bridge and self.draft.flag(14)

    @property
    def source_policy(self) -> memoryview | None:
        """The client's source policy for the whole build; only `Control/Solve` can say."""
        return None if self.is_bridge else next(iter(self.draft.messages(12)), None)

    @property
    def policy_session(self) -> str:
        """The session that the daemon is to ask about every source of the build; only `Control/Solve` can say."""
        return "" if self.is_bridge else self.draft.text(15)

    # --- changes beside the lists ---------------------------------------------------------------

    def set_source_policy(self, policy: bytes) -> None:
        """Give the whole build a source policy; of `Control/Solve` only."""
        self.draft.set_messages(12, [policy])

    def force_proxy_network(self) -> None:
        """Let all that the build's steps send pass the daemon's own proxy; of `Control/Solve` only."""
        self.draft.set_flag(17, True)

    # --- the whole --------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Return the message with what was changed."""
        self.draft.set_pairs(self._numbers.attrs, self.attrs)
        self._write_definitions()
        if not self.is_bridge:
            self._write_exporters()
        self._write_cache()
        return self.draft.encode()

    # --- its parts --------------------------------------------------------------------------

    def _write_definitions(self) -> None:
        if all(one is sent for one, sent in zip(self.definitions, self._sent_definitions, strict=True)):
            return
        own, *inputs = self.definitions
        if own is not self._sent_definitions[0]:
            self.draft.set_messages(self._numbers.definition, [own])
        for entry, definition, sent in zip(self._inputs, inputs, self._sent_definitions[1:], strict=True):
            if definition is not sent:
                entry.set_messages(2, [definition])
        self.draft.set_messages(self._numbers.inputs, [entry.encode() for entry in self._inputs])

    def _read_exporters(self) -> None:
        self.exporters: list[Typed] = []
        self.deprecated_exporter: Typed | None = None
        if not self.is_bridge:
            self.exporters = _typed(self.draft, 13)
            name, attrs = self.draft.text(3), self.draft.pairs(4)
            self.deprecated_exporter = Typed(name, attrs) if name or attrs else None

    def _write_exporters(self) -> None:
        deprecated = self.deprecated_exporter or Typed("")
        self.draft.set_messages(13, [one.encode() for one in self.exporters])
        self.draft.set_text(3, deprecated.type)
        self.draft.set_pairs(4, deprecated.attrs)

    def _read_cache(self) -> None:
        """Read the cache options; a daemon adds what the deprecated fields say behind the others."""
        if self.is_bridge:
            self.cache_imports, self.cache_exports = _typed(self.draft, 12), []
            return
        sent = self.draft.inner(8, CACHE_OPTIONS)
        self._cache = cache = sent[0] if sent else Draft(b"", CACHE_OPTIONS)
        self.cache_imports = _typed(cache, 5) + _deprecated_imports(cache)
        self.cache_exports = _typed(cache, 4) + _deprecated_exports(cache)

    def _write_cache(self) -> None:
        """Write the entries; what the deprecated fields said stays in them as long as nothing of it was changed."""
        if self.is_bridge:
            self.draft.set_messages(12, [one.encode() for one in self.cache_imports])
            return
        cache = self._cache
        if self.cache_imports != _typed(cache, 5) + _deprecated_imports(cache):
            cache.set_messages(5, [one.encode() for one in self.cache_imports])
            cache.set_texts(2, [])
        if self.cache_exports != _typed(cache, 4) + _deprecated_exports(cache):
            cache.set_messages(4, [one.encode() for one in self.cache_exports])
            cache.set_text(1, "")
            cache.set_pairs(3, {})
        if cache.is_changed:
            self.draft.set_messages(8, [cache.encode()])


def _typed(draft: Draft, number: int) -> list[Typed]:
    return [Typed.read(one) for one in draft.inner(number, TYPED)]


def _deprecated_imports(cache: Message) -> list[Typed]:
    return [Typed(REGISTRY, {"ref": ref}) for ref in cache.texts(2)]


def _deprecated_exports(cache: Message) -> list[Typed]:
    ref, attrs = cache.text(1), cache.pairs(3)
    return [Typed(REGISTRY, {**attrs, "ref": ref})] if ref else []


def _only(sent: list[memoryview]) -> Octets:
    return sent[0] if sent else b""
