"""What each path answers, over real sockets and TLS."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.caller import Kind
from proxy.edge.api.application import ENDPOINTS
from proxy.edge.api.description import DESCRIPTION
from proxy.events import ApiAnswered, CertificateIssued, Endpoint, RevocationsTaken
from proxy.identity.issued import Name, read_uri
from proxy.issuer.records import Target
from proxy.limits.tenant import Limits
from proxy.reasons import Reason
from proxy.store.interface import StoreAway
from proxy.units import SECOND_NS
from tests.helpers.apidoor import JOBS, ApiDoor, Response, api_door, request
from tests.helpers.certificates import Issued
from tests.helpers.issuing import DOMAIN, issued_by, new_request

KEY = ec.generate_private_key(ec.SECP256R1())
REQUEST = new_request(KEY)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiDoor]:
    with api_door(tmp_path_factory.mktemp("api")) as running:
        yield running


def reason_of(response: Response, reason: Reason) -> Response:
    """Check that a refusal is said in the one form."""
    assert response.error["code"] == f"KG-{reason.number}"
    assert response.status == reason.http_status
    assert response.headers["content-type"] == "application/json"
    assert set(response.error) == {"code", "message", "ref"}
    return response


def issued_for(door: ApiDoor, token: str) -> Issued:
    """Exchange a token; return what came of it with its key."""
    response = door.post(REQUEST, token=token)
    assert response.status == 200, response.body
    leaf, *above = x509.load_pem_x509_certificates(response.body)
    return Issued(leaf, KEY, tuple(above))


# --- certificates ---------------------------------------------------------------------------


def test_a_token_is_exchanged_for_a_certificate_that_this_door_accepts(door: ApiDoor) -> None:
    mine = issued_for(door, door.token())

    told = json.loads(door.get("/v1/whoami", shown=mine).body)

    assert told | {"until": None} == {
        "subject": "alice@example.com",
        "tenant": "payments",
        "role": "builder",
        "policy": "default",
        "kind": "person",
        "method": "issued",
        "rule": "person/all",
        "until": None,
    }
    assert told["until"] == mine.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_certificate_comes_as_a_chain_and_is_told_with_its_serial(door: ApiDoor) -> None:
    before = len(door.heard(CertificateIssued))
    response = door.post(REQUEST, token=door.token(JOBS, jti="chain"))
    leaf, *above = x509.load_pem_x509_certificates(response.body)
    [name] = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    issued = door.wait(CertificateIssued, before + 1)[-1]

    assert response.headers["content-type"] == "application/pem-certificate-chain"
    assert above == [door.issuing.certificate]
    assert read_uri(DOMAIN, name.value) == Name("payments", Kind.CI, "alice@example.com")
    assert (issued.serial, issued.kind) == (f"{leaf.serial_number:x}", Kind.CI)
    assert leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(hours=1, seconds=1)


def test_a_job_s_token_counts_once(door: ApiDoor) -> None:
    token = door.token(JOBS, jti="once")
    issued_for(door, token)

    again = door.post(REQUEST, token=token)

    reason_of(again, Reason.TOKEN_USED)
    assert again.headers["www-authenticate"] == 'Bearer realm="kilngate", error="invalid_token"'


def test_a_refused_exchange_does_not_use_the_token_up(door: ApiDoor) -> None:
    token = door.token(JOBS, jti="not used up")
    reason_of(door.post(b"no request", token=token), Reason.CSR_UNFIT)

    assert issued_for(door, token)


def test_a_person_s_token_may_be_exchanged_again(door: ApiDoor) -> None:
    token = door.token(jti="again")

    assert issued_for(door, token).certificate.serial_number != issued_for(door, token).certificate.serial_number


@pytest.mark.parametrize(
    "media_type",
    [
        "application/pkcs10",
        "application/x-pem-file",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)
def test_whatever_curl_and_wget_call_the_body_is_taken(door: ApiDoor, media_type: str) -> None:
    assert door.post(REQUEST, f"Content-Type: {media_type}", token=door.token()).status == 200


@pytest.mark.parametrize(
    "field",
    ["Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "Content-Encoding: gzip"],
)
def test_a_body_of_another_kind_is_refused(door: ApiDoor, field: str) -> None:
    reason_of(door.post(REQUEST, field, token=door.token()), Reason.MEDIA_TYPE)


def test_without_a_token_nothing_is_issued(door: ApiDoor) -> None:
    nobody = reason_of(door.post(REQUEST), Reason.NO_CREDENTIALS)

    assert nobody.headers["www-authenticate"] == 'Bearer realm="kilngate"'


def test_a_certificate_does_not_renew_itself(door: ApiDoor) -> None:
    mine = issued_for(door, door.token())

    reason_of(door.post(REQUEST, shown=mine), Reason.TOKEN_NEEDED)


def test_a_certificate_of_another_tenant_beside_the_token_is_refused(door: ApiDoor) -> None:
    other = issued_by(door.issuing, Name("platform", Kind.CI, "robot"))

    reason_of(door.post(REQUEST, token=door.token(), shown=other), Reason.AMBIGUOUS_IDENTITY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_700_000_000, "iat": 1_699_999_000}, Reason.TOKEN_EXPIRED),
        ({"aud": "https://elsewhere.test"}, Reason.TOKEN_WRONG_AUDIENCE),
        ({"iss": "https://stranger.test"}, Reason.TOKEN_UNKNOWN_ISSUER),
        ({"sub": "/" * 900}, Reason.SUBJECT_UNFIT),
    ],
)
def test_a_bad_token_is_refused_with_its_reason(door: ApiDoor, changes: dict[str, object], reason: Reason) -> None:
    response = reason_of(door.post(REQUEST, token=door.token(**changes)), reason)

    assert door.heard(ApiAnswered)[-1].reason is reason
    assert response.error["ref"] == door.heard(ApiAnswered)[-1].call.reference


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer x", "Bearer a.b.c, Bearer d.e.f"])
def test_what_is_no_bearer_token_is_refused(door: ApiDoor, value: str) -> None:
    reason_of(
        door.ask(request("POST", "/v1/certificates", f"Authorization: {value}", body=REQUEST)), Reason.TOKEN_MALFORMED
    )


def test_two_tokens_are_no_token(door: ApiDoor) -> None:
    field = f"Authorization: Bearer {door.token()}"

    reason_of(door.post(REQUEST, field, token=door.token()), Reason.TOKEN_MALFORMED)


# --- who, and how to log in -----------------------------------------------------------------


def test_whoami_knows_a_token(door: ApiDoor) -> None:
    told = json.loads(door.get("/v1/whoami", f"Authorization: Bearer {door.token()}").body)

    assert (told["tenant"], told["method"], told["rule"], told["kind"]) == ("payments", "person", "all", "person")


def test_whoami_says_that_nobody_asks(door: ApiDoor) -> None:
    reason_of(door.get("/v1/whoami"), Reason.NO_CREDENTIALS)


def test_what_everybody_may_know_is_told_to_everybody(door: ApiDoor) -> None:
    assert json.loads(door.get("/v1/login").body) == {"server_names": ["farm.test"]}
    assert door.get("/v1/ca.pem").body == door.root.pem
    assert door.get("/v1/ca.pem").headers["content-type"] == "application/x-pem-file"
    assert json.loads(door.get("/v1/openapi.json").body) == DESCRIPTION
    assert DESCRIPTION["paths"].keys() == ENDPOINTS.keys()


def test_the_script_names_the_farm_as_it_was_reached(door: ApiDoor) -> None:
    here = door.ask(b"GET /v1/setup.sh HTTP/1.1\r\nHost: farm.test:8443\r\n\r\n")

    assert b"farm=${KILNGATE_FARM:-farm.test:8443}\n" in here.body
    assert here.headers["content-type"].startswith("text/x-shellscript")


@pytest.mark.parametrize(
    "host", ["$(reboot)", "a;b", "a b", "`id`", "a'b", 'a"b', "a}b", "a:99999999", "", "a\\b", "-a"]
)
def test_a_host_that_a_shell_could_misread_is_not_put_into_the_script(door: ApiDoor, host: str) -> None:
    response = door.ask(f"GET /v1/setup.sh HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    if response.status == 200:
        assert b"farm=${KILNGATE_FARM:-farm.test}\n" in response.body
    else:
        reason_of(response, Reason.HTTP_MALFORMED)


# --- lists ----------------------------------------------------------------------------------


def test_a_revoked_certificate_is_refused_and_listed(door: ApiDoor) -> None:
    mine = issued_for(door, door.token(sub="leaver"))
    serial = mine.certificate.serial_number
    before = x509.load_der_x509_crl(door.get("/v1/crl").body)
    assert door.get("/v1/whoami", shown=mine).status == 200

    door.do(lambda: door.store.revoke(Target(serial=serial), now_ns=int(datetime.now(UTC).timestamp() * SECOND_NS)))
    door.wait(RevocationsTaken)

    reason_of(door.get("/v1/whoami", shown=mine), Reason.CERTIFICATE_REVOKED)
    after = x509.load_der_x509_crl(door.get("/v1/crl").body)
    assert before.get_revoked_certificate_by_serial_number(serial) is None
    assert after.get_revoked_certificate_by_serial_number(serial) is not None
    assert after.is_signature_valid(door.issuing.certificate.public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "field", "media_type"),
    [
        ("/v1/crl", "X: y", "application/pkix-crl"),
        ("/v1/crl?format=der", "Accept: application/x-pem-file", "application/pkix-crl"),
        ("/v1/crl", "Accept: application/x-pem-file", "application/x-pem-file"),
        ("/v1/crl?format=pem", "X: y", "application/x-pem-file"),
    ],
)
def test_a_list_comes_in_the_form_that_was_asked_for(door: ApiDoor, path: str, field: str, media_type: str) -> None:
    response = door.get(path, field)
    read = x509.load_pem_x509_crl if media_type.endswith("file") else x509.load_der_x509_crl

    assert response.headers["content-type"] == media_type
    assert read(response.body).issuer == door.issuing.certificate.subject


@pytest.mark.parametrize("query", ["format=xml", "format=", "form=pem", "format=pem&x=1"])
def test_a_query_that_means_nothing_is_refused(door: ApiDoor, query: str) -> None:
    reason_of(door.get(f"/v1/crl?{query}"), Reason.HTTP_MALFORMED)


# --- paths and methods ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/certificates/", "/v2/whoami", "/v1/../v1/whoami", "//v1/whoami"]
)
def test_what_is_not_there_is_told_with_what_this_is(door: ApiDoor, path: str) -> None:
    response = reason_of(door.get(path), Reason.PATH_UNKNOWN)

    assert "docker buildx" in response.error["message"]
    assert door.heard(ApiAnswered)[-1].endpoint is Endpoint.UNKNOWN


@pytest.mark.parametrize("path", ENDPOINTS)
def test_each_path_takes_its_own_methods(door: ApiDoor, path: str) -> None:
    right = "POST" if path == "/v1/certificates" else "GET"
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {right}:
        response = reason_of(door.ask(request(method, path)), Reason.HTTP_METHOD)

        assert right in response.headers["allow"].split(", ")
        assert door.heard(ApiAnswered)[-1].endpoint is ENDPOINTS[path]


@pytest.mark.parametrize("path", ["/v1/login", "/v1/nothing", "/v1/whoami"])
def test_nobody_keeps_an_answer_or_runs_anything_in_it(door: ApiDoor, path: str) -> None:
    headers = door.get(path, "Origin: https://evil.test", "Cookie: a=b").headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["server"] == "kilngate"
    assert not any(name.startswith("access-control") or name == "set-cookie" for name in headers)


def test_one_connection_carries_one_request(door: ApiDoor) -> None:
    assert door.get("/v1/login", "Connection: keep-alive").headers["connection"] == "close"


# --- what can go wrong on our side ----------------------------------------------------------


def test_without_an_issuer_nothing_is_issued_and_the_rest_is_answered(tmp_path: Path) -> None:
    with api_door(tmp_path, is_issuing=False) as door:
        reason_of(door.post(REQUEST, token=door.token()), Reason.ISSUER_OFF)
        reason_of(door.get("/v1/crl"), Reason.ISSUER_OFF)
        assert door.get("/v1/whoami", f"Authorization: Bearer {door.token()}").status == 200


def test_a_store_that_is_away_issues_nothing_and_says_when_to_come_again(
    door: ApiDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreAway("the disk is full")

    monkeypatch.setattr(door.store, "issue", fail)
    response = reason_of(door.post(REQUEST, token=door.token()), Reason.STORE_AWAY)

    assert response.headers["retry-after"] == "5"
    assert door.heard(ApiAnswered)[-1].detail == "the disk is full"
    assert "disk" not in response.error["message"]


def test_a_tenant_over_its_limit_is_told_when_to_come_again(tmp_path: Path) -> None:
    with api_door(tmp_path, limits=Limits(calls_per_second=0.01, burst=1)) as door:
        door.farm.world.limits.admit_call("payments", now_ns=0)
        door.get("/v1/whoami", f"Authorization: Bearer {door.token()}")
        response = reason_of(door.get("/v1/whoami", f"Authorization: Bearer {door.token()}"), Reason.RATE_LIMITED)

        assert 1 <= int(response.headers["retry-after"]) <= 100


def test_without_an_audit_log_nobody_is_served(door: ApiDoor) -> None:
    door.farm.is_audited = False
    try:
        reason_of(door.post(REQUEST, token=door.token()), Reason.AUDIT_UNWRITABLE)
    finally:
        door.farm.is_audited = True


def test_what_a_request_held_of_its_tenant_is_given_back(door: ApiDoor) -> None:
    issued_for(door, door.token())
    reason_of(door.post(b"", token=door.token()), Reason.CSR_UNFIT)

    assert door.farm.counted.in_use == {}


def test_a_fault_of_our_own_is_told_without_what_it_held(door: ApiDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("secret")

    monkeypatch.setattr(door.desk, "issue", fail)
    response = reason_of(door.post(REQUEST, token=door.token()), Reason.INTERNAL)

    assert b"secret" not in response.body
    assert isinstance(door.farm.bugs.pop(), LookupError)
