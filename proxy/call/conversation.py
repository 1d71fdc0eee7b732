"""The calls of one caller's connection: who makes them, whether they may, how they end.

This is where the rooms meet: a head is read, the caller proven, the method looked
up, the limits asked, the build found. What the relay asks (`http2.calls.Calls`) is
answered here; what others must know is said as events.
"""

from typing import Protocol

from proxy.buildkit.history import asks_for_one_record, is_feature_probe
from proxy.buildkit.methods import (
    BRIDGE,
    BRIDGE_SOLVE,
    LISTEN_BUILD_HISTORY,
    SESSION,
    SOLVE,
    STATUS,
    Method,
    Treatment,
)
from proxy.buildkit.solve import read_solve
from proxy.buildkit.status import read_status_request
from proxy.call.answers import answer
from proxy.call.builds import WAIT_FOR_BUILD_NS, Build
from proxy.call.heads import Heads, ReadHead
from proxy.call.identifying import Identifying
from proxy.call.machine import Call, State
from proxy.call.world import World
from proxy.caller import Caller, Role
from proxy.errors import KeysNeeded, Refused, one_line
from proxy.events import CallEnded, CallId, CallProgressed, CallRefused, CallStarted
from proxy.grpc.head import Fields
from proxy.http2.frames import ErrorCode, ProtocolFault
from proxy.identity.credentials import PresentedCertificate
from proxy.reasons import Code, Reason

# A caller whose issuer's keys were fetched in vain is told so; it does not wait again.
MOST_RETRIES = 2
# So often may a caller try before anybody was proven on its connection; stock buildx tries at most five times.
STRANGER_CALLS = 8
TOO_MUCH_FROM_A_STRANGER = "too much before anybody was identified"


class Waker(Protocol):
    """What the owner of the connection offers: decide again, let go, end, and send what came of it."""

    def retry(self, stream: int) -> None:
        """Decide a call again."""

    def let_go(self, stream: int) -> None:
        """Let the octets of a call go on."""

    def end_call(self, stream: int, refused: Refused) -> None:
        """End a call with a sentence."""


