"""Network of build steps: the mode, names of hosts, and the daemon's own proxy.

Source: moby/buildkit frontend/dockerui/attr.go (parseNetMode, parseExtraHosts);
solver/llbsolver/network.go (ProxyNetwork, since v0.31).
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

MODE: Final = "force-network-mode"
HOSTS: Final = "add-hosts"
SANDBOX: Final = "sandbox"
NONE: Final = "none"
# pb.NetMode, by its number.
_OF_STEPS: Final = (SANDBOX, "host", NONE)


class Config(RuleConfig):
    """How steps may reach the network. `RUN --network=host` in a Dockerfile needs an entitlement besides."""

    modes: Annotated[tuple[Literal["sandbox", "none", "host"], ...], Field(strict=False, min_length=1)] = (
        "sandbox",
        "none",
    )
    """Modes that a build may choose for its steps (`--network`). Without `sandbox`, builds that choose none get
    `none`."""
    add_hosts: bool = True
    """Let a build name hosts by address for its steps (`--add-host`)."""
    proxy: bool = False
    """Send all that steps say through the daemon's own proxy, which the rule `sources` then holds for too. Needs a
    BuildKit of v0.31 or later; older ones do not know it."""

    @field_validator("modes")
    @classmethod
    def _has_a_default(cls, modes: tuple[str, ...]) -> tuple[str, ...]:
        if not {SANDBOX, NONE} & set(modes):
            raise ValueError("needs 'sandbox' or 'none': most builds choose no mode")
        return modes


class Rule(BuildRule):
    """Judges `force-network-mode`, `add-hosts` and the steps of definitions; sets `ProxyNetwork`."""

    name = "network"
    reason = Reason.POLICY_NETWORK
    example = "network: {modes: [none]}"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._modes = frozenset[str](config.modes)

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield each mode that is not allowed, and added hosts."""
        config, attrs = self._config, asked.request.attrs
        chosen = attrs.get(MODE, "")
        if chosen and chosen not in self._modes:
            yield Finding("modes", f"the network mode {chosen}", config.modes)
        for facts in asked.definitions:
            for number in facts.networks:
                mode = _OF_STEPS[number] if number < len(_OF_STEPS) else str(number)
                if mode not in self._modes:
                    yield Finding("modes", f"a step with the network mode {mode}", config.modes)
        if attrs.get(HOSTS) and not config.add_hosts:
            yield Finding("add_hosts", "to add hosts")

    def edit(self, request: BuildRequest) -> None:
        """Choose `none` for a frontend that would choose `sandbox`, and the daemon's proxy."""
        if request.frontend and not request.attrs.get(MODE) and SANDBOX not in self._modes:
            request.attrs[MODE] = NONE
        if self._config.proxy and not request.is_bridge:
            request.force_proxy_network()

    def said(self) -> str:
        """Return the modes, and what is set besides."""
        config = self._config
        proxy = "; by the daemon's proxy" if config.proxy else ""
        return f"{either(config.modes)}{'' if config.add_hosts else '; no added hosts'}{proxy}"
