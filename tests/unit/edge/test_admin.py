import asyncio
import gzip
import threading
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import pytest

from proxy.edge.admin import AdminServer
from proxy.edge.metrics_page import KEPT_NS, MetricsPage
from proxy.settings.address import Endpoint

PAGE = b"# HELP x y\nx 1\n" * 200
LOOPBACK = Endpoint("127.0.0.1", 0)


def asked(
    paths: list[str],
    *,
    checks: Mapping[str, Callable[[], str]] | None = None,
    metrics: Callable[[], bytes] = lambda: PAGE,
    notes: Callable[[], list[str]] = list,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> list[tuple[int, Mapping[str, str], bytes]]:
    """Start a server, ask it for each path, stop it; return status, headers and the octets as they came."""

    async def ask() -> list[tuple[int, Mapping[str, str], bytes]]:
        server = AdminServer(LOOPBACK, metrics=metrics, checks=checks or {}, version="1.2.3", notes=notes)
        await server.start()
        answers = []
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as client:
                for path in paths:
                    url = f"http://127.0.0.1:{server.port}{path}"
                    async with client.request(method, url, headers=headers) as answer:
                        answers.append((answer.status, answer.headers.copy(), await answer.read()))
        finally:
            await server.stop()
        return answers

    return asyncio.run(ask())


def test_prometheus_reads_the_metrics_in_its_text_format() -> None:
    ((status, headers, body),) = asked(["/metrics"], headers={"Accept-Encoding": "identity"})

    assert (status, body) == (200, PAGE)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_metrics_come_compressed_to_who_can_read_that() -> None:
    ((_, headers, body),) = asked(["/metrics"], headers={"Accept-Encoding": "gzip"})

    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == PAGE


def test_metrics_are_rendered_off_the_loop() -> None:
    threads: list[threading.Thread] = []

    def render() -> bytes:
        threads.append(threading.current_thread())
        return PAGE

    asked(["/metrics"], metrics=render)

    assert threads
    assert threads[0] is not threading.main_thread()


def test_a_failing_rendering_is_a_500_that_quotes_nothing_and_the_next_one_is_tried() -> None:
    answers = iter([ValueError("s3cret"), PAGE])

    def render() -> bytes:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    failed, good = asked(["/metrics", "/metrics"], metrics=render)

    assert failed[0] == 500
    assert b"s3cret" not in failed[2]
    assert good[0] == 200


def test_a_live_process_says_so_even_when_it_is_not_ready() -> None:
    live, ready = asked(["/livez", "/readyz"], checks={"upstream": lambda: "away"})

    assert (live[0], live[2]) == (200, b"ok\n")
    assert ready[0] == 503


def test_readiness_lists_its_checks_as_kubernetes_does() -> None:
    checks = {"listener": lambda: "", "upstream": lambda: "the build daemon is away"}
    brief, verbose, alias = asked(["/readyz", "/readyz?verbose", "/healthz"], checks=checks)

    assert verbose[2] == b"[+]listener ok\n[-]upstream failed: the build daemon is away\nnot ready\n"
    assert brief == (503, brief[1], verbose[2])
    assert alias[0] == 503


def test_a_ready_process_is_brief_unless_asked() -> None:
    brief, verbose = asked(["/readyz", "/readyz?verbose"], checks={"listener": lambda: ""})

    assert (brief[0], brief[2]) == (200, b"ok\n")
    assert verbose[2] == b"[+]listener ok\nready\n"


def test_a_note_is_read_by_whoever_asks_and_decides_nothing() -> None:
    notes = lambda: ["upstream unix:///a is away", "x\n[+]forged"]  # noqa: E731
    brief, verbose = asked(["/readyz", "/readyz?verbose"], checks={"listener": lambda: ""}, notes=notes)

    assert (brief[0], brief[2]) == (200, b"ok\n")
    assert verbose[2] == b"[+]listener ok\n[!]upstream unix:///a is away\n[!]x?[+]forged\nready\n"


def test_a_check_that_breaks_is_a_check_that_failed() -> None:
    def broken() -> str:
        raise KeyError("s3cret")

    ((status, _, body),) = asked(["/readyz"], checks={"audit": broken})

    assert (status, body) == (503, b"[-]audit failed: the check itself failed (KeyError)\nnot ready\n")


def test_a_check_cannot_write_a_line_of_its_own() -> None:
    ((_, _, body),) = asked(["/readyz"], checks={"upstream": lambda: "x\n[+]all ok"})

    assert body == b"[-]upstream failed: x?[+]all ok\nnot ready\n"


def test_the_index_names_what_is_here_and_all_of_it_answers() -> None:
    index, *rest = asked(["/", "/metrics", "/livez", "/readyz", "/healthz", "/version"])

    assert [status for status, *_ in rest] == [200] * 5
    assert all(path in index[2] for path in (b"/metrics", b"/livez", b"/readyz", b"/healthz", b"/version"))
    assert b'"version": "1.2.3"' in rest[-1][2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_here_changes_anything(method: str) -> None:
    answers = asked(["/", "/metrics", "/readyz"], method=method)

    assert [status for status, *_ in answers] == [405] * 3


def test_an_unknown_path_is_not_found() -> None:
    assert asked(["/debug"])[0][0] == 404


def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    async def start_two() -> None:
        first = AdminServer(LOOPBACK, metrics=lambda: PAGE, checks={}, version="1")
        await first.start()
        second = AdminServer(Endpoint("127.0.0.1", first.port), metrics=lambda: PAGE, checks={}, version="1")
        try:
            await second.start()
        finally:
            await second.stop()
            await first.stop()

    with pytest.raises(OSError, match="in use"):
        asyncio.run(start_two())


def test_an_ipv6_address_is_understood() -> None:
    async def port() -> int:
        server = AdminServer(Endpoint("::1", 0), metrics=lambda: PAGE, checks={}, version="1")
        try:
            await server.start()
        except OSError as failure:
            pytest.skip(f"no IPv6 on this machine: {failure}")
        _, writer = await asyncio.open_connection("::1", server.port)
        writer.close()
        await writer.wait_closed()
        bound = server.port
        await server.stop()
        return bound

    assert asyncio.run(port()) > 0


class Renderer:
    def __init__(self) -> None:
        self.now_ns = 0
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> bytes:
        self.gate.wait(10)
        self.count += 1
        return str(self.count).encode()


def read(renderer: Renderer, story: Callable[[MetricsPage], Awaitable[list[bytes]]]) -> list[bytes]:
    async def run() -> list[bytes]:
        return await story(MetricsPage(renderer, now_ns=lambda: renderer.now_ns))

    return asyncio.run(run())


def test_a_page_is_kept_for_a_second() -> None:
    renderer = Renderer()

    async def story(page: MetricsPage) -> list[bytes]:
        seen = []
        for now_ns in (0, KEPT_NS - 1, KEPT_NS):
            renderer.now_ns = now_ns
            seen.append((await page.read()).plain)
        return seen

    assert read(renderer, story) == [b"1", b"1", b"2"]


def test_all_who_ask_at_once_get_one_rendering() -> None:
    renderer = Renderer()
    renderer.gate.clear()

    async def story(page: MetricsPage) -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(page.read()) for _ in range(5)]
            await asyncio.sleep(0)
            renderer.gate.set()
        return [one.result().plain for one in asking]

    assert read(renderer, story) == [b"1"] * 5
