from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.identity.tokens.claims import Expectations, check_audience, check_subject, check_times, check_type
from proxy.reasons import Reason
from proxy.units import SECOND_NS

NOW = 1_800_000_000
NOW_NS = NOW * SECOND_NS
HOUR = 3600
EXPECTED = Expectations(
    audiences=("us", "also-us"),
    refuses_extra_audiences=True,
    types=("jwt", "at+jwt"),
    max_lifetime_ns=24 * HOUR * SECOND_NS,
    leeway_ns=60 * SECOND_NS,
)


def refusal(claims: dict[str, object]) -> Refused:
    with pytest.raises(Refused) as raised:
        check_times(claims, EXPECTED, now_wall_ns=NOW_NS)
    return raised.value


def outcome(claims: dict[str, object], now_wall_ns: int) -> Reason | None:
    try:
        check_times(claims, EXPECTED, now_wall_ns=now_wall_ns)
    except Refused as refused:
        return refused.reason
    return None


def test_a_token_holds_until_its_end_and_the_leeway() -> None:
    until_ns = check_times({"iat": NOW - 10, "exp": NOW + 300}, EXPECTED, now_wall_ns=NOW_NS)

    assert until_ns == (NOW + 360) * SECOND_NS


@given(st.integers(1, 24 * HOUR), st.integers(-30 * HOUR, 30 * HOUR))
@example(HOUR, -61)
@example(HOUR, -60)
@example(HOUR, HOUR + 59)
@example(HOUR, HOUR + 60)
def test_a_token_is_good_from_leeway_before_its_begin_to_just_before_leeway_after_its_end(life: int, at: int) -> None:
    reason = outcome({"iat": NOW, "exp": NOW + life}, (NOW + at) * SECOND_NS)

    if -60 <= at < life + 60:
        assert reason is None
    else:
        assert reason is (Reason.TOKEN_NOT_YET_VALID if at < 0 else Reason.TOKEN_EXPIRED)


def test_the_ends_are_exact_to_the_nanosecond() -> None:
    claims: dict[str, object] = {"iat": NOW - 100, "exp": NOW - 60}

    assert check_times(claims, EXPECTED, now_wall_ns=NOW_NS - 1) == NOW_NS
    assert refusal(claims).reason is Reason.TOKEN_EXPIRED


def test_an_expired_token_says_for_how_long() -> None:
    refused = refusal({"iat": NOW - HOUR, "exp": NOW - 4 * 60})

    assert refused.public_text("r") == ("[KG-121] the token expired 4 min ago. Ask your issuer for a fresh one (ref r)")


@pytest.mark.parametrize("claims", [{"iat": NOW + 180}, {"iat": NOW, "nbf": NOW + 180}])
def test_a_token_from_the_future_says_how_far(claims: dict[str, object]) -> None:
    refused = refusal({**claims, "exp": NOW + HOUR})

    assert refused.reason is Reason.TOKEN_NOT_YET_VALID
    assert "valid only in 3 min" in refused.public_text("r")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iat": NOW}, id="no exp"),
        pytest.param({"exp": NOW + 10}, id="no iat"),
        pytest.param({"iat": NOW, "exp": str(NOW + 10)}, id="exp as text"),
        pytest.param({"iat": NOW, "exp": NOW + 10.5}, id="exp with a fraction"),
        pytest.param({"iat": NOW, "exp": 1e300}, id="exp beyond any calendar"),
        pytest.param({"iat": NOW, "exp": 10**30}, id="exp beyond arithmetic"),
        pytest.param({"iat": NOW, "exp": True}, id="exp is true"),
        pytest.param({"iat": NOW, "exp": None}, id="exp is null"),
        pytest.param({"iat": NOW, "exp": [NOW + 10]}, id="exp is a list"),
        pytest.param({"iat": 0, "exp": NOW + 10}, id="iat is 0"),
        pytest.param({"iat": -1, "exp": NOW + 10}, id="iat is negative"),
        pytest.param({"iat": str(NOW), "exp": NOW + 10}, id="iat as text"),
        pytest.param({"iat": NOW, "exp": NOW + 10, "nbf": "0"}, id="nbf as text"),
        pytest.param({"iat": NOW, "exp": NOW + 10, "nbf": None}, id="nbf is null"),
        pytest.param({"iat": NOW, "exp": NOW}, id="no life at all"),
        pytest.param({"iat": NOW, "exp": NOW - 10}, id="ends before it begins"),
        pytest.param({"iat": NOW - 20, "nbf": NOW + 10, "exp": NOW + 10}, id="ends when it begins"),
        pytest.param({"iat": NOW, "exp": NOW + 24 * HOUR + 1}, id="lives too long"),
        pytest.param({"iat": NOW - 10, "exp": NOW + 31_536_000}, id="a year, as Kubernetes' default"),
        pytest.param({"iat": 1, "exp": NOW + 10}, id="issued in 1970"),
    ],
)
def test_times_that_are_not_times_are_refused(claims: dict[str, object]) -> None:
    assert refusal(claims).reason is Reason.TOKEN_CLAIMS


