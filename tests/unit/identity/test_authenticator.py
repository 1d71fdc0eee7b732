from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from proxy.caller import FOREVER_NS, Caller, Role
from proxy.errors import KeysNeeded, Refused
from proxy.identity.authenticator import REMEMBERED_LIMIT, Authenticator
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.reasons import Reason
from tests.helpers.signing import claims, new_key

NOW_NS = 1_800_000_000_000_000_000
REMEMBERED_NS = 60 * 10**9
CERTIFICATE = PresentedCertificate((b"leaf", b"ca"))
BEARER = b"Bearer " + new_key().sign(claims("https://issuer.example.com")).encode()
ALICE = Caller("payments", Role.BUILDER, "alice", "mtls", "people")
ROBOT = Caller("payments", Role.MAINTAINER, "acme/payments@main", "github", "main")


@dataclass
class Answers:
    """A method that answers as told, and counts how often it was asked."""

    name: str
    sees: Callable[[Credentials], object]
    answer: Caller | Exception | None
    asked: list[Credentials] = field(default_factory=list)

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:  # noqa: ARG002
        if not self.sees(shown):
            return None
        self.asked.append(shown)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def check_withdrawn(self, presented: PresentedCertificate) -> None:
        assert presented is CERTIFICATE
        if isinstance(self.answer, Refused):
            raise self.answer

    def explain(self, shown: Credentials) -> list[str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return ["a line"] if self.sees(shown) else []


def by_certificate(answer: Caller | Exception | None = ALICE) -> Answers:
    return Answers("mtls", lambda shown: shown.certificate, answer)


def by_token(answer: Caller | Exception | None = ROBOT) -> Answers:
    return Answers("github", lambda shown: shown.authorization, answer)


def stranger(presented: PresentedCertificate) -> Refused:
    assert presented is CERTIFICATE
    return Refused(Reason.CERTIFICATE_UNKNOWN_CA, subject="somebody")


def authenticator(*methods: Answers) -> Authenticator:
    return Authenticator(methods, stranger=stranger)


def refusal(judge: Authenticator, shown: Credentials) -> Reason:
    with pytest.raises(Refused) as raised:
        judge.authenticate(shown, now_wall_ns=NOW_NS)
    return raised.value.reason


CERTIFICATE_ONLY = Credentials(CERTIFICATE)
TOKEN_ONLY = Credentials(authorization=(BEARER,))
BOTH = Credentials(CERTIFICATE, (BEARER,))


def test_a_certificate_or_a_token_alone_is_enough() -> None:
    judge = authenticator(by_certificate(), by_token())

    assert judge.authenticate(CERTIFICATE_ONLY, now_wall_ns=NOW_NS) is ALICE
    assert judge.authenticate(TOKEN_ONLY, now_wall_ns=NOW_NS) is ROBOT


def test_nothing_is_not_enough() -> None:
    assert refusal(authenticator(by_certificate(), by_token()), Credentials()) is Reason.NO_CREDENTIALS
    assert refusal(authenticator(), Credentials()) is Reason.NO_CREDENTIALS


def test_of_two_proofs_of_one_tenant_the_token_names_the_caller_for_as_long_as_both_hold() -> None:
    until_five = by_certificate(Caller("payments", Role.ADMIN, "alice", "mtls", "people", NOW_NS + 5))
    until_nine = by_token(Caller("payments", Role.VIEWER, "robot", "github", "main", NOW_NS + 9))

    caller = authenticator(until_five, until_nine).authenticate(BOTH, now_wall_ns=NOW_NS)

    assert caller == Caller("payments", Role.VIEWER, "robot", "github", "main", NOW_NS + 5)


def test_two_proofs_of_two_tenants_are_none() -> None:
    other = Caller("platform", Role.BUILDER, "robot", "github", "main")

    assert refusal(authenticator(by_certificate(), by_token(other)), BOTH) is Reason.AMBIGUOUS_IDENTITY


def test_a_bad_token_beside_a_good_certificate_is_refused_and_the_other_way_round() -> None:
    bad_token = by_token(Refused(Reason.TOKEN_BAD_SIGNATURE))
    bad_certificate = by_certificate(Refused(Reason.CERTIFICATE_REVOKED, subject="alice"))

    assert refusal(authenticator(by_certificate(), bad_token), BOTH) is Reason.TOKEN_BAD_SIGNATURE
    assert refusal(authenticator(bad_certificate, by_token()), BOTH) is Reason.CERTIFICATE_REVOKED


def test_what_no_method_knows_is_refused_beside_what_one_knows() -> None:
    assert refusal(authenticator(by_certificate()), BOTH) is Reason.TOKEN_UNKNOWN_ISSUER
    assert refusal(authenticator(by_token()), BOTH) is Reason.CERTIFICATE_UNKNOWN_CA


@pytest.mark.parametrize("authorization", [(b"",), (b"Basic dTpw",), (BEARER, BEARER), (BEARER + b",",)])
def test_an_authorization_that_no_method_takes_is_refused_for_its_form(authorization: tuple[bytes, ...]) -> None:
    shown = Credentials(CERTIFICATE, authorization)

    assert refusal(authenticator(by_certificate()), shown) is Reason.TOKEN_MALFORMED


def test_the_first_method_that_knows_what_was_shown_judges_it() -> None:
    first, second = by_token(), by_token(ALICE)

    assert authenticator(by_token(None), first, second).authenticate(TOKEN_ONLY, now_wall_ns=NOW_NS) is ROBOT
    assert second.asked == []


def test_a_method_sees_only_its_own_kind_of_proof() -> None:
    certificate, token = by_certificate(), by_token()

    authenticator(certificate, token).authenticate(BOTH, now_wall_ns=NOW_NS)

    assert certificate.asked == [CERTIFICATE_ONLY]
    assert token.asked == [TOKEN_ONLY]


def test_keys_that_are_needed_are_asked_for_and_not_remembered() -> None:
    method = by_token(KeysNeeded("https://issuer.example.com"))
    judge = authenticator(method)
    with pytest.raises(KeysNeeded):
        judge.authenticate(TOKEN_ONLY, now_wall_ns=NOW_NS)
    method.answer = ROBOT

    assert judge.authenticate(TOKEN_ONLY, now_wall_ns=NOW_NS) is ROBOT


def asked_at(method: Answers, *moments_ns: int) -> int:
    judge = authenticator(method)
    for moment_ns in moments_ns:
        judge.authenticate(TOKEN_ONLY, now_wall_ns=moment_ns)
    return len(method.asked)


def test_a_verdict_is_used_again_for_a_minute() -> None:
    assert asked_at(by_token(), NOW_NS, NOW_NS, NOW_NS + REMEMBERED_NS - 1) == 1
    assert asked_at(by_token(), NOW_NS, NOW_NS + REMEMBERED_NS) == 2


def test_a_verdict_is_not_used_longer_than_the_proof_holds() -> None:
    short = Caller("payments", Role.BUILDER, "robot", "github", "main", NOW_NS + 7)

    assert asked_at(by_token(short), NOW_NS, NOW_NS + 6) == 1
    assert asked_at(by_token(short), NOW_NS, NOW_NS + 7) == 2


def test_a_verdict_is_not_used_when_the_clock_was_set_back() -> None:
    assert asked_at(by_token(), NOW_NS, NOW_NS - 1) == 2


def test_a_verdict_is_for_exactly_what_was_shown() -> None:
    method = by_token()
    judge = authenticator(by_certificate(), method)
    for shown in (TOKEN_ONLY, BOTH, Credentials(authorization=(BEARER + b"x",))):
        judge.authenticate(shown, now_wall_ns=NOW_NS)

    assert len(method.asked) == 3


def test_a_refusal_is_not_remembered() -> None:
    method = by_token(Refused(Reason.TOKEN_UNKNOWN_KEY))
    judge = authenticator(method)

    assert refusal(judge, TOKEN_ONLY) is refusal(judge, TOKEN_ONLY) is Reason.TOKEN_UNKNOWN_KEY
    assert len(method.asked) == 2


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    method = by_token()
    judge = authenticator(method)
    shown = [Credentials(authorization=(b"Bearer %d" % number,)) for number in range(REMEMBERED_LIMIT + 1)]
    for one in [*shown, shown[-1], shown[1], shown[0]]:
        judge.authenticate(one, now_wall_ns=NOW_NS)

    assert len(method.asked) == REMEMBERED_LIMIT + 2
    assert method.asked[-1] == shown[0]


def test_judging_one_caller_again_forgets_no_other() -> None:
    method = by_token()
    judge = authenticator(method)
    shown = [Credentials(authorization=(b"Bearer %d" % number,)) for number in range(REMEMBERED_LIMIT)]
    for one in shown:
        judge.authenticate(one, now_wall_ns=NOW_NS)
    judge.authenticate(shown[-1], now_wall_ns=NOW_NS - 1)
    judge.authenticate(shown[0], now_wall_ns=NOW_NS)

    assert len(method.asked) == REMEMBERED_LIMIT + 1


def test_a_certificate_that_any_method_took_back_is_withdrawn() -> None:
    revoked = Refused(Reason.CERTIFICATE_REVOKED, subject="alice")

    assert authenticator(by_certificate(), by_token()).withdrawn(CERTIFICATE) is None
    assert authenticator(by_token(), by_certificate(revoked)).withdrawn(CERTIFICATE) is revoked


def test_what_is_forgotten_is_judged_anew() -> None:
    method = by_certificate()
    judge = authenticator(method)
    judge.authenticate(CERTIFICATE_ONLY, now_wall_ns=NOW_NS)
    judge.forget()
    judge.authenticate(CERTIFICATE_ONLY, now_wall_ns=NOW_NS)

    assert len(method.asked) == 2


def test_no_token_is_kept_or_shown() -> None:
    judge = authenticator(by_token())
    judge.authenticate(TOKEN_ONLY, now_wall_ns=NOW_NS)

    assert BEARER not in repr(vars(judge)).encode()
    assert BEARER.decode() not in repr(TOKEN_ONLY)


def test_an_operator_reads_what_each_method_sees() -> None:
    unreadable = by_token(Refused(Reason.TOKEN_MALFORMED, why="x"))

    assert authenticator(by_certificate(), by_token(), unreadable).explain(BOTH) == ["mtls: a line", "github: a line"]
    assert ALICE.judged_until_ns == FOREVER_NS
