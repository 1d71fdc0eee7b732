"""kilngate itself, of this tree or of another one, with everything on: client certificates, limits, metrics, audit."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from bench.certificates import CLIENT_URI
from bench.child import Child
from bench.doors import Door
from bench.ground import ROOT, Ground, free_port, wait_for_door
from bench.packages import Unavailable, run

# Limits are enforced, and set out of the way. The rest is as an operator would leave it.
SETTINGS = """
listen:
  address: 127.0.0.1:{port}
  max_connections: 4000
  max_connections_per_address: 4000
tls:
  certificate_file: {pki.server}
  key_file: {pki.server_key}
upstream:
  url: unix://{socket}
auth:
  - type: mtls
    name: bench
    ca_file: {pki.ca}
    identity: [uri]
    tenants: [bench]
    rules:
      - match: {{uri: "{uri}"}}
        tenant: bench
        role: admin
tenants:
  bench:
    limits: {{calls_per_second: 1000000, burst: 1000000, concurrent_builds: 1000, connections: 4000, streams: 100000}}
admin:
  address: 127.0.0.1:{admin_port}
audit:
  file: {directory}/audit-{port}.jsonl
log:
  level: warning
"""
START = "from proxy.cli import main; main()"
# Everything is imported first: what a start costs is not what a call costs.
COUNTED = """
import cProfile, importlib, pkgutil
import proxy
from proxy.cli import main
for found in pkgutil.walk_packages(proxy.__path__, "proxy."):
    if not found.name.startswith("proxy.lab") and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
profile = cProfile.Profile()
try:
    profile.runcall(main)
finally:
    profile.dump_stats({into!r})
"""
# As on a machine where uvloop is not installed.
WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None\n"


def open_kilngate(
    ground: Ground, *, tree: Path = ROOT, uvloop: bool = False, name: str = "", counted_into: Path | None = None
) -> Door:
    """Start `kilngate serve` from the source in `tree`, its calls counted by cProfile if a file for that is named.

    Raises:
        Unavailable: it does not start; the text is what it said.
    """
    port, directory = free_port(), ground.directory
    file = directory / f"kilngate-{port}.yaml"
    file.write_text(
        SETTINGS.format(
            port=port,
            admin_port=free_port(),
            directory=directory,
            pki=ground.certificates,
            socket=ground.socket,
            uri=CLIENT_URI,
        )
    )
    start = ("" if uvloop else WITHOUT_UVLOOP) + (COUNTED.format(into=str(counted_into)) if counted_into else START)
    # The working directory comes first on the path of `-c`, so that a revision's own source is what runs.
    child = Child(
        [sys.executable, "-c", start, "serve", "--config", str(file)],
        directory=tree,
        log=directory / f"kilngate-{port}.log",
    )
    wait_for_door(child, port)
    return Door(
        name=name or ("kilngate uvloop" if uvloop else "kilngate"),
        version=version_of(tree),
        to=str(port),
        tls=True,
        child=child,
        alpn=False,
    )


def find_tree(ground: Ground, revision: str) -> Path:
    """Return a directory with the source of a revision; the working copy's git is only read.

    Raises:
        Unavailable: neither a directory nor a commit.
    """
    if (Path(revision) / "proxy").is_dir():
        return Path(revision).resolve()
    git = shutil.which("git") or "git"
    done = subprocess.run([git, "-C", str(ROOT), "archive", revision, "proxy"], capture_output=True, check=False)
    if done.returncode:
        raise Unavailable(f"{revision}: {done.stderr.decode(errors='replace').strip()}")
    tree = ground.directory / f"tree-{revision.replace('/', '-')}"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tree, filter="data")
    return tree


def version_of(tree: Path) -> str:
    """Return the revision of a tree, as git names it; "?" outside of git."""
    done = run(["git", "-C", str(tree), "describe", "--always", "--dirty"])
    return done.stdout.strip() or "?"
