from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.rules.frontends import Config
from tests.helpers.solves import bridge, control, facts_with, judged, refusal

EITHER = pytest.mark.parametrize("request_of", [control, bridge])
OFFICIAL = "docker/dockerfile:1"
DIGEST = "sha256:" + "a1" * 32
SYNTAX = "build-arg:BUILDKIT_SYNTAX"


def gateway(request_of: Any, source: str | None = OFFICIAL, **attrs: str) -> BuildRequest:
    named = {} if source is None else {"source": source}
    built: BuildRequest = request_of(frontend="gateway.v0", attrs={**named, **attrs})
    return built


@EITHER
def test_the_daemon_s_own_frontend_builds_and_no_other_of_it(request_of: Any) -> None:
    judged(request_of(frontend="dockerfile.v0"))

    assert refusal(request_of(frontend="dockerfile.v1"))[0] == "frontends.allow"
    judged(request_of(frontend="dockerfile.v1"), frontends={"allow": ["dockerfile.v1"]})
    assert refusal(request_of(frontend="dockerfile.v0"), frontends={"allow": []})[0] == "frontends.allow"


@EITHER
def test_a_request_without_a_frontend_is_none_of_its_business(request_of: Any) -> None:
    request = request_of(attrs={"filename": "Dockerfile"})

    judged(request, frontends={"allow": [], "images": []})

    assert request.attrs == {"filename": "Dockerfile"}


