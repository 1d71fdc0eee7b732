"""The names that a client's requests carry, made its tenant's own.

Each function changes one request in place and returns what the daemon will call the
client's things: {daemon's name: client's name}, so that its messages can be read back.

Source: moby/buildkit api/services/control/control.proto, frontend/gateway/pb/gateway.proto;
frontend/dockerui/config.go for `local-sessionid:NAME`.
"""

from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft
from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.wire import WireError

Renamed = dict[str, str]
LOCAL_SESSION_PREFIX: Final = "local-sessionid:"
_REF, _SESSION, _POLICY_SESSION = 1, 5, 15


def name_solve(request: BuildRequest, names: Namespace) -> Renamed:
    """Name the build and the sessions of a `Control/Solve`.

    Raises:
        WireError: a name is none that BuildKit's clients make.
    """
    renamed = name_ref(request.draft, names)
    for number in (_SESSION, _POLICY_SESSION):
        if session := request.draft.text(number):
            request.draft.set_text(number, _session(session, names, renamed))
    return renamed | name_attrs(request, names)


def name_attrs(request: BuildRequest, names: Namespace) -> Renamed:
    """Name the sessions in the attributes of a frontend, of either Solve.

    Raises:
        WireError: as `name_solve`.
    """
    renamed: Renamed = {}
    for key, value in request.attrs.items():
        if key.startswith(LOCAL_SESSION_PREFIX):
            request.attrs[key] = _session(value, names, renamed)
    return renamed


def name_ref(draft: Draft, names: Namespace, number: int = _REF) -> Renamed:
    """Name the build of a request, whose ref is in the field `number`.

    Raises:
        WireError: as `name_solve`.
    """
    ref = _checked(draft.text(number), "the ref")
    draft.set_text(number, names.ref(ref))
    return {names.ref(ref): ref}


def _session(session: str, names: Namespace, renamed: Renamed) -> str:
    name = names.session(_checked(session, "a session id"))
    renamed[name] = session
    return name


def _checked(name: str, what: str) -> str:
    if not is_identifier(name):
        raise WireError(f"{what} is not {IDENTIFIER_RULE}")
    return name
