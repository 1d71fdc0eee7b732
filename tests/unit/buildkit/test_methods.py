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
    "containerd.services.content.v1.Content": "Info Update List Delete Read Status ListStatuses Write Abort",
    "opentelemetry.proto.collector.trace.v1.TraceService": "Export",
    "grpc.health.v1.Health": "Check List Watch",
}


def test_the_table_holds_every_rpc_that_a_daemon_serves_but_reflection() -> None:
    served = {f"/{service}/{name}".encode() for service, names in SERVED.items() for name in names.split()}

    assert METHODS.keys() == served
    assert all(method.path.encode() == path for path, method in METHODS.items())


@pytest.mark.parametrize(
    "path",
    [
        b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
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


def test_only_admins_reach_what_belongs_to_others() -> None:
    admins = {method.path for method in METHODS.values() if method.least_role is Role.ADMIN}

    assert admins == {
        "/moby.buildkit.v1.Control/Prune",
        "/moby.buildkit.v1.Control/DiskUsage",
        "/moby.buildkit.v1.Control/ListenBuildHistory",
        "/moby.buildkit.v1.Control/UpdateBuildHistory",
        *(
            f"/containerd.services.content.v1.Content/{name}"
            for name in SERVED["containerd.services.content.v1.Content"].split()
        ),
    }


def test_viewers_only_look() -> None:
    viewers = {method.name for method in METHODS.values() if method.least_role is Role.VIEWER}

    assert viewers == {"Status", "ListWorkers", "Info", "Check", "List", "Watch"}


def test_only_the_history_probe_has_a_role_of_its_own() -> None:
    probes = [(method.name, method.probe_role) for method in METHODS.values() if method.probe_role is not None]

    assert probes == [("ListenBuildHistory", Role.VIEWER)]


def test_what_is_read_has_one_bounded_request_message() -> None:
    read = [method for method in METHODS.values() if method.treatment is Treatment.INSPECT]

    assert {method.name for method in read} == {"Solve", "Status", "ListenBuildHistory", "UpdateBuildHistory"}
    assert all(method.kind in (Kind.UNARY, Kind.SERVER_STREAM) for method in read)
    assert all(method.message_limit_octets > 0 for method in read)


def test_only_sessions_have_messages_without_bound() -> None:
    assert [method.name for method in METHODS.values() if method.message_limit_octets == 0] == ["Session"]


def test_only_health_and_the_spans_of_clients_are_answered_by_us() -> None:
    answered = {method.service for method in METHODS.values() if method.treatment is Treatment.ANSWER}

    assert answered == {"grpc.health.v1.Health", TRACE}
