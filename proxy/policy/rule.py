"""What a rule of a policy is: it looks at a request, and says what the policy does not allow."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.llb import Facts
from proxy.reasons import Reason
from proxy.record import Record


class RuleConfig(Record):
    """What every rule can be told."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow` refuses and changes nothing, and counts what would have been refused."""


class Asked(NamedTuple):
    """What a build asks for: the message, what is in its definitions, in their order, and whether a source policy
    of the client's own may put one source in the place of another."""

    request: BuildRequest
    definitions: Sequence[Facts] = ()
    replaces_sources: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the policy does not allow.

    `setting` is the key that would have to say otherwise, such as `push`; it goes into logs. `what` and
    `allowed` are for the caller alone: they hold its own words.
    """

    setting: str
    what: str
    allowed: Iterable[str] = ()


class AnyRule(ABC):
    """A rule, ready to judge. `name` is its key in a policy, `example` a policy with it, for the manual."""

    name: ClassVar[str]
    reason: ClassVar[Reason]
    example: ClassVar[str]

    def __init__(self, config: RuleConfig) -> None:
        self.is_enforced = config.mode == "enforce"

    @abstractmethod
    def said(self) -> str:
        """Return in a few words what the policy allows, for an operator."""


class Rule(AnyRule):
    """A rule on what a build asks for."""

    @abstractmethod
    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield what the policy does not allow; change nothing.

        Raises:
            WireError: a part of the request cannot be read.
        """

    def edit(self, request: BuildRequest) -> None:
        """Make `request`, which `check` found nothing in, ask for less where the policy says so."""


def either(words: Iterable[str]) -> str:
    """Return a list for a sentence; `none` if it is empty."""
    return ", ".join(words) or "none"
