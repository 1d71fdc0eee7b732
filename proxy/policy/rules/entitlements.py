"""Entitlements: what takes a build step out of its sandbox.

A daemon must be told to grant `network.host` and `security.insecure`, but grants
`device` to everybody unless it is told not to.

Source: moby/buildkit util/entitlements/entitlements.go (Parse, WhiteList) and
cmd/buildkitd/main.go; steps of a definition are looked at too, since daemons before
v0.31.1 let some of them go (GHSA-7236-3392-c5c6), and a device may be open to all steps.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

Entitlement = Literal["network.host", "security.insecure", "device"]


class Config(RuleConfig):
    """Which entitlements a build may ask for with `--allow`. What is before the `=` counts."""

    allow: Annotated[tuple[Entitlement, ...], Field(strict=False)] = ()
    """Entitlements that are passed on. The daemon must allow them too."""


class Rule(BuildRule):
    """Judges `Entitlements` of `Control/Solve`, and steps of definitions that run without a sandbox."""

    name = "entitlements"
    reason = Reason.POLICY_ENTITLEMENTS
    example = "entitlements: {allow: [network.host]}"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._allow: tuple[str, ...] = config.allow

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield each entitlement that is not allowed."""
        for entitlement in asked.request.entitlements:
            if entitlement.partition("=")[0] not in self._allow:
                yield Finding("allow", entitlement, self._allow)
        for facts in asked.definitions:
            if any(facts.securities) and "security.insecure" not in self._allow:
                yield Finding("allow", "security.insecure (of a step)", self._allow)
            if facts.devices and "device" not in self._allow:
                yield Finding("allow", "device (of a step)", self._allow)

    def said(self) -> str:
        """Return what is granted."""
        return either(self._allow)
