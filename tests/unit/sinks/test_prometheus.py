import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy import events as said
from proxy.buildkit.methods import METHODS
from proxy.caller import Kind
from proxy.events import BuildResult, BuildSteps, ConnectionFault, Endpoint, HandshakeResult
from proxy.reasons import Code, Reason
from proxy.sinks import metric_table
from proxy.sinks.prometheus import PrometheusSink, describe
from proxy.sinks.rpc_labels import CODES, METHOD_NAMES
from tests.helpers import told

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def sink(limit: int = 500, *tenants: str) -> PrometheusSink:
    one = PrometheusSink(version="1.2.3", openssl="3.5.1", tenants_limit=limit)
    one(told.settings_loaded(*(tenants or ("payments", "platform"))))
    return one


def samples(one: PrometheusSink) -> Samples:
    families = text_string_to_metric_families(one.render().decode())
    listed = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in listed}
    assert len(found) == len(listed), "a series is there twice"
    return found


def value(one: PrometheusSink, name: str, **labels: str) -> float | None:
    return samples(one).get((name, frozenset(labels.items())))


def tenants_shown(one: PrometheusSink) -> set[str]:
    return {dict(labels)["tenant"] for _, labels in samples(one) if "tenant" in dict(labels)}


def method(path: str) -> dict[str, str]:
    _, service, name = path.split("/")
    return {"grpc_type": "unary", "grpc_service": service, "grpc_method": name}


def test_a_call_counts_as_stock_grpc_dashboards_expect() -> None:
    one = sink()
    one(told.call_started())
    one(told.call_ended())

    assert value(one, "grpc_server_started_total", **method(told.SOLVE)) == 1
    assert value(one, "grpc_server_handled_total", **method(told.SOLVE), grpc_code="OK") == 1
    assert value(one, "grpc_server_handling_seconds_sum", **method(told.SOLVE)) == 2
    assert value(one, "grpc_server_handling_seconds_bucket", **method(told.SOLVE), le="2.5") == 1
    assert value(one, "grpc_server_handling_seconds_bucket", **method(told.SOLVE), le="1.0") == 0


def test_a_call_moves_octets_and_opens_a_stream_of_its_tenant() -> None:
    one = sink()
    one(told.call_started())
    one(told.call_started("platform"))
    one(said.CallProgressed(told.CALL, "payments", 1000, 2000))
    one(told.call_ended())

    assert value(one, "kilngate_transfer_bytes_total", tenant="payments", direction="received") == 1100
    assert value(one, "kilngate_transfer_bytes_total", tenant="payments", direction="sent") == 2200
    assert value(one, "kilngate_streams_open", tenant="payments") == 0
    assert value(one, "kilngate_streams_open", tenant="platform") == 1


def test_a_refused_call_counts_by_reason_and_as_a_handled_rpc() -> None:
    one = sink()
    one(told.call_refused(by=told.caller()))
    one(told.call_refused(Reason.NO_CREDENTIALS))

    assert value(one, "kilngate_requests_denied_total", tenant="payments", reason="rate-limited") == 1
    assert value(one, "kilngate_requests_denied_total", tenant="_none", reason="no-credentials") == 1
    assert value(one, "grpc_server_handled_total", **method(told.SOLVE), grpc_code="ResourceExhausted") == 1
    assert value(one, "grpc_server_started_total", **method(told.SOLVE)) == 2


def test_a_call_that_kilngate_ended_counts_by_reason() -> None:
    one = sink()
    one(told.call_started())
    one(told.call_ended(reason=Reason.UPSTREAM_LOST))

    assert value(one, "kilngate_calls_cut_total", tenant="payments", reason="upstream-lost") == 1


def test_what_rules_in_shadow_would_have_refused_is_counted_by_tenant_and_rule() -> None:
    one = sink()
    one(told.policy_shadowed(rule="exporters"))
    one(told.policy_shadowed(rule="exporters"))
    one(told.policy_shadowed(rule="cache"))

    assert value(one, "kilngate_policy_shadowed_total", tenant="payments", rule="exporters") == 2
    assert value(one, "kilngate_policy_shadowed_total", tenant="payments", rule="cache") == 1


