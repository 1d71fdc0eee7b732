"""An operator points kilngate at a daemon: its socket is checked, looked at, and opened for callers.

The engine is a real one: buildkitd, or the BuildKit inside a Docker daemon behind
its upgrade of HTTP/1.1.
"""

import asyncio

from proxy.buildkit.address import parse_upstream
from proxy.edge.health import Seen, look
from proxy.edge.upstream import open_upstream
from proxy.edge.upstream_check import check_socket
from proxy.lab.engine import Engine
from proxy.lab.sockets import PREFACE, SETTINGS_TYPE


def test_a_real_daemon_is_up_and_tells_a_version(engine: Engine) -> None:
    async def looks() -> list[Seen]:
        return [await look(parse_upstream(engine.url)) for _ in range(3)]

    seen = asyncio.run(looks())

    assert [(one.is_up, one.detail) for one in seen] == [(True, "")] * 3
    assert all(one.version.startswith("v") for one in seen)


def test_an_opened_connection_speaks_http2(engine: Engine) -> None:
    async def first_frame() -> bytes:
        loop = asyncio.get_running_loop()
        sock, octets = await open_upstream(parse_upstream(engine.url))
        with sock:
            await loop.sock_sendall(sock, PREFACE)
            while len(octets) < 9:
                octets += await asyncio.wait_for(loop.sock_recv(sock, 9), 10)
        return octets[:9]

    assert asyncio.run(first_frame())[3] == SETTINGS_TYPE


def test_the_socket_of_an_engine_of_our_own_is_for_us_alone(engine: Engine) -> None:
    address = parse_upstream(engine.url)

    warnings = [warning for warning in check_socket(address) if address.path in warning]

    assert not engine.is_own or warnings == []
