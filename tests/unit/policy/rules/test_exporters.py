from collections.abc import Mapping
from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from tests.helpers.solves import bridge, control, judged, refusal

TEAM = {"names": ["registry.example.com/team/**"]}
DIGEST = "sha256:" + "a1" * 32


def new(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return control(exporters=[("local", {}), (kind, attrs)])


def old(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return control(deprecated_exporter=(kind, attrs))


def both(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    """Return what stock clients send; here the deprecated one alone is what must be refused."""
    return control(exporters=[("local", {})], deprecated_exporter=(kind, attrs))


EITHER = pytest.mark.parametrize("request_of", [new, old, both])


@EITHER
@pytest.mark.parametrize("kind", ["local", "tar", "oci", "docker", "image"])
def test_usual_exporters_pass_and_without_types_none_does(request_of: Any, kind: str) -> None:
    judged(request_of(kind, {"dest": "x"}))

    setting, said = refusal(request_of(kind, {}), exporters={"types": []})
    assert setting == "exporters.types"
    assert "allowed: none" in said


@EITHER
@pytest.mark.parametrize("kind", ["moby", "Image", " image", "unknown"])
def test_an_exporter_of_another_type_is_refused(request_of: Any, kind: str) -> None:
    assert refusal(request_of(kind, {}))[0] == "exporters.types"


def test_an_exporter_without_a_type_is_none_in_the_deprecated_field_alone() -> None:
    judged(old("", {"name": "x"}), exporters={"types": []})

    assert refusal(new("", {}))[0] == "exporters.types"


def test_a_message_of_the_bridge_has_no_exporters() -> None:
    judged(bridge(frontend="dockerfile.v0", f11=b'{"image.name": "evil"}'), exporters={"types": [], "push": False})


@EITHER
@pytest.mark.parametrize("push", ["true", "", "1", "T", "yes"])
def test_a_push_is_refused_where_there_is_none(request_of: Any, push: str) -> None:
    attrs = {"name": "registry.example.com/team/app", "push": push}

    judged(request_of("image", attrs))

    assert refusal(request_of("image", attrs), exporters={"push": False})[0] == "exporters.push"


@EITHER
def test_an_image_that_is_not_pushed_passes_where_there_is_no_push(request_of: Any) -> None:
    judged(request_of("image", {"name": "anything", "push": "false"}), exporters={"push": False, "names": []})
    judged(request_of("image", {}), exporters={"push": False, "names": []})


@EITHER
@pytest.mark.parametrize("kind", ["docker", "oci", "local", "tar"])
def test_what_goes_home_is_no_push_whatever_its_attributes_say(request_of: Any, kind: str) -> None:
    attrs = {"push": "true", "store": "true", "registry.insecure": "true", "name": "anything"}
    request = request_of(kind, attrs)

    judged(request, exporters={"push": False, "names": []})
    sent = BuildRequest(request.encode(), is_bridge=False)

    assert attrs in [one.attrs for one in [*sent.exporters, sent.deprecated_exporter] if one]


@EITHER
@pytest.mark.parametrize(
    "name",
    [
        "registry.example.com/other/app",
        "registry.example.com/team",
        "registry.example.com/team/app,evil/app",
        "registry.example.com/team/app, registry.example.com/team/other",
        "registry.example.com/team/../other/app",
        "registry.example.com/Team/app",
        "registry.example.com:80/team/app",
        "team/app",
        "app",
        "*",
        ",",
        "registry.example.com/team/app,",
    ],
)
def test_every_name_of_a_pushed_image_must_be_allowed(request_of: Any, name: str) -> None:
    setting, said = refusal(request_of("image", {"name": name, "push": "true"}), exporters=TEAM)

    assert setting == "exporters.names"
    assert "allowed: registry.example.com/team/**" in said


@EITHER
@pytest.mark.parametrize(
    "name",
    [
        "",
        "registry.example.com/team/app",
        "registry.example.com/team/app:1,registry.example.com/team/sub/app:latest",
        "REGISTRY.example.com/team/app",
        f"registry.example.com/team/app@{DIGEST}",
    ],
)
def test_names_that_are_allowed_pass(request_of: Any, name: str) -> None:
    judged(request_of("image", {"name": name, "push": "true"}), exporters=TEAM)


@pytest.mark.parametrize("name", ["alpine", "library/alpine:3", "docker.io/alpine", "index.docker.io/library/alpine"])
def test_a_pattern_means_an_image_and_not_a_spelling(name: str) -> None:
    judged(new("image", {"name": name, "push": "true"}), exporters={"names": ["alpine"]})


@EITHER
def test_a_prefix_for_dangling_images_is_a_name(request_of: Any) -> None:
    attrs = {"push": "true", "dangling-name-prefix": "evil.example.com/app"}

    assert refusal(request_of("image", attrs), exporters=TEAM)[0] == "exporters.names"


@EITHER
def test_without_names_no_image_is_pushed_by_name(request_of: Any) -> None:
    attrs = {"name": "registry.example.com/team/app", "push": "true"}

    assert refusal(request_of("image", attrs), exporters={"names": []})[0] == "exporters.names"


@EITHER
@pytest.mark.parametrize(
    ("attr", "setting"), [("registry.insecure", "exporters.insecure"), ("store", "exporters.store")]
)
def test_what_harms_others_must_be_allowed_one_by_one(request_of: Any, attr: str, setting: str) -> None:
    for value in ("true", "", "1"):
        assert refusal(request_of("image", {attr: value}))[0] == setting
    judged(request_of("image", {attr: "false"}))
    judged(request_of("image", {attr: "true"}), exporters={setting.partition(".")[2]: True})


@EITHER
def test_no_image_is_stored_in_the_daemon_unless_it_may_be(request_of: Any) -> None:
    request, free = request_of("image", {"name": "alpine"}), request_of("image", {"name": "alpine"})

    judged(request)
    judged(free, exporters={"store": True})

    assert [one.attrs["store"] for one in images(request)] == ["false"]
    assert not any("store" in one.attrs for one in images(free))


@EITHER
def test_a_stored_image_is_judged_by_its_name(request_of: Any) -> None:
    assert refusal(request_of("image", {"name": "alpine"}), exporters={"store": True, **TEAM})[0] == "exporters.names"


def images(request: BuildRequest) -> list[Any]:
    """Return the image exporters that the daemon gets."""
    sent = BuildRequest(request.encode(), is_bridge=False)
    return [one for one in [*sent.exporters, sent.deprecated_exporter] if one and one.type == "image"]


def test_a_session_is_not_asked_for_exporters_unless_it_may_be() -> None:
    assert refusal(control(f14=True))[0] == "exporters.session"
    judged(control(f14=True), exporters={"session": True})
    judged(control(f14=False))
