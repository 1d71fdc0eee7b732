"""The process: rooms wired together, reloaded, drained, stopped.

One generation of settings is in force at a time. A reload builds the next one aside
(the same code as `check-config`), and swaps it whole or not at all. Connections keep
the TLS they began with; every new call is judged by the newest generation.
"""

import asyncio
import contextlib
import gc
import itertools
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

from proxy import __version__
from proxy.call.world import Generation, World
from proxy.edge.admin import AdminServer
from proxy.edge.api.application import Api
from proxy.edge.api.facts import read_facts
from proxy.edge.clock import now_ns, wall_ns
from proxy.edge.daemons import Daemons
from proxy.edge.dialer import Dialer
from proxy.edge.files import Bundle, read_bundle
from proxy.edge.generation import Built, build, namespace_key
from proxy.edge.host import Host
from proxy.edge.issuing import Desk
from proxy.edge.keys import KeyFetcher
from proxy.edge.lag import LagTicker
from proxy.edge.listener import Listener, listen
from proxy.edge.notify import Notifier
from proxy.edge.upstream_check import check_daemons
from proxy.edge.watch import Poller
from proxy.edge.watches import HealthWatches
from proxy.errors import Refused
from proxy.events import Drained, Event, ReloadFailed, SettingsLoaded, Warned
from proxy.identity.issued import LiveRevocations
from proxy.limits.tenant import Limits, TenantLimits
from proxy.reasons import Reason
from proxy.settings.changes import changed, needing_restart
from proxy.settings.errors import SettingsErrors
from proxy.settings.schema import Settings
from proxy.sinks.observers import Observers
from proxy.store.memory import MemoryStore
from proxy.store.sqlite import SqliteStore

# Readiness turns false first, so that load balancers look away before the port closes.
CUT_S = 3.0


