"""What builds ask for, by either Solve: judged, and made their tenant's own.

The order is the same for both messages: what is asked for is read and held against the
caller's policy, then its names, its caches and its definitions become the tenant's. Stock clients send an almost empty
`Control/Solve` first and their work in an `LLBBridge/Solve`; others may do it otherwise.
"""

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.llb import Facts as DefinitionFacts
from proxy.buildkit.llb import facts_of as facts_of_definition
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
        replaces_sources = self._hold_against_policy(call, request, replaces_sources=False)
        name_solve(request, call.names)
        self._keep_apart(call, request)
        build = self._world.builds.open(call, facts)
        build.replaces_sources = replaces_sources
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
        build = self._world.builds.find(call)
        # Of a build that has not come yet the worst is assumed; stock clients never do it in this order.
        self._hold_against_policy(call, request, replaces_sources=build is None or build.replaces_sources)
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
        isolation = self._world.generation.isolation
        request = BuildRequest(message, is_bridge=is_bridge, takes_unknown=isolation.takes_unknown)
        if isolation.definitions == "refuse" and any(map(len, request.definitions)):
            raise Refused(Reason.DEFINITION_REFUSED)
        return request

    def _hold_against_policy(self, call: Call, request: BuildRequest, *, replaces_sources: bool) -> bool:
        """Let the caller's policy judge and edit a request; tell whether the build may replace its sources."""
        policy = self._world.generation.policies[call.caller.policy]
        judgement = policy.judge(request, self._facts(request), replaces_sources=replaces_sources)
        call.shadowed += judgement.shadowed
        return judgement.replaces_sources

    def _facts(self, request: BuildRequest) -> list[DefinitionFacts]:
        """Return what the definitions of a request ask for; with `allow` the operator gave up to know it."""
        isolation = self._world.generation.isolation
        if isolation.definitions == "allow":
            return []
        sent = [each for each in request.definitions if len(each)]
        facts = [facts_of_definition(each, takes_unknown=isolation.takes_unknown) for each in sent]
        if any(each.has_nested_definition for each in facts):
            raise Refused(Reason.DEFINITION_NESTED)
        return facts

    def _keep_apart(self, call: Call, request: BuildRequest) -> None:
        """Give a build the caches of its tenant, and no other."""
        isolation = self._world.generation.isolation
        separate(request, call.caller.tenant, separates_runs=isolation.separates_runs)
        if isolation.definitions == "allow" or not any(map(len, request.definitions)):
            return
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
