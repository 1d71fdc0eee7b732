"""The octets of a settings file as characters, and what YAML's own messages would put in another place."""

from proxy.settings.errors import START, Mark, Mistake, Unreadable

MAX_OCTETS = 1 << 20


def decoded(text: bytes) -> str:
    """Return the characters of `text`, without a byte order mark.

    Raises:
        Unreadable: more than 1 MiB, or not UTF-8.
    """
    if len(text) > MAX_OCTETS:
        raise Unreadable(START, f"the file has {len(text)} octets; expected at most {MAX_OCTETS}")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8", "replace")
        raise Unreadable(mark_at(before, len(before)), "not UTF-8; expected UTF-8 text") from None


def mark_at(characters: str, position: int) -> Mark:
    """Return line and column of the character at `position`."""
    before = characters[:position]
    return Mark(before.count("\n") + 1, position - before.rfind("\n"))


def tabs(characters: str) -> list[Mistake]:
    """Return a mistake for each line that holds a tab: nobody sees the difference, and YAML forbids it in places."""
    return [
        Mistake(Mark(number, line.index("\t") + 1), (), "a tab; expected spaces")
        for number, line in enumerate(characters.split("\n"), start=1)
        if "\t" in line
    ]
