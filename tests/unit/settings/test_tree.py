import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.errors import Mark, Unreadable
from proxy.settings.tree import MAX_DEPTH, MAX_NODES, read_tree


def whats(text: bytes) -> list[tuple[Mark, str]]:
    return [(mistake.mark, mistake.what) for mistake in read_tree(text).mistakes]


def test_values_and_their_places_are_read() -> None:
    tree = read_tree(b"listen:\n  port: 1\nauth:\n  - name: a\n  - {name: b, on: true}\nempty:\n")

    assert tree.root == {"listen": {"port": 1}, "auth": [{"name": "a"}, {"name": "b", "on": True}], "empty": None}
    assert tree.key_mark(("listen", "port")) == Mark(2, 3)
    assert tree.value_mark(("listen", "port")) == Mark(2, 9)
    assert tree.value_mark(("auth", 1, "name")) == Mark(5, 12)


def test_an_empty_value_stands_at_its_key() -> None:
    assert read_tree(b"a: 1\nempty:\n").value_mark(("empty",)) == Mark(2, 1)


def test_a_path_that_is_not_there_stands_at_the_nearest_above_it() -> None:
    tree = read_tree(b"auth:\n  - name: a\n")

    assert tree.key_mark(("auth", 0, "rules", 3)) == Mark(2, 5)
    assert tree.key_mark(("nowhere",)) == Mark(1, 1)


def test_quoted_numbers_are_text_and_block_scalars_keep_their_lines() -> None:
    assert read_tree(b"a: \"1\"\nb: '2'\nc: |\n  one\n  two\n").root == {"a": "1", "b": "2", "c": "one\ntwo\n"}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_tree(b"\xef\xbb\xbfa: 1\n").root == {"a": 1}


def test_a_number_as_key_is_text() -> None:
    assert read_tree(b"42: 1\n").root == {"42": 1}


def test_an_empty_file_has_no_root() -> None:
    assert read_tree(b"# nothing\n").root is None


def test_a_key_given_twice_is_a_mistake_at_the_second() -> None:
    assert whats(b"a: 1\nb: 2\na: 3\n") == [(Mark(3, 1), "the key stands here and in line 1; expected once")]


def test_anchors_and_aliases_are_mistakes_and_reading_goes_on() -> None:
    assert whats(b"a: &x 1\nb: *x\n&k c: 2\n") == [
        (Mark(1, 4), "an anchor (&x); write the value out"),
        (Mark(2, 4), "an alias (*x); write the value out"),
        (Mark(3, 1), "an anchor (&k); write the value out"),
    ]


def test_a_tag_is_a_mistake_and_runs_nothing() -> None:
    assert whats(b"a: !!python/object/apply:os.system [ls]\n") == [
        (Mark(1, 4), "a tag (tag:yaml.org,2002:python/object/apply:os.system); expected a plain value")
    ]


def test_each_line_with_a_tab_is_a_mistake() -> None:
    assert whats(b"a:\n\tb: 1\nc:\t2\n") == [
        (Mark(2, 1), "a tab; expected spaces"),
        (Mark(3, 3), "a tab; expected spaces"),
    ]


def test_control_characters_are_mistakes() -> None:
    assert whats(b'a: "\\e[2J"\n"\\x07": 1\n') == [
        (Mark(1, 4), "a control character in the text"),
        (Mark(2, 1), "a key with a control character"),
    ]


@pytest.mark.parametrize(
    ("text", "mark", "what"),
    [
        (b"a: [1\nb: 2", Mark(2, 2), "not YAML"),
        (b"a: 1\n  \xff", Mark(2, 3), "not UTF-8; expected UTF-8 text"),
        (b"a: 1\nb: \x01", Mark(2, 4), "a character that YAML does not allow"),
        (b"---\na: 1\n---\nb: 2\n", Mark(3, 1), "a second document; expected one"),
        (b"%YAML 1.1\n---\na: 1\n", Mark(2, 1), "a YAML directive; expected none"),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", Mark(2, 1), "a YAML directive; expected none"),
        (b"a: 1\n? [b]\n: 2\n", Mark(2, 3), "a key that is not text"),
        (b"#" * ((1 << 20) + 1), Mark(1, 1), "the file has 1048577 octets; expected at most 1048576"),
        (b"[" * (MAX_DEPTH + 2), Mark(1, MAX_DEPTH + 2), f"nested more than {MAX_DEPTH} deep"),
        (b"[" + b"0," * MAX_NODES + b"]", Mark(1, 2 * MAX_NODES), f"more than {MAX_NODES} values"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_cannot_be_read_on_is_told_with_its_place(text: bytes, mark: Mark, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_tree(text)

    assert caught.value.mistake.mark == mark
    assert caught.value.mistake.what.startswith(what)


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!?|> \n\t\"'#%", max_size=60).map(str.encode))
def test_any_octets_are_read_or_refused_with_a_place_in_the_text(text: bytes) -> None:
    try:
        found = read_tree(text).mistakes
    except Unreadable as error:
        found = [error.mistake]

    assert all(1 <= mistake.mark.line <= text.count(b"\n") + text.count(b"\r") + 2 for mistake in found)
