"""The public port in the test's own process: a real listener, TLS and dialer around a world of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.daemons import Daemons
from proxy.edge.dialer import Dialer
from proxy.edge.host import Host
from proxy.edge.listener import Listener, listen
from proxy.edge.tls import ServerTls
from proxy.edge.watch import Poller
from proxy.routing.routes import Routes, Standing
from proxy.settings.listen import Listen
from tests.helpers.credentials import People
from tests.helpers.talk import Farm

PATIENCE_S = 20.0


@asynccontextmanager
async def open_port(farm: Farm, people: People, daemon: Path, **settings: Any) -> AsyncIterator[str]:
    """Yield the address of an open port before the daemon at a unix socket; wait in the end until all have left."""
    routes = Routes(Standing(UpstreamAddress("unix", str(daemon)), 0, "0.12.5"), {})
    farm.world.generation = replace(farm.world.generation, routes=routes)
    dialer = Dialer(Daemons(farm.said.append))
    rules, loop = Listen(**settings), asyncio.get_running_loop()
    poller = Poller(loop)
    sock = listen("127.0.0.1", 0)
    port = Listener(
        sock,
        listen=rules,
        tls=ServerTls(people.server.certificate, people.server.key, [people.ca.read_bytes()]),
        make_host=lambda listener: Host(
            farm.world, rules, loop, poller, dialer.open, listener.closed, new_api=asyncio.Protocol
        ),
    )
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = [group.create_task(work) for work in (port.run(), dialer.run())]
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        await port.wait_empty()
        for task in running:
            task.cancel()
    poller.close()
