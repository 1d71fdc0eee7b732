"""What a tenant shares with no other at a daemon that caches for all: cache mounts, and results of RUN steps.

* A cache mount is found by its id alone. The dockerfile frontend makes it of a namespace
  (`build-arg:BUILDKIT_CACHE_MOUNT_NS`, empty by default), a slash and what the RUN line
  says; a definition says the whole id. Both get the tenant's name in front, so that they
  meet where they would on a daemon of the tenant's own: `/id` becomes `TENANT/id`,
  anything else `TENANT.anything`.
* A step's result is found by what the step is, secrets not counted: whoever runs the
  same step gets what another made with a secret. The hostname is part of what a step
  is. It becomes `TENANT`, or `theirs.TENANT`.

Tenants are named without dot and slash, so no two of them can spell the same.

Source: moby/buildkit frontend/dockerui/config.go (attributes) and
frontend/dockerfile/dockerfile2llb/convert_runmount.go (ids); solver/llbsolver/mounts/mount.go;
solver/llbsolver/ops/exec.go, CacheMap; frontend/gateway/gateway.go up to v0.31 (gateway-devel).
"""

from collections.abc import Mapping
from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.errors import Refused
from proxy.reasons import Reason

CACHE_NAMESPACE: Final = "build-arg:BUILDKIT_CACHE_MOUNT_NS"
HOSTNAME_ARGUMENT: Final = "build-arg:BUILDKIT_SANDBOX_HOSTNAME"
HOSTNAME: Final = "hostname"
_DEVELOPMENT: Final = "gateway-devel"
# Linux, sethostname(2): HOST_NAME_MAX.
_MOST_HOSTNAME_OCTETS: Final = 64


def separate(request: BuildRequest, tenant: str, *, separates_runs: bool) -> None:
    """Make the frontend that `request` names, if any, keep to the caches of `tenant`.

    Raises:
        Refused: HOSTNAME_TOO_LONG; GATEWAY_DEVEL, since that frontend takes a second set of attributes.
    """
    attrs = request.attrs
    if not request.frontend:
        return
    if _DEVELOPMENT in attrs:
        raise Refused(Reason.GATEWAY_DEVEL)
    attrs[CACHE_NAMESPACE] = _prefixed(attrs.get(CACHE_NAMESPACE, ""), tenant)
    if separates_runs:
        given = [name for name in (HOSTNAME_ARGUMENT, HOSTNAME) if attrs.get(name)]
        # The argument, for a frontend's other attributes stand in the provenance of every image.
        for name in given or [HOSTNAME_ARGUMENT]:
            attrs[name] = _suffixed(attrs.get(name, ""), tenant)


def unseparated(attrs: Mapping[str, str], tenant: str) -> dict[str, str]:
    """Return the attributes of a build of `tenant` without what `separate` did: what the tenant itself gave.

    An attribute that was given empty is not told from one that was not given.
    """
    given = dict(attrs)
    for name, theirs in (
        (CACHE_NAMESPACE, _without_prefix(given.get(CACHE_NAMESPACE, ""), tenant)),
        (HOSTNAME_ARGUMENT, _without_suffix(given.get(HOSTNAME_ARGUMENT, ""), tenant)),
        (HOSTNAME, _without_suffix(given.get(HOSTNAME, ""), tenant)),
    ):
        if name in given and theirs != given[name]:
            given[name] = theirs
            if not theirs:
                del given[name]
    return given


def separated_cache_id(cache_id: str, tenant: str) -> str:
    """Return the id that `tenant` gets for the cache mount `cache_id` of a definition.

    One that is the tenant's already comes back as it is: clients send again what the daemon told them.
    An empty one does not stay empty, for daemons then take the mount's path instead, which anybody can name.
    """
    is_own = cache_id == tenant or cache_id.startswith((f"{tenant}/", f"{tenant}."))
    return cache_id if is_own else _prefixed(cache_id, tenant)


def separated_hostname(hostname: str, tenant: str) -> str:
    """Return the hostname that a step of `tenant` gets in a definition; one that has it already keeps it.

    Raises:
        Refused: HOSTNAME_TOO_LONG.
    """
    is_own = hostname == tenant or hostname.endswith(f".{tenant}")
    return hostname if is_own else _suffixed(hostname, tenant)


def _prefixed(theirs: str, tenant: str) -> str:
    """Put the tenant in front: one for one, and so that a namespace with `/id` behind it is the id of the two."""
    return tenant + theirs if not theirs or theirs.startswith("/") else f"{tenant}.{theirs}"


def _without_prefix(name: str, tenant: str) -> str:
    if name == tenant or name.startswith(f"{tenant}/"):
        return name[len(tenant) :]
    return name.removeprefix(f"{tenant}.")


def _suffixed(theirs: str, tenant: str) -> str:
    hostname = f"{theirs}.{tenant}" if theirs else tenant
    if len(hostname.encode()) > _MOST_HOSTNAME_OCTETS:
        limit = _MOST_HOSTNAME_OCTETS - len(tenant) - 1
        raise Refused(Reason.HOSTNAME_TOO_LONG, hostname=theirs, limit=max(0, limit), tenant=tenant)
    return hostname


def _without_suffix(name: str, tenant: str) -> str:
    return "" if name == tenant else name.removesuffix(f".{tenant}")
