"""Sources: which images, repositories and URLs a build may use, held by the daemon itself.

kilngate sees few of a build's sources: a Dockerfile's are made in the daemon. So the
daemon is told, by a source policy that denies everything and allows what is listed. It
holds for FROM, COPY --from, ADD, named contexts, frontend images and the SBOM scanner,
after names are brought to their long form and after conversions. It does not hold for
cache imports and exports, pushes, HTTP redirects, or what steps fetch themselves (but see
`network.proxy`).

A client may have a policy of its own. It can only tighten, in each of its three places:

* Rules in `Control/Solve`: a daemon takes one policy there, of which the last rule that
  matches decides. Ours stand first and the client's DENY and CONVERT rules behind them:
  each can take away, and what a CONVERT makes passes our rules again. A client's ALLOW
  there could undo our DENY. In front of ours it would be undone, and with it what the
  client's own DENY before it meant. Neither is what the client asked for, so a policy
  with ALLOW rules is refused, with a sentence.
* Rules in `LLBBridge/Solve`: the daemon judges by each policy apart and wants all of them
  to agree. They pass.
* A session that the daemon asks (`SourcePolicySession`): it is asked after our rules, and
  what it converts to passes them again. It passes.

Before v0.32 a daemon matched the identifier as a definition wrote it, not as it was
fetched: `git.fullurl` could name another place. The definitions of clients are looked at
here too, with both; and a pattern's star matches no `..`.

Source: moby/buildkit solver/llbsolver/policy.go and bridge.go, sourcepolicy/engine.go,
source/types/types.go; session/upload/uploadprovider for `buildkit-session`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.source_policy import Action, encode_policy, encode_rule, read_policy
from proxy.policy.image_patterns import ImagePattern, ImagePatternText
from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

# Sources that come from the caller's own session, and those that a client uploads.
_OWN: Final = (r"local://.*", r"oci-layout(?:\+blob)?://.*", r"http://buildkit-session/[^/]*")
_GIT = re.compile(r"[A-Za-z0-9.*-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~*/+-]+|\*\*")
_HTTP = re.compile(r"https?://[A-Za-z0-9.*-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~*/+=-]*|\*\*")
_RUN = "[A-Za-z0-9._~+=-]*"
_PART = f"[A-Za-z0-9_~+=-]{_RUN}"
# A longer identifier names nothing that a pattern could mean, and would take long to look at.
_MOST_SOURCE_LENGTH: Final = 4096


def _git(text: str) -> str:
    if not _GIT.fullmatch(text):
        raise ValueError("not a pattern of repositories; expected such as 'github.com/team/**'")
    return text


def _http(text: str) -> str:
    if not _HTTP.fullmatch(text):
        raise ValueError("not a pattern of URLs; expected such as 'https://downloads.example.com/**'")
    return text


def _any_version(text: str) -> str:
    if ":>=" in text:
        raise ValueError("versions cannot be compared by a daemon; expected a tag such as '1.*', or none")
    return text


class Config(RuleConfig):
    """Which sources a build may use; what is not listed is denied. Without this rule there is no such limit. The
    daemon itself holds it, for FROM, COPY --from, ADD, contexts, frontends and the SBOM scanner. Local directories
    and layouts of the caller are always allowed, and so are the images of the rule `frontends`. It does not hold for
    caches, pushes, HTTP redirects and what steps fetch. A source policy of the client's own can only tighten."""

    images: Annotated[tuple[Annotated[ImagePatternText, AfterValidator(_any_version)], ...], Field(strict=False)] = ()
    """Base images, wherever a build names one. A tag may have any digest behind it: daemons add one."""
    git: Annotated[tuple[Annotated[str, AfterValidator(_git)], ...], Field(strict=False)] = ()
    """Git repositories, as `host/path`; any branch or commit of them."""
    http: Annotated[tuple[Annotated[str, AfterValidator(_http)], ...], Field(strict=False)] = ()
    """URLs that ADD may fetch. Behind a `**` at the end a query may follow."""


class Rule(BuildRule):
    """Injects the policy into `Control/Solve`; judges the client's own, and definitions of either message."""

    name = "sources"
    reason = Reason.POLICY_SOURCES
    example = 'sources: {images: ["docker.io/library/*", "registry.example.com/team/**"], git: ["github.com/team/**"]}'

    def __init__(self, config: Config, *, frontend_images: Sequence[str] = ()) -> None:
        super().__init__(config)
        self._config = config
        self._allow = "|".join(_regexes(config, frontend_images))
        self._allowed = re.compile(self._allow)
        self._rules = (encode_rule(Action.DENY, ".*"), encode_rule(Action.ALLOW, f"^(?:{self._allow})$"))

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield a policy of the client's own that could allow, and each source of a definition that is not listed."""
        own = asked.request.source_policy
        if own is not None and any(action is Action.ALLOW for action, _ in read_policy(own)):
            yield Finding("images", "a source policy of your own with ALLOW rules")
        for facts in asked.definitions:
            for source in facts.sources:
                if len(source) > _MOST_SOURCE_LENGTH or not self._allowed.fullmatch(source):
                    yield Finding("images", f"the source {source}", self._listed())

    def edit(self, request: BuildRequest) -> None:
        """Put our rules in front of the client's."""
        if not request.is_bridge:
            own = request.source_policy
            theirs = [rule for _, rule in read_policy(own)] if own is not None else []
            request.set_source_policy(encode_policy([*self._rules, *theirs]))

    def said(self) -> str:
        """Return what is listed."""
        return f"only {either(self._listed())}, and local ones"

    def _listed(self) -> tuple[str, ...]:
        return (*self._config.images, *self._config.git, *self._config.http)


def _regexes(config: Config, frontend_images: Iterable[str]) -> Iterator[str]:
    yield from _OWN
    for image in (*config.images, *frontend_images):
        yield rf"docker-image(?:\+blob)?://{ImagePattern(image).regex()}"
    for repository in config.git:
        yield rf"git://{_path_regex(repository)}(?:\.git)?(?:#.*)?" if repository != "**" else "git://.*"
    for url in config.http:
        query = r"(?:\?[^#]*)?" if url.endswith("**") else ""
        yield f"{_path_regex(url)}{query}" if url != "**" else "https?://.*"


def _path_regex(pattern: str) -> str:
    """Return the regular expression of a path in which a star matches no part that begins with a dot."""
    said = ""
    for part in re.split(r"(\*\*|\*)", pattern):
        if "*" not in part:
            said += re.escape(part)
        elif said.endswith("/"):
            said += f"(?:{_PART}(?:/{_PART})*/?)?" if part == "**" else f"(?:{_PART})?"
        else:
            said += f"{_RUN}(?:/{_PART})*/?" if part == "**" else _RUN
    return said
