"""What a build asks for is read and changed alike in both messages, and what is not changed keeps its octets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import UnknownField, encode_octets, encode_pair
from proxy.buildkit.typed import Typed
from proxy.buildkit.wire import WireError
from tests.helpers.buildkit_proto import message_class, octets_of

UNKNOWN = encode_octets(99, b"new")
texts = st.text(max_size=4)
attrs = st.dictionaries(texts, texts, max_size=3)
definitions = st.builds(
    lambda ops: message_class("Definition")(**{"def": ops}), st.lists(st.binary(max_size=9), max_size=3)
)
inputs = st.dictionaries(texts, definitions, max_size=3)
typed = {
    name: st.lists(st.builds(message_class(name), type=texts, attrs=attrs), max_size=3)
    for name in ("Exporter", "CacheOptionsEntry")
}
controls = st.builds(
    message_class("SolveRequest"),
    ref=texts,
    definition=st.none() | definitions,
    exporter_deprecated=texts,
    exporter_attrs_deprecated=attrs,
    session=texts,
    frontend=texts,
    frontend_attrs=attrs,
    cache=st.none()
    | st.builds(
        message_class("CacheOptions"),
        export_ref_deprecated=texts,
        import_refs_deprecated=st.lists(texts, max_size=2),
        export_attrs_deprecated=attrs,
        exports=typed["CacheOptionsEntry"],
        imports=typed["CacheOptionsEntry"],
    ),
    entitlements=st.lists(texts, max_size=2),
    frontend_inputs=inputs,
    internal=st.booleans(),
    exporters=typed["Exporter"],
    compatibility_version=st.integers(0, 40),
)
bridges = st.builds(
    message_class("BridgeSolveRequest"),
    definition=st.none() | definitions,
    frontend=texts,
    frontend_opt=attrs,
    final=st.booleans(),
    exporter_attr=st.binary(max_size=4),
    cache_imports=typed["CacheOptionsEntry"],
    frontend_inputs=inputs,
)
both = st.tuples(controls, st.just(False)) | st.tuples(bridges, st.just(True))
Both = tuple[Any, bool]


def read(message: Any, is_bridge: bool) -> BuildRequest:
    return BuildRequest(octets_of(message), is_bridge=is_bridge)


def attrs_of(message: Any, is_bridge: bool) -> Any:
    return message.frontend_opt if is_bridge else message.frontend_attrs


def again(request: BuildRequest, message: Any) -> Any:
    """Return what the runtime reads in `request`, a message like `message`."""
    return type(message).FromString(request.encode())


@given(both)
def test_what_is_not_changed_is_the_very_octets(asked: Both) -> None:
    message, is_bridge = asked
    octets = octets_of(message)

    assert BuildRequest(octets, is_bridge=is_bridge).encode() is octets


@given(both)
def test_both_messages_say_the_same_things(asked: Both) -> None:
    message, is_bridge = asked
    request = read(message, is_bridge)

    assert request.frontend == message.frontend
    assert request.attrs == dict(attrs_of(message, is_bridge))
    by_name = {bytes(one) for one in request.definitions[1:]}
    assert bytes(request.definitions[0]) == octets_of(message.definition)
    assert by_name == {octets_of(one) for one in message.frontend_inputs.values()}
    assert request.has_work == bool(message.frontend or any(map(len, request.definitions)))
    assert request.entitlements == ([] if is_bridge else list(message.entitlements))


@given(both, attrs)
def test_attributes_are_changed_and_nothing_else(asked: Both, more: dict[str, str]) -> None:
    message, is_bridge = asked
    request = read(message, is_bridge)
    request.attrs.update(more)
    attrs_of(message, is_bridge).update(more)

    assert again(request, message) == message


@given(both, st.data())
def test_definitions_are_changed_each_in_its_place(asked: Both, data: st.DataObject) -> None:
    message, is_bridge = asked
    request = read(message, is_bridge)
    new = octets_of(message_class("Definition")(**{"def": [b"new"]}))
    index = data.draw(st.integers(0, len(request.definitions) - 1))
    request.definitions[index] = new
    names: list[str | None] = [None, *(entry.text(1) for entry in request.draft.entries(13 if is_bridge else 10))]
    target = message.definition if names[index] is None else message.frontend_inputs[names[index]]
    target.CopyFrom(message_class("Definition").FromString(new))

    assert again(request, message) == message


@given(both)
def test_no_definition_is_another_thing_than_an_empty_one(asked: Both) -> None:
    message, is_bridge = asked
    request = read(message, is_bridge)
    request.definitions[:] = [bytes(one) for one in request.definitions]
    request.attrs["x"] = "y"

    assert again(request, message).HasField("definition") == message.HasField("definition")


@given(controls)
def test_exporters_are_those_of_new_and_of_old_daemons(message: Any) -> None:
    request = read(message, False)
    old = request.deprecated_exporter or Typed("")

    assert request.exporters == [Typed(one.type, dict(one.attrs)) for one in message.exporters]
    assert (old.type, old.attrs) == (message.exporter_deprecated, dict(message.exporter_attrs_deprecated))


@given(controls, texts.filter(bool))
def test_exporters_may_be_changed_and_dropped(message: Any, name: str) -> None:
    request = read(message, False)
    request.exporters = [Typed("image", {**one.attrs, "name": name}) for one in request.exporters[1:]]
    request.deprecated_exporter = None
    del message.exporters[:1]
    for one in message.exporters:
        one.type = "image"
        one.attrs["name"] = name
    message.ClearField("exporter_deprecated")
    message.ClearField("exporter_attrs_deprecated")

    assert again(request, message) == message


def legacy_translated(cache: Any) -> tuple[list[Typed], list[Typed]]:
    """Return imports and exports as a daemon makes them of all fields."""
    imports = [Typed(one.type, dict(one.attrs)) for one in cache.imports]
    imports += [Typed("registry", {"ref": ref}) for ref in cache.import_refs_deprecated]
    exports = [Typed(one.type, dict(one.attrs)) for one in cache.exports]
    if cache.export_ref_deprecated:
        attrs = {**cache.export_attrs_deprecated, "ref": cache.export_ref_deprecated}
        exports.append(Typed("registry", attrs))
    return imports, exports


@given(controls)
def test_caches_are_told_as_a_daemon_makes_them_of_old_fields_too(message: Any) -> None:
    request = read(message, False)

    assert (request.cache_imports, request.cache_exports) == legacy_translated(message.cache)


@given(controls, st.booleans(), st.booleans())
def test_caches_that_are_changed_are_all_there_is(message: Any, is_import: bool, is_export: bool) -> None:
    request = read(message, False)
    imports, exports = legacy_translated(message.cache)
    if is_import:
        request.cache_imports = imports = [Typed("s3", {"bucket": "b"})]
    if is_export:
        request.cache_exports = exports = exports[:1]

    assert legacy_translated(again(request, message).cache) == (imports, exports)


@given(bridges)
def test_cache_imports_of_the_bridge_may_be_changed(message: Any) -> None:
    request = read(message, True)
    assert request.cache_imports == [Typed(one.type, dict(one.attrs)) for one in message.cache_imports]
    for one in request.cache_imports:
        one.attrs["ref"] = "mine"
    for one in message.cache_imports:
        one.attrs["ref"] = "mine"

    assert again(request, message) == message
    assert (request.exporters, request.deprecated_exporter, request.cache_exports) == ([], None, [])


def test_what_a_newer_client_says_inside_survives_a_change_of_its_neighbour() -> None:
    def message(pair: bytes) -> bytes:
        exporter = encode_octets(1, b"image") + pair + UNKNOWN
        cache = encode_octets(1, b"registry") + pair + UNKNOWN
        caches = encode_octets(8, encode_octets(4, cache) + encode_octets(5, cache) + UNKNOWN)
        return encode_octets(1, b"r") + caches + encode_octets(13, exporter) + UNKNOWN

    request = BuildRequest(message(b""), is_bridge=False, takes_unknown=True)
    for one in (*request.exporters, *request.cache_imports, *request.cache_exports):
        one.attrs["k"] = "v"

    assert request.encode() == message(encode_octets(2, encode_pair("k", "v")))


def test_lists_of_definitions_keep_their_length() -> None:
    request = BuildRequest(b"", is_bridge=True)
    request.definitions.append(b"x")

    with pytest.raises(ValueError, match="zip"):
        request.encode()


INSIDE = {
    "exporter": (False, encode_octets(13, UNKNOWN)),
    "cache options": (False, encode_octets(8, UNKNOWN)),
    "cache import": (False, encode_octets(8, encode_octets(5, UNKNOWN))),
    "cache export": (False, encode_octets(8, encode_octets(4, UNKNOWN))),
    "cache import of the bridge": (True, encode_octets(12, UNKNOWN)),
    "the request": (False, UNKNOWN),
    "the request of the bridge": (True, UNKNOWN),
    "a field that the bridge gave up": (True, encode_octets(4, b"")),
}


@pytest.mark.parametrize(("is_bridge", "message"), INSIDE.values(), ids=INSIDE)
def test_unknown_fields_are_refused_wherever_we_look(is_bridge: bool, message: bytes) -> None:
    with pytest.raises(UnknownField):
        BuildRequest(message, is_bridge=is_bridge)
    assert BuildRequest(message, is_bridge=is_bridge, takes_unknown=True).encode() == message


ODD = {
    "attribute twice": (False, encode_octets(7, encode_octets(1, b"k")) * 2),
    "attribute with more": (False, encode_octets(7, encode_octets(1, b"k") + UNKNOWN)),
    "input twice": (False, encode_octets(10, encode_octets(1, b"k")) * 2),
    "input with more": (True, encode_octets(13, encode_octets(1, b"k") + UNKNOWN)),
    "two definitions": (True, encode_octets(1, b"") * 2),
    "two caches": (False, encode_octets(8, b"") * 2),
    "attribute of an exporter twice": (False, encode_octets(13, encode_octets(2, encode_octets(1, b"k")) * 2)),
    "old attribute twice, of nothing": (False, encode_octets(8, encode_octets(3, b"") * 2)),
    "old attribute twice": (False, encode_octets(8, encode_octets(1, b"r") + encode_octets(3, b"") * 2)),
}


@pytest.mark.parametrize(("is_bridge", "message"), ODD.values(), ids=ODD)
def test_what_could_be_read_in_two_ways_is_refused_always(is_bridge: bool, message: bytes) -> None:
    with pytest.raises(WireError) as refusal:
        BuildRequest(message, is_bridge=is_bridge, takes_unknown=True)
    assert not isinstance(refusal.value, UnknownField)


def test_large_definitions_are_copied_once_and_only_when_something_changes() -> None:
    definition = bytes(1 << 20)
    message = octets_of(message_class("BridgeSolveRequest")(definition={"def": [definition]}, frontend_opt={"a": "b"}))
    request = BuildRequest(message, is_bridge=True)
    sent = request.definitions[0]
    assert isinstance(sent, memoryview)
    assert sent.obj is message

    request.attrs["c"] = "d"
    request.encode()

    assert request.draft.messages(1)[0] is sent
