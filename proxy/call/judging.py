"""What the request messages of inspected methods ask for, and what the daemon gets in their place.

Each message is read strictly, judged, and given its tenant's names; the rooms below
know how (`buildkit`). What cannot be read is refused: a message that we did not
understand might mean anything to the daemon.
"""

from collections.abc import Callable
from typing import Final

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.content import CONTENT_INFO_REQUEST, CONTENT_READ_REQUEST
from proxy.buildkit.disk_usage import USAGE_REQUEST, Totals, check_usage_request
from proxy.buildkit.draft import Draft, UnknownField
from proxy.buildkit.history_answer import OwnHistory
from proxy.buildkit.history_request import LISTEN, UPDATE, name_listen, name_update, role_to_update
from proxy.buildkit.methods import (
    BRIDGE_SOLVE,
    CONTENT_INFO,
    CONTENT_READ,
    DISK_USAGE,
    LISTEN_BUILD_HISTORY,
    SOLVE,
    STATUS,
    UPDATE_BUILD_HISTORY,
    Method,
)
from proxy.buildkit.naming import name_attrs, name_solve
from proxy.buildkit.shapes import STATUS_REQUEST
from proxy.buildkit.solve import facts_of
from proxy.buildkit.wire import Shapes, WireError
from proxy.call.allowed import need_role
from proxy.call.builds import Build
from proxy.call.machine import Call
from proxy.call.world import World
from proxy.caller import Role
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
            LISTEN_BUILD_HISTORY: self._listen_history,
            UPDATE_BUILD_HISTORY: self._update_history,
            CONTENT_INFO: self._content_info,
            CONTENT_READ: self._content_read,
            DISK_USAGE: self._disk_usage,
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
        name_solve(request, call.names)
        build = self._world.builds.open(call, facts)
        if request.has_work:
            self.take_slot(build)
        if not facts.is_internal:
            self._world.builds.start(build)
        self._world.builds.admit(call)
        return request.encode()

    def _bridge_solve(self, call: Call, message: bytes) -> bytes:
        request = BuildRequest(message, is_bridge=True, takes_unknown=self._takes_unknown)
        name_attrs(request, call.names)
        return request.encode()

    def _status(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, STATUS_REQUEST)
        call.ref = draft.text(1)
        # The ref stands where an update of the history has it, and an operator names builds as there.
        name_update(draft, call.names, is_operator=_is_operator(call))
        return draft.encode()

    def _listen_history(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, LISTEN)
        name_listen(draft, call.names, is_operator=_is_operator(call))
        call.rewriter = OwnHistory(
            call.names,
            self._world.readable(call.caller.tenant),
            restore_attrs=lambda attrs: attrs,
            is_operator=_is_operator(call),
        )
        return draft.encode()

    def _update_history(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, UPDATE)
        need_role(call.caller, call.method, role_to_update(draft))
        name_update(draft, call.names, is_operator=_is_operator(call))
        return draft.encode()

    def _content_info(self, call: Call, message: bytes) -> bytes:
        if not _is_operator(call):
            call.rewriter = self._world.readable(call.caller.tenant).info(self._draft(message, CONTENT_INFO_REQUEST))
        return message

    def _content_read(self, call: Call, message: bytes) -> bytes:
        if not _is_operator(call):
            call.rewriter = self._world.readable(call.caller.tenant).read(self._draft(message, CONTENT_READ_REQUEST))
        return message

    def _disk_usage(self, call: Call, message: bytes) -> bytes:
        if not _is_operator(call):
            check_usage_request(self._draft(message, USAGE_REQUEST))
            call.rewriter = Totals()
        return message

    def _draft(self, message: bytes, shapes: Shapes) -> Draft:
        return Draft(message, shapes, takes_unknown=self._takes_unknown)


def _is_operator(call: Call) -> bool:
    """An operator sees what all tenants have, under the daemon's names."""
    return call.caller.role is Role.ADMIN
