"""The names that a client's requests carry, made its tenant's own.

Each function changes one request, or a part of one, in place. `RememberedNames` know
afterwards what the daemon calls the client's things, so that its messages can be read back.

Source: moby/buildkit api/services/control/control.proto, frontend/gateway/pb/gateway.proto,
solver/pb/ops.proto; frontend/dockerui/config.go for `local-sessionid:NAME`;
sourcepolicy/mutate.go for what a policy gives to a source.
"""

from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft
from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.separation import separated_cache_id
from proxy.buildkit.shapes import CACHE_OPT, POLICY_RULE, POLICY_UPDATE, SOURCE_POLICY
from proxy.buildkit.wire import WireError

LOCAL_SESSION_PREFIX: Final = "local-sessionid:"
SOURCE_SESSIONS: Final[tuple[str, ...]] = ("local.session", "oci.session")
"""The attributes of a source that name a session."""
_REF, _SESSION, _POLICY_SESSION = 1, 5, 15
_CONTROL_POLICY, _BRIDGE_POLICIES = 12, 15


def name_solve(request: BuildRequest, names: Namespace) -> None:
    """Name the build and the sessions of a `Control/Solve`.

    Raises:
        WireError: a name is none that BuildKit's clients make.
    """
    name_ref(request.draft, names)
    for number in (_SESSION, _POLICY_SESSION):
        name_session(request.draft, number, names)
    name_attrs(request, names)


def name_attrs(request: BuildRequest, names: Namespace) -> None:
    """Name the sessions in what either Solve has: attributes of a frontend, and source policies.

    Raises:
        WireError: as `name_solve`.
    """
    for key, value in request.attrs.items():
        if key.startswith(LOCAL_SESSION_PREFIX):
            request.attrs[key] = _session(value, names)
    name_policies(request.draft, _BRIDGE_POLICIES if request.is_bridge else _CONTROL_POLICY, names)


def name_ref(draft: Draft, names: Namespace, number: int = _REF) -> None:
    """Name the build of a request, whose ref is in the field `number`.

    Raises:
        WireError: as `name_solve`.
    """
    ref = _checked(draft.text(number), "the ref")
    draft.set_text(number, names.ref(ref))


def name_session(draft: Draft, number: int, names: Namespace) -> None:
    """Name the session in the field `number`, if there is one.

    Raises:
        WireError: as `name_solve`.
    """
    if session := draft.text(number):
        draft.set_text(number, _session(session, names))


def name_source(source: Draft, names: Namespace) -> None:
    """Name the sessions that a SourceOp, or the Update of a policy, gives to a source; an empty name is none.

    Raises:
        WireError: as `name_solve`.
    """
    attrs = source.pairs(2)
    sessions = {key: _session(attrs[key], names) for key in SOURCE_SESSIONS if attrs.get(key)}
    source.set_pairs(2, {**attrs, **sessions})


def name_mount(mount: Draft, names: Namespace) -> None:
    """Name the cache that a Mount may have.

    Raises:
        UnknownField, WireError: as `Draft`.
    """
    mount.edit(20, CACHE_OPT, lambda cache: cache.set_text(1, separated_cache_id(cache.text(1), names.tenant)))


def name_policies(draft: Draft, number: int, names: Namespace) -> None:
    """Name the sessions that rules of source policies give to the sources they match.

    Raises:
        UnknownField, WireError: as `Draft`, and as `name_solve`.
    """

    def rule(draft: Draft) -> None:
        draft.edit(3, POLICY_UPDATE, lambda update: name_source(update, names))

    draft.edit(number, SOURCE_POLICY, lambda policy: policy.edit(2, POLICY_RULE, rule))


def _session(session: str, names: Namespace) -> str:
    return names.session(_checked(session, "a session id"))


def _checked(name: str, what: str) -> str:
    if not is_identifier(name):
        raise WireError(f"{what} is not {IDENTIFIER_RULE}")
    return name
