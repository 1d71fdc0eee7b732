"""Tokens of the lab's issuer, and the local door that adds them to the calls of stock buildx."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.lab.issuer import signing_key
from proxy.lab.program import start_token_door
from proxy.lab.sockets import is_open, remove_sockets, socket_directory
from proxy.lab.tokens import mint

AUDIENCE = "https://farm.test"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A running issuer: its name, and the directory with its key."""

    url: str
    directory: Path

    def token(self, subject: str = "ci:platform", **claims: object) -> str:
        """Return a token for ten minutes."""
        now_s = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now_s, "exp": now_s + 600}
        return mint(signing_key(self.directory), {**usual, **claims})


@contextmanager
def token_door(directory: Path, address: str, ca: Path, token: str) -> Iterator[str]:
    """Run a token door; give the endpoint that a client uses."""
    (directory / "token").write_text(token)
    listen = socket_directory(directory / "run") / "tokens.sock"
    child = start_token_door(listen, address, ca, directory / "token", directory / "tokendoor.log")
    try:
        child.wait_ready(lambda: is_open(listen), 20)
        yield f"unix://{listen}"
    finally:
        child.stop()
        remove_sockets(listen.parent)
