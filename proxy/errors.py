"""What the rooms raise."""

from proxy.reasons import Reason


class Refused(Exception):
    """A call is turned away.

    `facts` fill the braces of the reason's public sentence. `detail` is for the
    operator (log and audit): it may name rules and claims, never a secret.
    `retry_after_ns` is how long to wait until the same call may succeed, 0 if unknown.
    """

    def __init__(self, reason: Reason, *, detail: str = "", retry_after_ns: int = 0, **facts: object) -> None:
        super().__init__(reason.label, detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_ns = retry_after_ns
        self.facts = facts

    @property
    def account(self) -> str:
        """What log and audit tell: `detail`, and the facts that are not in it, such as whose certificate it was."""
        facts = [f"{name}={one_line(value)}" for name, value in self.facts.items() if str(value) not in self.detail]
        return ", ".join([self.detail, *facts] if self.detail else facts)

    @property
    def sentence(self) -> str:
        """What the caller reads, without number and reference."""
        return self.reason.sentence.format_map({name: one_line(value) for name, value in self.facts.items()})

    def public_text(self, reference: str) -> str:
        """Return the one line that the caller reads; `reference` finds it in the operator's log."""
        return f"[KG-{self.reason.number}] {self.sentence} (ref {reference})"


class KeysNeeded(Exception):
    """A token can be judged only with fresh keys of `issuer`; fetch them and ask again."""

    def __init__(self, issuer: str) -> None:
        super().__init__(issuer)
        self.issuer = issuer


def one_line(value: object) -> str:
    """Return `value` as printable text on one line, at most 200 characters.

    Terminals show what we say: names come from certificates and tokens, which may
    carry control characters and line breaks.
    """
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return text if len(text) <= 200 else text[:197] + "..."
