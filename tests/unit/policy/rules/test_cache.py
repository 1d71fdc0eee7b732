import json
from collections.abc import Mapping
from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.wire import WireError
from proxy.policy.rules.cache import Config
from tests.helpers.solves import bridge, cache_options, control, judged, pairs, refusal, text

TEAM = "registry.example.com/cache/team/**"


def import_of_control(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return control(cache=cache_options(imports=[(kind, attrs)]))


def import_of_bridge(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return bridge(cache_imports=[(kind, attrs)])


def json_of_control(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return control(attrs={"cache-imports": json.dumps([{"Type": kind, "Attrs": attrs}])})


def json_of_bridge(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return bridge(frontend="dockerfile.v0", attrs={"cache-imports": json.dumps([{"Type": kind, "Attrs": attrs}])})


def export(kind: str, attrs: Mapping[str, str]) -> BuildRequest:
    return control(cache=cache_options(exports=[(kind, attrs)]))


IMPORTS = [import_of_control, import_of_bridge, json_of_control, json_of_bridge]
IMPORT = pytest.mark.parametrize("request_of", IMPORTS)
EITHER = pytest.mark.parametrize("request_of", [*IMPORTS, export])


@EITHER
@pytest.mark.parametrize("kind", ["registry", "local", "gha"])
def test_usual_types_pass_and_without_types_none_does(request_of: Any, kind: str) -> None:
    judged(request_of(kind, {"ref": "registry.example.com/cache"}))

    setting, _ = refusal(request_of(kind, {}), cache={"imports": [], "exports": []})
    assert setting == ("cache.exports" if request_of is export else "cache.imports")


@EITHER
@pytest.mark.parametrize("kind", ["s3", "azblob", "Registry", "", "unknown"])
def test_other_types_are_refused(request_of: Any, kind: str) -> None:
    setting, _ = refusal(request_of(kind, {}))

    assert setting == ("cache.exports" if request_of is export else "cache.imports")


def test_an_inline_cache_can_only_be_exported() -> None:
    judged(export("inline", {}))

    assert refusal(import_of_control("inline", {}))[0] == "cache.imports"


@EITHER
@pytest.mark.parametrize(
    "ref",
    [
        "registry.example.com/cache/other/app",
        "registry.example.com/cache/team",
        "registry.example.com/cache/team/../other/app",
        "registry.example.com:80/cache/team/app",
        "cache/team/app",
        " registry.example.com/cache/team/app",
        "",
    ],
)
def test_a_reference_must_be_listed(request_of: Any, ref: str) -> None:
    setting, said = refusal(request_of("registry", {"ref": ref}), cache={"import_refs": [TEAM], "export_refs": [TEAM]})

    assert setting == ("cache.export_refs" if request_of is export else "cache.import_refs")
    assert f"allowed: {TEAM}" in said


@EITHER
def test_a_reference_that_is_listed_passes_in_any_spelling(request_of: Any) -> None:
    for ref in ("registry.example.com/cache/team/app", "REGISTRY.example.com/cache/team/app:main"):
        judged(request_of("registry", {"ref": ref}), cache={"import_refs": [TEAM], "export_refs": [TEAM]})


@EITHER
def test_a_registry_without_tls_is_refused(request_of: Any) -> None:
    attrs = {"ref": "registry.example.com/cache", "registry.insecure": "true"}

    assert refusal(request_of("registry", attrs))[0] == "cache.insecure"
    judged(request_of("registry", attrs), cache={"insecure": True})
    judged(request_of("registry", {**attrs, "registry.insecure": "false"}))


def test_what_the_deprecated_fields_say_is_judged_too() -> None:
    ref = "registry.example.com/cache/other/app"
    imported = control(cache=cache_options(older=text(2, "registry.example.com/cache/team/app") + text(2, ref)))
    exported = control(cache=cache_options(older=text(1, ref)))
    insecure = control(cache=cache_options(older=text(1, "x") + pairs(3, {"registry.insecure": "true"})))

    assert refusal(imported, cache={"import_refs": [TEAM]})[0] == "cache.import_refs"
    assert refusal(imported, cache={"imports": []})[0] == "cache.imports"
    assert refusal(exported, cache={"export_refs": [TEAM]})[0] == "cache.export_refs"
    assert refusal(exported, cache={"exports": []})[0] == "cache.exports"
    assert refusal(insecure)[0] == "cache.insecure"


@pytest.mark.parametrize("request_of", [control, bridge])
def test_the_older_attribute_is_a_list_of_references(request_of: Any) -> None:
    request = request_of(attrs={"cache-from": "registry.example.com/cache/team/app,evil/cache"})

    judged(request)

    assert refusal(request, cache={"import_refs": [TEAM]})[0] == "cache.import_refs"
    assert refusal(request, cache={"imports": []})[0] == "cache.imports"


@pytest.mark.parametrize("request_of", [control, bridge])
@pytest.mark.parametrize(
    "said",
    [
        "{",
        "{}",
        "[[]]",
        '["registry"]',
        '[{"type": "registry"}]',
        '[{"Type": "registry", "TYPE": "s3"}]',
        '[{"Type": "registry", "Type": "s3"}]',
        '[{"Type": "registry", "Attrs": {"ref": "a", "ref": "b"}}]',
        '[{"Type": "registry", "Attr\u017f": {}}]',
        '[{"Type": 1}]',
        '[{"Type": "registry", "Attrs": {"ref": 1}}]',
        '[{"Type": "registry", "Attrs": []}]',
        '[{"Type": "registry", "Attrs": "ref"}]',
        "[null]",
        "[" * 60_000,
        json.dumps([{"Type": "registry"}] * 10_000),
    ],
    ids=range(16),
)
def test_json_that_clients_do_not_write_cannot_be_read(request_of: Any, said: str) -> None:
    with pytest.raises(WireError, match="the attribute cache-imports "):
        judged(request_of(attrs={"cache-imports": said}))


@pytest.mark.parametrize("said", ["", "[]", '[{"Type": "local"}]', '[{"Type": "local", "Attrs": null}]'])
def test_json_that_names_nothing_to_refuse_passes(said: str) -> None:
    judged(control(attrs={"cache-imports": said}))


KEYS = {"access_key_id": "x", "secret_access_key": "y"}
EXACT = ["farm/team/blobs/", "farm/team/manifests/"]
BUCKET = {"imports": ["s3", "azblob"], "exports": ["s3", "azblob"], "buckets": ["farm/team/**", "public/*"]}


@EITHER
def test_a_bucket_must_be_listed_down_to_where_things_are_put(request_of: Any) -> None:
    for attrs in (
        {"bucket": "farm", "prefix": "team/"},
        {"bucket": "farm", "prefix": "team/", "name": "a;b", "region": "eu-west-1"},
        {"bucket": "farm", "manifests_prefix": "team/m/", "blobs_prefix": "team/b/"},
    ):
        judged(request_of("s3", {**KEYS, **attrs}), cache=BUCKET)
    for attrs in (
        {},
        {"prefix": "team/"},
        {"bucket": "other", "prefix": "team/"},
        {"bucket": "farm"},
        {"bucket": "farm", "prefix": "team2/"},
        {"bucket": "farm", "prefix": "team"},
        {"bucket": "farm", "prefix": "team/../other/"},
        {"bucket": "farm", "prefix": "team/", "name": "a;../../other"},
        {"bucket": "farm", "prefix": "team/", "blobs_prefix": "../other/"},
        {"bucket": "farm", "manifests_prefix": "team/m/"},
    ):
        assert refusal(request_of("s3", {**KEYS, **attrs}), cache=BUCKET)[0] == "cache.buckets"
    assert refusal(request_of("s3", {"bucket": "farm"}), cache={**BUCKET, "buckets": []})[0] == "cache.buckets"


@EITHER
def test_parts_of_a_container_s_path_are_parts_of_a_path(request_of: Any) -> None:
    rules = {**BUCKET, "endpoints": ["https://*.blob.core.windows.net/**"]}
    attrs = {"account_url": "https://farm.blob.core.windows.net", "secret_access_key": "y", "container": "farm"}

    for prefix in ("team", "team/"):
        judged(request_of("azblob", {**attrs, "prefix": prefix}), cache=rules)
        judged(request_of("azblob", {**attrs, "prefix": prefix}), cache={**rules, "buckets": EXACT})
    judged(request_of("azblob", attrs), cache={**rules, "buckets": ["farm/blobs/", "farm/manifests/"]})
    for prefix in ("team2", "", "team/../other"):
        assert refusal(request_of("azblob", {**attrs, "prefix": prefix}), cache=rules)[0] == "cache.buckets"
    assert refusal(request_of("azblob", {**attrs, "prefix": "team", "account_url": ""}), cache=rules)[0] == (
        "cache.endpoints"
    )


@EITHER
def test_the_daemon_s_own_identity_in_a_cloud_is_not_lent(request_of: Any) -> None:
    place = {"bucket": "farm", "prefix": "team/"}

    for keys in ({}, {"access_key_id": "x"}, {"secret_access_key": "y"}, {**KEYS, "secret_access_key": ""}):
        request = request_of("s3", {**place, **keys})
        assert refusal(request, cache=BUCKET)[0] == "cache.daemon_credentials"
        judged(request, cache={**BUCKET, "daemon_credentials": True})


@EITHER
@pytest.mark.parametrize("region", ["", "eu-west-1.evil.example.com", "evil.example.com/#", "EU"])
def test_a_region_becomes_part_of_a_host_s_name_and_is_judged(request_of: Any, region: str) -> None:
    attrs = {**KEYS, "bucket": "farm", "prefix": "team/", "region": region}

    assert refusal(request_of("s3", attrs), cache=BUCKET)[0] == "cache.endpoints"


@EITHER
@pytest.mark.parametrize("key", ["url", "url_v2", "endpoint_url", "account_url"])
@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "https://evil.example.com/",
        "https://evil.example.com/x.actions.githubusercontent.com/",
        "https://user@results-receiver.actions.githubusercontent.com/",
        "https://x.actions.githubusercontent.com@evil.example.com/",
        "https://x.actions.githubusercontent.com:443@evil.example.com/",
        "https://x.actions.githubusercontent.com\\@evil.example.com/",
        "https://x.actions.githubusercontent.com/../x",
        "https://x.actions.githubusercontent.com/#@evil",
        "http://x.actions.githubusercontent.com/",
        "https://*.actions.githubusercontent.com/",
        "//x.actions.githubusercontent.com/",
    ],
)
def test_a_url_that_is_not_listed_is_refused(request_of: Any, key: str, url: str) -> None:
    assert refusal(request_of("gha", {key: url, "token": "t"}))[0] == "cache.endpoints"


@EITHER
def test_github_s_own_cache_is_listed_and_without_endpoints_nothing_is(request_of: Any) -> None:
    for url in (
        "https://results-receiver.actions.githubusercontent.com/",
        "https://acghubeus1.actions.githubusercontent.com",
        "https://acghubeus1.actions.githubusercontent.com/AbC123/",
    ):
        judged(request_of("gha", {"url": url, "token": "t"}))
        assert refusal(request_of("gha", {"url": url}), cache={"endpoints": []})[0] == "cache.endpoints"
    judged(request_of("gha", {"url": "", "token": "t"}), cache={"endpoints": []})


def test_a_pattern_of_urls_names_a_host_and_a_path() -> None:
    for url in ("https://minio.example.com", "ftp://x/", "https://a@b/", "**"):
        with pytest.raises(ValueError, match="not a pattern of URLs"):
            Config.model_validate({"endpoints": [url]})


@IMPORT
def test_nothing_of_a_cache_is_said_to_the_log(request_of: Any) -> None:
    _, said = refusal(request_of("gha", {"url": "https://evil.example.com/secret", "token": "hunter2"}))

    assert "hunter2" not in said
    assert "secret" not in said
