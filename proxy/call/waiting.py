"""Calls of one connection that name a build whose Solve has not come yet.

Clients open the calls of a build in any order. What a call may do, and whether it may
be at all, depends on the Solve: so it waits for that, as the daemon itself would.
"""

from collections.abc import Callable

from proxy.buildkit.methods import STATUS
from proxy.call.builds import WAIT_FOR_BUILD_NS, Builds
from proxy.call.machine import Call, State
from proxy.call.waker import Waker
from proxy.errors import Refused
from proxy.reasons import Reason


class Waiting:
    """Holds calls until the build that they name is let in, turned away, or does not come.

    `join` is told of a call whose build is there and may refuse it; `start` of one that goes on.
    """

    def __init__(
        self, builds: Builds, waker: Waker, *, join: Callable[[Call], None], start: Callable[[Call], None]
    ) -> None:
        self._builds = builds
        self._waker = waker
        self._join = join
        self._start = start
        self._calls: dict[int, Call] = {}

    def enter(self, call: Call, now_ns: int) -> None:
        """Let a call go on if its build is there, else keep it.

        Raises:
            Refused: the build was turned away, or may not go on with this call.
        """
        if self._builds.find(call):
            self._join(call)
            return
        if refused := self._builds.refusal_of(call):
            raise refused
        call.move(State.WAITING)
        call.deadline_ns = now_ns + WAIT_FOR_BUILD_NS
        self._calls[call.id.stream] = call
        call.holds(self._builds.when_known(call, lambda: self._build_is_known(call)))

    def leave(self, stream: int) -> None:
        """Forget a call that ended."""
        self._calls.pop(stream, None)

    def tick(self, now_ns: int) -> None:
        """Let calls wait no longer for a build that does not come."""
        for stream, call in list(self._calls.items()):
            if call.deadline_ns is None or now_ns < call.deadline_ns:
                continue
            if call.method is STATUS:
                # The build may be over: the daemon tells its log again, if it is the tenant's.
                self._go_on(call)
            else:
                self._waker.end_call(stream, Refused(Reason.FOREIGN_REF, tenant=call.caller.tenant))

    def _build_is_known(self, call: Call) -> None:
        # Whoever was let go before it may have found its connection broken, and ended all calls on it.
        if call.state is not State.WAITING:
            return
        refused = self._builds.refusal_of(call)
        try:
            if refused is None:
                self._join(call)
        except Refused as other:
            refused = other
        if refused is None:
            self._go_on(call)
        elif call.method is STATUS:
            # Stock clients print why a build was refused only if its Status ends well.
            self._waker.answer(call.id.stream)
        else:
            self._waker.end_call(call.id.stream, refused)

    def _go_on(self, call: Call) -> None:
        del self._calls[call.id.stream]
        self._start(call)
        self._waker.let_go(call.id.stream)
