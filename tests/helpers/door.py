"""A running `kilngate serve`, as an operator would run it: settings in a file, signals, logs, metrics."""

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from proxy.lab.child import Child
from proxy.lab.program import start_serve
from proxy.lab.sockets import free_port

READY_S = 20.0
Labels = Mapping[str, str]


class Door:
    """One process and its files; `settings` is the whole settings file as a value, to be changed and reloaded."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        self.directory = directory
        self.port = free_port()
        self.admin_port = free_port()
        self.settings: dict[str, Any] = {
            **deepcopy(dict(settings)),
            "listen": {"address": f"127.0.0.1:{self.port}", **settings.get("listen", {})},
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "audit": {"file": str(directory / "audit.jsonl")},
            "log": {"format": "json", "level": "debug"},
        }
        self.settings_file = directory / "kilngate.yaml"
        self.write_settings()
        self.child = self._started()

    @property
    def address(self) -> str:
        """Where callers connect: `127.0.0.1:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the process has written to its standard output and error."""
        return self.child.log.read_text(errors="replace")

    @property
    def audit(self) -> str:
        """The audit log."""
        path = self.directory / "audit.jsonl"
        return path.read_text(errors="replace") if path.exists() else ""

    def write_settings(self) -> None:
        """Write `settings` to the file; JSON is YAML."""
        self.settings_file.write_text(json.dumps(self.settings, indent=2))

    def ask(self, path: str) -> str:
        """Return the body of a page of the admin listener."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body.decode()

    def is_ready(self) -> bool:
        """Say whether it can serve."""
        try:
            self.ask("/readyz")
        except OSError:
            return False
        return True

    def metric(self, name: str, labels: Labels | None = None) -> float:
        """Return the sum of the samples with this name and at least these labels; 0 if there are none."""
        wanted = (labels or {}).items()
        samples = (s for family in text_string_to_metric_families(self.ask("/metrics")) for s in family.samples)
        return sum(s.value for s in samples if s.name == name and wanted <= s.labels.items())

    def wait_metric(
        self, name: str, labels: Labels, is_reached: Callable[[float], bool], timeout_s: float = 10
    ) -> float:
        """Wait until a metric has a wanted value; return it."""
        deadline = time.monotonic() + timeout_s
        while not is_reached(value := self.metric(name, labels)):
            assert time.monotonic() < deadline, f"{name}{dict(labels)} is still {value} after {timeout_s} s"
            time.sleep(0.02)
        return value

    def wait_audited(self, event: str, subject: str | None = None, timeout_s: float = 10) -> list[dict[str, Any]]:
        """Wait until the audit log, which is written each second, has an event, of that subject; return all it has."""
        deadline = time.monotonic() + timeout_s
        while True:
            records = [json.loads(line) for line in self.audit.splitlines()]
            found = [record for record in records if record["event"] == event]
            if found := [record for record in found if subject in (None, record.get("who", {}).get("subject"))]:
                return found
            assert time.monotonic() < deadline, f"no record of {event} after {timeout_s} s"
            time.sleep(0.05)

    def reload(self) -> None:
        """Ask it to read its settings again, and wait until it said how that ended."""
        before = self.metric("kilngate_config_reloads_total")
        self.child.signal(signal.SIGHUP)
        self.wait_metric("kilngate_config_reloads_total", {}, lambda now: now > before)

    def restart(self) -> None:
        """Stop it and start it again at the same address."""
        self.stop()
        self.child = self._started()

    def stop(self) -> int:
        """Tell it to stop; return its exit code."""
        return self.child.stop()

    def _started(self) -> Child:
        child = start_serve(self.settings_file, self.directory / "kilngate.log")
        try:
            child.wait_ready(self.is_ready, READY_S)
        except BaseException:
            child.kill()
            raise
        return child
