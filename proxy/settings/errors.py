"""What is wrong with a settings file, and where."""

from collections.abc import Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in the file; both count from 1."""

    line: int
    column: int


START = Mark(1, 1)


class Mistake(NamedTuple):
    """One thing to mend: a place, the dotted path of the key, and a sentence."""

    mark: Mark
    path: Path
    what: str


class Unreadable(Exception):
    """Reading stopped at `mistake`; nothing after it could be understood."""

    def __init__(self, mark: Mark, what: str) -> None:
        super().__init__(what)
        self.mistake = Mistake(mark, (), what)


class SettingsErrors(Exception):
    """The settings cannot be used; `mistakes` are all of them, in the order of the file."""

    def __init__(self, file: str, mistakes: Iterable[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(sorted(set(mistakes), key=lambda mistake: (mistake.mark, mistake.what)))
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """Each mistake as `file:line:column: dotted.path: what`."""
        return [
            f"{self.file}:{mark.line}:{mark.column}: {f'{dotted(path)}: ' if path else ''}{what}"
            for mark, path, what in self.mistakes
        ]


def dotted(path: Path) -> str:
    """Return a path as people write it: `auth.0.rules.2.match."kubernetes.io"`."""
    return ".".join(_step(str(step)) for step in path)


def _step(step: str) -> str:
    return step if step.replace("-", "").replace("_", "").isalnum() else f'"{step}"'
