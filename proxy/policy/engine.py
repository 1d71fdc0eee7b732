"""A policy: all its rules as one judgement of what a build asks for.

Every build is judged, those that clients call internal too, and both messages that may
say what a build wants. The first rule that finds something refuses; a rule in shadow only
tells. Rules that found nothing then edit the request, so what comes out asks for no more
than the policy allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import UnknownField
from proxy.buildkit.llb import Facts
from proxy.buildkit.source_policy import Action, read_policy
from proxy.caller import Role
from proxy.errors import Refused
from proxy.policy.rule import AnyRule, Asked, Finding, Rule, either
from proxy.policy.rules import cache, entitlements, exec, exporters, frontends, network, resources, sources
from proxy.policy.settings import PolicySettings
from proxy.reasons import Reason

CGROUP_PARENT: Final = "cgroup-parent"
RULES: Final[tuple[type[AnyRule], ...]] = (
    entitlements.Rule,
    frontends.Rule,
    exporters.Rule,
    cache.Rule,
    sources.Rule,
    network.Rule,
    resources.Rule,
    exec.Rule,
)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a rule in shadow would have refused. `detail` names the setting, and nothing of the caller's."""

    rule: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be told of a request that passes, and kept for those of its build that follow.

    `replaces_sources` says that the build brought a source policy of its own, which may put one source in the
    place of another: each later message of the build is judged with it.
    """

    shadowed: tuple[Shadowed, ...] = ()
    replaces_sources: bool = False


class Policy:
    """A policy, ready to judge. `name` is its name in the settings."""

    def __init__(self, name: str, settings: PolicySettings) -> None:
        self.name = name
        self._contact = settings.contact or "whoever runs this farm"
        self._exec = exec.Rule(settings.exec)
        self._rules = tuple(_rules(settings))

    def judge(
        self, request: BuildRequest, definitions: Sequence[Facts] = (), *, replaces_sources: bool = False
    ) -> Judgement:
        """Judge one message, and edit it in place to ask for no more than the policy allows.

        `definitions` are the facts of `request.definitions`; `replaces_sources` is what the judgement of the
        build's `Control/Solve` said.

        Raises:
            Refused: POLICY_..., a rule that is enforced found something; the request is then half edited.
            WireError: a part of the request cannot be read.
        """
        replaces_sources = replaces_sources or _replaces_sources(request)
        asked = Asked(request, definitions, replaces_sources)
        shadowed = []
        for rule in self._rules:
            found = next(rule.check(asked), None)
            if rule.is_enforced:
                if found is not None:
                    raise self._refused(rule, found)
                rule.edit(request)
            elif found is not None:
                shadowed.append(Shadowed(rule.name, rule.reason, self._detail(rule, found.setting)))
        # No policy may allow it: steps would leave the limits that the daemon itself runs in.
        request.attrs.pop(CGROUP_PARENT, None)
        return Judgement(tuple(shadowed), replaces_sources)

    def judge_exec(self, role: Role) -> Judgement:
        """Judge that a caller of this role opens a container in its running build.

        Raises:
            Refused: POLICY_EXEC.
        """
        rule = self._exec
        if role >= rule.needed:
            return Judgement()
        detail = self._detail(rule, "role")
        if not rule.is_enforced:
            return Judgement((Shadowed(rule.name, rule.reason, detail),))
        raise Refused(
            rule.reason,
            detail=detail,
            policy=self.name,
            needed=rule.needed.label,
            role=role.label,
            contact=self._contact,
        )

    def lines(self) -> list[str]:
        """Return a line for each rule, for an operator: what it allows, and whether it only counts."""
        rules: tuple[AnyRule, ...] = (*self._rules, self._exec)
        return [f"{rule.name}: {rule.said()}{'' if rule.is_enforced else ' (shadow)'}" for rule in rules]

    def _refused(self, rule: Rule, found: Finding) -> Refused:
        return Refused(
            rule.reason,
            detail=self._detail(rule, found.setting),
            policy=self.name,
            setting=f"{rule.name}.{found.setting}",
            what=found.what,
            allowed=either(found.allowed),
            contact=self._contact,
        )

    def _detail(self, rule: AnyRule, setting: str) -> str:
        return f"policies.{self.name}.{rule.name}.{setting}"


def _rules(settings: PolicySettings) -> Iterator[Rule]:
    yield entitlements.Rule(settings.entitlements)
    yield frontends.Rule(settings.frontends)
    yield exporters.Rule(settings.exporters)
    yield cache.Rule(settings.cache)
    if settings.sources is not None:
        yield sources.Rule(settings.sources, frontend_images=frontends.frontend_images(settings.frontends))
    yield network.Rule(settings.network)
    yield resources.Rule(settings.resources)


def _replaces_sources(request: BuildRequest) -> bool:
    """Tell whether the client's own source policy may put a source in another's place.

    Raises:
        WireError: it cannot be read.
    """
    if request.policy_session:
        return True
    own = request.source_policy
    try:
        return own is not None and any(action is Action.CONVERT for action, _ in read_policy(own))
    except UnknownField:
        # Nobody knows what it does.
        return True
