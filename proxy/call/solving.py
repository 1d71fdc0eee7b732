"""What builds ask for, by either Solve: judged, and made their tenant's own.

The order is the same for both messages: what is asked for is read, then its names, its
caches and its definitions become the tenant's. Stock clients send an almost empty
`Control/Solve` first and their work in an `LLBBridge/Solve`; others may do it otherwise.
"""

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.llb import rewritten
from proxy.buildkit.naming import name_attrs, name_solve
from proxy.buildkit.separation import separate
from proxy.buildkit.solve import facts_of
from proxy.call.builds import Build
from proxy.call.machine import Call
from proxy.call.world import World
from proxy.errors import Refused
from proxy.reasons import Reason


class Solving:
    """Judges the two messages that say what a build wants."""

    def __init__(self, world: World) -> None:
        self._world = world

    def control(self, call: Call, message: bytes) -> bytes:
        """Judge a `Control/Solve`, open its build, and return what the daemon gets.

        Raises:
            Refused: it is turned away.
            WireError: it cannot be read.
        """
        request = self._read(message, is_bridge=False)
        facts = facts_of(request)
        call.ref = facts.ref
        name_solve(request, call.names)
        self._keep_apart(call, request)
        build = self._world.builds.open(call, facts)
        if request.has_work:
            self.take_slot(build)
        if not facts.is_internal:
            self._world.builds.start(build)
        self._world.builds.admit(call)
        return request.encode()

    def bridge(self, call: Call, message: bytes) -> bytes:
        """Judge an `LLBBridge/Solve`, and return what the daemon gets.

        Raises:
            Refused, WireError: as `control`.
        """
        request = self._read(message, is_bridge=True)
        name_attrs(request, call.names)
        self._keep_apart(call, request)
        return request.encode()

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

    def _read(self, message: bytes, *, is_bridge: bool) -> BuildRequest:
        takes_unknown = self._world.generation.isolation.takes_unknown
        return BuildRequest(message, is_bridge=is_bridge, takes_unknown=takes_unknown)

    def _keep_apart(self, call: Call, request: BuildRequest) -> None:
        """Give a build the caches of its tenant, and no other."""
        isolation = self._world.generation.isolation
        separate(request, call.caller.tenant, separates_runs=isolation.separates_runs)
        if isolation.definitions == "allow" or not any(map(len, request.definitions)):
            return
        if isolation.definitions == "refuse":
            raise Refused(Reason.DEFINITION_REFUSED)
        request.definitions[:] = [
            rewritten(
                definition,
                call.names,
                separates_runs=isolation.separates_runs,
                takes_unknown=isolation.takes_unknown,
            )
            if len(definition)
            else definition
            for definition in request.definitions
        ]
