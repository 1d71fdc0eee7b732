import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from proxy.policy.image_patterns import ImagePattern, ImagePatterns, ImagePatternText
from proxy.policy.images import ImageName, read_image_name

DIGEST = "sha256:" + "a1" * 32
OTHER = "sha256:" + "b2" * 32


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("alpine", ImageName("docker.io/library/alpine")),
        ("alpine:3", ImageName("docker.io/library/alpine", "3")),
        ("library/alpine", ImageName("docker.io/library/alpine")),
        ("docker.io/alpine", ImageName("docker.io/library/alpine")),
        ("index.docker.io/alpine", ImageName("docker.io/library/alpine")),
        ("index.docker.io/library/alpine", ImageName("docker.io/library/alpine")),
        ("acme/app", ImageName("docker.io/acme/app")),
        ("acme/app/sub", ImageName("docker.io/acme/app/sub")),
        ("localhost/app", ImageName("localhost/app")),
        ("localhost:5000/app:1", ImageName("localhost:5000/app", "1")),
        ("GHCR.io/acme/app", ImageName("ghcr.io/acme/app")),
        ("[::1]:5000/app", ImageName("[::1]:5000/app")),
        (f"alpine@{DIGEST}", ImageName("docker.io/library/alpine", "", DIGEST)),
        (f"alpine:3@{DIGEST}", ImageName("docker.io/library/alpine", "3", DIGEST)),
        ("127.0.0.1/a", ImageName("127.0.0.1/a")),
        ("Acme/app", ImageName("acme/app")),
        ("a.b/" + "c" * 251, ImageName("a.b/" + "c" * 251)),
    ],
)
def test_a_name_is_brought_to_its_long_form_as_a_daemon_does(text: str, image: ImageName) -> None:
    assert read_image_name(text) == image


@pytest.mark.parametrize(
    "text",
    [
        "",
        " alpine",
        "alpine ",
        "alpine\n",
        "/alpine",
        "alpine/",
        "a//b",
        "acme/../evil/app",
        "acme/./app",
        "registry.example.com/App",
        "ALPINE",
        "alpine:",
        "alpine:-1",
        "alpine@sha256:abc",
        f"alpine@{DIGEST.upper()}",
        "a1" * 32,
        "user@registry.example.com/app",
        "registry.example.com:port/app",
        "https://registry.example.com/app",
        "*",
        "acme/*",
        "registry.example.com/" + "a" * 256,
        "a" * 100_000,
    ],
)
def test_what_names_no_image_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="not the name of an image"):
        read_image_name(text)


@pytest.mark.parametrize(
    ("pattern", "image", "is_allowed"),
    [
        ("**", "anything.example.com:5000/a/b:c", True),
        ("alpine", "docker.io/library/alpine:3", True),
        ("alpine", f"alpine:3@{DIGEST}", True),
        ("alpine", "alpine2", False),
        ("docker.io/library/*", "alpine", True),
        ("docker.io/library/*", "acme/alpine", False),
        ("acme/*", "docker.io/acme/app", True),
        ("acme/*", "acme.example.com/app", False),
        ("acme/*", "acme/app/sub", False),
        ("acme/**", "acme/app/sub", True),
        ("registry.example.com/team/**", "registry.example.com/team/app:1", True),
        ("registry.example.com/team/**", "registry.example.com/team2/app", False),
        ("registry.example.com/team/**", "registry.example.com:8443/team/app", False),
        ("*.example.com/team/*", "registry.example.com/team/app", True),
        ("*.example.com/team/*", "example.com/team/app", False),
        ("localhost:5000/*", "localhost:5000/app", True),
        ("alpine:3.*", "alpine:3.20", True),
        ("alpine:3.*", "alpine:4", False),
        ("alpine:3.*", "alpine", False),
        ("alpine:3.*", f"alpine:3.20@{DIGEST}", False),
        ("alpine:latest", "alpine", True),
        (f"alpine@{DIGEST}", f"alpine:whatever@{DIGEST}", True),
        (f"alpine@{DIGEST}", f"alpine@{OTHER}", False),
        (f"alpine@{DIGEST}", "alpine", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1.4", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1.10.2-labs", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:2.0", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1-labs", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:labs", True),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1.3", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1.0-experimental", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1-experimental", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:experimental", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:0", False),
        ("docker/dockerfile:>=1.4", "docker/dockerfile:1.4.evil", False),
        ("docker/dockerfile:>=1.4", f"docker/dockerfile:1.4@{DIGEST}", False),
        ("docker/dockerfile:>=1.4", "evil/dockerfile:1.4", False),
    ],
)
def test_a_pattern_allows_what_it_describes(pattern: str, image: str, is_allowed: bool) -> None:
    assert ImagePatterns([pattern]).allows_text(image) is is_allowed


