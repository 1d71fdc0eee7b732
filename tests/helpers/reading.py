"""All readings of one message, held against each other: ours, a daemon's (`go_reader`) and the protobuf runtime's.

What we refuse is nobody's concern; what we take, the others refuse or read alike. What we
change is ours afterwards, and nothing else has changed. Hypothesis tries it in CI, the
fuzzer in tests/fuzz for as long as one likes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from proxy.buildkit import shapes
from proxy.buildkit.bridge_requests import NAMED
from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft, Octets
from proxy.buildkit.llb import rewritten
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import name_attrs, name_ref, name_solve
from proxy.buildkit.separation import separate
from proxy.buildkit.wire import Shape, Shapes, WireError
from proxy.errors import Refused
from tests.helpers.buildkit_proto import message_class
from tests.helpers.go_reader import GoError, Read, go_reads

Seen = dict[int, Any]
NAMES = Namespace("payments", b"k" * 32)

PAIRS, DEFINITIONS = "pairs", "definitions"
_TYPED: Mapping[int, str] = {2: PAIRS}
TABLES: Mapping[str, tuple[Shapes, Mapping[int, str]]] = {
    "SolveRequest": (
        shapes.CONTROL_SOLVE,
        {2: "Definition", 4: PAIRS, 7: PAIRS, 8: "CacheOptions", 10: DEFINITIONS, 12: "Policy", 13: "Exporter"},
    ),
    "BridgeSolveRequest": (
        shapes.BRIDGE_SOLVE,
        {1: "Definition", 3: PAIRS, 12: "CacheOptionsEntry", 13: DEFINITIONS, 15: "Policy"},
    ),
    "StatusRequest": (shapes.STATUS_REQUEST, {}),
    "ResolveImageConfigRequest": (shapes.RESOLVE_IMAGE_CONFIG, {8: "Policy"}),
    "ResolveSourceMetaRequest": (shapes.RESOLVE_SOURCE_META, {1: "SourceOp", 8: "Policy"}),
    "NewContainerRequest": (shapes.NEW_CONTAINER, {2: "Mount"}),
    "Definition": (shapes.DEFINITION, {}),
    "Op": (shapes.OP, {1: "Input", 2: "ExecOp", 3: "SourceOp"}),
    "Input": (shapes.INPUT, {}),
    "ExecOp": (shapes.EXEC_OP, {1: "Meta", 2: "Mount", 6: "CDIDevice"}),
    "Meta": (shapes.META, {}),
    "Mount": (shapes.MOUNT, {20: "CacheOpt"}),
    "CacheOpt": (shapes.CACHE_OPT, {}),
    "CDIDevice": (shapes.CDI_DEVICE, {}),
    "SourceOp": (shapes.SOURCE_OP, _TYPED),
    "CacheOptions": (shapes.CACHE_OPTIONS, {3: PAIRS, 4: "CacheOptionsEntry", 5: "CacheOptionsEntry"}),
    "CacheOptionsEntry": (shapes.TYPED, _TYPED),
    "Exporter": (shapes.TYPED, _TYPED),
    "Policy": (shapes.SOURCE_POLICY, {2: "Rule"}),
    "Rule": (shapes.POLICY_RULE, {3: "Update"}),
    "Update": (shapes.POLICY_UPDATE, _TYPED),
}
"""Each message that we read: its table, and what stands in the fields that we look into."""


def check_reading(name: str, octets: bytes) -> bool:
    """Tell whether we take `octets` for a message `name`; a daemon and the runtime then refuse them or read alike."""
    try:
        ours = _we_see(name, Draft(octets, TABLES[name][0]))
    except WireError:
        return False
    for read in (go_reads, _runtime_reads):
        try:
            theirs = read(name, octets)
        except (GoError, DecodeError):
            continue
        assert ours == _seen(name, theirs), f"{read.__name__} otherwise"
    return True


def _we_see(name: str, draft: Draft) -> Seen:
    inside = TABLES[name][1]
    if name == "Op" and sum(draft.has(kind) for kind in range(2, 9)) > 1:
        raise WireError("two kinds")
    return {number: _our_value(draft, number, inside.get(number, ""), field) for number, field in _looked_at(name)}


def _our_value(draft: Draft, number: int, inside: str, field: Any) -> Any:
    if inside == PAIRS:
        return {key.encode(): value.encode() for key, value in draft.pairs(number).items()}
    if inside == DEFINITIONS:
        table = TABLES["Definition"][0]
        return {
            entry.text(1).encode(): _we_see("Definition", Draft(b"".join(entry.messages(2)), table))
            for entry in draft.entries(number)
        }
    if inside:
        return [_we_see(inside, one) for one in draft.inner(number, TABLES[inside][0])]
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return len(draft.messages(number))
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        said = [bytes(one) for one in draft.messages(number)]
        return said if field.is_repeated else b"".join(said)
    return draft.number(number)


def _looked_at(name: str) -> Iterator[tuple[int, Any]]:
    """Yield number and descriptor of the fields whose value is somebody's to judge."""
    table, inside = TABLES[name]
    for field in message_class(name).DESCRIPTOR.fields:
        is_read = table[field.number] is not Shape.UNREAD and field.type != FieldDescriptor.TYPE_INT32
        if is_read and (field.number in inside or not _is_map(field)):
            yield field.number, field


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _seen(name: str, read: Read) -> Seen:
    """Return of what somebody `read` what we look at."""
    inside = TABLES[name][1]
    return {number: _their_value(read[number], inside.get(number, ""), field) for number, field in _looked_at(name)}


