import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.edge.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(10)
        yield sock, path


def test_systemd_hears_the_life_of_the_process(manager: tuple[socket.socket, str]) -> None:
    sock, path = manager
    notifier = Notifier({"NOTIFY_SOCKET": path})
    notifier.ready("serving 0.0.0.0:8443")
    notifier.reloading(1_234_567_890_123)
    notifier.ready("line\nREADY=1")
    notifier.stopping()

    assert [sock.recv(500) for _ in range(4)] == [
        b"READY=1\nSTATUS=serving 0.0.0.0:8443",
        b"RELOADING=1\nMONOTONIC_USEC=1234567890\nSTATUS=reloading",
        b"READY=1\nSTATUS=line?READY=1",
        b"STOPPING=1\nSTATUS=letting builds end",
    ]


def test_an_abstract_socket_is_understood() -> None:
    name = f"kilngate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready("x")

        assert sock.recv(500) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nowhere/at/all", "relative"])
def test_a_manager_that_does_not_listen_is_no_fault(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})

    notifier.ready("x")
    notifier.stopping()


def test_a_manager_that_does_not_read_never_makes_it_wait(manager: tuple[socket.socket, str]) -> None:
    sock, path = manager
    notifier = Notifier({"NOTIFY_SOCKET": path})
    for _ in range(5000):
        notifier.ready("x" * 190)

    assert sock.recv(500).startswith(b"READY=1\nSTATUS=x")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_fed_if_it_is_ours(environ: dict[str, str], seconds: float) -> None:
    assert Notifier(environ).watchdog_seconds == seconds


def test_the_watchdog_is_fed_twice_in_each_interval(manager: tuple[socket.socket, str]) -> None:
    sock, path = manager
    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"})

    async def feed() -> list[bytes]:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            feeding = group.create_task(notifier.watchdog())
            heard = [await asyncio.to_thread(sock.recv, 500) for _ in range(3)]
            feeding.cancel()
        return heard

    assert asyncio.run(feed()) == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "1000"}, {"NOTIFY_SOCKET": "/run/x"}])
def test_without_a_watchdog_nobody_is_fed(environ: dict[str, str]) -> None:
    async def feed() -> None:
        async with asyncio.timeout(10):
            await Notifier(environ).watchdog()

    asyncio.run(feed())
