"""The calls of one caller's connection: who makes them, whether they may, how they end.

This is where the rooms meet: a head is read, the caller proven, the method looked
up, the limits asked, the build found. What the relay asks (`http2.calls.Calls`) is
answered here; what others must know is said as events.
"""

from collections.abc import Sequence

from proxy.buildkit.methods import (
    BRIDGE,
    BRIDGE_SOLVE,
    EXEC_PROCESS,
    NEW_CONTAINER,
    SESSION,
    SOLVE,
    STATUS,
    Method,
    Treatment,
)
from proxy.buildkit.named_text import client_trailers
from proxy.buildkit.namespace import RememberedNames
from proxy.buildkit.steps import daemon_step
from proxy.call.allowed import need_role
from proxy.call.answers import answer
from proxy.call.heads import Heads, ReadHead
from proxy.call.identifying import Identifying
from proxy.call.judging import Judging
from proxy.call.machine import Call, State
from proxy.call.waiting import Waiting
from proxy.call.waker import Waker
from proxy.call.world import TakeStart, World, no_start
from proxy.caller import Caller
from proxy.errors import KeysNeeded, Refused, one_line
from proxy.events import CallEnded, CallId, CallProgressed, CallRefused, CallStarted, PolicyShadowed
from proxy.grpc.head import Fields
from proxy.http2.calls import Verdict
from proxy.http2.frames import ErrorCode, ProtocolFault
from proxy.identity.credentials import PresentedCertificate
from proxy.reasons import Code, Reason
from proxy.routing.routes import Destination

# A caller whose issuer's keys were fetched in vain is told so; it does not wait again.
MOST_RETRIES = 2
# So often may a caller try before anybody was proven on its connection; stock buildx tries at most five times.
STRANGER_CALLS = 8
TOO_MUCH_FROM_A_STRANGER = "too much before anybody was identified"


