"""What a refusal says to the caller, and what it says to the operator."""

import pytest

from proxy.errors import Refused
from proxy.reasons import Reason


@pytest.mark.parametrize(
    ("refused", "account"),
    [
        (Refused(Reason.NO_CREDENTIALS), ""),
        (Refused(Reason.KEYS_UNAVAILABLE, detail="no keys of x"), "no keys of x"),
        (Refused(Reason.CERTIFICATE_EXPIRED, subject="alice", ago="2 h"), "subject=alice, ago=2 h"),
        (Refused(Reason.NO_RULE_MATCHED, detail="ci: nearest rule", subject="bob"), "ci: nearest rule, subject=bob"),
        (Refused(Reason.TOKEN_CLAIMS, detail="it has no subject", why="it has no subject"), "it has no subject"),
        (Refused(Reason.CERTIFICATE_DENIED, subject="a\nb"), "subject=a?b"),
    ],
)
def test_the_operator_is_told_what_the_caller_is_told_and_more(refused: Refused, account: str) -> None:
    assert refused.account == account


def test_the_caller_reads_number_sentence_and_reference() -> None:
    refused = Refused(Reason.CERTIFICATE_DENIED, detail="for the operator", subject="a\x1b[31mb")

    assert refused.public_text("7f-3") == (
        "[KG-108] the certificate of a?[31mb is on this farm's deny list. Ask whoever runs this farm (ref 7f-3)"
    )
