"""Interactive containers: a shell in the results of one's own running build.

Source: moby/buildkit frontend/gateway/pb/gateway.proto, NewContainer and ExecProcess.
"""

from proxy.caller import Role, RoleName
from proxy.policy.rule import AnyRule, RuleConfig
from proxy.reasons import Reason


class Config(RuleConfig):
    """Who may open a container in a running build, as `buildx debug` does, and frontends that run at the client."""

    role: RoleName = "maintainer"
    """The least role that may."""


class Rule(AnyRule):
    """Judges `NewContainer` and `ExecProcess` of the bridge by who calls them."""

    name = "exec"
    reason = Reason.POLICY_EXEC
    example = "exec: {role: builder}"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.needed = Role[config.role.upper()]

    def said(self) -> str:
        """Return the least role."""
        return f"{self.needed.label} or more"
