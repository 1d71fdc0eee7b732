"""A small farm in one directory: who may build, the settings, and the door in front of an engine.

Two tenants: `payments`, whose people come with certificates, and `platform`, whose CI
jobs come with tokens. Everything is kept, so that a second start has little to do.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.lab.child import Child
from proxy.lab.identities import Identities, issue
from proxy.lab.issuer import issuer_url, signing_key
from proxy.lab.program import start_issuer, start_serve, start_token_door
from proxy.lab.sockets import free_port, is_open, is_taken, socket_directory
from proxy.lab.tokens import mint

AUDIENCE = "https://kilngate.demo"
CI_SUBJECT = "ci:platform/webshop"
TOKEN_LIFE_S = 8 * 3600
USUAL_PORT, USUAL_ADMIN_PORT = 8443, 9464
START_S = 20.0

SETTINGS = """\
# Written by `kilngate demo`. Change it, then: kill -HUP the door, or start the demo again.
listen:
  address: 127.0.0.1:{port}
tls:
  certificate_file: {server_certificate}
  key_file: {server_key}
upstream:
  url: {upstream}
auth:
  - type: mtls
    name: people
    ca_file: {ca}
    rules:
      - match: {{uri: "spiffe://kilngate.demo/tenant/payments/*"}}
        tenant: payments
  - type: jwt
    name: ci
    preset: generic
    issuer: {issuer}
    audiences: ["{audience}"]
    algorithms: [ES256]
    rules:
      - match: {{sub: "{subject}"}}
        tenant: platform
limits:
  concurrent_builds: 4
tenants:
  payments:
  platform:
admin:
  address: 127.0.0.1:{admin_port}
audit:
  file: {audit}
"""


@dataclass(frozen=True, slots=True)
class Farm:
    """Where everything is. Paths are absolute."""

    directory: Path
    identities: Identities
    port: int
    admin_port: int
    issuer_port: int

    @property
    def address(self) -> str:
        """Where callers connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def settings_file(self) -> Path:
        """The door's settings."""
        return self.directory / "kilngate.yaml"

    @property
    def log(self) -> Path:
        """The door's log."""
        return self.directory / "kilngate.log"

    @property
    def audit(self) -> Path:
        """The door's audit log."""
        return self.directory / "audit.jsonl"

    @property
    def token_file(self) -> Path:
        """The CI job's token."""
        return self.directory / "ci.token"

    @property
    def token_socket(self) -> Path:
        """The local door that adds the CI job's token to its calls."""
        return socket_directory(self.directory / "run") / "ci.sock"

    def write_settings(self, upstream: str) -> None:
        """Write the settings of a door in front of `upstream`."""
        server = self.identities.server
        values = {"server_certificate": server.certificate, "server_key": server.key, "ca": self.identities.ca}
        values |= {"audit": self.audit}
        text = SETTINGS.format(
            port=self.port, admin_port=self.admin_port, upstream=json.dumps(upstream), audience=AUDIENCE,
            subject=CI_SUBJECT, issuer=issuer_url(self.issuer_port),
            **{name: json.dumps(str(path)) for name, path in values.items()},
        )  # fmt: skip
        self.settings_file.write_text(text)

    def write_token(self) -> None:
        """Mint a token for the CI job, readable by its owner only."""
        now_s = int(time.time())
        claims = {"iss": issuer_url(self.issuer_port), "aud": AUDIENCE, "sub": CI_SUBJECT}
        token = mint(signing_key(self.directory), {**claims, "iat": now_s, "exp": now_s + TOKEN_LIFE_S})
        with os.fdopen(os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token)

    def start_issuer(self) -> Child:
        """Start the token issuer and wait until it answers."""
        return ready(start_issuer(self.directory, self.issuer_port), lambda: is_taken(self.issuer_port))

    def start_door(self) -> Child:
        """Start kilngate and wait until it is ready."""
        return ready(start_serve(self.settings_file, self.log), self.is_ready)

    def start_token_door(self) -> Child:
        """Start the local door of the CI job and wait until it takes connections."""
        log = self.directory / "ci.log"
        socket, ca = self.token_socket, self.identities.ca
        return ready(start_token_door(socket, self.address, ca, self.token_file, log), lambda: is_open(socket))

    def is_ready(self) -> bool:
        """Say whether kilngate can serve."""
        try:
            self.ask("/readyz")
        except OSError:
            return False
        return True

    def ask(self, path: str) -> str:
        """Return the body of a page of the admin listener."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()


def lay_out(directory: Path) -> Farm:
    """Make what does not change between two starts, and choose ports that are free now."""
    directory.mkdir(parents=True, exist_ok=True)
    here = directory.absolute()
    return Farm(
        directory=here,
        identities=issue(here / "identities"),
        port=free_port(USUAL_PORT),
        admin_port=free_port(USUAL_ADMIN_PORT),
        issuer_port=free_port(),
    )


def ready(child: Child, is_ready: Callable[[], bool]) -> Child:
    """Return the child once it is ready; it is ended if it never is.

    Raises:
        ChildFailed: with the end of its log.
    """
    try:
        child.wait_ready(is_ready, START_S)
    except BaseException:
        child.kill()
        raise
    return child