class Conversation:
    """All calls of one connection; `peer` is its address for people."""

    def __init__(
        self, world: World, *, connection: int, peer: str, certificate: PresentedCertificate | None, waker: Waker
    ) -> None:
        self._world = world
        self._connection = connection
        self._peer = peer
        self._waker = waker
        self._heads = Heads()
        self._identifying = Identifying(world, certificate)
        self._judged = (0, "unknown")
        self._retries: dict[int, int] = {}
        self._calls: dict[int, Call] = {}
        self._waiting: dict[int, Call] = {}
        self.strangers_refused = 0

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
        call = Call(CallId(self._connection, stream), caller, method, head.forwarded, now_ns)
        try:
            self._admit(call, head, now_ns)
        except Refused:
            call.end()
            raise
        self._retries.pop(stream, None)
        self._calls[stream] = call
        return call

    def judge(self, call: Call, message: bytes, now_ns: int) -> bytes | None:
        """Judge the message of an inspected call (`http2.calls.Calls.judge`)."""
        call.is_read = False
        answer_of_ours = None
        if call.method is SOLVE:
            self._judge_solve(call, message)
        elif call.method is STATUS:
            call.ref = read_status_request(message)
            self._wait_for_build(call, now_ns)
        elif call.method is LISTEN_BUILD_HISTORY and not is_feature_probe(message):
            answer_of_ours = self._judge_history(call, message)
        self._start(call)
        return answer_of_ours

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
        """End calls whose time is over."""
        for stream, call in list(self._waiting.items()):
            if call.deadline_ns is not None and now_ns >= call.deadline_ns:
                self._waker.end_call(stream, Refused(Reason.FOREIGN_REF, tenant=call.caller.tenant))

    def close(self) -> None:
        """Give back what the connection itself held, and let go of its owner; every call has ended."""
        self._identifying.close()
        # Owner and conversation hold each other: else both stay, with all that is theirs, until the collector comes by.
        del self._waker

    def _check_stranger(self) -> None:
        """Calls that were refused count, and calls that wait for a token's keys."""
        if self.strangers_refused + len(self._retries) >= STRANGER_CALLS:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_FROM_A_STRANGER)

    # --- judging ----------------------------------------------------------------------------

    def _who_asked(self, stream: int) -> tuple[Caller | None, str]:
        """Return who made the call that was judged last, and its method; what is known of it is of no other call."""
        judged, method = self._judged
        return (self._identifying.last, method) if judged == stream else (None, "unknown")

    def _allowed(self, caller: Caller, head: ReadHead) -> Method:
        """Return the method, if the caller may call it at all."""
        if head.method is None:
            raise Refused(Reason.METHOD_UNKNOWN, detail=one_line(head.path.decode("latin-1")))
        self._need_role(caller, head.method, head.method.probe_role or head.method.least_role)
        return head.method

    def _need_role(self, caller: Caller, method: Method, needed: Role) -> None:
        if caller.role < needed:
            raise Refused(
                Reason.ROLE_MISSING,
                method=f"{method.service.rpartition('.')[2]}/{method.name}",
                needed=needed.label,
                tenant=caller.tenant,
                role=caller.role.label,
            )

    def _admit(self, call: Call, head: ReadHead, now_ns: int) -> None:
        """Ask the limits, take what the call needs, and say that it started if nothing is left to judge."""
        world = self._world
        if not world.is_audited():
            raise Refused(Reason.AUDIT_UNWRITABLE)
        if world.is_draining and not self.has_build:
            raise Refused(Reason.DRAINING)
        tenant = call.caller.tenant
        world.limits.admit_call(tenant, now_ns=now_ns)
        call.holds(world.limits.open_stream(tenant).give_back)
        if call.method.treatment is Treatment.ANSWER:
            call.answer = answer(call.method, is_serving=world.is_upstream_healthy())
        elif call.method is SESSION:
            call.holds(world.sessions.open(head.name, tenant))
        elif call.method.service == BRIDGE:
            call.ref = head.name
            self._wait_for_build(call, now_ns)
        if not call.is_read:
            self._start(call)

    def _judge_history(self, call: Call, message: bytes) -> bytes | None:
        """History is for administrators; who asks for one record, as buildx does after a build, hears of none."""
        if call.caller.role < call.method.least_role and asks_for_one_record(message):
            return b""
        self._need_role(call.caller, call.method, call.method.least_role)
        return None

    def _judge_solve(self, call: Call, message: bytes) -> None:
        request = read_solve(message)
        for give_back in self._world.sessions.name(request.sessions, call.caller.tenant):
            call.holds(give_back)
        build = self._world.builds.open(call, request.facts)
        if request.has_work:
            self._take_slot(build)
        if not request.facts.is_internal:
            self._world.builds.start(build)

    def _take_slot(self, build: Build) -> None:
        """A build counts when it brings work: here, or with its first LLBBridge/Solve; buildx's probe never does.

        Raises:
            Refused: BUILDS_LIMIT.
        """
        if build.permit is None:
            try:
                build.permit = self._world.limits.start_build(build.caller.tenant)
            except Refused:
                build.is_denied = True
                raise
        self._world.builds.start(build)

    def _wait_for_build(self, call: Call, now_ns: int) -> None:
        """Let a call go on if its build is there, else keep it until the build's Solve comes."""
        if call.caller.role is Role.ADMIN or self._world.builds.find(call):
            self._join(call)
            return
        call.move(State.WAITING)
        call.deadline_ns = now_ns + WAIT_FOR_BUILD_NS
        self._waiting[call.id.stream] = call
        call.holds(self._world.builds.when_open(call, lambda: self._build_came(call)))

    def _build_came(self, call: Call) -> None:
        # Whoever was let go before it may have found its connection broken, and ended all calls on it.
        if call.state is not State.WAITING:
            return
        del self._waiting[call.id.stream]
        try:
            self._join(call)
        except Refused as refused:
            self._waker.end_call(call.id.stream, refused)
            return
        self._start(call)
        self._waker.let_go(call.id.stream)

    def _join(self, call: Call) -> None:
        build = self._world.builds.find(call)
        if build is not None and call.method is BRIDGE_SOLVE:
            self._take_slot(build)
        elif call.method is STATUS:
            self._world.builds.watch(call)

    def _start(self, call: Call) -> None:
        if call.state is State.JUDGING or (call.state is State.WAITING and call.id.stream not in self._waiting):
            call.move(State.RUNNING)
            self._world.emit(CallStarted(call.id, call.caller, self._peer, call.method.path))

    def _close(self, stream: int, call: Call | None, code: Code, reason: Reason | None, now_ns: int) -> bool:
        self._calls.pop(stream, None)
        self._waiting.pop(stream, None)
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
