"""Resources of build steps: what a frontend asks the daemon to limit.

Limits are for each step, not for a build. A frontend that gets none asks for none, so the
policy's are put in, and what a client asks for beyond them is lowered. Memory and CPU need
a BuildKit of v0.31 or later; older ones, and frontend images as old, do not know the
attributes. Definitions of a client's own carry limits of their own, or none. A daemon that
runs one step for two builds at once takes the wider limit.

Source: moby/buildkit frontend/dockerui/attr.go (parseLinuxResources, parseShmSize,
parseUlimits); docker/go-units ulimit.go; executor/oci/spec_linux.go;
solver/llbsolver/linuxresources/merge.go.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.attributes import listed
from proxy.policy.rule import Asked, Finding, RuleConfig
from proxy.policy.rule import Rule as BuildRule
from proxy.reasons import Reason
from proxy.units import Size, written_size

MEMORY: Final = "memory"
MEMORY_AND_SWAP: Final = "memswap"
CPU_SHARES: Final = "cpushares"
CPU_PERIOD: Final = "cpuperiod"
CPU_QUOTA: Final = "cpuquota"
CPUSET_CPUS: Final = "cpusetcpus"
CPUSET_MEMS: Final = "cpusetmems"
SHM_SIZE: Final = "shm-size"
ULIMIT: Final = "ulimit"
# Which attributes a setting limits.
_LIMITED: Final = {
    "memory": (MEMORY, MEMORY_AND_SWAP),
    "cpus": (CPU_PERIOD, CPU_QUOTA),
    "cpu_shares": (CPU_SHARES,),
    "shm_size": (SHM_SIZE,),
}
_SIZES: Final = ("memory", "memory_swap", "shm_size")
# Microseconds; what Linux takes if none is given.
_USUAL_PERIOD: Final = 100_000

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_ULIMIT = re.compile(r"([a-z]{2,10})=(-1|[0-9]{1,18})(?::(-1|[0-9]{1,18}))?")
_SET = Field(pattern=r"^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$", examples=["0-3"])
UlimitName = Literal[
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
    "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
]  # fmt: skip


class Config(RuleConfig):
    """What each step may use. What a build asks for beyond this is lowered; what it leaves open is set. Memory and CPU
    need a BuildKit of v0.31 or later; older ones, and frontend images as old, do not know them. It does not hold for
    definitions that clients write themselves (`isolation.definitions`)."""

    memory: Annotated[Size, Field(ge=4 << 20)] | None = None
    """Memory of a step."""
    memory_swap: Annotated[Size, Field(ge=4 << 20)] | None = None
    """Memory and swap together; without this as much as memory alone, so no swap."""
    cpus: Annotated[float, Field(ge=0.01, le=1024)] | None = None
    """CPUs' worth of time of a step, such as 2.5."""
    cpu_shares: Annotated[int, Field(ge=2, le=262144)] | None = None
    """Weight of a step against others when CPUs are short; 1024 is usual."""
    cpuset_cpus: Annotated[str, _SET] | None = None
    """CPUs that steps run on, whatever a build says."""
    cpuset_mems: Annotated[str, _SET] | None = None
    """Memory nodes that steps use, whatever a build says."""
    shm_size: Size | None = None
    """The most that a build may ask for as `/dev/shm`."""
    ulimits: dict[UlimitName, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Limits of each process by name (`nofile`, `nproc` and so on): soft and hard ones are at most this."""

    @model_validator(mode="after")
    def _swap_is_more_than_memory(self) -> "Config":
        if self.memory_swap is not None and self.memory_swap < (self.memory or self.memory_swap + 1):
            raise ValueError("memory_swap counts memory too; expected 'memory', and no less than it here")
        return self


class Rule(BuildRule):
    """Judges that limits can be compared; sets and lowers them for the frontend of either message."""

    name = "resources"
    reason = Reason.POLICY_RESOURCES
    example = "resources: {memory: 8GiB, cpus: 4.0, ulimits: {nofile: 65536}}"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._limited = [
            (setting, key) for setting, keys in _LIMITED.items() for key in keys if getattr(config, setting) is not None
        ]
        sets = {CPUSET_CPUS: config.cpuset_cpus, CPUSET_MEMS: config.cpuset_mems}
        self._fixed = {key: value for key, value in sets.items() if value is not None}
        self._ulimits: dict[str, int] = {str(name): most for name, most in config.ulimits.items()}

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Yield each limit that cannot be compared with the policy's."""
        attrs = asked.request.attrs
        for setting, key in self._limited:
            if attrs.get(key) and not _NUMBER.fullmatch(attrs[key]):
                yield Finding(setting, f"the limit {key}={attrs[key]}")
        if self._ulimits:
            for limit in listed(attrs, ULIMIT):
                if not _ULIMIT.fullmatch(limit):
                    yield Finding("ulimits", f"the limit {ULIMIT}={limit}")

    def edit(self, request: BuildRequest) -> None:
        """Set what is left open, and lower what is more; only a frontend has these attributes."""
        if not request.frontend:
            return
        config, attrs = self._config, request.attrs
        if config.memory is not None:
            _lower(attrs, MEMORY, config.memory)
            _lower(attrs, MEMORY_AND_SWAP, config.memory_swap or int(attrs[MEMORY]))
        if config.cpus is not None:
            _lower_cpus(attrs, config.cpus)
        if config.cpu_shares is not None:
            _lower(attrs, CPU_SHARES, config.cpu_shares)
        if config.shm_size is not None and attrs.get(SHM_SIZE):
            _lower(attrs, SHM_SIZE, config.shm_size)
        attrs.update(self._fixed)
        if self._ulimits:
            attrs[ULIMIT] = _lowered_ulimits(listed(attrs, ULIMIT), self._ulimits)

    def said(self) -> str:
        """Return each limit."""
        values = self._config.model_dump(exclude={"mode", "ulimits"}, exclude_none=True)
        limits = [f"{key} {written_size(value) if key in _SIZES else value}" for key, value in values.items()]
        return "; ".join(limits + [f"{name} {most}" for name, most in self._ulimits.items()]) or "no limits"


def _lower(attrs: dict[str, str], key: str, most: int) -> None:
    """Make a number at most `most`; nothing, 0 and less are no limit, or the daemon's own."""
    given = int(attrs.get(key) or 0)
    attrs[key] = str(given if 0 < given <= most else most)


def _lower_cpus(attrs: dict[str, str], most: float) -> None:
    quota, period = int(attrs.get(CPU_QUOTA) or 0), int(attrs.get(CPU_PERIOD) or 0) or _USUAL_PERIOD
    if not 0 < quota <= most * period:
        attrs[CPU_PERIOD] = str(_USUAL_PERIOD)
        attrs[CPU_QUOTA] = str(round(most * _USUAL_PERIOD))


def _lowered_ulimits(given: list[str], most: dict[str, int]) -> str:
    limits = {name: (limit, limit) for name, limit in most.items()}
    for text in given:
        found = _ULIMIT.fullmatch(text)
        assert found is not None
        name, soft = found[1], int(found[2])
        hard = int(found[3] or soft)
        if name in most:
            soft, hard = (limit if 0 <= limit <= most[name] else most[name] for limit in (soft, hard))
        limits[name] = (soft, hard)
    return ",".join(f"{name}={soft}:{hard}" for name, (soft, hard) in limits.items())
