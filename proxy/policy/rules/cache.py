"""Cache imports and exports: where the daemon fetches results from, and puts them.

The daemon connects to whatever place is named, from inside the farm's network, and to a
cloud with its own identity if no other is given. What is imported also counts in later
builds. So types, places and endpoints are listed, and credentials must be the caller's.

A build says imports in four places: fields of `Control/Solve` (those of before v0.4 too)
and of `LLBBridge/Solve`, and for its frontend the attributes `cache-imports` (JSON) and
`cache-from` (references with commas). Exports are in fields of `Control/Solve` alone.

Source: moby/buildkit control/control.go (translateLegacySolveRequest); frontend/dockerui/config.go;
cache/remotecache: registry/registry.go, s3/s3.go, azblob/utils.go, gha/gha.go, local/local.go.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from proxy import glob
from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.typed import Typed
from proxy.buildkit.wire import WireError
from proxy.policy.attributes import Attributes, is_set, listed
from proxy.policy.image_patterns import EVERYTHING, ImagePatterns, ImagePatternText
from proxy.policy.rule import Asked, Finding, RuleConfig, either
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason

IMPORTS: Final = "cache-imports"
FROM: Final = "cache-from"
_REGISTRY: Final = "registry"
_ENDPOINTS: Final = ("endpoint_url", "account_url", "url", "url_v2")
# A cloud's store: where in it, which keys say so, and which say who asks.
_BUCKETS: Final = {"s3": "bucket", "azblob": "container"}
_CREDENTIALS: Final = {"s3": ("access_key_id", "secret_access_key"), "azblob": ("secret_access_key",)}
_DEFAULT_PREFIXES: Final = {"manifests_prefix": "manifests/", "blobs_prefix": "blobs/"}
_HOST = "https?://[a-z0-9.{}-]+(?::[0-9]{{1,5}})?"
_URL = re.compile(_HOST.format("") + "(?:/[A-Za-z0-9._~/+=-]*)?")
_URL_PATTERN = re.compile(_HOST.format("*") + "/[A-Za-z0-9._~*/+=-]*")
# Clients name a handful of caches.
_MOST_JSON_LENGTH: Final = 64 << 10
_REGION = re.compile(r"[a-z0-9-]{1,40}")

ImportType = Literal["registry", "local", "gha", "s3", "azblob"]
ExportType = Literal["inline", "registry", "local", "gha", "s3", "azblob"]


def _endpoint(text: str) -> str:
    if not _URL_PATTERN.fullmatch(text):
        raise ValueError("not a pattern of URLs; expected such as 'https://*.example.com/**'")
    return text


class Config(RuleConfig):
    """Which caches a build may import and export (`--cache-from`, `--cache-to`), and where they may be. What is
    imported is used by later builds of the daemon too: import only from places that you trust for all of them."""

    imports: Annotated[tuple[ImportType, ...], Field(strict=False)] = ("registry", "local", "gha")
    """Types of cache that a build may import."""
    exports: Annotated[tuple[ExportType, ...], Field(strict=False)] = ("inline", "registry", "local", "gha")
    """Types of cache that a build may export."""
    import_refs: Annotated[tuple[ImagePatternText, ...], Field(strict=False)] = (EVERYTHING,)
    """Where caches of type `registry` may be imported from. `*` is any run without `/`, `**` any run."""
    export_refs: Annotated[tuple[ImagePatternText, ...], Field(strict=False)] = (EVERYTHING,)
    """Where caches of type `registry` may be exported to."""
    buckets: Annotated[tuple[Annotated[str, Field(pattern=r"^[^/\s]+/\S*$")], ...], Field(strict=False)] = ()
    """Where caches of types `s3` and `azblob` may be, as `BUCKET/PREFIX` with stars: `farm-cache/team/**`."""
    endpoints: Annotated[tuple[Annotated[str, AfterValidator(_endpoint)], ...], Field(strict=False)] = (
        "https://*.actions.githubusercontent.com/**",
    )
    """URLs that a build may name (`url`, `endpoint_url`, `account_url`), with stars; the default is GitHub's own."""
    insecure: bool = False
    """Let registries be reached without TLS, or without a look at their certificate."""
    daemon_credentials: bool = False
    """Let `s3` and `azblob` be used as whoever the daemon itself is in that cloud, when a build gives no key."""


