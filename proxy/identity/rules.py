"""Mapping rules: attributes of a proven identity become a tenant and a role; the first rule that matches decides.

A rule matches when each of its conditions holds. Attributes are what a method proved: the
claims of a token, or the names in a certificate; texts, numbers, yes/no, lists of those, and
nested mappings. A condition names one of them by its path (`kubernetes.io.namespace`), and
lists what it may be. A list attribute, such as groups, fulfils a condition by any one of its
members. What is absent fulfils nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxy import glob
from proxy.caller import Kind, Role, RoleName
from proxy.errors import one_line
from proxy.record import Record

Attributes = Mapping[str, object]
KindName = Literal["ci", "person", "machine"]
TenantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["payments"])]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["untrusted"])]
RuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _patterns(given: object) -> tuple[str, ...]:
    listed = given if isinstance(given, list | tuple) else [given]
    if not listed or "" in listed:
        raise ValueError("needs at least one value, and no empty one: empty would match nothing")
    for value in listed:
        if isinstance(value, bool | int | float):
            written = str(value).lower() if isinstance(value, bool) else str(value)
            raise ValueError(f'write the value in quotes: "{written}"')
        if not isinstance(value, str):
            raise ValueError("needs a text, or a list of texts")
    return tuple(listed)


_TEXT = {"type": "string", "minLength": 1}
Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(_patterns),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
Path = Annotated[str, Field(pattern=r"^[^\s.][^\s]{0,255}$")]


class Rule(Record):
    """Who this rule is about, and what they become."""

    name: RuleName | None = None
    """What log, audit and `kilngate explain` call this rule; `rule-1` and so on if not given."""
    match: Annotated[dict[Path, Patterns], Field(min_length=1)]
    """Conditions that must all hold: attribute -> value, or list of values. `*` is any run
    without `/`, `**` any run."""
    tenant: TenantName
    """The tenant that a matching caller belongs to."""
    role: RoleName = "builder"
    """What a matching caller may do."""
    policy: PolicyName | None = None
    """What its builds may ask for: a name of the block `policies`; the tenant's policy if not given."""

    @property
    def granted(self) -> Role:
        """The role as the rest of the program knows it."""
        return Role[self.role.upper()]

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name or "rule"


class TokenRule(Rule):
    """Who a token's rule is about, and what they become."""

    kind: KindName | None = None
    """What a matching caller is, which decides how long a certificate for its token lasts
    (`issuer.lifetimes`); the preset's kind if not given."""

    @property
    def told_kind(self) -> Kind | None:
        """The kind as the rest of the program knows it."""
        return Kind(self.kind) if self.kind else None


AnyRule = TypeVar("AnyRule", bound=Rule)


def _named(rules: tuple[AnyRule, ...]) -> tuple[AnyRule, ...]:
    """Return `rules`, each with a name, so that an audit line can say which one matched.

    Raises:
        ValueError: two have the same name.
    """
    named = tuple(
        rule if rule.name else rule.model_copy(update={"name": f"rule-{number}"})
        for number, rule in enumerate(rules, 1)
    )
    twice = [name for name, times in Counter(rule.label for rule in named).items() if times > 1]
    if twice:
        raise ValueError(f"two rules have the name {twice[0]!r}")
    return named


def _some(rules: tuple[AnyRule, ...]) -> tuple[AnyRule, ...]:
    """Return `rules`.

    Raises:
        ValueError: there are none.
    """
    if not rules:
        raise ValueError("needs at least one rule: without one everybody is refused")
    return rules


RulesIfAny = Annotated[tuple[Rule, ...], Field(strict=False), AfterValidator(_named)]
TokenRules = Annotated[
    tuple[TokenRule, ...],
    Field(strict=False, json_schema_extra={"minItems": 1}),
    AfterValidator(_some),
    AfterValidator(_named),
]


