"""Builds that run now, by tenant and ref, and how they end.

Clients open the calls of a build in any order. A call that names a ref before its
Solve has come waits a little: what it may do depends on that Solve. If that is turned
away the others end at once, or stock clients wait for them and hide the reason.
"""

from collections.abc import Callable

from proxy.buildkit.status import StepCounter
from proxy.call.machine import Call
from proxy.caller import Caller
from proxy.errors import Refused
from proxy.events import BuildEnded, BuildFacts, BuildResult, BuildStarted, BuildSteps, Event
from proxy.grpc.framing import MessageReader
from proxy.limits.permits import Permit
from proxy.reasons import Code, Reason

# The daemon itself waits 3 s for an unknown build id and 6 s for an unknown ref.
WAIT_FOR_BUILD_NS = 3_000_000_000
# A call of a build that was turned away comes within milliseconds, or never.
REMEMBER_REFUSED_NS = 10_000_000_000
MOST_REFUSED = 1024
# The Status stream of a build may end a moment after its Solve; its last steps count too.
WAIT_FOR_STATUS_NS = 5_000_000_000

# The daemon cuts logs near 1 MiB a message; its own limit is 16 MiB.
MAX_STATUS_OCTETS = 16 << 20

_KILNGATE_ENDED = {Reason.UPSTREAM_LOST, Reason.DRAIN_DEADLINE, Reason.INTERNAL}


Name = tuple[str, str]


class Build:
    """One build of one tenant, from its Solve to its last Status message."""

    def __init__(self, call: Call, facts: BuildFacts) -> None:
        self.call = call
        self.facts = facts
        self.counter: StepCounter | None = None
        self.observer: Call | None = None
        self._reader: MessageReader | None = MessageReader(MAX_STATUS_OCTETS)
        self.permit: Permit | None = None
        self.is_denied = False
        # It brought a source policy that may put one source in the place of another.
        self.replaces_sources = False
        self.is_told = False
        self.ended: tuple[Code, Reason | None, int] | None = None

    @property
    def caller(self) -> Caller:
        """Whose build it is."""
        return self.call.caller

    def observe(self, octets: memoryview) -> None:
        """Take the next octets of the Status stream; a stream that cannot be read is no longer counted."""
        if self.counter is None or self._reader is None:
            return
        try:
            self._reader.feed(octets)
            while self._reader.messages:
                self.counter.feed(self._reader.messages.pop(0))
        except Refused:
            self.counter = self._reader = None

    def result(self) -> BuildResult:
        """Say how an ended build ended."""
        code, reason, _ = self.ended or (Code.UNKNOWN, None, 0)
        if self.is_denied:
            return BuildResult.DENIED
        if reason in _KILNGATE_ENDED:
            return BuildResult.LOST
        if code is Code.OK:
            return BuildResult.SUCCESS
        return BuildResult.CANCELED if code is Code.CANCELLED else BuildResult.ERROR


class Builds:
    """All builds of the process. Tells `BuildStarted` and `BuildEnded` exactly once a build."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._live: dict[Name, Build] = {}
        self._ending: dict[Build, int] = {}
        self._waiting: dict[Name, list[Callable[[], None]]] = {}
        self._refused: dict[Name, tuple[Refused, int]] = {}

    def __len__(self) -> int:
        return sum(1 for build in self._live.values() if build.is_told)

    def find(self, call: Call) -> Build | None:
        """Return the build that `call` names, if it runs."""
        return self._live.get(_name(call))

    def refusal_of(self, call: Call) -> Refused | None:
        """Return why the build that `call` names was turned away, if it was a moment ago."""
        found = self._refused.get(_name(call))
        return found[0] if found else None

    def open(self, call: Call, facts: BuildFacts) -> Build:
        """Take a ref for the Solve `call`; `admit` or `refuse` follows.

        Raises:
            Refused: REF_LIVE, a build of the tenant runs under it.
        """
        call.ref = facts.ref
        if _name(call) in self._live:
            raise Refused(Reason.REF_LIVE, tenant=call.caller.tenant)
        build = self._live[_name(call)] = Build(call, facts)
        return build

    def admit(self, call: Call) -> None:
        """Wake the calls that waited for the build of the Solve `call`."""
        self._refused.pop(_name(call), None)
        self._wake(call)

    def refuse(self, call: Call, refused: Refused, now_ns: int) -> None:
        """Note that the Solve `call` was turned away, and wake the calls that waited for it."""
        other = self.find(call)
        if not call.ref or (other and other.call is not call) or len(self._refused) >= MOST_REFUSED:
            return
        self._refused[_name(call)] = (refused, now_ns)
        self._wake(call)

    def when_known(self, call: Call, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when the Solve of the build that `call` names is let in or not; return what forgets it."""
        name = _name(call)
        self._waiting.setdefault(name, []).append(wake)

        def forget() -> None:
            wakes = self._waiting.get(name, [])
            if wake in wakes:
                wakes.remove(wake)
            if not wakes:
                self._waiting.pop(name, None)

        return forget

    def start(self, build: Build) -> None:
        """Tell that a real build started, once."""
        if not build.is_told:
            build.is_told = True
            self._emit(BuildStarted(build.call.id, build.caller, build.facts))

    def watch(self, call: Call) -> None:
        """Let the Status stream `call` count the steps of its build, if none does yet."""
        build = self.find(call)
        if build is not None and build.observer is None:
            build.observer = call
            build.counter = StepCounter()
            call.is_observed = True

    def watched_by(self, call: Call) -> Build | None:
        """Return the build whose steps the Status stream `call` counts."""
        build = self.find(call)
        if build is not None and build.observer is call:
            return build
        return next((each for each in self._ending if each.observer is call), None)

    def end(self, call: Call, code: Code, reason: Reason | None, now_ns: int) -> None:
        """Note the end of a Solve, or of the Status stream that watched a build."""
        if not call.ref:
            return
        for build in [each for each in (self.find(call), *self._ending) if each is not None]:
            if build.call is call:
                self._solved(build, code, reason, now_ns)
            elif build.observer is call:
                build.observer = None
                if build.ended:
                    self._tell_end(build)

    def tick(self, now_ns: int) -> None:
        """Close the books of builds whose Status stream does not end."""
        for build, since_ns in list(self._ending.items()):
            if now_ns - since_ns >= WAIT_FOR_STATUS_NS:
                self._tell_end(build)
        for name, (_, since_ns) in list(self._refused.items()):
            if now_ns - since_ns >= REMEMBER_REFUSED_NS:
                del self._refused[name]

    def _wake(self, call: Call) -> None:
        for wake in self._waiting.pop(_name(call), []):
            wake()

    def _solved(self, build: Build, code: Code, reason: Reason | None, now_ns: int) -> None:
        del self._live[_name(build.call)]
        build.ended = (code, reason, now_ns - build.call.started_ns)
        if build.permit is not None:
            build.permit.give_back()
        if build.observer is None:
            self._tell_end(build)
        else:
            self._ending[build] = now_ns

    def _tell_end(self, build: Build) -> None:
        self._ending.pop(build, None)
        if not build.is_told or build.ended is None:
            return
        code, _, duration_ns = build.ended
        steps: BuildSteps | None = build.counter.steps() if build.counter else None
        self._emit(BuildEnded(build.call.id, build.caller, build.facts, build.result(), code, duration_ns, steps))


def _name(call: Call) -> Name:
    return call.caller.tenant, call.ref
