"""What a build asks for: the same questions to `Control/Solve` and `LLBBridge/Solve`, which both may say it.

Stock clients send an almost empty `Control/Solve`, then everything in an
`LLBBridge/Solve`; other clients, and attackers, may use either. Whoever judges or
changes what a build asks for does it through here, and so to both alike.

Source: moby/buildkit api/services/control/control.proto (SolveRequest, CacheOptions) and
frontend/gateway/pb/gateway.proto (SolveRequest); control/control.go takes
Exporters (13), and the deprecated one (3, 4) only without them.
"""

from dataclasses import dataclass, field
from typing import Final

from proxy.buildkit.draft import Draft, encode_octets, encode_pair
from proxy.buildkit.wire import Message, Shape, Shapes

CONTROL_SOLVE: Final[Shapes] = {
    1: Shape.TEXT,  # Ref
    2: Shape.MESSAGE,  # Definition
    3: Shape.TEXT,  # ExporterDeprecated
    4: Shape.MESSAGES,  # ExporterAttrsDeprecated
    5: Shape.TEXT,  # Session
    6: Shape.TEXT,  # Frontend
    7: Shape.MESSAGES,  # FrontendAttrs
    8: Shape.MESSAGE,  # Cache
    9: Shape.TEXTS,  # Entitlements
    10: Shape.MESSAGES,  # FrontendInputs
    11: Shape.FLAG,  # Internal
    12: Shape.MESSAGE,  # SourcePolicy
    13: Shape.MESSAGES,  # Exporters
    14: Shape.FLAG,  # EnableSessionExporter
    15: Shape.TEXT,  # SourcePolicySession
    16: Shape.NUMBER,  # CompatibilityVersion
    17: Shape.FLAG,  # ProxyNetwork
}
BRIDGE_SOLVE: Final[Shapes] = {
    1: Shape.MESSAGE,  # Definition
    2: Shape.TEXT,  # Frontend
    3: Shape.MESSAGES,  # FrontendOpt
    5: Shape.FLAG,  # allowResultReturn
    6: Shape.FLAG,  # allowResultArrayRef
    10: Shape.FLAG,  # Final
    11: Shape.MESSAGE,  # ExporterAttr
    12: Shape.MESSAGES,  # CacheImports
    13: Shape.MESSAGES,  # FrontendInputs
    14: Shape.FLAG,  # Evaluate
    15: Shape.MESSAGES,  # SourcePolicies
}
_CACHE: Final[Shapes] = {
    1: Shape.TEXT,  # ExportRefDeprecated
    2: Shape.TEXTS,  # ImportRefsDeprecated
    3: Shape.MESSAGES,  # ExportAttrsDeprecated
    4: Shape.MESSAGES,  # Exports
    5: Shape.MESSAGES,  # Imports
}
_TYPED: Final[Shapes] = {1: Shape.TEXT, 2: Shape.MESSAGES}
_INPUT: Final[Shapes] = {1: Shape.TEXT, 2: Shape.MESSAGE}


@dataclass(slots=True)
class Typed:
    """A type with attributes: an exporter, or a cache to import or export."""

    type: str
    attrs: dict[str, str] = field(default_factory=dict)


class BuildRequest:
    """One of the two messages, read whole; what is changed here is changed in `encode`.

    `attrs` are the frontend's attributes (FrontendAttrs or FrontendOpt). `exporters` holds what field 13
    and what the deprecated fields say, since a daemon takes one or the other; `cache_imports` and
    `cache_exports` likewise. Lists may be changed in place.
    """

    def __init__(self, message: bytes, *, is_bridge: bool, takes_unknown: bool = False) -> None:
        """Read `message`.

        Raises:
            UnknownField: as `Draft`, for the message and for what is read inside of it.
            WireError: as `Draft`.
        """
        self.is_bridge = is_bridge
        self.draft = Draft(message, BRIDGE_SOLVE if is_bridge else CONTROL_SOLVE, takes_unknown=takes_unknown)
        self._takes_unknown = takes_unknown
        self._attrs_field = 3 if is_bridge else 7
        self._inputs_field = 13 if is_bridge else 10
        self.attrs: dict[str, str] = self.draft.pairs(self._attrs_field)
        self.frontend: str = self.draft.text(2 if is_bridge else 6)
        self._read_definitions()
        if is_bridge:
            self.exporters: list[Typed] = []
            self.deprecated_exporter: Typed | None = None
            self.cache_imports = [self._typed(one) for one in self.draft.messages(12)]
            self.cache_exports: list[Typed] = []
            self._cache: Draft | None = None
        else:
            self._read_exporters()
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

    # --- the whole --------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Return the message with what was changed."""
        draft = self.draft
        draft.set_pairs(self._attrs_field, self.attrs)
        self._write_definitions()
        if self.is_bridge:
            draft.set_messages(12, map(_encode_typed, self.cache_imports))
        else:
            self._write_exporters()
            self._write_cache()
        return draft.encode()

    # --- its parts --------------------------------------------------------------------------

    def _read_definitions(self) -> None:
        """`definitions[0]` is the build's own (or empty), then those of the inputs in their order."""
        inputs = [self._message(octets, _INPUT) for octets in self.draft.messages(self._inputs_field)]
        self._input_names = [one.text(1) for one in inputs]
        own = self.draft.messages(1 if self.is_bridge else 2)
        self.definitions: list[bytes] = [bytes(b"".join(own)), *(b"".join(one.messages(2)) for one in inputs)]
        self._had_definition = bool(own)

    def _write_definitions(self) -> None:
        own, *inputs = self.definitions
        if own or self._had_definition:
            self.draft.set_messages(1 if self.is_bridge else 2, [own])
        entries = zip(self._input_names, inputs, strict=True)
        self.draft.set_messages(
            self._inputs_field, [encode_octets(1, name.encode()) + encode_octets(2, one) for name, one in entries]
        )

    def _read_exporters(self) -> None:
        draft = self.draft
        self.exporters = [self._typed(one) for one in draft.messages(13)]
        attrs = draft.pairs(4)
        has_deprecated = draft.text(3) or attrs
        self.deprecated_exporter = Typed(draft.text(3), attrs) if has_deprecated else None

    def _write_exporters(self) -> None:
        deprecated = self.deprecated_exporter or Typed("")
        self.draft.set_messages(13, map(_encode_typed, self.exporters))
        self.draft.set_text(3, deprecated.type)
        self.draft.set_pairs(4, deprecated.attrs)

    def _read_cache(self) -> None:
        sent = self.draft.messages(8)
        self._cache = cache = self._message(sent[0], _CACHE) if sent else None
        self.cache_imports, self.cache_exports = [], []
        if cache is not None:
            self.cache_imports = [self._typed(one) for one in cache.messages(5)]
            self.cache_exports = [self._typed(one) for one in cache.messages(4)]

    def _write_cache(self) -> None:
        if self._cache is not None:
            self._cache.set_messages(5, map(_encode_typed, self.cache_imports))
            self._cache.set_messages(4, map(_encode_typed, self.cache_exports))
            self.draft.set_messages(8, [self._cache.encode()])

    def _typed(self, octets: memoryview) -> Typed:
        message: Message = self._message(octets, _TYPED)
        return Typed(message.text(1), message.pairs(2))

    def _message(self, octets: memoryview, shapes: Shapes) -> Draft:
        return Draft(octets, shapes, takes_unknown=self._takes_unknown)


def _encode_typed(typed: Typed) -> bytes:
    kind = encode_octets(1, typed.type.encode()) if typed.type else b""
    return kind + b"".join(encode_octets(2, encode_pair(key, value)) for key, value in typed.attrs.items())
