"""Build definitions (LLB): what one asks for, and how its names become the tenant's.

A definition is a list of operations, each a message of its own. An operation names the
ones it builds upon by the digest of their octets; so whoever changes one changes the
digest of all above it, and everything that is kept by digest beside the list.

Clients send again what the daemon told them (bake hands one target's definition to the
next), so what has its own tenant's names already stays as it is, digests too.

What is judged is read strictly; what names nothing of anybody else's (file operations,
source maps, a definition inside a source map, which no daemon runs) passes unread.

Source: moby/buildkit solver/pb/ops.proto; solver/llbsolver/vertex.go, loadLLB, for what a
daemon makes of the list: order and duplicates do not matter, but that the last one is last.
"""

from dataclasses import dataclass, field
from functools import partial

from proxy.buildkit.draft import Draft, Octets
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import name_mount, name_source
from proxy.buildkit.rehash import Rehashed, rekey
from proxy.buildkit.separation import separated_hostname
from proxy.buildkit.shapes import CACHE_OPT, CDI_DEVICE, DEFINITION, EXEC_OP, META, MOUNT, OP, SOURCE_MAP, SOURCE_OP
from proxy.buildkit.sources import fetched
from proxy.buildkit.wire import WireError
from proxy.errors import Refused
from proxy.reasons import Reason

_EXEC, _SOURCE, _BUILD = 2, 3, 5
_KINDS = range(2, 9)
_HOSTNAME, _CGROUP_PARENT = 7, 10


@dataclass(slots=True)
class Facts:
    """What a definition asks for: each thing once, in order of appearance."""

    steps: int = 0
    sources: dict[str, None] = field(default_factory=dict)
    """Identifiers, as written: `docker-image://docker.io/library/alpine:3`, `local://context`. What an attribute
    makes the daemon fetch instead (`sources.fetched`) is among them."""
    networks: dict[int, None] = field(default_factory=dict)
    """0 the sandbox, 1 the host's, 2 none."""
    securities: dict[int, None] = field(default_factory=dict)
    """0 the sandbox, 1 insecure."""
    cache_ids: dict[str, None] = field(default_factory=dict)
    devices: dict[str, None] = field(default_factory=dict)
    has_nested_definition: bool = False
    """An operation takes further ones from a file (BuildOp): what those ask for is not known."""


def facts_of(definition: Octets, *, takes_unknown: bool = False) -> Facts:
    """Return what `definition` asks for.

    Raises:
        Refused: DEFINITION_UNKNOWN_STEP.
        UnknownField, WireError: as `Draft`.
    """
    whole = Draft(definition, DEFINITION, takes_unknown=takes_unknown)
    facts = Facts(steps=len(whole.messages(1)))
    for octets in whole.messages(1):
        op = _operation(whole, octets)
        facts.has_nested_definition |= op.has(_BUILD)
        for source in op.inner(_SOURCE, SOURCE_OP):
            facts.sources.update(dict.fromkeys(fetched(source.text(1), source.pairs(2))))
        for run in op.inner(_EXEC, EXEC_OP):
            _add_run(facts, run)
    return facts


def _add_run(facts: Facts, run: Draft) -> None:
    facts.networks[run.number(3)] = None
    facts.securities[run.number(4)] = None
    for device in run.inner(6, CDI_DEVICE):
        facts.devices[device.text(1)] = None
    for mount in run.inner(2, MOUNT):
        for cache in mount.inner(20, CACHE_OPT):
            facts.cache_ids[cache.text(1)] = None


def rewritten(definition: Octets, names: Namespace, *, separates_runs: bool, takes_unknown: bool = False) -> Octets:
    """Return `definition` with the names of one tenant: sessions, cache mounts, and, if asked for, hostnames.

    No step chooses its cgroup. What is in order already comes back as the very object that was given. A
    definition that no daemon would take (too short, an input that is missing) is left to the daemon to refuse.

    Raises:
        Refused: DEFINITION_NESTED, DEFINITION_UNKNOWN_STEP, HOSTNAME_TOO_LONG.
        UnknownField, WireError: as `Draft`; or a session id in it is none.
    """
    whole = Draft(definition, DEFINITION, takes_unknown=takes_unknown)
    rehashed = Rehashed(
        whole.messages(1),
        read=partial(_operation, whole),
        edit=partial(_name, names=names, separates_runs=separates_runs),
    )
    if not rehashed.digests:
        return definition
    whole.set_messages(1, rehashed.steps)
    rekey(whole, 2, rehashed.digests)
    whole.edit(3, SOURCE_MAP, lambda source: rekey(source, 1, rehashed.digests))
    return whole.encode()


def _operation(whole: Draft, octets: Octets) -> Draft:
    """Read an operation of the definition `whole`: it is of one kind, or of none as the last one is."""
    op = Draft(octets, OP, whole.budget, takes_unknown=True)
    # One of a kind that is not known could do anything: it never passes.
    if op.unknown:
        raise Refused(Reason.DEFINITION_UNKNOWN_STEP, number=min(op.unknown))
    if sum(op.has(kind) for kind in _KINDS) > 1:
        raise WireError("an operation is of two kinds")
    op.takes_unknown = whole.takes_unknown
    return op


def _name(op: Draft, names: Namespace, *, separates_runs: bool) -> None:
    def meta(meta: Draft) -> None:
        meta.set_text(_CGROUP_PARENT, "")
        if separates_runs:
            meta.set_text(_HOSTNAME, separated_hostname(meta.text(_HOSTNAME), names.tenant))

    def run(run: Draft) -> None:
        run.edit(1, META, meta)
        run.edit(2, MOUNT, lambda mount: name_mount(mount, names))

    if op.has(_BUILD):
        raise Refused(Reason.DEFINITION_NESTED)
    op.edit(_EXEC, EXEC_OP, run)
    op.edit(_SOURCE, SOURCE_OP, lambda source: name_source(source, names))
