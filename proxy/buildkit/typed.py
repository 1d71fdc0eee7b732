"""A type with attributes: an exporter, or a cache to import or export.

Source: moby/buildkit api/services/control/control.proto, Exporter and CacheOptionsEntry.
"""

from dataclasses import dataclass, field

from proxy.buildkit.draft import Draft
from proxy.buildkit.shapes import TYPED


@dataclass(slots=True)
class Typed:
    """What one of them says; both may be changed in place."""

    type: str
    attrs: dict[str, str] = field(default_factory=dict)
    _draft: Draft | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, draft: Draft) -> "Typed":
        """Return what `draft`, a message with the fields of `shapes.TYPED`, says.

        Raises:
            WireError: as `Message.pairs`.
        """
        return cls(draft.text(1), draft.pairs(2), draft)

    def encode(self) -> bytes:
        """Return it as a message; one that was read keeps what was not changed."""
        draft = self._draft or Draft(b"", TYPED)
        draft.set_text(1, self.type)
        draft.set_pairs(2, self.attrs)
        return draft.encode()
