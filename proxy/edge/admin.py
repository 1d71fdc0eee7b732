"""The operator's port: metrics, health and version, over plain HTTP.

It asks nobody who they are, so it listens on loopback unless the operator says
otherwise, and offers nothing that changes anything.
"""

import platform
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web

from proxy.edge.metrics_page import MetricsPage
from proxy.errors import one_line
from proxy.settings.address import Endpoint

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
INDEX = """\
kilngate {version}

/metrics          for Prometheus
/livez            200 while the process turns
/readyz           200 while it can take builds; /readyz?verbose lists the checks
/healthz          the same as /readyz
/version          what runs here, as JSON
"""

Check = Callable[[], str]


class AdminServer:
    """Serves the operator's port.

    A check says what is wrong, or nothing; `notes` are lines of /readyz?verbose that decide
    nothing; `metrics` renders the metrics page and is called in a thread.
    """

    def __init__(
        self,
        address: Endpoint,
        *,
        metrics: Callable[[], bytes],
        checks: Mapping[str, Check],
        version: str,
        notes: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._address = address
        self._page = MetricsPage(metrics)
        self._checks = checks
        self._notes = notes
        self._version = version
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, also when port 0 was asked for; 0 before the start."""
        return self._runner.addresses[0][1] if self._runner and self._runner.addresses else 0

    async def start(self) -> None:
        """Open the port.

        Raises:
            OSError: it cannot be opened.
        """
        app = web.Application()
        for path, answer in (
            ("/", self._index),
            ("/metrics", self._metrics),
            ("/livez", self._livez),
            ("/readyz", self._readyz),
            ("/healthz", self._readyz),
            ("/version", self._tell_version),
        ):
            app.router.add_get(path, answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address, reuse_address=True).start()

    async def stop(self) -> None:
        """Close the port; a scrape in progress may end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _index(self, _: web.Request) -> web.Response:
        return _text(INDEX.format(version=self._version))

    async def _metrics(self, request: web.Request) -> web.Response:
        page = await self._page.read()
        headers = {**HEADERS, "Content-Type": METRICS_TYPE, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=page.gzipped, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=page.plain, headers=headers)

    async def _livez(self, _: web.Request) -> web.Response:
        return _text("ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        said = {name: _ask(check) for name, check in self._checks.items()}
        is_ready = not any(said.values())
        lines = "".join(f"[-]{name} failed: {what}\n" if what else f"[+]{name} ok\n" for name, what in said.items())
        lines += "".join(f"[!]{one_line(note)}\n" for note in self._notes())
        if is_ready and "verbose" not in request.query:
            return _text("ok\n")
        return _text(f"{lines}{'ready' if is_ready else 'not ready'}\n", status=200 if is_ready else 503)

    async def _tell_version(self, _: web.Request) -> web.Response:
        found = {"version": self._version, "python": platform.python_version()}
        return web.json_response(found, headers=HEADERS)


def _ask(check: Check) -> str:
    try:
        return one_line(check())
    except Exception as failure:  # a check that cannot answer is a check that failed
        return f"the check itself failed ({type(failure).__name__})"


def _text(body: str, *, status: int = 200) -> web.Response:
    return web.Response(text=body, status=status, headers=HEADERS)
