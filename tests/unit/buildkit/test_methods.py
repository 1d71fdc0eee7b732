"""The table of methods: complete, and closed to what lets tenants touch each other."""

import pytest

from proxy.buildkit.methods import METHODS, TRACE, Kind, Treatment
from proxy.caller import Role

SERVED = {
    "moby.buildkit.v1.Control": "Solve Status Session ListWorkers Info DiskUsage Prune "
    "ListenBuildHistory UpdateBuildHistory",
    "moby.buildkit.v1.frontend.LLBBridge": "ResolveImageConfig ResolveSourceMeta Solve ReadFile ReadDir StatFile "
    "Evaluate Ping Return Inputs NewContainer ReleaseContainer ExecProcess ReadFileContainer ReadDirContainer "
    "StatFileContainer Warn",
    "containerd.services.content.v1.Content": "Info List Read Status ListStatuses",
    "opentelemetry.proto.collector.trace.v1.TraceService": "Export",
    "grpc.health.v1.Health": "Check List Watch",
}


def test_the_table_holds_every_rpc_that_a_daemon_serves_but_reflection_and_what_would_change_content() -> None:
    served = {f"/{service}/{name}".encode() for service, names in SERVED.items() for name in names.split()}

    assert METHODS.keys() == served
    assert all(method.path.encode() == path for path, method in METHODS.items())


@pytest.mark.parametrize(
    "path",
    [
        b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        b"/containerd.services.content.v1.Content/Write",
        b"/containerd.services.content.v1.Content/Delete",
        b"moby.buildkit.v1.Control/Solve",
        b"//moby.buildkit.v1.Control/Solve",
        b"/moby.buildkit.v1.Control/Solve/",
        b"/moby.buildkit.v1.Control/solve",
        b"/moby.buildkit.v1.Control/%53olve",
        b"/moby.buildkit.v1.Control/Solve?",
    ],
)
def test_no_other_path_and_no_other_spelling_is_known(path: bytes) -> None:
    assert path not in METHODS


def test_only_admins_reach_what_belongs_to_others_and_cannot_be_parted() -> None:
    admins = {method.short for method in METHODS.values() if method.least_role is Role.ADMIN}

    assert admins == {"Control/Prune", "Content/List", "Content/Status", "Content/ListStatuses"}


def test_viewers_only_look() -> None:
    viewers = {method.short for method in METHODS.values() if method.least_role is Role.VIEWER}

    assert viewers == {
        "Control/Status",
        "Control/ListWorkers",
        "Control/Info",
        "Control/ListenBuildHistory",
        "Control/DiskUsage",
        "Content/Info",
        "Content/Read",
        "Health/Check",
        "Health/List",
        "Health/Watch",
    }


def test_what_is_read_has_one_bounded_request_message() -> None:
    read = [method for method in METHODS.values() if method.treatment is Treatment.INSPECT]

    assert {method.short for method in read} == {
        "Control/Solve",
        "Control/Status",
        "Control/ListenBuildHistory",
        "Control/UpdateBuildHistory",
        "Control/DiskUsage",
        "Content/Info",
        "Content/Read",
        "LLBBridge/Solve",
        "LLBBridge/ResolveImageConfig",
        "LLBBridge/ResolveSourceMeta",
        "LLBBridge/NewContainer",
    }
    assert all(method.kind in (Kind.UNARY, Kind.SERVER_STREAM) for method in read)
    assert all(method.message_limit_octets > 0 for method in read)


def test_of_answers_that_are_parted_the_request_is_read_and_no_message_of_a_daemon_is_too_long() -> None:
    parted = [method for method in METHODS.values() if method.answer_limit_octets]

    assert {method.short for method in parted} == {
        "Control/ListenBuildHistory",
        "Control/DiskUsage",
        "Content/Info",
        "Content/Read",
    }
    assert all(method.treatment is Treatment.INSPECT for method in parted)
    assert {method.answer_limit_octets for method in parted} == {16 << 20}


def test_only_sessions_have_messages_without_bound() -> None:
    assert [method.name for method in METHODS.values() if method.message_limit_octets == 0] == ["Session"]


def test_only_health_and_the_spans_of_clients_are_answered_by_us() -> None:
    answered = {method.service for method in METHODS.values() if method.treatment is Treatment.ANSWER}

    assert answered == {"grpc.health.v1.Health", TRACE}
