"""Requests for the history of builds, made to be about one tenant's builds.

Source: moby/buildkit api/services/control/control.proto, BuildHistoryRequest and
UpdateBuildHistoryRequest; control/control.go, `UpdateBuildHistory`: a request to delete
does nothing else, one to finalize neither, and any other pins a record or lets it go.
"""

from typing import Final

from proxy.buildkit.draft import Draft
from proxy.buildkit.history_filter import own_filters
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import name_ref
from proxy.buildkit.wire import Shape, Shapes
from proxy.caller import Role

_LISTEN_REF, _FILTER = 2, 4
_UPDATE_REF, _DELETE, _FINALIZE = 1, 3, 4
LISTEN: Final[Shapes] = {
    1: Shape.FLAG,  # ActiveOnly
    _LISTEN_REF: Shape.TEXT,
    3: Shape.FLAG,  # EarlyExit
    _FILTER: Shape.TEXTS,
    5: Shape.NUMBER,  # Limit
}
UPDATE: Final[Shapes] = {
    _UPDATE_REF: Shape.TEXT,
    2: Shape.FLAG,  # Pinned
    _DELETE: Shape.FLAG,
    _FINALIZE: Shape.FLAG,
}


def name_listen(draft: Draft, names: Namespace, *, is_operator: bool = False) -> None:
    """Ask for the tenant's own records.

    An operator sees the records of all tenants, filters them as the daemon has them, and
    names another tenant's build by the daemon's name (BuildKit's own ids have no dot).

    Raises:
        Refused: HISTORY_FILTER.
        WireError: the ref is none that BuildKit's clients make.
    """
    if not is_operator:
        draft.set_texts(_FILTER, own_filters(draft.texts(_FILTER), names))
    if draft.text(_LISTEN_REF):
        _name_ref(draft, _LISTEN_REF, names, is_operator)


def name_update(draft: Draft, names: Namespace, *, is_operator: bool = False) -> None:
    """Let an UpdateBuildHistoryRequest be about one's own build.

    Raises:
        WireError: as `name_listen`.
    """
    _name_ref(draft, _UPDATE_REF, names, is_operator)


def role_to_update(draft: Draft) -> Role:
    """Return the least role for what an UpdateBuildHistoryRequest does.

    A pinned record stays for good, with all that it refers to.
    """
    return Role.BUILDER if draft.flag(_DELETE) or draft.flag(_FINALIZE) else Role.MAINTAINER


def _name_ref(draft: Draft, number: int, names: Namespace, is_operator: bool) -> None:
    if not (is_operator and "." in draft.text(number)):
        name_ref(draft, names, number)
