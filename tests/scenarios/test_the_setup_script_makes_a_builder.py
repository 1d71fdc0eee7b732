"""A CI image has sh, openssl, curl or wget, docker with buildx, and no Python.

The job fetches one script from the farm and runs it: afterwards `docker buildx build` builds there.
On GitHub the script asks for the job's token itself; elsewhere the job hands it over. Nothing secret
is in a command line, and every file is its owner's only.
"""

import http.server
import json
import secrets
import shutil
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.lab.client import Buildx
from proxy.lab.context import small
from proxy.reasons import Reason
from tests.helpers.builders import Builder, Done
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.exchange import token_of
from tests.helpers.tokens import AUDIENCE, Issuer

NEEDED = ["sh", "openssl", "sed", "tr", "cut", "cat", "mktemp", "mkdir", "mv", "rm", "cp", "grep", "tail", "env"]
CLIENTS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed"))
    for name in ("curl", "wget")
]


@pytest.fixture(scope="module")
def farm(issuing: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that issues certificates."""
    directory = tmp_path_factory.mktemp("script")
    running = Door(directory, {**issuing, "store": {"file": str(directory / "store.db")}})
    yield running
    running.stop()


@pytest.fixture
def newest(every_buildx: list[Buildx]) -> Buildx:
    """The newest buildx, where its version makes no difference."""
    return every_buildx[-1]


def machine(directory: Path, buildx: Buildx, client: str) -> dict[str, str]:
    """Return the environment of a machine with one HTTP client and little else."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    for name in (*NEEDED, client):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "docker").symlink_to(buildx.docker)
    configuration = directory / "docker"
    (configuration / "cli-plugins").mkdir(parents=True)
    (configuration / "cli-plugins" / "docker-buildx").symlink_to(
        (buildx.configuration / "cli-plugins" / "docker-buildx").resolve()
    )
    return {"PATH": str(programs), "HOME": str(directory), "DOCKER_CONFIG": str(configuration)}


def fetch_script(door: Door, people: People, directory: Path) -> Path:
    """Fetch the script as a job does."""
    port, script = door.address.rpartition(":")[2], directory / "setup.sh"
    url = f"https://localhost:{port}/v1/setup.sh"
    subprocess.run(["curl", "-sSf", "--cacert", people.ca, "-o", script, url], check=True)
    return script


def run(script: Path, environment: dict[str, str], people: People, **more: str) -> Done:
    return subprocess.run(
        ["/bin/sh", script],
        env={**environment, "KILNGATE_CA_FILE": str(people.ca), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_that_has_its_token_builds(
    farm: Door,
    buildx: Buildx,
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
    client: str,
) -> None:
    environment = machine(tmp_path / "machine", buildx, client)
    script = fetch_script(farm, people, tmp_path)
    token = token_of("gitlab", issuers["gitlab"])

    first = run(script, environment, people, KILNGATE_TOKEN=token)
    again = run(script, environment, people, KILNGATE_TOKEN=token)
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    own = Buildx(buildx.docker, Path(environment["DOCKER_CONFIG"]), buildx.version)
    done = Builder(own, "farm").build(context)

    home = tmp_path / "machine/.config/kilngate/localhost"
    assert first.returncode == 0, first.stdout
    assert (again.returncode, "still good" in again.stdout) == (0, True), again.stdout
    assert done.returncode == 0, done.stdout
    assert {path.name for path in home.iterdir()} == {"ca.pem", "cert.pem", "key.pem", "token.sha256"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert token not in first.stdout + again.stdout


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refusal_is_told_in_the_farm_s_own_words(
    farm: Door, newest: Buildx, people: People, issuers: dict[str, Issuer], tmp_path: Path, client: str
) -> None:
    environment = machine(tmp_path / "machine", newest, client)
    script = fetch_script(farm, people, tmp_path)
    token = token_of("gitlab", issuers["gitlab"], project_id="23")

    done = run(script, environment, people, KILNGATE_TOKEN=token)

    assert done.returncode == 1
    assert "belongs to no tenant of this farm" in done.stdout
    assert f"(KG-{Reason.NO_RULE_MATCHED.number})" in done.stdout
    assert not list((tmp_path / "machine/.config/kilngate/localhost").iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no token"),
        ({"KILNGATE_TOKEN": "a b"}, "the token is not one token"),
        ({"KILNGATE_TOKEN": "a.b.c", "KILNGATE_FARM": "a;b"}, "KILNGATE_FARM is not HOST"),
        ({"KILNGATE_TOKEN": "a.b.c", "KILNGATE_HOME": "/tmp/a,b"}, "has a comma"),
        ({"KILNGATE_TOKEN": "a.b.c", "KILNGATE_FARM": "localhost:1"}, "cannot be reached"),
    ],
)
def test_what_is_missing_is_said(
    farm: Door, newest: Buildx, people: People, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    environment = machine(tmp_path / "machine", newest, "curl")
    script = fetch_script(farm, people, tmp_path)

    done = run(script, environment, people, **given)

    assert (done.returncode, said in done.stdout) == (1, True), done.stdout


def test_a_job_on_github_needs_no_token_of_its_own(
    farm: Door,
    newest: Buildx,
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
) -> None:
    environment = machine(tmp_path / "machine", newest, "curl")
    script = fetch_script(farm, people, tmp_path)
    with github(people, issuers["github"]) as (url, secret):
        environment |= {
            "ACTIONS_ID_TOKEN_REQUEST_URL": url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret,
            "KILNGATE_AUDIENCE": AUDIENCE,
            # What a runner's system trusts.
            "CURL_CA_BUNDLE": str(people.ca),
        }
        done = run(script, environment, people)

    own = Buildx(newest.docker, Path(environment["DOCKER_CONFIG"]), newest.version)
    assert done.returncode == 0, done.stdout
    assert Builder(own, "farm").build(small(tmp_path / "context", busybox, secrets.token_hex())).returncode == 0


@contextmanager
def github(people: People, issuer: Issuer) -> Iterator[tuple[str, str]]:
    """Serve what a runner offers to its job: a URL that gives a token, for who shows the request token."""
    secret = secrets.token_hex()

    class Runner(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_ours = self.headers["authorization"] == f"Bearer {secret}"
            audience = parse_qs(urlsplit(self.path).query).get("audience", [""])[0]
            body = json.dumps({"count": 1, "value": token_of("github", issuer, aud=audience)}).encode()
            self.send_response(200 if is_ours else 401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Runner)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(people.server.certificate, people.server.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}/token?api-version=2.0", secret
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