def test_without_patterns_nothing_is_allowed_and_with_everything_what_is_no_name_too() -> None:
    assert not ImagePatterns([]).allows_text("alpine")
    assert not ImagePatterns(["acme/**"]).allows_text("*")
    assert ImagePatterns(["acme/**", "**"]).allows_text("*")


@pytest.mark.parametrize(
    "text", ["", "*", "alp*", "Acme/app", "a b", "alpine:>=1", "alpine@sha256:abc", "x:y:z", "a@b"]
)
def test_what_is_no_pattern_is_told(text: str) -> None:
    with pytest.raises(ValidationError, match="not a pattern of images; "):
        TypeAdapter(ImagePatternText).validate_python(text)


WORDS = st.lists(st.sampled_from(["a", "b", "c-d", "e.f", "g_h"]), min_size=1, max_size=3).map("/".join)
IMAGES = st.builds(
    ImageName,
    st.builds("{}/{}".format, st.sampled_from(["docker.io", "a.b:5000", "localhost", "c.a.b"]), WORDS),
    st.sampled_from(["", "1", "1.4", "v1_x"]),
    st.sampled_from(["", DIGEST]),
)
PATTERNS = st.builds(
    "{}/{}".format,
    st.sampled_from(["docker.io", "a.b:5000", "localhost", "*.a.b", "**"]),
    st.lists(st.sampled_from(["a", "b", "*", "**", "c-d", "c*", "**b", "*.f"]), min_size=1, max_size=3).map("/".join),
)


@given(PATTERNS, IMAGES)
def test_the_regular_expression_of_a_pattern_finds_what_the_pattern_allows(pattern: str, image: ImageName) -> None:
    one = ImagePattern(pattern)
    text = image.repository + (f":{image.tag}" if image.tag else "") + (f"@{image.digest}" if image.digest else "")

    assert bool(re.fullmatch(one.regex(), text)) is one.allows(image)


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        ("alpine:3.*", f"docker.io/library/alpine:3.20@{DIGEST}", True),
        ("alpine:3.*", f"docker.io/library/alpine@{DIGEST}", False),
        ("alpine:3.*", "docker.io/library/alpine:4", False),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine:3@{DIGEST}", True),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine:3@{OTHER}", False),
        ("acme/**", "docker.io/acme/../evil/app:1", False),
        ("acme/*", "docker.io/acme/..:1", False),
        ("acme/**", "docker.io/acme/x/../../evil/app:1", False),
        ("acme/**", "docker.io/acme/%2e%2e/evil/app:1", False),
        ("acme/**", "docker.io/acme/app?x=1", False),
        ("acme/**", "docker.io/acme/app\n", False),
        ("**/app", "user@evil.example.com/app", False),
        ("docker/dockerfile:>=1.4", "docker.io/docker/dockerfile:1.0", True),
        ("**", "WHATEVER it is", True),
        ("*/x", "a.b:5000/x", True),
        ("*/x", "a_b/x", False),
        ("a.b/c*", "a.b/c-d", True),
        ("a.b/c*/x", "a.b/c_d/x", True),
        ("a.b/c*/x", "a.b/c:d/x", False),
        ("a.b/c*", "a.b/c/d", False),
        ("a.b/c**", "a.b/c-d/e", True),
        ("a.b/c**", "a.b/c/../e", False),
    ],
)
def test_a_daemon_finds_only_names_written_plainly(pattern: str, text: str, is_found: bool) -> None:
    assert bool(re.fullmatch(ImagePattern(pattern).regex(), text)) is is_found
