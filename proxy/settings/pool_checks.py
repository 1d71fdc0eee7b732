"""What no block can see alone about daemons: pools that must exist, daemons that tenants must not share.

As in `checks`, values are looked at as written; what has a wrong shape is left to others.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any

from proxy.routing.template import DIRECTORY, home_of
from proxy.settings.errors import Path
from proxy.settings.outline import inside
from proxy.settings.upstream import Upstream

Found = Iterator[tuple[Path, str]]
Daemon = tuple[str, ...]


def pools_of(root: object) -> Found:
    """Return what is wrong between the blocks `tenants` and `pools`."""
    yield from _unknown_pools(root)
    yield from _long_sockets(root)
    yield from _shared_daemons(root)


def _unknown_pools(root: object) -> Found:
    known = [name for name in _block(root, "pools") if isinstance(name, str)]
    for name, pool in _named_pools(root):
        if pool not in known:
            close = difflib.get_close_matches(pool, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "add it to the block 'pools'"
            yield ("tenants", name, "pool"), f"unknown pool (got {pool!r}); {hint}"


def _long_sockets(root: object) -> Found:
    """A path that no socket can have would be found at the first call only."""
    told = set()
    for name, pool in _named_pools(root):
        template = inside(inside(inside(root, "pools"), pool), "daemon")
        directory = inside(template, "directory") or DIRECTORY
        home = home_of(str(directory), pool, name if _is_each(template) else "")
        if template is not None and not home.is_short_enough and home not in told:
            told.add(home)
            yield (
                ("pools", pool, "daemon"),
                f"the path {home.socket} is too long for a unix socket; choose a shorter directory or name",
            )


def _shared_daemons(root: object) -> Found:
    """A dedicated tenant that shares a daemon would trust a word that nobody keeps."""
    tenants: defaultdict[Daemon, list[str]] = defaultdict(list)
    for name, tenant in _block(root, "tenants").items():
        tenants[_daemon_of(root, name, inside(tenant, "pool"))].append(name)
    for daemon, names in tenants.items():
        for name in names:
            tenant = inside(inside(root, "tenants"), name)
            if inside(tenant, "isolation") != "dedicated":
                continue
            others = [repr(other) for other in names if other != name]
            if inside(tenant, "pool") is None:
                yield (
                    ("tenants", name, "isolation"),
                    "a dedicated tenant has a pool of its own; expected 'pool' beside it",
                )
            elif others:
                hint = "; expected tenants_each in that pool" if daemon[0] == "pool" else ""
                yield ("tenants", name, "isolation"), f"{', '.join(others)} would have the same daemon{hint}"


def _daemon_of(root: object, tenant: str, pool: object) -> Daemon:
    """Return what two tenants have in common if they have one daemon."""
    if pool is None:
        url = inside(inside(root, "upstream"), "url") or Upstream().url
    else:
        settings = inside(_block(root, "pools"), str(pool))
        template, url = inside(settings, "daemon"), inside(settings, "url")
        if template is not None:
            return ("each", str(pool), tenant) if _is_each(template) else ("pool", str(pool))
        if url is None:
            return ("unknown", str(pool))
    # One socket is one daemon, whatever is spoken there.
    return ("socket", normpath(str(url).partition("://")[2]))


def _is_each(template: object) -> bool:
    return inside(template, "tenants_each") is True


def _named_pools(root: object) -> Iterator[tuple[str, str]]:
    """Return each tenant and the pool that it names."""
    for name, tenant in _block(root, "tenants").items():
        pool = inside(tenant, "pool")
        if isinstance(pool, str):
            yield name, pool


def _block(root: object, name: str) -> Mapping[Any, Any]:
    found = inside(root, name)
    return found if isinstance(found, dict) else {}