def test_a_path_that_is_no_known_method_is_unknown_and_never_a_label() -> None:
    one = sink()
    one(said.CallRefused(told.CALL, None, told.PEER, "unknown", Reason.METHOD_UNKNOWN, ""))
    one(said.CallRefused(told.CALL, None, told.PEER, "/evil/Path", Reason.METHOD_UNKNOWN, ""))
    one(told.call_started(method="/evil/Other"))

    unknown = dict.fromkeys(("grpc_type", "grpc_service", "grpc_method"), "unknown")
    assert value(one, "grpc_server_started_total", **unknown) == 3
    assert b"evil" not in one.render()


def test_builds_count_by_result_with_duration_and_steps() -> None:
    one = sink()
    one(told.build_started())
    one(told.build_started(ref="ref2"))
    one(told.build_ended(steps=BuildSteps(10, 4, 6, 1)))
    in_flight = value(one, "kilngate_builds_in_flight", tenant="payments")
    one(told.build_ended(result=BuildResult.CANCELED, ref="ref2"))

    assert in_flight == 1
    assert value(one, "kilngate_builds_in_flight", tenant="payments") == 0
    assert value(one, "kilngate_builds_total", tenant="payments", result="success") == 1
    assert value(one, "kilngate_builds_total", tenant="payments", result="canceled") == 1
    assert value(one, "kilngate_builds_total", tenant="payments", result="lost") == 0
    assert value(one, "kilngate_build_duration_seconds_count", tenant="payments") == 2
    kinds = {"total": 10, "cached": 4, "completed": 6, "warnings": 1}
    assert {kind: value(one, "kilngate_build_steps_total", tenant="payments", kind=kind) for kind in kinds} == kinds


def test_connections_and_handshakes_count() -> None:
    one = sink()
    one(said.ConnectionOpened(1, told.PEER))
    one(said.ConnectionOpened(2, told.PEER))
    one(said.ConnectionRefused(told.PEER, ConnectionFault.TOO_MANY))
    one(said.HandshakeEnded(1, told.PEER, HandshakeResult.OK, 20_000_000))
    one(said.HandshakeEnded(2, told.PEER, HandshakeResult.TIMED_OUT, 10_000_000_000))
    one(said.ConnectionClosed(2, told.PEER, None, 1, ConnectionFault.HANDSHAKE))

    assert value(one, "kilngate_connections_open") == 1
    assert value(one, "kilngate_connections_refused_total", reason="too-many-connections") == 1
    assert value(one, "kilngate_connections_closed_total", reason="handshake") == 1
    assert value(one, "kilngate_tls_handshakes_total", result="timed-out") == 1
    assert value(one, "kilngate_tls_handshake_seconds_count") == 1


def test_a_connection_that_ends_in_peace_is_closed() -> None:
    one = sink()
    one(said.ConnectionOpened(1, told.PEER))
    one(said.ConnectionClosed(1, told.PEER, "payments", 1, None))

    assert value(one, "kilngate_connections_closed_total", reason="closed") == 1


def test_a_failed_reload_shows_until_one_succeeds() -> None:
    one = sink()
    one(said.ReloadFailed("line 3"))
    failed = value(one, "kilngate_config_last_reload_successful")
    one(told.settings_loaded("payments", generation=2))

    assert failed == 0
    assert value(one, "kilngate_config_last_reload_successful") == 1
    assert value(one, "kilngate_config_last_reload_success_timestamp_seconds") == 5
    assert value(one, "kilngate_config_reloads_total", result="failure") == 1
    assert value(one, "kilngate_config_reloads_total", result="success") == 2
    assert value(one, "kilngate_config_generation_info", hash=f"{2:064x}") == 1
    assert value(one, "kilngate_config_generation_info", hash=f"{1:064x}") is None


def test_answers_of_the_https_api_count_by_path_and_status() -> None:
    one = sink()
    one(said.ApiAnswered(told.CALL, None, told.PEER, Endpoint.LOGIN, 200, 1))
    one(said.ApiAnswered(told.CALL, told.caller(), told.PEER, Endpoint.CERTIFICATES, 401, 1, Reason.TOKEN_USED))
    one(said.ApiAnswered(told.CALL, None, told.PEER, Endpoint.UNKNOWN, 404, 1, Reason.PATH_UNKNOWN))

    assert value(one, "kilngate_api_requests_total", endpoint="login", status="200") == 1
    assert value(one, "kilngate_api_requests_total", endpoint="certificates", status="401") == 1
    assert value(one, "kilngate_requests_denied_total", tenant="payments", reason="token-used") == 1
    assert value(one, "kilngate_requests_denied_total", tenant="_none", reason="path-unknown") == 1


