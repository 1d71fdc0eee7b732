"""What the request messages of inspected methods ask for, and what the daemon gets in their place.

Each message is read strictly, judged, and given its tenant's names; the rooms below
know how (`buildkit`). What cannot be read is refused: a message that we did not
understand might mean anything to the daemon.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from proxy.buildkit.bridge_requests import NAMED
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
    NEW_CONTAINER,
    RESOLVE_IMAGE_CONFIG,
    RESOLVE_SOURCE_META,
    SOLVE,
    STATUS,
    UPDATE_BUILD_HISTORY,
    Method,
)
from proxy.buildkit.separation import unseparated
from proxy.buildkit.shapes import STATUS_REQUEST
from proxy.buildkit.wire import Shapes, WireError
from proxy.call.allowed import need_role
from proxy.call.machine import Call
from proxy.call.solving import Solving
from proxy.call.world import World
from proxy.caller import Role
from proxy.errors import Refused
from proxy.http2.calls import AS_IT_IS, Verdict
from proxy.reasons import Reason


class Judging:
    """Judges the requests of a process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.solving = Solving(world)
        self._by_method: Final[dict[Method, Callable[[Call, bytes], bytes]]] = {
            SOLVE: self.solving.control,
            BRIDGE_SOLVE: self.solving.bridge,
            RESOLVE_IMAGE_CONFIG: self._bridge_request,
            RESOLVE_SOURCE_META: self._bridge_request,
            NEW_CONTAINER: self._bridge_request,
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

    def _read(self, call: Call, judge: Callable[[Call, bytes], bytes], message: bytes) -> bytes:
        try:
            return judge(call, message)
        except UnknownField as unknown:
            raise Refused(Reason.FIELD_UNKNOWN, method=call.method.short, field=unknown.number) from None
        except WireError as error:
            raise Refused(Reason.MESSAGE_UNREADABLE, method=call.method.short, why=str(error)) from None

    # --- one method each --------------------------------------------------------------------

    def _bridge_request(self, call: Call, message: bytes) -> bytes:
        shapes, give_names = NAMED[call.method.name]
        draft = self._draft(message, shapes)
        give_names(draft, call.names)
        return bytes(draft.encode())

    def _status(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, STATUS_REQUEST)
        call.ref = draft.text(1)
        # The ref stands where an update of the history has it, and an operator names builds as there.
        name_update(draft, call.names, is_operator=_is_operator(call))
        return bytes(draft.encode())

    def _listen_history(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, LISTEN)
        name_listen(draft, call.names, is_operator=_is_operator(call))
        call.rewriter = OwnHistory(
            call.names,
            self._world.readable(call.caller.tenant),
            restore_attrs=partial(unseparated, tenant=call.caller.tenant),
            is_operator=_is_operator(call),
        )
        return bytes(draft.encode())

    def _update_history(self, call: Call, message: bytes) -> bytes:
        draft = self._draft(message, UPDATE)
        need_role(call.caller, call.method, role_to_update(draft))
        name_update(draft, call.names, is_operator=_is_operator(call))
        return bytes(draft.encode())

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
        return Draft(message, shapes, takes_unknown=self._world.generation.isolation.takes_unknown)


def _is_operator(call: Call) -> bool:
    """An operator sees what all tenants have, under the daemon's names."""
    return call.caller.role is Role.ADMIN