def test_no_calendar_reaches_further_than_the_year_9999() -> None:
    last = 253_402_300_799
    claims: dict[str, object] = {"iat": last - HOUR, "exp": last}

    assert check_times(claims, EXPECTED, now_wall_ns=(last - 1) * SECOND_NS) == (last + 60) * SECOND_NS
    assert refusal({**claims, "exp": last + 1}).reason is Reason.TOKEN_CLAIMS


def test_a_token_may_live_exactly_as_long_as_allowed() -> None:
    assert check_times({"iat": NOW, "exp": NOW + 24 * HOUR}, EXPECTED, now_wall_ns=NOW_NS)


@pytest.mark.parametrize("audience", ["us", ["us"], ["us", "also-us"], ["us", "us"]])
def test_a_token_for_us_alone_passes(audience: object) -> None:
    check_audience({"aud": audience}, EXPECTED)


@pytest.mark.parametrize(
    "audience", [None, "", "US", "us ", "us,also-us", [], [""], [["us"]], {"us": 1}, 1, True, "them", ["them"]]
)
@pytest.mark.parametrize("refuses_extra", [True, False])
def test_a_token_that_is_not_for_us_is_refused_with_the_audience_to_ask_for(
    audience: object, refuses_extra: bool
) -> None:
    expected = replace(EXPECTED, refuses_extra_audiences=refuses_extra)
    with pytest.raises(Refused) as raised:
        check_audience({"aud": audience}, expected)

    assert raised.value.reason is Reason.TOKEN_WRONG_AUDIENCE
    assert raised.value.detail == "our audience is not in it"
    assert "Ask your issuer for audience us (" in raised.value.public_text("r")


@pytest.mark.parametrize("audience", [["us", "them"], ["them", "us"], ["us", 1]])
def test_a_token_for_others_too_passes_only_if_that_is_allowed(audience: object) -> None:
    check_audience({"aud": audience}, replace(EXPECTED, refuses_extra_audiences=False))
    with pytest.raises(Refused) as raised:
        check_audience({"aud": audience}, EXPECTED)

    assert raised.value.reason is Reason.TOKEN_WRONG_AUDIENCE
    assert raised.value.detail == "it is meant for others too"


def test_a_token_without_aud_is_refused() -> None:
    with pytest.raises(Refused, match="token-wrong-audience"):
        check_audience({}, EXPECTED)


@pytest.mark.parametrize("type_", [None, "JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_an_access_or_identity_token_passes(type_: str | None) -> None:
    check_type(type_, EXPECTED)


@pytest.mark.parametrize("type_", ["logout+jwt", "dpop+jwt", "", "application/", "jose"])
def test_a_token_of_another_kind_is_refused(type_: str) -> None:
    with pytest.raises(Refused) as raised:
        check_type(type_, EXPECTED)

    assert raised.value.reason is Reason.TOKEN_CLAIMS


def test_the_subject_is_a_text() -> None:
    assert check_subject({"sub": "s" * 1024}) == "s" * 1024
    assert check_subject({"sub": "s"}) == "s"


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": None}, {"sub": 7}, {"sub": ["a"]}, {"sub": "s" * 1025}])
def test_a_token_without_a_subject_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(Refused) as raised:
        check_subject(claims)

    assert raised.value.reason is Reason.TOKEN_CLAIMS
