"""What travels unseen is closed by what the daemon is told: a line `# syntax=`, and sources that a Dockerfile names.

A door could not judge them, so the policy changes the request instead. Here a real daemon gets
requests as a client sends them, then as a policy makes them.
"""

import secrets
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import encode_octets
from proxy.buildkit.methods import SOLVE
from proxy.buildkit.source_policy import Action, encode_policy, encode_rule
from proxy.lab.engine import Engine
from tests.helpers.bridge import bare
from tests.helpers.solves import control, judged

STRANGER = "127.0.0.1:1/stranger/frontend:1"


class Files:
    """A directory that is served on loopback; a build's context is a Dockerfile in it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self._directory = directory

    def dockerfile(self, text: str) -> BuildRequest:
        """Return a request that builds this Dockerfile, which is a new one each time."""
        name = f"{secrets.token_hex(8)}.Dockerfile"
        (self._directory / name).write_text(text)
        return control(frontend="dockerfile.v0", attrs={"context": f"{self.url}/{name}"})

    def file(self, name: str) -> str:
        """Return the URL of a file."""
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_hex())
        return f"{self.url}/{name}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    directory = tmp_path / "files"
    directory.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Files(directory, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


@pytest.fixture
def daemon(engine: Engine, tmp_path: Path) -> Iterator[grpc.Channel]:
    with bare(engine.url, tmp_path) as endpoint, grpc.insecure_channel(endpoint) as channel:
        yield channel


def solve(daemon: grpc.Channel, request: BuildRequest) -> str:
    """Let the daemon build; return what it refused with, or nothing."""
    message = encode_octets(1, secrets.token_hex(12).encode()) + request.encode().removeprefix(encode_octets(1, b"ref"))
    call = daemon.unary_unary(SOLVE.path, request_serializer=None, response_deserializer=None)
    try:
        call(message, timeout=60)
    except grpc.RpcError as error:
        said: str = error.details()  # type: ignore[attr-defined]
        return said
    return ""


def test_a_syntax_line_brings_a_stranger_s_frontend_only_without_a_policy(daemon: grpc.Channel, files: Files) -> None:
    dockerfile = f"# syntax={STRANGER}\nFROM scratch\nADD {files.file('x')} /\n"
    request = files.dockerfile(dockerfile)

    without = solve(daemon, files.dockerfile(dockerfile))
    judged(request)

    assert "stranger/frontend" in without
    assert solve(daemon, request) == ""


def rules_for(files: Files) -> dict[str, Any]:
    """Return a rule that allows Dockerfiles and one directory."""
    return {"http": [f"{files.url}/*.Dockerfile", f"{files.url}/allowed/**"], "images": ["registry.example.com/**"]}


def test_only_listed_sources_are_used(daemon: grpc.Channel, files: Files) -> None:
    allowed, denied = files.file("allowed/x"), files.file("denied/x")
    dockerfiles = {
        f"FROM scratch\nADD {allowed} /\n": "",
        f"FROM scratch\nADD {denied} /\n": f'source "{denied}" denied by policy',
        f"FROM {STRANGER}\n": f'source "docker-image://{STRANGER}" denied by policy',
    }

    for dockerfile, refusal in dockerfiles.items():
        without, request = files.dockerfile(dockerfile), files.dockerfile(dockerfile)
        judged(request, sources=rules_for(files))

        assert "denied by policy" not in solve(daemon, without)
        said = solve(daemon, request)
        assert refusal in said if refusal else said == ""


def test_a_client_s_own_policy_takes_away_and_never_gives(daemon: grpc.Channel, files: Files) -> None:
    allowed, other, denied = files.file("allowed/x"), files.file("allowed/y"), files.file("denied/x")
    convert = encode_rule(Action.CONVERT, allowed) + encode_octets(3, encode_octets(1, denied.encode()))
    theirs = encode_policy([convert, encode_rule(Action.DENY, f"^{other}$")])

    refusals = []
    for url in (allowed, other):
        request = files.dockerfile(f"FROM scratch\nADD {url} /\n")
        request.set_source_policy(theirs)
        judged(request, sources=rules_for(files))
        refusals.append(solve(daemon, request))

    assert f'source "{denied}" denied by policy' in refusals[0], "what it became is judged"
    assert f'source "{other}" denied by policy' in refusals[1], "its own denial holds"
