"""The operations of a build definition, changed.

Each names the ones that it builds upon by the digest of their octets. So whoever changes
one gives a new name to it and to all above it, and to what is kept by that name beside.

Source: moby/buildkit solver/pb/ops.proto; solver/llbsolver/vertex.go, loadLLB: the last
operation is the result, the others may come in any order, more than once, and for nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from proxy.buildkit.draft import Draft, Octets
from proxy.buildkit.shapes import INPUT

_INPUTS = 1


class Rehashed:
    """The operations `steps` with what `edit` changed in each, and with the names that follow from it.

    `steps` has them in the order in which they came, `digests` the new name of each that was changed, by the old.
    """

    def __init__(self, steps: Sequence[Octets], read: Callable[[Octets], Draft], edit: Callable[[Draft], None]) -> None:
        """Change all of `steps`.

        Raises:
            UnknownField, WireError: as `Draft`; and what `read` and `edit` raise.
        """
        names = [_digest(octets) for octets in steps]
        self.digests: dict[str, str] = {}
        self._read = read
        self._edit = edit
        self._to_do = dict(zip(names, steps, strict=True))
        self._changed: dict[str, Octets] = {}
        for name in names:
            self._change_with_inputs(name)
        self.steps = [self._changed.get(name, octets) for name, octets in zip(names, steps, strict=True)]

    def _change_with_inputs(self, name: str) -> None:
        # Clients list an operation behind its inputs, so that nearly always one look at each is enough. A name is a
        # hash of what holds the names of the inputs: there are no circles.
        stack = [name]
        while stack:
            if waits_for := self._change(stack[-1]):
                stack += waits_for
            else:
                stack.pop()

    def _change(self, name: str) -> list[str]:
        """Change one operation, or return those that must be changed before it."""
        octets = self._to_do.get(name)
        if octets is None:
            # It is done; or it is nowhere in the definition, which is the daemon's to refuse.
            return []
        op = self._read(octets)
        inputs = op.inner(_INPUTS, INPUT)
        if waits_for := [one.text(1) for one in inputs if one.text(1) in self._to_do]:
            return waits_for
        for one in inputs:
            one.set_text(1, self.digests.get(one.text(1), one.text(1)))
        op.set_messages(_INPUTS, [one.encode() for one in inputs])
        self._edit(op)
        del self._to_do[name]
        if op.is_changed:
            self._changed[name] = op.encode()
            self.digests[name] = _digest(self._changed[name])
        return []


def rekey(draft: Draft, number: int, digests: Mapping[str, str]) -> None:
    """Give the entries of a `map<digest, message>` their new keys.

    Raises:
        WireError: as `Draft.entries`.
    """
    entries: dict[str, Octets] = {}
    for entry in draft.entries(number):
        entry.set_text(1, digests.get(entry.text(1), entry.text(1)))
        # Operations that have become the same one keep what the first of them said.
        entries.setdefault(entry.text(1), entry.encode())
    draft.set_messages(number, entries.values())


def _digest(octets: Octets) -> str:
    return f"sha256:{sha256(octets).hexdigest()}"
