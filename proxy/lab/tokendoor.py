"""A local door that adds a token: for clients such as buildx, which cannot carry one.

It listens on a unix socket that only its owner may open, dials kilngate over TLS,
and adds `authorization: Bearer` to each call on the way (`authorization.py`).

    python -m proxy.lab.tokendoor --listen SOCKET --server HOST:PORT --ca FILE --token FILE
"""

import argparse
import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from proxy.lab.authorization import AuthorizationAdder

CHUNK_OCTETS = 1 << 18


@dataclass(frozen=True, slots=True)
class Way:
    """Where calls go, whom we believe to be there, and the file that holds the token."""

    host: str
    port: int
    trust: ssl.SSLContext
    token_file: Path

    def read_token(self) -> str:
        """Return the token, read anew: it may have been renewed."""
        return self.token_file.read_text().strip()


async def serve(socket_path: Path, way: Way) -> None:
    """Take connections until cancelled."""
    server = await asyncio.start_unix_server(partial(pass_on, way), socket_path, limit=CHUNK_OCTETS)
    async with server:
        await server.serve_forever()


async def pass_on(way: Way, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
    """Join one client to the server until either side ends."""
    try:
        server_in, server_out = await asyncio.open_connection(
            way.host, way.port, ssl=way.trust, limit=CHUNK_OCTETS, ssl_shutdown_timeout=1.0
        )
        await join((client_in, server_out, AuthorizationAdder(way.read_token).feed), (server_in, client_out, bytes))
        server_out.close()
    except OSError as error:
        print(f"{way.host}:{way.port}: {error}", flush=True)  # noqa: T201, the log of a program started by hand
    finally:
        client_out.close()


Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter, Callable[[bytes], bytes]]


async def join(*pipes: Pipe) -> None:
    """Copy both ways until one side ended; what it still had to say has been written by then."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(copy(*pipe)) for pipe in pipes]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    """Copy until the source ends or either side is lost; the sink's buffer is the brake."""
    try:
        while octets := await source.read(CHUNK_OCTETS):
            sink.write(change(octets))
            await sink.drain()
    except OSError:
        return


def main() -> None:
    """Read the command line and serve until a signal ends us."""
    parser = argparse.ArgumentParser(description="Adds a token to the calls of a client that cannot carry one.")
    parser.add_argument("--listen", required=True, type=Path, help="unix socket to make")
    parser.add_argument("--server", required=True, help="HOST:PORT of kilngate")
    parser.add_argument("--ca", required=True, help="file of the CA that signed the server's certificate")
    parser.add_argument("--token", required=True, type=Path, help="file with the token, read for each call")
    asked = parser.parse_args()
    host, _, port = asked.server.rpartition(":")
    trust = ssl.create_default_context(cafile=asked.ca)
    trust.set_alpn_protocols(["h2"])
    asked.listen.unlink(missing_ok=True)
    os.umask(0o177)
    asyncio.run(serve(asked.listen, Way(host.strip("[]"), int(port), trust, asked.token)))


if __name__ == "__main__":
    main()
