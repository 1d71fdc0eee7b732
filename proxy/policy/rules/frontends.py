"""Frontends: what turns a build's files into a definition.

A frontend of the daemon is named; any other is an image, run by the frontend
`gateway.v0`, and what it makes never passes here. Which image that is can be said in six
ways: by the attribute `source`; by the build argument `BUILDKIT_SYNTAX`; by a line
`# syntax=` in the Dockerfile, which travels where nobody reads; by a named context that
has the image's name and puts another one, or a directory, in its place; by a source
policy of the client's own that converts it; and by a build operation, which takes its
definition from a file.

A Dockerfile frontend goes by argument or line only without the attribute `cmdline`, so a
request that names neither gets one: then the daemon's own frontend, or the image that was
judged, builds the file itself.

Stock clients: buildx sends `dockerfile.v0`, or for `BUILDKIT_SYNTAX` `gateway.v0` with
`source` and `cmdline`; for `--call` and `--check` of a daemon older than the question it
sends the argument with one of two images, by digest. What it reads internally (remote
bake files, a Dockerfile by URL) is a definition and has no frontend.

Source: moby/buildkit frontend/dockerfile/builder/build.go (Build, forwardGateway) and
frontend/gateway/gateway.go (Solve, since v0.12 with NamedContext); frontend/dockerui/config.go
(NamedContext); solver/llbsolver/policy.go (CONVERT); docker/buildx build/build.go
(printFallbackImage) and build/opt.go.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.image_patterns import ImagePatterns, ImagePatternText
from proxy.policy.images import LATEST, ImageName, read_image_name
from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

GATEWAY: Final = "gateway.v0"
SOURCE: Final = "source"
CMDLINE: Final = "cmdline"
SYNTAX: Final = "build-arg:BUILDKIT_SYNTAX"
CONTEXT: Final = "context:"
IMAGE_SCHEME: Final = "docker-image:"

# Older ones do not know the attributes that keep tenants' caches apart (BUILDKIT_SANDBOX_HOSTNAME, v0.10 of BuildKit).
_OFFICIAL: Final = "docker.io/docker/dockerfile:>=1.4"
# What buildx asks for `--call` and `--check` if the daemon's own frontend cannot tell.
_FALLBACKS: Final = (
    "docker.io/docker/dockerfile@sha256:a57df69d0ea827fb7266491f2813635de6f17269be881f696fbfdf2d83dda33e",
    "docker.io/docker/dockerfile@sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd",
)


def _named(frontend: str) -> str:
    if frontend == GATEWAY:
        raise ValueError("runs any image as a frontend; list the images in 'images'")
    return frontend


class Config(RuleConfig):
    """Which frontends may build: those of the daemon by name, others by their image. An image escapes whatever else
    looks at definitions, so allow only those that you would let write one."""

    allow: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,64}$"), AfterValidator(_named)], ...], Field(strict=False)
    ] = ("dockerfile.v0",)
    """Frontends of the daemon, by name."""
    images: Annotated[tuple[ImagePatternText, ...], Field(strict=False)] = (_OFFICIAL,)
    """Images that may run as frontends. `*` is any run without `/`, `**` any run; `:>=1.4` is that tag and newer
    ones. A digest is allowed if no tag is given, or if the digest itself is. The default allows two by digest
    besides, which buildx asks for itself (`--call`, `--check`)."""
    syntax_line: Literal["ignore", "follow"] = "ignore"
    """A line `# syntax=` in a Dockerfile. `ignore`: the frontend that was judged builds the file itself. `follow`:
    any image that the line names becomes the frontend, unseen by this rule."""


class Rule(BuildRule):
    """Judges what names a frontend in either message; sets `cmdline`."""

    name = "frontends"
    reason = Reason.POLICY_FRONTENDS
    example = 'frontends: {images: ["registry.example.com/frontends/*:1.*"]}'

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._images = ImagePatterns(frontend_images(config))

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield each frontend that is not allowed."""
        request = asked.request
        attrs, frontend = request.attrs, request.frontend
        if frontend and frontend not in (GATEWAY, *self._config.allow):
            yield Finding("allow", f"the frontend {frontend}", self._config.allow)
        if frontend == GATEWAY and SOURCE not in attrs:
            yield Finding("images", "a frontend image without a name", self._config.images)
        for image in _images(attrs):
            yield from self._check_image(image, attrs)
            if asked.replaces_sources:
                yield Finding("images", "a frontend image under a source policy of your own that may replace it")
        if any(facts.has_nested_definition for facts in asked.definitions):
            yield Finding("images", "a definition that is loaded from a file", self._config.images)

    def edit(self, request: BuildRequest) -> None:
        """Say a command line to a frontend that would else look for one in the Dockerfile."""
        attrs = request.attrs
        if request.frontend and self._config.syntax_line == "ignore" and not attrs.keys() & {CMDLINE, SYNTAX}:
            attrs[CMDLINE] = attrs.get(SOURCE, "")

    def said(self) -> str:
        """Return names and images."""
        config = self._config
        return f"{either(config.allow)}; images {either(config.images)}; {config.syntax_line} lines # syntax="

    def _check_image(self, text: str, attrs: Mapping[str, str]) -> Iterator[Finding]:
        if not self._images.allows_text(text):
            yield Finding("images", f"the frontend image {text}", self._config.images)
        for place in _contexts_called(text, attrs):
            scheme, _, image = place.partition("//")
            if scheme != IMAGE_SCHEME or not self._images.allows_text(image):
                yield Finding("images", f"the context {place} in place of the frontend image {text}")


def frontend_images(config: Config) -> tuple[str, ...]:
    """Return the patterns of all images that may run as frontends."""
    return (*config.images, *(_FALLBACKS if _OFFICIAL in config.images else ()))


def _images(attrs: Mapping[str, str]) -> Iterator[str]:
    """Yield the images that are named as frontends."""
    if SOURCE in attrs:
        yield attrs[SOURCE]
    if SYNTAX in attrs:
        # The rest is a command line for the image.
        yield attrs[SYNTAX].strip().partition(" ")[0]


def _contexts_called(text: str, attrs: Mapping[str, str]) -> Iterator[str]:
    """Yield what named contexts put in the place of the image `text`, for any platform."""
    image = _image(text)
    for key, place in attrs.items():
        if key.startswith(CONTEXT) and image is not None and image == _image(key[len(CONTEXT) :].partition("::")[0]):
            yield place


def _image(text: str) -> ImageName | None:
    """Return the image that a context's name means: no tag is the tag `latest`."""
    try:
        image = read_image_name(text)
    except ValueError:
        return None
    return ImageName(image.repository, image.tag or ("" if image.digest else LATEST), image.digest)
