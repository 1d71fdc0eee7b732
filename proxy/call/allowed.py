"""Whether a caller may call a method at all."""

from proxy.buildkit.methods import Method
from proxy.caller import Caller, Role
from proxy.errors import Refused
from proxy.reasons import Reason


def need_role(caller: Caller, method: Method, needed: Role) -> None:
    """Let a caller pass that has at least the role `needed`.

    Raises:
        Refused: ROLE_MISSING.
    """
    if caller.role < needed:
        raise Refused(
            Reason.ROLE_MISSING,
            method=method.short,
            needed=needed.label,
            tenant=caller.tenant,
            role=caller.role.label,
        )
