"""The whole bench: every row through every door, and the tables."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import buildx, memory
from bench.doors import Door, Opener, open_direct, open_direct_tls
from bench.ground import ROOT, Ground, lay_ground
from bench.kilngate import find_tree, open_kilngate
from bench.packages import Unavailable, install_python
from bench.peers import open_envoy, open_haproxy, open_nghttpx, open_nginx, open_nginx_stream
from bench.report import doubts, machine_facts, render
from bench.rounds import Results, run_rounds
from bench.rows import ROWS, Length, measure
from bench.targets import MEMORY

DOCUMENT = ROOT / "docs" / "benchmarks.md"
KILNGATE, KILNGATE_UVLOOP = "kilngate", "kilngate uvloop"


PEERS: Mapping[str, Opener] = {
    "nginx": open_nginx,
    "haproxy": open_haproxy,
    "envoy": open_envoy,
    "nghttpx": open_nghttpx,
}
DIRECT: Mapping[str, Opener] = {"direct": open_direct, "direct TLS": open_direct_tls}
BUILD_PEERS: Mapping[str, Opener] = {"direct": open_direct, "nginx stream": open_nginx_stream, **PEERS}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; `..._s` bounds a part's time, and rounds are left out to keep to it."""

    length: Length
    rounds: int
    synthetic_s: float
    build_octets: int
    build_rounds: int
    build_s: float
    idle_connections: int


FULL = Plan(
    Length(seconds=1.0, octets=512 << 20),
    rounds=5,
    synthetic_s=420,
    build_octets=256 << 20,
    build_rounds=5,
    build_s=330,
    idle_connections=500,
)
QUICK = Plan(
    Length(seconds=0.3, octets=96 << 20),
    rounds=2,
    synthetic_s=75,
    build_octets=64 << 20,
    build_rounds=1,
    build_s=60,
    idle_connections=100,
)


class Bench:
    """One run. What cannot be opened, or fails a row, is told in the tables and stops nothing."""

    def __init__(self, ground: Ground, plan: Plan, revision: str) -> None:
        self._ground = ground
        self._plan = plan
        self._tree = find_tree(ground, revision)
        self._own: Mapping[str, Opener] = {KILNGATE: self._open_plain, KILNGATE_UVLOOP: self._open_uvloop}
        self._results = Results()
        self._facts = machine_facts()
        self._doubt = doubts(is_quick=plan is QUICK, load_before=os.getloadavg()[0])
        self._notes: list[str] = []

    def run(self) -> str:
        """Measure everything and return the document."""
        self.measure_memory()
        self.measure_rows()
        try:
            self.measure_builds()
        except Unavailable as reason:
            self._note(f"real builds: {reason}")
        own = list(self._own)
        return render(
            self._results,
            doors=[*DIRECT, *PEERS, *own],
            build_doors=[*BUILD_PEERS, *own],
            facts=self._facts,
            kilngates=own,
            notes=self._notes,
            doubt=self._doubt,
        )

    def measure_memory(self) -> None:
        """Measure each door alone and fresh."""
        for name, opener in {**PEERS, **self._own}.items():
            with ExitStack() as stack:
                if door := self._open(stack, self._ground, name, opener):
                    self._measure_memory_of(door)

    def measure_rows(self) -> None:
        """Measure the rows of client.c, all doors open at once."""
        plan, ground = self._plan, self._ground
        with ExitStack() as stack:
            doors = self._open_all(stack, ground, {**DIRECT, **PEERS, **self._own})
            rounds = run_rounds(
                list(ROWS),
                list(doors),
                lambda row, door: measure(ROWS[row], ground, doors[door], plan.length),
                rounds=plan.rounds,
                within_s=plan.synthetic_s,
                results=self._results,
                say=say,
            )
        self._facts["rounds"] = f"{rounds}, each {plan.length.seconds:g} s or {plan.length.octets >> 20} MiB a row"

    def measure_builds(self) -> None:
        """Measure real builds.

        Raises:
            Unavailable: no engine or no client.
        """
        plan = self._plan
        with ExitStack() as stack:
            farm = buildx.open_farm(self._ground, octets=plan.build_octets)
            stack.callback(farm.close)
            ground = buildx.before_farm(self._ground, farm)
            doors = self._open_all(stack, ground, {**BUILD_PEERS, **self._own})
            able = {name: door for name, door in doors.items() if self._enrolled(farm, ground, door)}
            buildx.warm(farm, doors["direct"])
            rounds = run_rounds(
                buildx.ROWS,
                list(able),
                lambda row, door: buildx.measure_build(row, farm, able[door]),
                rounds=plan.build_rounds,
                within_s=plan.build_s,
                results=self._results,
                say=say,
            )
            through = ", through bench/bridge.c" if farm.bridge else ""
            self._facts["engine"] = farm.engine.description + through
            self._facts["client"] = f"docker buildx {farm.buildx.version}"
            self._facts["rounds of builds"] = f"{rounds}; bulk is {plan.build_octets >> 20} MiB"

    def _open_plain(self, ground: Ground) -> Door:
        return open_kilngate(ground, tree=self._tree)

    def _open_uvloop(self, ground: Ground) -> Door:
        install_python("uvloop", module="uvloop")
        return open_kilngate(ground, tree=self._tree, uvloop=True)

    def _measure_memory_of(self, door: Door) -> None:
        try:
            figures = memory.measure_memory(self._ground, door, idle_connections=self._plan.idle_connections)
            self._results.rounds[MEMORY, door.name].append(figures)
        except Unavailable as reason:
            self._results.failures[MEMORY, door.name] = str(reason)

    def _enrolled(self, farm: buildx.Farm, ground: Ground, door: Door) -> bool:
        try:
            buildx.enrol(farm, ground, door)
        except Unavailable as reason:
            self._note(f"real builds through {door.name}: {reason}")
            return False
        return True

    def _open_all(self, stack: ExitStack, ground: Ground, openers: Mapping[str, Opener]) -> dict[str, Door]:
        opened = {name: self._open(stack, ground, name, opener) for name, opener in openers.items()}
        return {name: door for name, door in opened.items() if door}

    def _open(self, stack: ExitStack, ground: Ground, name: str, opener: Opener) -> Door | None:
        try:
            door = opener(ground)
        except Unavailable as reason:
            self._note(f"{name}: {reason}")
            return None
        stack.callback(door.close)
        if door.version:
            self._facts[name] = door.version
        return door

    def _note(self, note: str) -> None:
        if note not in self._notes:
            say(note)
            self._notes.append(note)


def run_whole(plan: Plan, *, revision: str, document: Path) -> str:
    """Run the bench on a revision of kilngate and write `document`; return its text.

    Raises:
        Unavailable: the load cannot be compiled, or there is no such revision.
    """
    start = time.monotonic()
    ground = lay_ground()
    try:
        text = Bench(ground, plan, revision).run()
    finally:
        ground.clear()
    document.parent.mkdir(exist_ok=True)
    document.write_text(text)
    say(f"written to {document} after {time.monotonic() - start:.0f} s")
    return text


def say(text: str) -> None:
    """Tell whoever waits what goes on."""
    print(text, flush=True)
