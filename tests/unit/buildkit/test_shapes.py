"""The tables by which messages are read, against our .proto."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from proxy.buildkit import shapes
from proxy.buildkit.wire import Shape, Shapes
from tests.helpers.buildkit_proto import message_class

TABLES = {
    "CONTROL_SOLVE": "SolveRequest",
    "CACHE_OPTIONS": "CacheOptions",
    "TYPED": "Exporter",
    "STATUS_REQUEST": "StatusRequest",
    "BRIDGE_SOLVE": "BridgeSolveRequest",
    "RESOLVE_IMAGE_CONFIG": "ResolveImageConfigRequest",
    "RESOLVE_SOURCE_META": "ResolveSourceMetaRequest",
    "NEW_CONTAINER": "NewContainerRequest",
    "DEFINITION": "Definition",
    "SOURCE_MAP": "SourceMap",
    "OP": "Op",
    "INPUT": "Input",
    "SOURCE_OP": "SourceOp",
    "EXEC_OP": "ExecOp",
    "META": "Meta",
    "MOUNT": "Mount",
    "CACHE_OPT": "CacheOpt",
    "CDI_DEVICE": "CDIDevice",
    "SOURCE_POLICY": "Policy",
    "POLICY_RULE": "Rule",
    "POLICY_UPDATE": "Update",
}
SINGULAR = {
    FieldDescriptor.TYPE_STRING: {Shape.TEXT, Shape.MESSAGE},
    FieldDescriptor.TYPE_BYTES: {Shape.MESSAGE},
    FieldDescriptor.TYPE_MESSAGE: {Shape.MESSAGE},
    FieldDescriptor.TYPE_BOOL: {Shape.FLAG},
    FieldDescriptor.TYPE_ENUM: {Shape.CHOICE},
    FieldDescriptor.TYPE_INT64: {Shape.NUMBER},
    # What is cut to 32 bits by the daemon is another number to it; nobody asks for ours.
    FieldDescriptor.TYPE_INT32: {Shape.NUMBER},
}
REPEATED = {
    FieldDescriptor.TYPE_STRING: {Shape.TEXTS, Shape.MESSAGES},
    FieldDescriptor.TYPE_BYTES: {Shape.MESSAGES},
    FieldDescriptor.TYPE_MESSAGE: {Shape.MESSAGES},
    FieldDescriptor.TYPE_INT32: {Shape.UNREAD},
}


@pytest.mark.parametrize(("table", "name"), TABLES.items())
def test_a_table_has_every_field_of_its_message_and_in_the_right_shape(table: str, name: str) -> None:
    rows: Shapes = getattr(shapes, table)
    fields: dict[int, Any] = {field.number: field for field in message_class(name).DESCRIPTOR.fields}

    assert rows.keys() == fields.keys()
    for number, shape in rows.items():
        field = fields[number]
        assert shape in (REPEATED if field.is_repeated else SINGULAR)[field.type], field.name


def test_every_table_is_held_against_the_proto() -> None:
    assert {name for name in vars(shapes) if name.isupper()} == TABLES.keys()


def test_exporters_and_caches_are_told_in_the_same_fields() -> None:
    exporter, cache = (message_class(name).DESCRIPTOR.fields for name in ("Exporter", "CacheOptionsEntry"))

    assert [(one.name, one.number, one.type) for one in exporter] == [(one.name, one.number, one.type) for one in cache]
