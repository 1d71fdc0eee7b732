"""The home of a build daemon that kilngate runs, made ready for a start. Blocking; the loop calls it in a thread.

A kilngate that was killed may have left a daemon behind, where the system does not end
children with their parent: a note says which process it is, so that two daemons never
share one root.

Source: proc(5), mountinfo fields and `sys/kernel/random/boot_id`.
"""

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


def prepare(home: Home) -> None:
    """Make directories that only our user can enter, end what an earlier kilngate left, empty `run`.

    Raises:
        OSError: it cannot be done; the text says what an operator should mend.
    """
    _own(Path(home.path).parent)
    _own(Path(home.path))
    end_leftover(home)
    Path(home.root).mkdir(mode=0o700, exist_ok=True)
    _empty(Path(home.run))
    if os.path.exists(home.log) and os.path.getsize(home.log) > MOST_LOG_OCTETS:
        os.replace(home.log, f"{home.log}.1")


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


def note(home: Home, process: ProcessId) -> None:
    """Write down which process lives here."""
    Path(home.note).write_text(f"{_boot()} {process.number} {process.start_ticks}\n")


def end_leftover(home: Home) -> None:
    """End the daemon that the note names, with all it started, if it still runs; forget the note."""
    try:
        boot, number, ticks = Path(home.note).read_text().split()
        process = ProcessId(int(number), int(ticks))
    except (FileNotFoundError, ValueError):
        return
    if boot == _boot():
        if identify(process.number) == process:
            stop_process(process, LEFTOVER_S)
        end(left_behind(process))
    Path(home.note).unlink()


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