class Rule(BuildRule):
    """Judges every place where either message names a cache."""

    name = "cache"
    reason = Reason.POLICY_CACHE
    example = 'cache: {exports: [registry], export_refs: ["registry.example.com/cache/team/**"]}'

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._import_refs = ImagePatterns(config.import_refs)
        self._export_refs = ImagePatterns(config.export_refs)

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield what is not allowed of each cache."""
        config = self._config
        for cache in _imports(asked.request):
            if cache.type not in config.imports:
                yield Finding("imports", f"to import a cache of type {cache.type}", config.imports)
            yield from self._check_place(cache, "import_refs", self._import_refs)
        for cache in asked.request.cache_exports:
            if cache.type not in config.exports:
                yield Finding("exports", f"to export a cache of type {cache.type}", config.exports)
            yield from self._check_place(cache, "export_refs", self._export_refs)

    def said(self) -> str:
        """Return types, and the places of each kind."""
        config = self._config
        imports = f"import {either(config.imports)} from {either(config.import_refs)}"
        exports = f"export {either(config.exports)} to {either(config.export_refs)}"
        return "; ".join([imports if config.imports else "no import", exports if config.exports else "no export"])

    def _check_place(self, cache: Typed, setting: str, refs: ImagePatterns) -> Iterator[Finding]:
        config, attrs = self._config, cache.attrs
        if cache.type == _REGISTRY and not refs.allows_text(attrs.get("ref", "")):
            yield Finding(setting, f"the cache {attrs.get('ref', '')}", refs.texts)
        if is_set(attrs, "registry.insecure") and not config.insecure:
            yield Finding("insecure", "a cache in a registry without TLS")
        for key in _ENDPOINTS:
            if attrs.get(key) and not _is_listed(attrs[key], config.endpoints):
                yield Finding("endpoints", f"the URL in {key} of a cache", config.endpoints)
        if cache.type in _BUCKETS:
            yield from self._check_bucket(cache)

    def _check_bucket(self, cache: Typed) -> Iterator[Finding]:
        """What a build leaves out, the daemon takes from its own environment: place and identity must be given."""
        config, attrs = self._config, cache.attrs
        if not all(_is_bucket(place, config.buckets) for place in _places(cache)):
            yield Finding("buckets", f"the place of a cache of type {cache.type}", config.buckets)
        if cache.type == "azblob" and not attrs.get("account_url"):
            yield Finding("endpoints", "a cache of type azblob without an account_url", config.endpoints)
        if "region" in attrs and not _REGION.fullmatch(attrs["region"]):
            yield Finding("endpoints", "a region that is none")
        if not config.daemon_credentials and not all(attrs.get(key) for key in _CREDENTIALS[cache.type]):
            yield Finding("daemon_credentials", f"a cache of type {cache.type} without a key of your own")


def _imports(request: BuildRequest) -> Iterator[Typed]:
    """Yield every cache that the message names for import.

    Raises:
        WireError: `cache-imports` cannot be read.
    """
    yield from request.cache_imports
    attrs = request.attrs
    if attrs.get(IMPORTS):
        yield from _read_json(attrs[IMPORTS])
    for ref in listed(attrs, FROM):
        yield Typed(_REGISTRY, {"ref": ref})


def _read_json(text: str) -> Iterator[Typed]:
    """Yield what the attribute `cache-imports` says.

    Go takes a key in any case, and of two the last: whatever is not written as clients write it is refused.
    """
    try:
        entries = json.loads(text, object_pairs_hook=_once) if len(text) <= _MOST_JSON_LENGTH else None
    except (ValueError, RecursionError):
        raise WireError(f"the attribute {IMPORTS} is not JSON as clients write it") from None
    if not isinstance(entries, list):
        raise WireError(f"the attribute {IMPORTS} is no list")
    for entry in entries:
        if not isinstance(entry, dict) or not entry.keys() <= {"Type", "Attrs"}:
            raise WireError(f"the attribute {IMPORTS} has an entry with other keys than Type and Attrs")
        kind, attrs = entry.get("Type", ""), entry.get("Attrs")
        attrs = {} if attrs is None else attrs
        if not isinstance(kind, str) or not isinstance(attrs, dict) or not all(map(_is_text, attrs.values())):
            raise WireError(f"the attribute {IMPORTS} has an entry that is no text")
        yield Typed(kind, attrs)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_listed(url: str, patterns: Iterable[str]) -> bool:
    """Tell whether a URL, written plainly, is one of those; `..` in it could lead anywhere."""
    if not _URL.fullmatch(url) or _climbs(url):
        return False
    place = url if url.count("/") > 2 else f"{url}/"
    return any(glob.matches(pattern, place) for pattern in patterns)


def _places(cache: Typed) -> Iterator[str]:
    """Yield `BUCKET/PREFIX` of manifests and of blobs; an empty one if it cannot be told."""
    attrs: Attributes = cache.attrs
    bucket, prefix = attrs.get(_BUCKETS[cache.type], ""), attrs.get("prefix", "")
    if cache.type != "s3" and prefix:
        # The others are parts of a path; in a bucket they are put together as they are.
        prefix = f"{prefix.rstrip('/')}/"
    for key, default in _DEFAULT_PREFIXES.items():
        place = f"{bucket}/{prefix}{attrs.get(key, default)}"
        yield "" if not bucket or _climbs(f"{place}/{attrs.get('name', '')}") else place


def _is_bucket(place: str, patterns: Iterable[str]) -> bool:
    return bool(place) and any(glob.matches(pattern, place) for pattern in patterns)


def _climbs(path: str) -> bool:
    return not {".", ".."}.isdisjoint(re.split(r"[/;]", path))