class App:
    """`kilngate serve`."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._bundle: Bundle
        self._began_with: Settings
        self._observers: Observers
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._fetcher: KeyFetcher
        self._fetching: asyncio.Task[None] | None = None
        self._generation = 0
        # Whoever was judged under an earlier number is judged again at the next call.
        self._judgements = itertools.count(1)
        self._last_reload_failed = ""

    async def run(self) -> int:
        """Serve until told to stop; return the exit code: 0 all builds ended, 1 some were cut.

        Raises:
            SettingsErrors, ValueError, OSError: it cannot start.
        """
        # Not in a thread as a reload does: nobody waits yet, and what a thread frees is of no use to the others.
        self._bundle = read_bundle(self._file, now_wall_ns=wall_ns())
        self._revocations = LiveRevocations()
        built = build(self._bundle, earlier=None, wall_ns=wall_ns, revocations=self._revocations)
        self._began_with = settings = self._bundle.settings
        self._observers = Observers(settings, version=__version__, openssl=_openssl(), now_ns=now_ns, wall_ns=wall_ns)
        self._limits = TenantLimits(settings.limits, _own_limits(settings))
        self._notifier = Notifier()
        self._watches = HealthWatches(self._emit)
        self._daemons = Daemons(self._emit)
        self._used = settings.daemons
        self._dialer = Dialer(self._daemons)
        sock = listen(settings.listen.address.host, settings.listen.address.port)
        self._world = self._make_world(built)
        self._desk = self._make_desk(settings)
        self._api = Api(self._world, self._desk)
        self._poller = Poller(asyncio.get_running_loop())
        self._listener = Listener(sock, listen=settings.listen, tls=built.tls, make_host=self._make_host)
        self._admin = AdminServer(
            settings.admin.address,
            metrics=self._observers.render,
            checks=self._checks(),
            notes=lambda: [f"upstream {away}" for away in self._watches.away],
            version=__version__,
        )
        try:
            return await self._serve(built)
        finally:
            await self._api.stop()
            await self._desk.close()
            await self._admin.stop()
            self._poller.close()
            self._observers.close()

    async def _serve(self, built: Built) -> int:
        loop = asyncio.get_running_loop()
        for number, act in ((signal.SIGHUP, self._reload_asked.set), (signal.SIGTERM, self._asked_to_stop)):
            loop.add_signal_handler(number, act)
        loop.add_signal_handler(signal.SIGINT, self._asked_to_stop)
        await self._admin.start()
        await self._api.start()
        await self._desk.open()
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._apply(built, ())
            running = [
                group.create_task(work)
                for work in (
                    self._listener.run(),
                    self._desk.run(),
                    self._dialer.run(),
                    self._watches.run(),
                    self._daemons.run(),
                    self._observers.run(),
                    self._reload_forever(),
                    LagTicker(self._emit).run(),
                    self._notifier.watchdog(),
                )
            ]
            for warning in [*self._bundle.warnings, *check_daemons(self._used)]:
                self._emit(Warned(warning))
            # The port is open once the listener's task had its first turn.
            await asyncio.sleep(0)
            self._tell_ready()
            # What was made until now stays: the collector need not look at it again, for 20 ms and more each time.
            gc.collect()
            gc.freeze()
            await self._stop.wait()
            lost = await self._drain()
            await self._daemons.stop()
            for task in [*running, self._fetching]:
                if task is not None:
                    task.cancel()
        return 1 if lost else 0

    def _tell_ready(self) -> None:
        self._notifier.ready(f"serving {self._began_with.listen.address}")

    def _emit(self, event: Event) -> None:
        self._observers.emit(event)

    # --- wiring -----------------------------------------------------------------------------

    def _make_world(self, built: Built) -> World:
        return World(
            generation=_generation(0, built),
            namespace_key=namespace_key(built.bundle),
            limits=self._limits,
            emit=self._observers.emit,
            need_keys=self._need_keys,
            wall_ns=wall_ns,
            is_audited=self._observers.is_audited,
            is_upstream_healthy=self._can_build,
            report_bug=self._observers.report_bug,
        )

    def _make_desk(self, settings: Settings) -> Desk:
        file = settings.store.file
        return Desk(
            SqliteStore(Path(file)) if file else MemoryStore(),
            revocations=self._revocations,
            emit=self._emit,
            wall_ns=wall_ns,
            taken=self._revoked,
        )

    def _revoked(self) -> int:
        """Judge everybody anew; return how many connections ended by it."""
        generation = self._world.generation
        generation.authenticator.forget()
        self._world.generation = replace(generation, number=next(self._judgements))
        return self._listener.end_withdrawn(generation.authenticator.withdrawn)

    def _need_keys(self, issuer: str, then: Callable[[], None]) -> None:
        """Ask the fetcher of the generation that is in force now."""
        self._fetcher.need(issuer, then)

    def _make_host(self, listener: Listener) -> Host:
        return Host(
            world=self._world,
            listen=self._bundle.settings.listen,
            loop=asyncio.get_running_loop(),
            poller=self._poller,
            open_daemon=self._dialer.open,
            closed=listener.closed,
            new_api=self._api.new_protocol,
        )

    def _checks(self) -> dict[str, Callable[[], str]]:
        """Return the readiness checks: each says what is wrong, or nothing."""
        return {
            "listener": lambda: "" if self._listener.is_accepting else "the public port is closed",
            "upstream": lambda: "" if self._can_build() else "the build daemon is away",
            "auth": lambda: "" if self._bundle.settings.auth else "no way to prove an identity is configured",
            "audit": lambda: "" if self._observers.is_audited() else "the audit log cannot be written",
            "draining": lambda: "draining" if self._world.is_draining else "",
        }

    def _can_build(self) -> bool:
        """Tell whether some tenant can build: others must not lose the door because one daemon is away."""
        return self._watches.is_any_up or bool(self._used.on_demand)

    # --- reload -----------------------------------------------------------------------------

    async def _reload_forever(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            self._notifier.reloading(now_ns())
            await self._reload()
            self._tell_ready()

    async def _reload(self) -> None:
        """Take the next generation whole, or keep the one that is in force."""
        try:
            bundle = await asyncio.to_thread(read_bundle, self._file, now_wall_ns=wall_ns())
            built = await asyncio.to_thread(
                build, bundle, earlier=self._built.keysets, wall_ns=wall_ns, revocations=self._revocations
            )
        except SettingsErrors as errors:
            self._emit(ReloadFailed("\n".join(errors.lines)))
            return
        except (ValueError, OSError) as error:
            self._emit(ReloadFailed(str(error)))
            return
        changes = changed(self._bundle.settings, bundle.settings)
        for path in needing_restart(changed(self._began_with, bundle.settings)):
            self._emit(Warned(f"{path} has changed; that needs a restart"))
        daemons = bundle.settings.daemons
        seen = await asyncio.to_thread(check_daemons, daemons) if daemons != self._used else []
        for warning in [*bundle.warnings, *seen]:
            self._emit(Warned(warning))
        self._bundle = bundle
        self._apply(built, changes)

    def _apply(self, built: Built, changes: tuple[str, ...]) -> None:
        settings = built.bundle.settings
        self._built = built
        self._generation += 1
        self._limits.reconfigure(settings.limits, _own_limits(settings))
        self._used = settings.daemons
        self._watches.apply(self._used.standing)
        self._daemons.apply(self._used.on_demand)
        self._listener.apply(settings.listen, built.tls)
        self._observers.reopen(settings)
        self._world.generation = _generation(next(self._judgements), built)
        self._desk.issuer = built.issuer
        self._api.facts = read_facts(settings, built.bundle.files)
        self._fetcher = KeyFetcher(built.keysets, emit=self._emit, wall_ns=wall_ns)
        before, self._fetching = self._fetching, self._group.create_task(self._fetcher.run())
        if before is not None:
            before.cancel()
        self._listener.end_withdrawn(built.authenticator.withdrawn)
        for fact in built.facts:
            self._emit(fact)
        self._emit(
            SettingsLoaded(
                self._generation,
                built.bundle.digest,
                tuple(settings.tenants),
                wall_ns(),
                changes,
                issuers=tuple(source.issuer for source in built.keysets.sources),
                upstreams=tuple(str(each.address) for each in self._used.standing),
                pools=tuple(dict.fromkeys(each.pool for each in self._used.on_demand)),
            )
        )

    # --- stop -------------------------------------------------------------------------------

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _drain(self) -> int:
        """Take no new callers, let builds end, cut what is left; return how many builds were cut."""
        begun_ns = now_ns()
        self._world.is_draining = True
        self._notifier.stopping()
        self._listener.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bundle.settings.drain.timeout / 1e9):
                while self._listener.connections and not self._hurry.is_set():
                    self._listener.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await self._hurry.wait()
        lost = self._listener.builds
        self._listener.cut(Refused(Reason.DRAIN_DEADLINE))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_S):
                await self._listener.wait_empty()
        self._emit(Drained(now_ns() - begun_ns, lost))
        return lost


def _generation(number: int, built: Built) -> Generation:
    settings = built.bundle.settings
    return Generation(number, built.authenticator, settings.isolation, settings.routes, built.policies)


def _own_limits(settings: Settings) -> dict[str, Limits]:
    return {tenant: settings.limits_of(tenant) for tenant in settings.tenants}


def _openssl() -> str:
    """Return the version of the OpenSSL that pyOpenSSL uses: the one that comes with `cryptography`."""
    return backend.openssl_version_text().removeprefix("OpenSSL ").split()[0]


def serve(file: str) -> int:
    """Run the process until it is told to stop; uvloop is used when it is installed.

    Raises:
        SettingsErrors, ValueError, OSError: it cannot start.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(App(str(Path(file))).run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory if sys.platform == "linux" else None
