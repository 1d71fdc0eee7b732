"""Requests that say what a build asks for, in either of the two messages, and policies to judge them by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import encode_number, encode_octets, encode_pair
from proxy.buildkit.llb import Facts
from proxy.errors import Refused
from proxy.policy.engine import Judgement, Policy
from proxy.policy.settings import PolicySettings

Typed = tuple[str, Mapping[str, str]]


def control(
    *,
    frontend: str = "",
    attrs: Mapping[str, str] | None = None,
    exporters: Sequence[Typed] = (),
    deprecated_exporter: Typed | None = None,
    cache: bytes | None = None,
    entitlements: Sequence[str] = (),
    **fields: bytes | str | bool,
) -> BuildRequest:
    """Return a `Control/Solve`; `fields` are other ones, as `f12=...`."""
    name, deprecated = deprecated_exporter or ("", {})
    octets = encode_octets(1, b"ref") + text(3, name) + pairs(4, deprecated) + text(6, frontend)
    octets += pairs(7, attrs or {}) + (encode_octets(8, cache) if cache is not None else b"")
    octets += b"".join(text(9, one) for one in entitlements)
    octets += b"".join(encode_octets(13, typed(*one)) for one in exporters)
    return BuildRequest(octets + others(fields), is_bridge=False)


def bridge(
    *,
    frontend: str = "",
    attrs: Mapping[str, str] | None = None,
    cache_imports: Sequence[Typed] = (),
    **fields: bytes | str | bool,
) -> BuildRequest:
    """Return an `LLBBridge/Solve`."""
    octets = text(2, frontend) + pairs(3, attrs or {})
    octets += b"".join(encode_octets(12, typed(*one)) for one in cache_imports)
    return BuildRequest(octets + others(fields), is_bridge=True)


def cache_options(*, imports: Sequence[Typed] = (), exports: Sequence[Typed] = (), older: bytes = b"") -> bytes:
    """Return CacheOptions; `older` are its deprecated fields, written out."""
    octets = older + b"".join(encode_octets(4, typed(*one)) for one in exports)
    return octets + b"".join(encode_octets(5, typed(*one)) for one in imports)


def typed(kind: str, attrs: Mapping[str, str]) -> bytes:
    """Return a type with attributes."""
    return text(1, kind) + pairs(2, attrs)


def text(number: int, value: str) -> bytes:
    """Return a field with a text; empty is not sent."""
    return encode_octets(number, value.encode()) if value else b""


def pairs(number: int, values: Mapping[str, str]) -> bytes:
    """Return a map."""
    return b"".join(encode_octets(number, encode_pair(key, value)) for key, value in values.items())


def others(fields: Mapping[str, bytes | str | bool]) -> bytes:
    """Return fields that are named by number: `f12`."""
    return b"".join(_other(int(name[1:]), value) for name, value in fields.items())


def _other(number: int, value: bytes | str | bool) -> bytes:
    if isinstance(value, bool):
        return encode_number(number, int(value))
    return encode_octets(number, value.encode() if isinstance(value, str) else value)


def policy(**rules: Any) -> Policy:
    """Return a policy with these rules, as they stand in a settings file."""
    return Policy("strict", PolicySettings.model_validate_json(json.dumps(rules)))


def facts_with(**facts: Sequence[Any] | bool) -> Facts:
    """Return facts of a definition, each list as the things in it."""
    return Facts(**{name: fact if isinstance(fact, bool) else dict.fromkeys(fact) for name, fact in facts.items()})  # type: ignore[arg-type]


def judged(
    request: BuildRequest, facts: Sequence[Facts] = (), *, replaces_sources: bool = False, **rules: Any
) -> Judgement:
    """Judge a request by these rules."""
    return policy(**rules).judge(request, facts, replaces_sources=replaces_sources)


def refusal(
    request: BuildRequest, facts: Sequence[Facts] = (), *, replaces_sources: bool = False, **rules: Any
) -> tuple[str, str]:
    """Return the setting that a request is refused by, and what the caller reads of it."""
    with pytest.raises(Refused) as raised:
        judged(request, facts, replaces_sources=replaces_sources, **rules)
    assert raised.value.detail == f"policies.strict.{raised.value.facts['setting']}"
    return str(raised.value.facts["setting"]), raised.value.public_text("7-1")
