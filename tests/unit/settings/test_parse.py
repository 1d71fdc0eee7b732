"""What an operator is told, mistake by mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.address import UpstreamAddress
from proxy.caller import Kind
from proxy.policy.settings import PolicySettings
from proxy.routing.routes import Standing
from proxy.settings.errors import SettingsErrors
from proxy.settings.parse import parse
from proxy.settings.schema import Settings
from proxy.units import SECOND_NS

# Good settings, in blocks that a test replaces or adds to.
BLOCKS = {
    "listen": "{address: 127.0.0.1:8443}",
    "tls": "{certificate_file: server.pem, key_file: server.key}",
    "tenants": "{payments: {}, platform: }",
    "auth": "[{type: jwt, preset: generic, issuer: https://id.test, audiences: [farm], rules: "
    "[{match: {team: pay}, tenant: payments}]}]",
}

CASES = [
    tuple(line.strip() for line in case.splitlines())
    for case in Path(__file__).with_name("mistakes.txt").read_text().split("\n\n")[1:]
]


def text(**blocks: str) -> bytes:
    return "".join(f"{name}: {block}\n" for name, block in {**BLOCKS, **blocks}.items() if block).encode()


def settings(**blocks: str) -> Settings:
    return parse(text(**blocks), file="kilngate.yaml")


def told(octets: bytes) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        parse(octets, file="kilngate.yaml")
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


def told_of(**blocks: str) -> list[str]:
    """Return what is told of the blocks, without file and place."""
    return [line.split(": ", 1)[1] for line in told(text(**blocks))]


ISSUED = "[{type: mtls, ca_file: ca.pem, issued: true}]"
FILES = "authorities: [{certificate_file: a, key_file: b}]"


@pytest.mark.parametrize(
    ("issuer", "what"),
    [
        (f"{{{FILES}}}", "issuer.trust_domain: the key is missing; expected a value"),
        (
            f"{{trust_domain: Farm.test, {FILES}}}",
            "issuer.trust_domain: not in the right form (got 'Farm.test'); "
            "expected the pattern ^[a-z0-9][a-z0-9.-]{0,252}$",
        ),
        (
            "{trust_domain: farm.test, authorities: []}",
            "issuer.authorities: too few values; expected at least 1",
        ),
        (
            "{trust_domain: farm.test, authorities: [{certificate_file: a}]}",
            "issuer.authorities.0.key_file: the key is missing; expected a value",
        ),
        (
            f"{{trust_domain: farm.test, {FILES}, lifetimes: {{person: 48h}}}}",
            "issuer.lifetimes.person: out of range (got '48h'); expected at most 1d",
        ),
        (
            f"{{trust_domain: farm.test, {FILES}, lifetimes: {{ci: 1m}}}}",
            "issuer.lifetimes.ci: out of range (got '1m'); expected at least 5m",
        ),
        (
            f"{{trust_domain: farm.test, {FILES}, key: c}}",
            "issuer.key: unknown key; secrets are read from files: expected a *_file key",
        ),
    ],
)
def test_a_mistake_in_the_block_issuer_says_what_was_expected(issuer: str, what: str) -> None:
    assert told_of(auth=ISSUED, issuer=issuer) == [what]


def test_an_issuer_has_lifetimes_by_the_kind_of_caller() -> None:
    read = settings(auth=ISSUED, issuer=f"{{trust_domain: farm.test, {FILES}, lifetimes: {{ci: 30m}}}}").issuer

    assert read is not None
    hours = {kind: read.lifetimes.of(kind) / SECOND_NS / 3600 for kind in Kind}
    assert hours == {Kind.CI: 0.5, Kind.PERSON: 12, Kind.MACHINE: 1}


def test_an_issuer_that_forgets_or_that_nobody_can_ask_is_warned_of() -> None:
    issuer = f"{{trust_domain: farm.test, {FILES}}}"
    rules = "[{type: mtls, ca_file: ca.pem, rules: [{match: {uri: a}, tenant: payments}]}]"
    warnings = settings(auth=rules, issuer=issuer).warnings()

    assert [warning.split(":")[0] for warning in warnings] == ["issuer", "issuer", "issuer", "tenants.platform"]
    assert not any("issuer" in warning for warning in settings().warnings())


def test_good_settings_are_read_with_their_defaults() -> None:
    read = settings()

    assert read.listen.address.port == 8443
    assert read.listen.handshake_timeout == 10 * SECOND_NS
    assert read.upstream.address.path == "/run/buildkit/buildkitd.sock"
    assert list(read.tenants) == ["payments", "platform"]
    assert read.auth[0].rules[0].tenant == "payments"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    file = b"""\
