import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from proxy.cli.healthcheck import command
from proxy.edge.admin import AdminServer
from proxy.settings.address import Endpoint


@contextmanager
def serving(check: Callable[[], str]) -> Iterator[int]:
    """Serve the admin port in a thread of its own; yield the port."""
    started, stop = threading.Event(), asyncio.Event()
    server = AdminServer(Endpoint("127.0.0.1", 0), metrics=lambda: b"", checks={"upstream": check}, version="1")
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.start()
        started.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield server.port
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


def checked(url: str) -> Result:
    return CliRunner().invoke(command, ["--url", url])


def test_a_ready_process_is_0() -> None:
    with serving(lambda: "") as port:
        result = checked(f"http://127.0.0.1:{port}/readyz")

    assert (result.exit_code, result.output) == (0, "ready\n")


def test_a_process_that_is_not_ready_is_1_and_says_why() -> None:
    with serving(lambda: "away") as port:
        result = checked(f"http://127.0.0.1:{port}/readyz")

    assert result.exit_code == 1
    assert "[-]upstream failed: away" in result.output


def test_nobody_there_is_69() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        result = checked(f"http://127.0.0.1:{free.getsockname()[1]}/readyz")

    assert result.exit_code == 69
    assert "does not answer" in result.output


def test_somebody_who_speaks_no_http_is_69() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def mumble() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(1000)
                taken.sendall(b"220 mail\r\n\r\n")

        thread = threading.Thread(target=mumble)
        thread.start()
        result = checked(f"http://127.0.0.1:{listener.getsockname()[1]}/readyz")
        thread.join(10)

    assert result.exit_code == 69


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/readyz", "127.0.0.1:9464", "unix:/run/admin.sock", "file:///etc/passwd"]
)
def test_what_cannot_be_asked_is_a_wrong_usage(url: str) -> None:
    assert checked(url).exit_code == 2


def test_it_starts_without_the_heavy_libraries() -> None:
    code = "import sys, proxy.cli.healthcheck; print({'aiohttp', 'pydantic', 'asyncio', 'OpenSSL'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)

    assert result.stdout == "set()\n"
