"""The command of a build daemon that kilngate runs itself, and where such a daemon lives.

Everything of a daemon is beneath a home of its own in the pool's directory: `run`,
emptied before each start, with the socket; `root`, its data; `daemon.log`.

Source: moby/buildkit cmd/buildkitd/main.go and main_oci_worker.go (flags of
buildkitd, 0.20 or later), docs/rootless.md.
"""

import difflib
import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from proxy.buildkit.address import MOST_PATH_OCTETS, UpstreamAddress
from proxy.record import Record
from proxy.units import SECOND_NS, Duration, Size

PLACEHOLDERS = ("socket", "root", "run", "tenant", "keep_storage_mb")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")
# Its processes end with it, even if it is killed: so do the steps of its builds, and its mounts (unshare(1)).
SEALED = ("unshare", "--mount", "--propagation", "private", "--pid", "--kill-child", "--mount-proc")
# Two daemons on one machine would fight for buildkitd's usual trace socket; CDI would hand devices to any build.
BUILDKITD = (
    *SEALED,
    "buildkitd",
    "--addr", "unix://{socket}",
    "--root", "{root}",
    "--otel-socket-path", "{run}/otel.sock",
    "--oci-worker-gc-keepstorage", "{keep_storage_mb}",
    "--cdi-disabled",
)  # fmt: skip
DIRECTORY = "/var/lib/kilngate/daemons"
KEPT_OCTETS = 20 << 30
_MB = 1_000_000


class Home(NamedTuple):
    """Where one daemon has its things, by absolute paths."""

    path: str

    @property
    def run(self) -> str:
        """What lives as long as the process."""
        return f"{self.path}/run"

    @property
    def socket(self) -> str:
        """Where it must listen."""
        return f"{self.run}/daemon.sock"

    @property
    def root(self) -> str:
        """Its data: cache, history, images."""
        return f"{self.path}/root"

    @property
    def log(self) -> str:
        """What it says."""
        return f"{self.path}/daemon.log"

    @property
    def note(self) -> str:
        """Which process it is, for a kilngate that comes after one that was killed."""
        return f"{self.path}/daemon.pid"

    @property
    def is_short_enough(self) -> bool:
        """Whether a unix socket can have that path."""
        return len(self.socket.encode()) <= MOST_PATH_OCTETS


def _known(words: tuple[str, ...]) -> tuple[str, ...]:
    used = _used(words)
    for name in sorted(used - set(PLACEHOLDERS)):
        close = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
        expected = f"did you mean {{{close[0]}}}?" if close else "expected {" + "}, {".join(PLACEHOLDERS) + "}"
        raise ValueError(f"unknown placeholder {{{name}}}; {expected}")
    for name in ("socket", "root"):
        if name not in used:
            raise ValueError(f"the command does not say {{{name}}}; the daemon must be told where it listens and lives")
    return words


class Template(Record):
    """A daemon that kilngate starts at the first call, and stops when nobody needs it."""

    command: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known)] = BUILDKITD
    """Program and arguments, one word each; no shell reads them. `{socket}` and `{root}` must occur;
    `{run}` is a directory that is empty at each start, `{tenant}` whose daemon it is,
    `{keep_storage_mb}` the value of `keep_storage`. It must stay in the foreground."""
    scheme: Literal["unix", "docker"] = "unix"
    """What speaks at the socket: a buildkitd (`unix`), or a Docker daemon with BuildKit inside (`docker`)."""
    tenants_each: bool = False
    """One daemon for each tenant of the pool, with data of its own, instead of one for all."""
    directory: Annotated[str, Field(pattern="^/", max_length=80)] = DIRECTORY
    """Where the daemons have their sockets, data and logs: an absolute path, for kilngate's user alone."""
    keep_storage: Size = KEPT_OCTETS
    """How much build cache each daemon keeps: what is more is collected."""
    start_timeout: Annotated[Duration, Field(ge=SECOND_NS, le=600 * SECOND_NS)] = 60 * SECOND_NS
    """How long a daemon may take until it answers. Callers wait as long, then they are refused."""
    idle_timeout: Annotated[Duration, Field(ge=SECOND_NS, le=30 * 86_400 * SECOND_NS)] = 600 * SECOND_NS
    """How long a daemon stays after its last connection has closed."""
    environment: Annotated[
        dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], str], Field(default_factory=dict)
    ]
    """Variables of the daemon besides PATH, HOME and XDG_RUNTIME_DIR; it inherits no others. No place for
    secrets: `kilngate config show` prints it."""

    @model_validator(mode="after")
    def _is_used(self) -> Self:
        used = _used(self.command)
        if "tenant" in used and not self.tenants_each:
            raise ValueError("the command says {tenant}, but all tenants of the pool share this daemon; tenants_each")
        if self.keep_storage != KEPT_OCTETS and "keep_storage_mb" not in used:
            raise ValueError("keep_storage has no effect; the command does not say {keep_storage_mb}")
        return self

    def fill(self, home: Home, tenant: str) -> list[str]:
        """Return the command of the daemon that lives in `home`."""
        values = {
            "socket": home.socket,
            "root": home.root,
            "run": home.run,
            "tenant": tenant,
            "keep_storage_mb": str(max(1, self.keep_storage // _MB)),
        }
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.command]

    def address(self, home: Home) -> UpstreamAddress:
        """Return where the daemon that lives in `home` is reached."""
        return UpstreamAddress(self.scheme, home.socket)


def home_of(directory: str, pool: str, tenant: str) -> Home:
    """Return the home of a pool's daemon, or of a tenant's own (`tenant` is empty if it has none).

    Names have no dot: no two daemons share a home.
    """
    return Home(f"{directory.rstrip('/')}/{pool}.{tenant}" if tenant else f"{directory.rstrip('/')}/{pool}")


def _used(words: tuple[str, ...]) -> set[str]:
    return {name for word in words for name in _PLACEHOLDER.findall(word)}