def test_issued_certificates_count_by_tenant_kind_and_authority() -> None:
    one = sink()
    one(said.CertificateIssued(told.CALL, told.caller(), told.PEER, Kind.CI, "7f", "ab", 1))
    one(said.CertificatesCounted((("ab", 2), ("cd", 5))))
    one(said.CertificatesCounted((("ab", 3),)))

    assert value(one, "kilngate_certificates_issued_total", tenant="payments", kind="ci") == 1
    assert value(one, "kilngate_certificates_issued_total", tenant="payments", kind="person") == 0
    assert value(one, "kilngate_certificates_valid", authority="ab") == 3
    assert value(one, "kilngate_certificates_valid", authority="cd") is None


def test_revocations_and_a_store_that_is_away_show() -> None:
    one = sink()
    one(said.RevocationsTaken(4, 1, ("7f",)))
    one(said.StoreChanged(False, "disk full"))

    assert value(one, "kilngate_certificates_revoked") == 4
    assert value(one, "kilngate_store_up") == 0


def test_certificates_and_lists_of_an_earlier_generation_go_with_it() -> None:
    one = sink()
    one(said.CertificateLoaded("ca", "old CA", told.SECOND_NS))
    one(said.CertificateLoaded("server", "farm", 3 * told.SECOND_NS))
    one(said.RevocationListLoaded("old CA", told.SECOND_NS, 0))
    one(told.settings_loaded("payments", generation=2))
    one(said.CertificateLoaded("server", "farm", 9 * told.SECOND_NS))
    one(told.settings_loaded("payments", generation=3))

    name = "kilngate_tls_certificate_not_after_timestamp_seconds"
    assert value(one, name, role="server", subject="farm") == 9
    assert value(one, name, role="ca", subject="old CA") is None
    assert value(one, "kilngate_crl_next_update_timestamp_seconds", issuer="old CA") is None


def test_of_two_authorities_with_one_name_the_sooner_end_shows() -> None:
    one = sink()
    for end in (9, 4, 7):
        one(said.CertificateLoaded("ca", "CA", end * told.SECOND_NS))

    assert value(one, "kilngate_tls_certificate_not_after_timestamp_seconds", role="ca", subject="CA") == 4


def test_issuers_that_the_settings_no_longer_name_go() -> None:
    one = sink()
    for issuer in ("https://a", "https://b"):
        one(said.TokenKeysFetched(issuer, 1, 7 * told.SECOND_NS))
        one(said.TokenKeysFailed(issuer, "503"))
    one(told.settings_loaded("payments", generation=2))
    kept = value(one, "kilngate_jwks_failures_total", issuer="https://b")
    one(told.settings_loaded("payments", generation=3, issuers=("https://a",)))

    assert kept == 1
    assert value(one, "kilngate_jwks_last_success_timestamp_seconds", issuer="https://a") == 7
    assert value(one, "kilngate_jwks_failures_total", issuer="https://b") is None


def test_the_daemon_shows_up_or_down_with_one_version() -> None:
    one = sink()
    one(said.UpstreamChanged("unix:///s", True, "v0.12.5"))
    one(said.UpstreamChanged("unix:///s", False, ""))
    down = value(one, "kilngate_upstream_up", upstream="unix:///s")
    one(said.UpstreamChanged("unix:///s", True, "v0.13.0"))

    assert (down, value(one, "kilngate_upstream_up", upstream="unix:///s")) == (0, 1)
    assert value(one, "kilngate_upstream_info", upstream="unix:///s", version="v0.12.5") is None
    assert value(one, "kilngate_upstream_info", upstream="unix:///s", version="v0.13.0") == 1


