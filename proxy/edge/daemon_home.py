"""The home of a build daemon that kilngate runs, made ready for a start. Blocking; the loop calls it in a thread.

A kilngate that was killed may have left a daemon behind, where the system does not end
children with their parent: a note says which process it is, so that two daemons never
share one root.

Source: flock(2); proc(5), mountinfo fields and `sys/kernel/random/boot_id`.
"""

import fcntl
import os
import re
import shutil
import stat
from pathlib import Path

from proxy.processes import ProcessId, end, identify, left_behind, stop_process
from proxy.routing.template import Home

# A log that is larger at a start is put aside; the one before goes.
MOST_LOG_OCTETS = 16 << 20
LEFTOVER_S = 10.0


class Claim:
    """A home that is ours for as long as this is open.

    The note in it is locked by us and not by the daemon, which does not inherit it: two
    kilngates never run one daemon, and what a killed one left can be told from what a
    living one runs.
    """

    def __init__(self, home: Home) -> None:
        self._note = os.open(home.note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._note)
            raise BlockingIOError(f"another kilngate runs the daemon in {home.path}") from None

    def write(self, process: ProcessId) -> None:
        """Note which process lives here."""
        self._replace(f"{_boot()} {process.number} {process.start_ticks}\n")

    def end_leftover(self) -> None:
        """End the daemon that the note names, with all it started, if it still runs; forget it."""
        try:
            boot, number, ticks = os.pread(self._note, 256, 0).decode().split()
            process = ProcessId(int(number), int(ticks))
        except ValueError:
            return
        if boot == _boot():
            if identify(process.number) == process:
                stop_process(process, LEFTOVER_S)
            end(left_behind(process))
        self._replace("")

    def close(self, *, is_empty: bool) -> None:
        """Give the home back; the note stays for the next one to see, unless nobody lives here any more."""
        if is_empty:
            self._replace("")
        os.close(self._note)

    def _replace(self, text: str) -> None:
        os.ftruncate(self._note, 0)
        os.pwrite(self._note, text.encode(), 0)


def prepare(home: Home) -> Claim:
    """Claim a home: directories that only our user can enter, nothing left of an earlier life, an empty `run`.

    Raises:
        OSError: it cannot be done; the text says what an operator should mend.
    """
    _own(Path(home.path).parent)
    _own(Path(home.path))
    claim = Claim(home)
    try:
        claim.end_leftover()
        Path(home.root).mkdir(mode=0o700, exist_ok=True)
        _empty(Path(home.run))
        if os.path.exists(home.log) and os.path.getsize(home.log) > MOST_LOG_OCTETS:
            os.replace(home.log, f"{home.log}.1")
    except BaseException:
        claim.close(is_empty=False)
        raise
    return claim


def open_log(home: Home) -> int:
    """Return a descriptor that appends to the daemon's log, readable by our user alone.

    Raises:
        OSError: as open(2).
    """
    return os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def last_words(home: Home, since_octets: int) -> str:
    """Return the last line of the log behind `since_octets`."""
    try:
        with open(home.log, "rb") as log:
            log.seek(max(since_octets, os.fstat(log.fileno()).st_size - 4096))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _own(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{path} must belong to kilngate's user alone (mode 0700): "
            f"it belongs to user {found.st_uid} with mode {stat.filemode(found.st_mode)}"
        )


def _empty(path: Path) -> None:
    """Remove what is left of an earlier life; never through a mount, behind which may be anybody's data."""
    if mounted := _mounted_beneath(path):
        raise OSError(f"{mounted} is still mounted by a daemon that ended badly: umount it")
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700)


def _mounted_beneath(path: Path) -> str:
    beneath = f"{os.path.realpath(path)}/"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # The kernel writes blanks and backslashes as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        if point.startswith(beneath):
            return point
    return ""


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