listen: {address: 0.0.0.0:8443, handshake_timeout: 1d}
tls:
  certificate_file: a.pem
  min_version: 1.3
  strikt: true
tenants: {payments: }
auth:
  - type: jwt
    preset: githubb
    rules:
      - match: {team: 12}
        tenant: paiments
  - type: mtlz
log: {format: jsn}
log: {}
"""

    assert told(file) == [
        "kilngate.yaml:1:52: listen.handshake_timeout: out of range (got '1d'); expected at most 5m",
        "kilngate.yaml:2:1: tls.key_file: the key is missing; expected a value",
        "kilngate.yaml:4:16: tls.min_version: unknown value (got 1.3); "
        "expected '1.2' or '1.3'; put it in quotes: \"1.3\"",
        "kilngate.yaml:5:3: tls.strikt: unknown key; did you mean 'strict'?",
        "kilngate.yaml:8:5: auth.0.audiences: the key is missing; expected a value",
        "kilngate.yaml:9:13: auth.0.preset: unknown value (got 'githubb'); "
        "expected 'github', 'gitlab', 'kubernetes' or 'generic'; did you mean 'github'?",
        'kilngate.yaml:11:23: auth.0.rules.0.match.team: write the value in quotes: "12" (got 12)',
        "kilngate.yaml:12:17: auth.0.rules.0.tenant: unknown tenant (got 'paiments'); did you mean 'payments'?",
        "kilngate.yaml:13:5: auth.1: unknown type (got 'mtlz'); expected 'jwt', 'mtls'; did you mean 'mtls'?",
        "kilngate.yaml:15:1: log: the key stands here and in line 14; expected once",
    ]


def test_what_follows_from_a_mistake_told_already_is_not_told() -> None:
    assert told_of(log="{format: &x text}", drain="{timeout: *x}") == [
        "log.format: an anchor (&x); write the value out",
        "drain.timeout: an alias (*x); write the value out",
    ]


@pytest.mark.parametrize("octets", [b"", b"# only a comment\n", b"---\n"])
def test_an_empty_file_is_told_so(octets: bytes) -> None:
    assert told(octets) == ["kilngate.yaml:1:1: the file is empty; expected settings"]


def test_a_file_that_is_a_list_is_told_so() -> None:
    assert told(b"- a\n") == ["kilngate.yaml:1:1: wrong kind of value (got a list); expected keys and values"]


def test_a_file_that_is_not_yaml_is_told_where_reading_stopped() -> None:
    assert told(b"a: [1\nb: 2\n") == ["kilngate.yaml:2:2: not YAML: expected ',' or ']', but got ':'"]


def test_tabs_are_told_alone() -> None:
    assert told(b"a:\n\tb: 1\n") == ["kilngate.yaml:2:1: a tab; expected spaces"]


@pytest.mark.parametrize(("block", "what"), CASES, ids=[block for block, _ in CASES])
def test_a_mistake_says_what_is_wrong_and_what_was_expected(block: str, what: str) -> None:
    name, value = block.split(": ", 1)

    assert told_of(**{name: value}) == [what]


@pytest.mark.parametrize(
    "value",
    ["-----BEGIN PRIVATE KEY-----", "eyJhbGciOiJSUzI1NiJ9.e30.x", "x" * 80],
)
def test_what_may_be_a_secret_in_the_wrong_place_is_not_repeated(value: str) -> None:
    assert value not in told_of(log=f"{{format: '{value}'}}")[0]


def test_a_mistake_without_words_of_our_own_is_told_in_pydantics() -> None:
    assert told_of(audit=f"{{file: {'x' * 5000}}}") == ["audit.file: string should have at most 4096 characters"]


def test_the_value_of_a_key_named_like_a_secret_is_not_repeated() -> None:
    auth = BLOCKS["auth"].replace("rules:", "jwks: {bearer_token_file: 123456}, rules:")

    assert told_of(auth=auth)[0].startswith("auth.0.jwks.bearer_token_file: wrong kind of value; expected text")


def test_file_names_are_relative_to_the_settings_file() -> None:
    read = parse(text(audit="{file: audit.log}"), file="/etc/kilngate/kilngate.yaml")

    assert read.tls.certificate_file == "/etc/kilngate/server.pem"
    assert read.audit.file == "/etc/kilngate/audit.log"


def test_a_tenant_has_the_limits_of_all_where_it_gives_none() -> None:
    read = settings(limits="{burst: 7, streams: 9}", tenants="{payments: {limits: {burst: 3}}, platform: }")

    assert (read.limits_of("payments").burst, read.limits_of("payments").streams) == (3, 9)
    assert (read.limits_of("platform").burst, read.limits_of("platform").streams) == (7, 9)
    assert read.limits_of("nobody") == read.limits


def test_a_tenant_builds_where_its_pool_is_and_elsewhere_if_it_has_none() -> None:
    read = settings(
        pools="{fast: {url: docker:///fast, wait: 3s}, own: {daemon: {tenants_each: true}}, all: {daemon: {}}}",
        tenants="{payments: {pool: fast}, a: {pool: own}, b: {pool: own}, c: {pool: all}, platform: }",
    )
    fast = Standing(UpstreamAddress("docker", "/fast"), 3 * SECOND_NS, "0.12.5")

    assert read.routes.of("payments") == fast
    assert read.routes.of("platform") == read.upstream.standing
    assert read.daemons.standing == (fast, read.upstream.standing)
    assert [each.name for each in read.daemons.on_demand] == [("own", "a"), ("own", "b"), ("all", "")]


def test_good_settings_have_no_warnings() -> None:
    assert settings(tenants="{payments: }").warnings() == []


def test_what_is_perhaps_not_meant_is_a_warning() -> None:
    read = settings(
        admin="{address: 0.0.0.0:9464}",
        tls="{certificate_file: a, key_file: b, strict: true}",
        tenants="{payments: , x: }",
        pools="{spare: {url: unix:///spare}}",
        policies="{strict: {}, default: {frontends: {syntax_line: follow}}}",
    )

    assert read.warnings() == [
        "admin.address: whoever reaches 0.0.0.0:9464 reads the metrics of all tenants",
        "tls.strict: callers with a token but no certificate are turned away in the handshake",
        "tenants.x: no rule maps anybody to this tenant",
        "pools.spare: no tenant builds here",
        "policies.strict: nobody's builds are judged by it",
        "policies.default.frontends.syntax_line: any image that a Dockerfile names can make the definition",
    ]


def test_a_rule_has_its_own_policy_else_its_tenant_s_else_the_default() -> None:
    read = settings(
        policies="{strict: , loose: {exporters: {insecure: true}}}",
        tenants="{payments: {policy: strict}, platform: }",
        auth="[{type: mtls, ca_file: a, rules: [{match: {uri: a}, tenant: payments}, "
        "{match: {uri: b}, tenant: payments, policy: loose}, {match: {uri: c}, tenant: platform}]}]",
    )

    assert [rule.policy for rule in read.methods()[0].rules] == ["strict", "loose", "default"]
    assert [rule.policy for rule in read.auth[0].rules] == [None, "loose", None]
    assert list(read.all_policies()) == ["default", "strict", "loose"]
    assert read.all_policies()["strict"] == read.all_policies()["default"] == PolicySettings()


@given(st.dictionaries(st.sampled_from([*BLOCKS, "log", "limits", "x"]), st.text(alphabet="ab:1, {}[]", max_size=12)))
def test_any_file_is_settings_or_told_mistakes(blocks: dict[str, str]) -> None:
    try:
        found: object = settings(**blocks).tls
    except SettingsErrors as errors:
        found = errors.mistakes

    assert found