@dataclass(frozen=True, slots=True)
class Miss:
    """One condition of a rule that did not hold: what was wanted, and the texts that were there."""

    path: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        wanted = " or ".join(repr(one_line(w)) for w in self.wanted)
        found = ", ".join(repr(one_line(f)) for f in self.found)
        return f"{self.path} is {found}, not {wanted}" if found else f"{self.path} is not there, wanted {wanted}"


def first_match(rules: Sequence[AnyRule], attributes: Attributes) -> AnyRule | None:
    """Return the first rule of which every condition holds; None if there is none, and if there are no rules."""
    return next((rule for rule in rules if is_match(rule, attributes)), None)


def is_match(rule: Rule, attributes: Attributes) -> bool:
    """Say whether every condition of `rule` holds."""
    return next(_misses(rule, attributes), None) is None


def misses(rule: Rule, attributes: Attributes) -> tuple[Miss, ...]:
    """Return the conditions of `rule` that do not hold, in the order they are written."""
    return tuple(_misses(rule, attributes))


def nearest(rules: Sequence[Rule], attributes: Attributes) -> tuple[Rule, tuple[Miss, ...]] | None:
    """Return the rule with the fewest failed conditions, the first of equals, and what failed."""
    return min(_judged(rules, attributes), key=_distance, default=None)


def nearly(rules: Sequence[Rule], attributes: Attributes) -> str:
    """Return the operator's line for NO_RULE_MATCHED: the nearest rule and its failed conditions, no values."""
    found = nearest(rules, attributes)
    if found is None:
        return "there are no rules"
    rule, missed = found
    return f"nearest rule {rule.label}: not as wanted: {', '.join(one_line(miss.path) for miss in missed)}"


def explain(rules: Sequence[Rule], attributes: Attributes) -> list[str]:
    """Return lines for an operator: the rule that matched, or every rule and why it did not, the nearest first."""
    matched = first_match(rules, attributes)
    if matched:
        policy = f", policy {matched.policy}" if matched.policy else ""
        return [f"rule {matched.label} matches: tenant {matched.tenant}, role {matched.role}{policy}"]
    judged = sorted(
        ((rule, misses(rule, attributes)) for rule in rules), key=lambda one: len(one[1]) / len(one[0].match)
    )
    lines = ["no rule matches"]
    for rule, missed in judged:
        held = len(rule.match) - len(missed)
        lines.append(f"rule {rule.label} (tenant {rule.tenant}): {held} of {len(rule.match)} conditions hold")
        lines += [f"  {miss}" for miss in missed]
    return lines


def texts_at(attributes: Attributes, path: str) -> tuple[str, ...]:
    """Return the texts that `path` names; none if it names nothing, or two different attributes.

    A dot in a path parts a mapping from its member or belongs to a key, as in Kubernetes'
    `kubernetes.io`: every reading is tried. If two readings find something, somebody who can
    add claims may be playing with names, and neither counts.
    """
    found = list(_readings(attributes, path))
    return _texts(found[0]) if len(found) == 1 else ()


def _judged(rules: Sequence[Rule], attributes: Attributes) -> list[tuple[Rule, tuple[Miss, ...]]]:
    return [(rule, misses(rule, attributes)) for rule in rules]


def _distance(judged: tuple[Rule, tuple[Miss, ...]]) -> float:
    rule, missed = judged
    return len(missed) / len(rule.match)


def _misses(rule: Rule, attributes: Attributes) -> Iterator[Miss]:
    for path, patterns in rule.match.items():
        found = texts_at(attributes, path)
        if not any(glob.matches(pattern, text) for pattern in patterns for text in found):
            yield Miss(path, patterns, found)


def _readings(inside: object, path: str) -> Iterator[object]:
    if not isinstance(inside, Mapping):
        return
    if path in inside:
        yield inside[path]
    at = path.find(".")
    while at >= 0:
        if path[:at] in inside:
            yield from _readings(inside[path[:at]], path[at + 1 :])
        at = path.find(".", at + 1)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(text for member in value if not isinstance(member, list | tuple) for text in _texts(member))
    if isinstance(value, bool):
        return ("true",) if value else ("false",)
    return (str(value),) if isinstance(value, str | int) else ()