@EITHER
@pytest.mark.parametrize("image", ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs", "docker/dockerfile"])
def test_the_official_images_run_as_frontends(request_of: Any, image: str) -> None:
    judged(gateway(request_of, image, cmdline=image))
    judged(request_of(frontend="dockerfile.v0", attrs={SYNTAX: f" {image} some more "}))


@EITHER
@pytest.mark.parametrize(
    "image",
    [
        "evil/dockerfile:1",
        "registry.example.com/docker/dockerfile:1",
        "docker/dockerfile:1.0-experimental",
        f"docker/dockerfile:1@{DIGEST}",
        "docker/dockerfile:1\tevil",
        "docker/../evil/dockerfile:1",
        "Docker/dockerfile:1",
        "dockerfile.v0",
        "",
    ],
)
def test_any_other_image_is_refused_in_whichever_way_it_is_named(request_of: Any, image: str) -> None:
    setting, said = refusal(gateway(request_of, image))

    assert setting == "frontends.images"
    assert "allowed: docker.io/docker/dockerfile:>=1.4" in said
    assert refusal(request_of(frontend="dockerfile.v0", attrs={SYNTAX: image}))[0] == "frontends.images"
    assert refusal(gateway(request_of, **{SYNTAX: image}))[0] == "frontends.images"


@EITHER
def test_without_images_none_runs(request_of: Any) -> None:
    assert refusal(gateway(request_of), frontends={"images": []})[0] == "frontends.images"
    assert refusal(gateway(request_of, None))[0] == "frontends.images"


@pytest.mark.parametrize(
    "image",
    [
        "docker/dockerfile:1.7.1@sha256:a57df69d0ea827fb7266491f2813635de6f17269be881f696fbfdf2d83dda33e",
        "docker/dockerfile:1.8.1@sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd",
    ],
)
def test_what_buildx_asks_an_older_daemon_for_is_allowed_by_default_alone(image: str) -> None:
    request = bridge(frontend="dockerfile.v0", attrs={"requestid": "frontend.lint", SYNTAX: image})

    judged(request)

    assert request.attrs == {"requestid": "frontend.lint", SYNTAX: image}
    assert refusal(request, frontends={"images": ["docker/dockerfile:1.*"]})[0] == "frontends.images"


@EITHER
@pytest.mark.parametrize(
    "context",
    [
        {"context:docker/dockerfile:1": "docker-image://evil/dockerfile"},
        {"context:docker/dockerfile:1": "local:context"},
        {"context:docker/dockerfile:1": "oci-layout://x@sha256:abc"},
        {"context:docker/dockerfile:1": "input:base"},
        {"context:docker/dockerfile:1": "https://evil.example.com/x.git"},
        {"context:docker/dockerfile:1::linux/amd64": "local:context"},
        {"context:docker.io/docker/dockerfile:1": "local:context"},
        {"context:docker/dockerfile:1": "docker-image:docker/dockerfile:1"},
    ],
)
def test_a_named_context_must_not_take_an_allowed_image_s_place(request_of: Any, context: dict[str, str]) -> None:
    assert refusal(gateway(request_of, **context))[0] == "frontends.images"
    assert refusal(request_of(frontend="dockerfile.v0", attrs={SYNTAX: OFFICIAL, **context}))[0] == "frontends.images"


@EITHER
def test_the_context_of_an_image_without_a_tag_may_be_named_with_or_without_one(request_of: Any) -> None:
    for name in ("docker/dockerfile", "docker/dockerfile:latest"):
        request = gateway(request_of, "docker/dockerfile", **{f"context:{name}": "local:context"})
        assert refusal(request)[0] == "frontends.images"


@EITHER
def test_other_named_contexts_and_allowed_ones_pass(request_of: Any) -> None:
    contexts = {
        "context:alpine": "docker-image://alpine:3",
        "context:base": "local:base",
        "context:not an image": "local:x",
        "context:docker/dockerfile:2": "local:x",
        "context:docker/dockerfile:1": "docker-image://docker/dockerfile:1.7",
        "another:docker/dockerfile:1": "local:x",
    }

    judged(gateway(request_of, **contexts))
    judged(gateway(request_of, "No Image", **contexts), frontends={"images": ["**"]})


@EITHER
def test_a_frontend_image_is_refused_under_a_policy_of_the_client_s_own_that_may_replace_it(request_of: Any) -> None:
    assert refusal(gateway(request_of), replaces_sources=True)[0] == "frontends.images"
    assert refusal(control(frontend="gateway.v0", attrs={"source": OFFICIAL}, f15="session"))[0] == "frontends.images"

    judged(request_of(frontend="dockerfile.v0"), replaces_sources=True)


@EITHER
def test_a_definition_that_is_loaded_from_a_file_is_a_frontend_that_nobody_sees(request_of: Any) -> None:
    assert refusal(request_of(), [facts_with(has_nested_definition=True)])[0] == "frontends.images"


@EITHER
@pytest.mark.parametrize(
    ("frontend", "attrs", "cmdline"),
    [
        ("dockerfile.v0", {}, ""),
        ("gateway.v0", {"source": OFFICIAL}, OFFICIAL),
        ("gateway.v0", {"source": OFFICIAL, "cmdline": "docker/dockerfile:1 x"}, "docker/dockerfile:1 x"),
        ("dockerfile.v0", {"cmdline": "x"}, "x"),
        ("dockerfile.v0", {SYNTAX: OFFICIAL}, None),
        ("", {}, None),
    ],
)
def test_a_frontend_does_not_look_for_a_syntax_line(
    request_of: Any, frontend: str, attrs: dict[str, str], cmdline: str | None
) -> None:
    request = request_of(frontend=frontend, attrs=attrs)

    judged(request)
    again = BuildRequest(request.encode(), is_bridge=request.is_bridge)

    assert again.attrs.get("cmdline") == cmdline


@EITHER
def test_a_syntax_line_may_be_followed(request_of: Any) -> None:
    request = request_of(frontend="dockerfile.v0")

    judged(request, frontends={"syntax_line": "follow"})

    assert request.attrs == {}


def test_the_frontend_of_images_is_not_to_be_allowed_by_name() -> None:
    with pytest.raises(ValueError, match="list the images in 'images'"):
        Config.model_validate({"allow": ["gateway.v0"]})
