import json

import pytest

from proxy.errors import KeysNeeded, Refused
from proxy.identity.keyset import KeySets, KeySource, KeysUnusable, Origin
from proxy.reasons import Reason
from tests.helpers.signing import key_set, new_key

ISSUER = "https://issuer.example.com"
REMOTE = KeySource(ISSUER, Origin.DISCOVERY, f"{ISSUER}/.well-known/openid-configuration")
FILE = KeySource(ISSUER, Origin.FILE, "/etc/keys.json")
KEYS = json.dumps(key_set(new_key())).encode()
ROTATED = json.dumps(key_set(new_key(key_id="key-2"))).encode()
NOW_NS = 1_800_000_000_000_000_000
COOLDOWN_NS = 30 * 10**9
STALE_LIMIT_NS = 24 * 3600 * 10**9


def known(source: KeySource = REMOTE, document: bytes = KEYS) -> KeySets:
    keysets = KeySets([source])
    keysets.learn(ISSUER, document, now_wall_ns=NOW_NS)
    return keysets


def find(keysets: KeySets, key_id: str = "key-1", *, after_ns: int = 0) -> str | None:
    return keysets.find(ISSUER, key_id, "ES256", now_wall_ns=NOW_NS + after_ns).key_id


def refusal(keysets: KeySets, key_id: str = "key-1", *, after_ns: int = 0) -> Reason:
    with pytest.raises(Refused) as raised:
        find(keysets, key_id, after_ns=after_ns)
    return raised.value.reason


def test_an_issuer_that_was_never_asked_is_to_be_asked() -> None:
    with pytest.raises(KeysNeeded) as raised:
        find(KeySets([REMOTE]))

    assert raised.value.issuer == ISSUER


def test_what_was_learned_is_found() -> None:
    assert find(known()) == "key-1"


def test_an_issuer_that_did_not_answer_is_left_alone_for_a_while() -> None:
    keysets = KeySets([REMOTE])
    keysets.fail(ISSUER, now_wall_ns=NOW_NS)

    assert refusal(keysets) is Reason.KEYS_UNAVAILABLE
    assert refusal(keysets, after_ns=COOLDOWN_NS - 1) is Reason.KEYS_UNAVAILABLE
    with pytest.raises(KeysNeeded):
        find(keysets, after_ns=COOLDOWN_NS)


def test_a_strange_key_id_makes_us_ask_once_in_a_while_whoever_shows_one() -> None:
    keysets = known()

    assert {refusal(keysets, f"strange-{n}", after_ns=n) for n in range(20)} == {Reason.TOKEN_UNKNOWN_KEY}
    with pytest.raises(KeysNeeded):
        find(keysets, "strange", after_ns=COOLDOWN_NS)


def test_a_strange_key_may_be_a_new_one_when_the_issuer_did_not_answer() -> None:
    keysets = known()
    keysets.fail(ISSUER, now_wall_ns=NOW_NS)

    assert refusal(keysets, "strange") is Reason.KEYS_UNAVAILABLE


def test_an_issuer_that_answers_again_is_believed_again() -> None:
    keysets = known()
    keysets.fail(ISSUER, now_wall_ns=NOW_NS)
    keysets.learn(ISSUER, KEYS, now_wall_ns=NOW_NS)

    assert refusal(keysets, "strange") is Reason.TOKEN_UNKNOWN_KEY


def test_a_rotated_key_replaces_the_old_one() -> None:
    keysets = known()
    keysets.learn(ISSUER, ROTATED, now_wall_ns=NOW_NS)

    assert find(keysets, "key-2") == "key-2"
    assert refusal(keysets, "key-1") is Reason.TOKEN_UNKNOWN_KEY


@pytest.mark.parametrize("document", [b"", b"<html>", b'{"keys":[]}'])
def test_a_document_without_keys_never_replaces_good_ones(document: bytes) -> None:
    keysets = known()
    with pytest.raises(KeysUnusable):
        keysets.learn(ISSUER, document, now_wall_ns=NOW_NS)

    assert find(keysets) == "key-1"


def test_old_keys_serve_for_a_day_while_the_issuer_fails() -> None:
    keysets = known()
    keysets.fail(ISSUER, now_wall_ns=NOW_NS + STALE_LIMIT_NS - 1)

    assert find(keysets, after_ns=STALE_LIMIT_NS - 1) == "key-1"
    assert refusal(keysets, after_ns=STALE_LIMIT_NS) is Reason.KEYS_UNAVAILABLE


def test_a_clock_that_was_set_back_costs_one_question_and_no_keys() -> None:
    keysets = known()

    assert find(keysets, after_ns=-3600 * 10**9) == "key-1"
    with pytest.raises(KeysNeeded):
        find(keysets, "strange", after_ns=-3600 * 10**9)


def test_keys_of_a_file_never_grow_old_and_nobody_is_asked_for_more() -> None:
    keysets = known(FILE)

    assert find(keysets, after_ns=10 * STALE_LIMIT_NS) == "key-1"
    assert refusal(keysets, "strange", after_ns=COOLDOWN_NS) is Reason.TOKEN_UNKNOWN_KEY


def test_a_file_that_was_not_read_yet_refuses() -> None:
    assert refusal(KeySets([FILE])) is Reason.KEYS_UNAVAILABLE


def test_inline_keys_are_known_at_once() -> None:
    assert find(KeySets([KeySource(ISSUER, Origin.INLINE, document=KEYS)])) == "key-1"


def test_inline_keys_that_are_none_are_refused() -> None:
    with pytest.raises(KeysUnusable):
        KeySets([KeySource(ISSUER, Origin.INLINE, document=b"{}")])


def test_a_reload_keeps_what_is_known_of_a_source_that_did_not_change() -> None:
    assert find(KeySets([REMOTE], earlier=known())) == "key-1"


def test_a_reload_forgets_a_source_that_changed_and_reads_files_again() -> None:
    moved = KeySource(ISSUER, Origin.URL, "https://elsewhere.example.com/keys")

    with pytest.raises(KeysNeeded):
        find(KeySets([moved], earlier=known()))
    assert refusal(KeySets([FILE], earlier=known(FILE))) is Reason.KEYS_UNAVAILABLE


def test_the_sources_are_told_in_their_order() -> None:
    other = KeySource("https://other.example.com", Origin.URL, "https://other.example.com/keys")
    keysets = KeySets([REMOTE, other])

    assert keysets.sources == (REMOTE, other)
