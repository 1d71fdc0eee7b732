"""Exporters: what becomes of a build's result.

`local`, `tar`, `oci` and `docker` go to the caller's own session. `image` is pushed with
the caller's credentials, or stored in the daemon, where its name is everybody's: whoever
stores `alpine` there decides what others build on. `moby`, a Docker daemon's own, does
nothing else and is not offered.

Names are a list; `*` stands for a name that the build itself says in the end, and a
prefix for dangling images is a name too. A session may be asked for more exporters, which
pass here unseen.

Source: moby/buildkit exporter/containerimage/export.go and exptypes/keys.go (keys are
compared as they are); util/push/push.go; control/control.go (Exporters and the deprecated
one); solver/llbsolver/export.go (getSessionExporters).
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.typed import Typed
from proxy.policy.attributes import Attributes, is_set, listed
from proxy.policy.image_patterns import EVERYTHING, ImagePatterns, ImagePatternText
from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

Type = Literal["local", "tar", "oci", "docker", "image"]
_IMAGE: Final = "image"


class Config(RuleConfig):
    """What may be made of a build's result (`--output`, `--push`, `--load`), and what an image may be called. By
    default an image may be pushed wherever the caller's own credentials let it, and none is left in the daemon."""

    types: Annotated[tuple[Type, ...], Field(strict=False)] = ("local", "tar", "oci", "docker", "image")
    """Exporters that a build may ask for."""
    push: bool = True
    """Let images be pushed. The registry asks for the caller's own credentials."""
    names: Annotated[tuple[ImagePatternText, ...], Field(strict=False)] = (EVERYTHING,)
    """What a pushed or stored image may be called. `*` is any run without `/`, `**` any run."""
    insecure: bool = False
    """Let images be pushed without TLS, or to a registry whose certificate nobody checks."""
    store: bool = False
    """Let images be stored in the daemon, where other tenants build on what they are called. Without this, the daemon
    is told to store none."""
    session: bool = False
    """Let the caller's session add exporters that nobody judges."""


class Rule(BuildRule):
    """Judges exporters of `Control/Solve`, new and deprecated; sets `store`."""

    name = "exporters"
    reason = Reason.POLICY_EXPORTERS
    example = 'exporters: {types: [image, local], names: ["registry.example.com/team/**"]}'

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._names = ImagePatterns(config.names)

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield what is not allowed of each exporter, whichever of them the daemon takes."""
        config = self._config
        for exporter in _exporters(asked.request):
            if exporter.type not in config.types:
                yield Finding("types", f"the exporter {exporter.type}", config.types)
            if exporter.type == _IMAGE:
                yield from self._check_image(exporter.attrs)
        if asked.request.asks_session_for_exporters and not config.session:
            yield Finding("session", "to let the session choose exporters")

    def edit(self, request: BuildRequest) -> None:
        """Tell the daemon to store no image."""
        if not self._config.store:
            for exporter in _exporters(request):
                if exporter.type == _IMAGE:
                    exporter.attrs["store"] = "false"

    def said(self) -> str:
        """Return types, and what is said of images."""
        config = self._config
        push = f"push to {either(config.names)}" if config.push else "no push"
        more = [key for key in ("insecure", "store", "session") if getattr(config, key)]
        return "; ".join([either(config.types), push, *more])

    def _check_image(self, attrs: Attributes) -> Iterator[Finding]:
        config = self._config
        pushes = is_set(attrs, "push")
        if pushes and not config.push:
            yield Finding("push", "to push an image")
        if is_set(attrs, "registry.insecure") and not config.insecure:
            yield Finding("insecure", "to push to a registry without TLS")
        if is_set(attrs, "store") and not config.store:
            yield Finding("store", "to store an image in the daemon")
        if pushes or config.store:
            yield from self._check_names(attrs)

    def _check_names(self, attrs: Attributes) -> Iterator[Finding]:
        for name in (*listed(attrs, "name"), *listed(attrs, "dangling-name-prefix")):
            if not self._names.allows_text(name):
                yield Finding("names", f"the image name {name}", self._config.names)


def _exporters(request: BuildRequest) -> Iterator[Typed]:
    yield from request.exporters
    if request.deprecated_exporter is not None and request.deprecated_exporter.type:
        yield request.deprecated_exporter
