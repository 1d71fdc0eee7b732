"""What no block can see alone: names that must exist elsewhere, doors that must not stand open.

The checks look at the values as written, not at the finished records, so that
they are told in one go with everything else that is wrong.
"""

import difflib
from collections.abc import Iterable, Iterator
from itertools import chain

from proxy.caller import DEFAULT_POLICY
from proxy.identity.tokens.presets import PRESETS
from proxy.settings.address import Endpoint, parse_endpoint
from proxy.settings.errors import Mistake, Path
from proxy.settings.listen import Listen
from proxy.settings.outline import inside
from proxy.settings.pool_checks import pools_of
from proxy.settings.tree import Tree

EACH = "*"


def check(tree: Tree) -> list[Mistake]:
    """Return what is wrong between the blocks of a file; nothing if it has no blocks."""
    if not isinstance(tree.root, dict):
        return []
    root = tree.root
    found = chain(
        _unknown_tenants(root), _unknown_policies(root), _same_names(root), _issuer(root), _ports(root), pools_of(root)
    )
    return [Mistake(tree.value_mark(path), path, what) for path, what in found]


def _unknown_tenants(root: object) -> Iterator[tuple[Path, str]]:
    """Whoever is mapped to a tenant that nobody declared would be let in with nobody's limits."""
    named = chain(_each(root, "auth", EACH, "rules", EACH, "tenant"), _each(root, "auth", EACH, "tenants", EACH))
    yield from _unknown("tenant", named, _names(root, "tenants"), block="tenants")


def _unknown_policies(root: object) -> Iterator[tuple[Path, str]]:
    """Whoever is given a policy that nobody wrote would be judged by one that nobody meant."""
    named = chain(
        _each(root, "auth", EACH, "rules", EACH, "policy"),
        ((("tenants", name, "policy"), inside(tenant, "policy")) for name, tenant in _members(root, "tenants")),
    )
    yield from _unknown("policy", named, [DEFAULT_POLICY, *_names(root, "policies")], block="policies")


def _unknown(
    what: str, named: Iterable[tuple[Path, object]], known: list[str], *, block: str
) -> Iterator[tuple[Path, str]]:
    for path, name in named:
        if isinstance(name, str) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"add it to the block '{block}'"
            yield path, f"unknown {what} (got {name!r}); {hint}"


def _names(root: object, block: str) -> list[str]:
    return [name for name, _ in _members(root, block)]


def _members(root: object, block: str) -> list[tuple[str, object]]:
    given = inside(root, block)
    return [(name, value) for name, value in given.items() if isinstance(name, str)] if isinstance(given, dict) else []


def _same_names(root: object) -> Iterator[tuple[Path, str]]:
    """Two methods of one name could not be told apart in the audit log; two of one issuer would share its keys."""
    names: set[str] = set()
    issuers: set[str] = set()
    for path, method in _each(root, "auth", EACH):
        name = _text(method, "name") or _text(method, "preset") or _text(method, "type")
        issuer = _text(method, "issuer") or _known_issuer(_text(method, "preset"))
        if name and name in names:
            where = (*path, "name") if _text(method, "name") else path
            yield where, f"another method has the name {name!r} already; give each a 'name' of its own"
        if issuer and issuer in issuers:
            where = (*path, "issuer") if _text(method, "issuer") else path
            yield where, f"another method judges the tokens of {issuer} already; put the rules of both into one"
        names.add(name)
        issuers.add(issuer)


def _issuer(root: object) -> Iterator[tuple[Path, str]]:
    """What is issued must be accepted, and who accepts must know who issues."""
    takes_certificates = any(_text(method, "type") == "mtls" for _, method in _each(root, "auth", EACH))
    if inside(root, "issuer") is not None and not takes_certificates:
        yield ("issuer",), "nothing accepts what it issues; expected a method in 'auth' with type mtls and issued: true"
    for path, is_issued in _each(root, "auth", EACH, "issued"):
        if is_issued is True and inside(root, "issuer") is None:
            yield path, "kilngate issues no certificates; expected a block 'issuer'"


def _known_issuer(preset: str) -> str:
    return (PRESETS[preset].issuer or "") if preset in PRESETS else ""


def _text(value: object, key: str) -> str:
    found = inside(value, key)
    return found if isinstance(found, str) else ""


def _ports(root: object) -> Iterator[tuple[Path, str]]:
    listen = _endpoint(inside(inside(root, "listen"), "address")) or Listen().address
    admin = _endpoint(inside(inside(root, "admin"), "address"))
    if not listen.is_loopback and not inside(root, "auth"):
        yield (
            ("listen", "address"),
            f"{listen} is public, and nobody could prove who they are; expected a method in 'auth'",
        )
    if admin is not None and admin == listen and listen.port:
        yield ("admin", "address"), f"the public port has this address (got '{admin}'); expected another port"


def _endpoint(text: object) -> Endpoint | None:
    try:
        return parse_endpoint(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _each(root: object, *pattern: str) -> Iterator[tuple[Path, object]]:
    """Return path and value of everything that `pattern` names; `*` is each item of a list."""
    found: list[tuple[Path, object]] = [((), root)]
    for step in pattern:
        found = [((*path, key), inside(value, key)) for path, value in found for key in _steps(value, step)]
    yield from found


def _steps(value: object, step: str) -> list[str | int]:
    if step == EACH:
        return list(range(len(value))) if isinstance(value, list) else []
    return [step] if isinstance(value, dict) and step in value else []