def _their_value(value: Any, inside: str, field: Any) -> Any:
    if inside == DEFINITIONS:
        return {key: _seen("Definition", one or go_reads("Definition", b"")) for key, one in value.items()}
    if inside == PAIRS or field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return value
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        sent = value if isinstance(value, list | dict) and field.is_repeated else [] if value is None else [value]
        return [_seen(inside, one) for one in sent] if inside else len(sent)
    return value & ((1 << 64) - 1)


def _runtime_reads(name: str, octets: bytes) -> Read:
    return _plain(message_class(name).FromString(octets))


def _plain(message: Any) -> Read:
    """Return a message of the runtime in the form of `go_reader`."""
    read: Read = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if _is_map(field):
            read[field.number] = {_plain_value(key): _plain_value(one) for key, one in value.items()}
        elif field.is_repeated:
            read[field.number] = [_plain_value(one) for one in value]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            read[field.number] = _plain(value) if message.HasField(field.name) else None
        else:
            read[field.number] = _plain_value(value)
    return read


def _plain_value(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    return int(value) if isinstance(value, int) else value if isinstance(value, bytes) else _plain(value)


# --- what we change ---------------------------------------------------------------------------

REQUESTS: Mapping[str, Callable[[Draft, Namespace], object]] = {
    "StatusRequest": name_ref,
    **{f"{method}Request": name for method, (_, name) in NAMED.items()},
}
BUILDS = {"SolveRequest": False, "BridgeSolveRequest": True}


def check_change(name: str, octets: bytes) -> bool:
    """Tell whether we let `octets`, a message `name`, through to the daemon; all that it names is the tenant's then."""
    try:
        changed = _changed(name, octets)
    except (WireError, Refused):
        return False
    assert check_reading(name, changed), "we refuse what we wrote"
    if name == "Definition":
        assert _rewritten(changed) is changed, "what is the tenant's own is changed again"
    try:
        foreign = list(_foreign(message_class(name).DESCRIPTOR, go_reads(name, changed)))
    except GoError:
        return True
    assert not foreign, f"names of somebody else's are left: {foreign}"
    return True


def _changed(name: str, octets: bytes) -> bytes:
    if name == "Definition":
        return bytes(_rewritten(octets))
    if name in REQUESTS:
        draft = Draft(octets, TABLES[name][0])
        REQUESTS[name](draft, NAMES)
        return draft.encode()
    request = BuildRequest(octets, is_bridge=BUILDS[name])
    assert request.encode() is octets, "what is not changed is written anew"
    if request.is_bridge:
        name_attrs(request, NAMES)
    else:
        name_solve(request, NAMES)
    separate(request, NAMES.tenant, separates_runs=True)
    request.definitions[:] = map(_rewritten, request.definitions)
    return request.encode()


def _rewritten(definition: Octets) -> Octets:
    return rewritten(definition, NAMES, separates_runs=True)


def _foreign(descriptor: Descriptor, read: Read) -> Iterator[bytes]:
    """Yield every name in what a daemon `read`, and in what is inside of it, that another tenant could have too."""
    if descriptor.name in _FOREIGN:
        yield from _FOREIGN[descriptor.name](read)
    if descriptor.name == "Definition":
        operation = message_class("Op").DESCRIPTOR
        for octets in read[1]:
            yield from _foreign(operation, go_reads("Op", octets))
        return
    for field in descriptor.fields:
        for inner_descriptor, inner in _inner(field, read[field.number]):
            yield from _foreign(inner_descriptor, inner)


def _inner(field: FieldDescriptor, value: Any) -> list[tuple[Descriptor, Read]]:
    descriptor = field.message_type
    if _is_map(field):
        value = list(value.values())
        descriptor = descriptor.fields_by_number[2].message_type
    elif not field.is_repeated:
        value = [value]
    return [(descriptor, one) for one in value if one is not None] if descriptor else []


def _foreign_sessions(sessions: Iterable[bytes]) -> list[bytes]:
    return [session for session in sessions if session and NAMES.session(session.decode()).encode() != session]


def _foreign_source(read: Read) -> list[bytes]:
    return _foreign_sessions(read[2].get(key, b"") for key in (b"local.session", b"oci.session"))


def _foreign_ref(read: Read) -> list[bytes]:
    return [read[1]] if not read[1].startswith(b"payments.") else []


def _foreign_cache(cache_id: bytes) -> list[bytes]:
    is_own = cache_id == b"payments" or cache_id.startswith((b"payments/", b"payments."))
    return [] if is_own else [cache_id]


def _foreign_hostname(hostname: bytes) -> list[bytes]:
    return [hostname] if hostname.split(b".")[-1] != b"payments" else []


def _foreign_attrs(frontend: bytes, attrs: Mapping[bytes, bytes]) -> list[bytes]:
    found = _foreign_sessions(value for key, value in attrs.items() if key.startswith(b"local-sessionid:"))
    if frontend:
        found += _foreign_cache(attrs[b"build-arg:BUILDKIT_CACHE_MOUNT_NS"] + b"/")
        found += _foreign_hostname(attrs.get(b"build-arg:BUILDKIT_SANDBOX_HOSTNAME") or attrs[b"hostname"])
    return found


_FOREIGN: Mapping[str, Callable[[Read], list[bytes]]] = {
    "SourceOp": _foreign_source,
    "Update": _foreign_source,
    "CacheOpt": lambda read: _foreign_cache(read[1]),
    "Meta": lambda read: [read[10]] * bool(read[10]) + _foreign_hostname(read[7]),
    "SolveRequest": lambda read: (
        _foreign_ref(read) + _foreign_sessions([read[5], read[15]]) + _foreign_attrs(read[6], read[7])
    ),
    "BridgeSolveRequest": lambda read: _foreign_attrs(read[2], read[3]),
    "StatusRequest": _foreign_ref,
    "ResolveImageConfigRequest": lambda read: _foreign_sessions([read[6]]),
}
