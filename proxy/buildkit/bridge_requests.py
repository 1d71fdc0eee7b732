"""The requests of LLBBridge beside Solve that name something of the client's: a session or a cache mount.

| request | names |
|---|---|
| ResolveImageConfig | a session, and sessions in source policies |
| ResolveSourceMeta | sessions in the source's attributes and in source policies |
| NewContainer | cache mounts |

The others name nothing but what the daemon itself named, at random, for that one build.
No container takes a cgroup from its request (Meta of ExecProcess), and none has a cached
result. A store (StoreID) is one of the named session's.

Source: moby/buildkit frontend/gateway/pb/gateway.proto; frontend/gateway/gateway.go.
"""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.buildkit.draft import Draft
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import name_mount, name_policies, name_session, name_source
from proxy.buildkit.shapes import MOUNT, NEW_CONTAINER, RESOLVE_IMAGE_CONFIG, RESOLVE_SOURCE_META, SOURCE_OP
from proxy.buildkit.wire import Shapes

_SOURCE, _SESSION, _MOUNTS, _POLICIES = 1, 6, 2, 8


def name_image_config(draft: Draft, names: Namespace) -> None:
    """Name what a ResolveImageConfigRequest has.

    Raises:
        UnknownField, WireError: as `Draft`; or a session id in it is none.
    """
    name_session(draft, _SESSION, names)
    name_policies(draft, _POLICIES, names)


def name_source_meta(draft: Draft, names: Namespace) -> None:
    """Name what a ResolveSourceMetaRequest has.

    Raises:
        UnknownField, WireError: as `name_image_config`.
    """
    draft.edit(_SOURCE, SOURCE_OP, lambda source: name_source(source, names))
    name_policies(draft, _POLICIES, names)


def name_container(draft: Draft, names: Namespace) -> None:
    """Name what a NewContainerRequest has.

    Raises:
        UnknownField, WireError: as `Draft`.
    """
    draft.edit(_MOUNTS, MOUNT, lambda mount: name_mount(mount, names))


NAMED: Final[Mapping[str, tuple[Shapes, Callable[[Draft, Namespace], None]]]] = {
    "ResolveImageConfig": (RESOLVE_IMAGE_CONFIG, name_image_config),
    "ResolveSourceMeta": (RESOLVE_SOURCE_META, name_source_meta),
    "NewContainer": (NEW_CONTAINER, name_container),
}
"""By method: with which table it is read, and what gives it its names."""