class Conversation:
    """All calls of one connection; `peer` is its address for people.

    `destination` is the daemon that they go to; `take_daemon_start` tells of a start of it
    that the first build of this connection should show.
    """

    def __init__(
        self, world: World, *, connection: int, peer: str, certificate: PresentedCertificate | None, waker: Waker
    ) -> None:
        self._world = world
        self._connection = connection
        self._peer = peer
        self._waker = waker
        self._heads = Heads()
        self._judging = Judging(world)
        self._identifying = Identifying(world, certificate)
        self._judged = (0, "unknown")
        self._retries: dict[int, int] = {}
        self._calls: dict[int, Call] = {}
        self._names: dict[str, RememberedNames] = {}
        self._waiting = Waiting(world.builds, waker, join=self._join, start=self._start)
        self.strangers_refused = 0
        self.destination = Destination()
        self.take_daemon_start: TakeStart = no_start

    @property
    def tenant(self) -> str | None:
        """The tenant of the first caller that was proven on this connection."""
        return self._identifying.tenant

    @property
    def has_build(self) -> bool:
        """A build's Solve runs on this connection."""
        return any(call.method is SOLVE for call in self._calls.values())

    # --- what the relay asks ----------------------------------------------------------------

    def begin(self, stream: int, fields: Fields, now_ns: int) -> Call | None:
        """Judge the head of a call (`http2.calls.Calls.begin`).

        Raises:
            Refused: as there.
            ProtocolFault: ENHANCE_YOUR_CALM, a stranger keeps trying.
        """
        if self.tenant is None and stream not in self._retries:
            self._check_stranger()
        self._judged, self._identifying.last = (stream, "unknown"), None
        head = self._heads.read(fields)
        self._judged = (stream, head.method.path if head.method else "unknown")
        try:
            caller = self._identifying.caller(head.authorization)
        except KeysNeeded as needed:
            self._wait_for_keys(stream, needed.issuer)
            return None
        method = self._allowed(caller, head)
        names = self._names_of(caller.tenant)
        call = Call(CallId(self._connection, stream), caller, method, head.named(names), now_ns, names=names)
        try:
            self._admit(call, head, now_ns)
        except Refused:
            call.end()
            raise
        self._retries.pop(stream, None)
        self._calls[stream] = call
        return call

    def judge(self, call: Call, message: bytes, now_ns: int) -> Verdict:
        """Judge the message of an inspected call (`http2.calls.Calls.judge`)."""
        call.is_read = False
        verdict = self._judging.judge(call, message, now_ns)
        if call.method is STATUS and self._world.builds.refusal_of(call):
            # Stock clients print why a build was refused only if its Status ends well.
            verdict = Verdict(answer=b"")
        if verdict.answer is None:
            self._go_on(call, now_ns)
        else:
            self._start(call)
        return verdict

    def rewrite(self, call: Call, message: bytes | None) -> Sequence[bytes]:
        """Return what the caller gets of an answer (`http2.calls.Calls.rewrite`)."""
        assert call.rewriter is not None
        return call.rewriter.finish() if message is None else call.rewriter.feed(message)

    def reword(self, call: Call, trailers: Fields) -> Fields:
        """Return the trailers that the caller gets (`http2.calls.Calls.reword`)."""
        return client_trailers(trailers, call.names.clients)

    def observe(self, call: Call, octets: memoryview) -> None:
        """Count the steps that a Status stream tells."""
        build = self._world.builds.watched_by(call)
        if build is not None:
            build.observe(octets)

    def refused(self, stream: int, call: Call | None, refused: Refused, now_ns: int) -> tuple[Code, str]:
        """Note a refusal and say what the caller reads."""
        reference = CallId(self._connection, stream)
        if call is None or call.state in (State.JUDGING, State.WAITING):
            caller, method = (call.caller, call.method.path) if call else self._who_asked(stream)
            self._world.emit(CallRefused(reference, caller, self._peer, method, refused.reason, refused.account))
            self._close(stream, call, refused.reason.code, refused.reason, now_ns)
            self.strangers_refused += caller is None and self.tenant is None
        else:
            self.ended(call, refused.reason.code, refused.reason, now_ns)
        self._retries.pop(stream, None)
        return refused.reason.code, refused.public_text(reference.reference)

    def ended(self, call: Call, code: Code, reason: Reason | None, now_ns: int) -> None:
        """Note the end of an admitted call, once."""
        was_running = call.state is State.RUNNING
        if not self._close(call.id.stream, call, code, reason, now_ns) or not was_running:
            return
        duration_ns = now_ns - call.started_ns
        self._world.emit(
            CallEnded(
                call.id,
                call.caller,
                call.method.path,
                code,
                duration_ns,
                call.received_octets,
                call.sent_octets,
                reason,
            )
        )

    def passed(self, call: Call, received_octets: int, sent_octets: int) -> None:
        """Add up octets until they are told."""
        call.received_octets += received_octets
        call.sent_octets += sent_octets

    # --- what the owner asks ----------------------------------------------------------------

    def tell_progress(self) -> None:
        """Tell the octets of calls that last long."""
        for call in self._calls.values():
            if call.state is State.RUNNING and (call.received_octets or call.sent_octets):
                self._world.emit(CallProgressed(call.id, call.caller.tenant, call.received_octets, call.sent_octets))
                call.received_octets = call.sent_octets = 0

    def tick(self, now_ns: int) -> None:
        """Look after deadlines."""
        self._waiting.tick(now_ns)

    def close(self) -> None:
        """Give back what the connection itself held, and let go of its owner; every call has ended."""
        self._identifying.close()
        # Owner and conversation hold each other: else both stay, with all that is theirs, until the collector comes by.
        del self._waker, self._waiting

    def _check_stranger(self) -> None:
        """Calls that were refused count, and calls that wait for a token's keys."""
        if self.strangers_refused + len(self._retries) >= STRANGER_CALLS:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_FROM_A_STRANGER)

    # --- judging ----------------------------------------------------------------------------

    def _names_of(self, tenant: str) -> RememberedNames:
        if tenant not in self._names:
            self._names[tenant] = RememberedNames(tenant, self._world.namespace_key)
        return self._names[tenant]

    def _who_asked(self, stream: int) -> tuple[Caller | None, str]:
        """Return who made the call that was judged last, and its method; what is known of it is of no other call."""
        judged, method = self._judged
        return (self._identifying.last, method) if judged == stream else (None, "unknown")

    def _allowed(self, caller: Caller, head: ReadHead) -> Method:
        """Return the method, if the caller may call it at all."""
        if head.method is None:
            raise Refused(Reason.METHOD_UNKNOWN, detail=one_line(head.path.decode("latin-1")))
        need_role(caller, head.method, head.method.least_role)
        return head.method

    def _check_exec(self, call: Call) -> None:
        """A container in a running build sees what the build sees: the policy says who may open one.

        Raises:
            Refused: POLICY_EXEC.
        """
        if call.method is NEW_CONTAINER or call.method is EXEC_PROCESS:
            policy = self._world.generation.policies[call.caller.policy]
            call.shadowed += policy.judge_exec(call.caller.role).shadowed

    def _admit(self, call: Call, head: ReadHead, now_ns: int) -> None:
        """Ask the limits, take what the call needs, and let it go on if nothing is left to judge."""
        world = self._world
        if not world.is_audited():
            raise Refused(Reason.AUDIT_UNWRITABLE)
        if world.is_draining and not self.has_build:
            raise Refused(Reason.DRAINING)
        self._check_exec(call)
        tenant = call.caller.tenant
        world.limits.admit_call(tenant, now_ns=now_ns)
        call.holds(world.limits.open_stream(tenant).give_back)
        if call.method.treatment is Treatment.ANSWER:
            call.answer = answer(call.method, is_serving=world.is_upstream_healthy())
        else:
            self.destination.choose(tenant, world.generation.routes)
        if call.method is SESSION:
            call.holds(world.sessions.open(head.name, tenant))
        elif call.method.service == BRIDGE:
            call.ref = head.name
        if not call.is_read:
            self._go_on(call, now_ns)

    def _go_on(self, call: Call, now_ns: int) -> None:
        """Start a call of which nothing is left to judge, or let it wait for its build.

        Raises:
            Refused: as `Waiting.enter`.
        """
        if call.method is STATUS or call.method.service == BRIDGE:
            self._waiting.enter(call, now_ns)
        if not call.is_waiting:
            self._start(call)

    def _join(self, call: Call) -> None:
        build = self._world.builds.find(call)
        if build is not None and call.method is BRIDGE_SOLVE:
            self._judging.solving.take_slot(build)
        elif build is not None and call.method is STATUS:
            self._world.builds.watch(call)
            # A start is shown once: not to a build that nobody looks at, as clients' own probes are.
            started = None if build.facts.is_internal else self.take_daemon_start()
            call.rewriter = daemon_step(started) if started else None

    def _start(self, call: Call) -> None:
        """Say that a call started, and what rules that only count would have said of it."""
        call.move(State.RUNNING)
        path = call.method.path
        self._world.emit(CallStarted(call.id, call.caller, self._peer, path))
        for each in call.shadowed:
            self._world.emit(
                PolicyShadowed(call.id, call.caller, self._peer, path, each.rule, each.reason, each.detail)
            )

    def _close(self, stream: int, call: Call | None, code: Code, reason: Reason | None, now_ns: int) -> bool:
        self._calls.pop(stream, None)
        self._waiting.leave(stream)
        if call is None or not call.end():
            return False
        self._world.builds.end(call, code, reason, now_ns)
        return True

    def _wait_for_keys(self, stream: int, issuer: str) -> None:
        tries = self._retries.get(stream, 0)
        if tries >= MOST_RETRIES:
            raise Refused(Reason.KEYS_UNAVAILABLE, detail=f"issuer {issuer}")
        self._retries[stream] = tries + 1
        waker = self._waker
        self._world.need_keys(issuer, lambda: waker.retry(stream))
