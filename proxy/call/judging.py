"""What the request messages of inspected methods ask for, and what the daemon gets in their place.

Each message is read strictly, judged, and given its tenant's names; the rooms below
know how (`buildkit`). What cannot be read is refused: a message that we did not
understand might mean anything to the daemon.
"""

from collections.abc import Callable
from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft, UnknownField
from proxy.buildkit.methods import BRIDGE_SOLVE, SOLVE, STATUS, Method
from proxy.buildkit.naming import name_attrs, name_ref, name_solve
from proxy.buildkit.solve import facts_of
from proxy.buildkit.wire import Shape, WireError
from proxy.call.builds import Build
from proxy.call.machine import Call
from proxy.call.world import World
from proxy.errors import Refused
from proxy.http2.calls import AS_IT_IS, Verdict
from proxy.reasons import Reason


class Judging:
    """Judges the requests of a process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_method: Final[dict[Method, Callable[[Call, bytes], bytes]]] = {
            SOLVE: self._solve,
            BRIDGE_SOLVE: self._bridge_solve,
            STATUS: self._status,
        }

    def judge(self, call: Call, message: bytes, now_ns: int) -> Verdict:
        """Judge the request message of `call`.

        Raises:
            Refused: it is turned away; of a build, whoever waits for it learns that too.
        """
        judge = self._by_method.get(call.method)
        if judge is None:
            return AS_IT_IS
        try:
            return Verdict(message=self._read(call, judge, message))
        except Refused as refused:
            if call.method is SOLVE:
                self._world.builds.refuse(call, refused, now_ns)
            raise

    def take_slot(self, build: Build) -> None:
        """Let a build count: with its Solve if that brings work, else with its first LLBBridge/Solve.

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

    def _read(self, call: Call, judge: Callable[[Call, bytes], bytes], message: bytes) -> bytes:
        try:
            return judge(call, message)
        except UnknownField as unknown:
            raise Refused(Reason.FIELD_UNKNOWN, method=call.method.short, field=unknown.number) from None
        except WireError as error:
            raise Refused(Reason.MESSAGE_UNREADABLE, method=call.method.short, why=str(error)) from None

    @property
    def _takes_unknown(self) -> bool:
        return self._world.generation.isolation.unknown_fields == "pass"

    # --- one method each --------------------------------------------------------------------

    def _solve(self, call: Call, message: bytes) -> bytes:
        request = BuildRequest(message, is_bridge=False, takes_unknown=self._takes_unknown)
        facts = facts_of(request)
        call.ref = facts.ref
        call.renamed |= name_solve(request, self._world.namespaces.of(call.caller.tenant))
        build = self._world.builds.open(call, facts)
        if request.has_work:
            self.take_slot(build)
        if not facts.is_internal:
            self._world.builds.start(build)
        self._world.builds.admit(call)
        return request.encode()

    def _bridge_solve(self, call: Call, message: bytes) -> bytes:
        request = BuildRequest(message, is_bridge=True, takes_unknown=self._takes_unknown)
        call.renamed |= name_attrs(request, self._world.namespaces.of(call.caller.tenant))
        return request.encode()

    def _status(self, call: Call, message: bytes) -> bytes:
        draft = Draft(message, {1: Shape.TEXT}, takes_unknown=self._takes_unknown)
        call.renamed |= name_ref(draft, self._world.namespaces.of(call.caller.tenant))
        call.ref = next(iter(call.renamed.values()))
        return draft.encode()
