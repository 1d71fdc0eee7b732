"""An operator points Prometheus at the admin listener and gets what the team's dashboards ask for."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.lab.child import Child
from proxy.lab.context import small
from proxy.lab.missing import Missing
from proxy.lab.packages import Packages
from proxy.lab.sockets import free_port
from tests.conftest import CACHE, NewBuilder, absent
from tests.helpers.door import Door

SCRAPE = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: kilngate, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


def program(name: str) -> Path:
    """Return a program of the Debian package of the same name."""
    try:
        return Packages("trixie", CACHE).root_of(name) / "usr/bin" / name
    except Missing as missing:
        absent(missing)


class Prometheus:
    """One that runs, and is asked by its HTTP API."""

    def __init__(self, directory: Path, scraped_port: int) -> None:
        settings = directory / "prometheus.yml"
        settings.write_text(SCRAPE.format(port=scraped_port))
        self._url = f"http://127.0.0.1:{free_port()}"
        command = [
            str(program("prometheus")), f"--config.file={settings}", f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]  # fmt: skip
        self.child = Child(command, directory / "prometheus.log")

    def ask(self, query: str) -> list[Any]:
        """Return the vector that a query gives; none while it does not answer."""
        try:
            with urllib.request.urlopen(
                f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            ) as answer:
                result: list[Any] = json.load(answer)["data"]["result"]
                return result
        except OSError:
            return []


@pytest.fixture
def prometheus(door: Door, tmp_path: Path) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path, door.admin_port)
    yield running
    running.child.stop()


def test_builds_are_there_by_tenant(
    prometheus: Prometheus, door: Door, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    done = new_builder(door).build(small(tmp_path / "context", busybox, "hello"))
    assert done.returncode == 0, done.stdout
    wanted = door.wait_metric("kilngate_builds_total", {"tenant": "payments", "result": "success"}, lambda now: now > 0)

    query = f'kilngate_builds_total{{tenant="payments",result="success"}} == {wanted:g} and on(job) up == 1'
    prometheus.child.wait_ready(lambda: bool(prometheus.ask(query)), 30)

    [sample] = prometheus.ask(query)
    assert float(sample["value"][1]) == wanted


def test_promtool_finds_no_fault_with_the_metrics(door: Door) -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=door.ask("/metrics"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