def test_a_daemon_that_the_settings_no_longer_use_goes() -> None:
    one = sink()
    for name in ("unix:///a", "unix:///b"):
        one(said.UpstreamChanged(name, True, "v0.31.1"))
    one(told.settings_loaded("payments", generation=2))
    kept = value(one, "kilngate_upstream_up", upstream="unix:///b")
    one(replace(told.settings_loaded("payments", generation=3), upstreams=("unix:///a",)))

    assert kept == value(one, "kilngate_upstream_up", upstream="unix:///a") == 1
    assert value(one, "kilngate_upstream_info", upstream="unix:///a", version="v0.31.1") == 1
    assert value(one, "kilngate_upstream_up", upstream="unix:///b") is None
    assert value(one, "kilngate_upstream_info", upstream="unix:///b", version="v0.31.1") is None


def test_daemons_of_a_pool_are_counted_as_they_come_and_go() -> None:
    one = sink()
    one(replace(told.settings_loaded("payments", generation=2), pools=("own",)))
    before = (
        value(one, "kilngate_daemons_running", pool="own"),
        value(one, "kilngate_daemon_ends_total", pool="own", reason="idle"),
    )
    for tenant in ("payments", "platform"):
        one(said.DaemonStarted("own", tenant, 5 * told.SECOND_NS, 7 * told.SECOND_NS))
    one(said.DaemonEnded("own", "platform", said.DaemonEnd.CRASHED, 1))
    one(said.DaemonNotStarted("own", "platform", "x"))

    assert before == (0, 0)
    assert value(one, "kilngate_daemons_running", pool="own") == 1
    assert value(one, "kilngate_daemon_starts_total", pool="own", result="success") == 2
    assert value(one, "kilngate_daemon_starts_total", pool="own", result="failure") == 1
    assert value(one, "kilngate_daemon_ends_total", pool="own", reason="crashed") == 1
    assert value(one, "kilngate_daemon_start_seconds_sum", pool="own") == 4


def test_faults_of_our_own_count() -> None:
    one = sink()
    for event in (
        said.AuditFailed("full"),
        said.Warned("x"),
        said.SinkFailed("LogSink", "y"),
        said.LoopLagged(2_000_000),
    ):
        one(event)
    one(said.AuditSealed(12, "ab"))

    assert value(one, "kilngate_audit_write_errors_total") == 1
    assert value(one, "kilngate_audit_sealed_records") == 12
    assert value(one, "kilngate_warnings_total") == 1
    assert value(one, "kilngate_sink_errors_total", sink="LogSink") == 1
    assert value(one, "kilngate_event_loop_lag_seconds_bucket", le="0.0025") == 1


def test_tenants_beyond_the_cap_share_a_label_and_that_shows() -> None:
    one = sink(2, "a", "b", "c", "d")
    for tenant in "abcd":
        one(told.call_started(tenant))
        one(told.build_ended(tenant))

    assert tenants_shown(one) == {"a", "b", "_other"}
    assert value(one, "kilngate_metric_tenants_folded") == 2
    assert value(one, "kilngate_builds_total", tenant="_other", result="success") == 2
    assert value(one, "kilngate_streams_open", tenant="_other") == 2


def test_a_tenant_that_no_settings_name_gets_no_label() -> None:
    one = sink()
    one(told.call_started("made-up-by-a-claim"))
    one(told.call_refused(by=told.caller("made-up-by-a-claim")))

    assert tenants_shown(one) == {"payments", "platform", "_other"}


def test_a_tenant_that_was_taken_out_is_scraped_once_more() -> None:
    one = sink()
    one(told.build_started("platform"))
    one(told.build_ended("platform"))
    one(told.settings_loaded("payments", generation=2))
    one(said.LoopLagged(0))
    last = tenants_shown(one)
    one(said.LoopLagged(0))

    assert last == {"payments", "platform"}
    assert tenants_shown(one) == {"payments"}


def test_what_a_leaving_tenant_has_open_comes_to_zero() -> None:
    one = sink()
    one(told.call_started("platform"))
    one(told.settings_loaded("payments", generation=2))
    one.render()
    one(said.LoopLagged(0))
    while_open = value(one, "kilngate_streams_open", tenant="_other")
    one(told.call_ended("platform"))

    assert while_open == 1
    assert value(one, "kilngate_streams_open", tenant="_other") in (None, 0)
    assert value(one, "kilngate_streams_open", tenant="payments") == 0


def test_a_tenant_that_comes_out_of_the_others_takes_nothing_with_it() -> None:
    one = sink(1, "a", "b")
    one(told.call_started("b"))
    one(told.build_ended("b"))
    one(told.settings_loaded("b", generation=2))
    one(told.call_ended("b"))

    assert value(one, "kilngate_streams_open", tenant="b") == 0
    assert value(one, "kilngate_builds_total", tenant="_other", result="success") == 1


def test_a_tenant_that_comes_back_before_the_next_scrape_keeps_its_numbers() -> None:
    one = sink()
    one(told.build_ended("platform"))
    one(told.settings_loaded("payments", generation=2))
    one(told.settings_loaded("payments", "platform", generation=3))
    one.render()
    one(said.LoopLagged(0))

    assert value(one, "kilngate_builds_total", tenant="platform", result="success") == 1


def test_metrics_can_be_rendered_while_events_come_in() -> None:
    one = sink(500, *(f"t{number}" for number in range(50)))
    pages: list[bytes] = []
    faults: list[BaseException] = []

    def scrape() -> None:
        try:
            pages.extend(one.render() for _ in range(10))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=scrape)
    thread.start()
    rounds = 0
    while thread.is_alive() or rounds < 5:
        one(told.settings_loaded(*(f"t{number + rounds % 3}" for number in range(50))))
        for number in range(60):
            one(told.call_started(f"t{number}"))
            one(told.build_ended(f"t{number}"))
            one(told.call_ended(f"t{number}"))
        one(said.LoopLagged(rounds))
        rounds += 1
    thread.join()

    assert faults == []
    assert len(pages) == 10
    assert all(list(text_string_to_metric_families(page.decode())) for page in pages)


@pytest.mark.parametrize("event", told.every_event(), ids=lambda event: type(event).__name__)
def test_every_kind_of_event_is_counted_or_known_to_be_silent(event: said.Event) -> None:
    one = PrometheusSink(version="1", openssl="3")
    before = ours(one)
    one(event)

    assert (ours(one) != before) is not isinstance(event, said.Drained)


def ours(one: PrometheusSink) -> Samples:
    return {key: value for key, value in samples(one).items() if key[0].startswith(("kilngate", "grpc"))}


def test_hostile_names_stay_inside_their_quotes() -> None:
    hostile = 'x"} 1\nkilngate_forged{a="\\' + "\u202e\x1b[2J" + "y" * 5000
    one = sink()
    for event in told.every_event(hostile):
        one(event)

    page = one.render().decode()

    assert "\nkilngate_forged" not in page
    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) < 1000
    assert samples(one)


def test_no_created_series_doubles_what_is_stored() -> None:
    assert b"_created" not in sink().render()


def test_codes_are_spelled_for_each_number() -> None:
    assert len(CODES) == len(Code)
    assert CODES[Code.CANCELLED] == "Canceled"
    for code in Code:
        assert CODES[code].lower().replace("canceled", "cancelled") == code.name.replace("_", "").lower()


def test_every_known_method_has_a_label() -> None:
    assert set(METHOD_NAMES) == {path.decode() for path in METHODS}


def test_the_description_names_every_metric_once_and_teaches() -> None:
    described = describe()

    assert len({name for name, *_ in described}) == len(described)
    assert all(len(text) > 20 and text.endswith((".", "1.")) for *_, text in described)
    assert {name for name, kind, *_ in described if kind == "counter"} == {
        n for n, *_ in described if n.endswith("_total")
    }


def test_the_page_for_the_docs_has_a_row_for_each_metric() -> None:
    page = metric_table.metrics_page()

    assert all(f"| `{name}` | {kind} |" in page for name, kind, *_ in describe())


def test_promtool_finds_nothing_to_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    one = sink()
    for event in told.every_event("text"):
        one(event)
    page = tmp_path / "metrics"
    page.write_bytes(one.render())

    with page.open("rb") as octets:
        checked = subprocess.run(
            [promtool, "check", "metrics"], check=False, stdin=octets, capture_output=True, text=True, timeout=30
        )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
