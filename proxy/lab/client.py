"""Stock `docker buildx`, in the version that a test or the demo asks for.

Each version lives in a configuration directory of its own (DOCKER_CONFIG), as a
plugin of Debian's docker CLI: the operator's own builders are neither seen nor
changed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.lab.missing import Missing
from proxy.lab.packages import Packages

SUITES = ("trixie", "sid")
INSTALLED = "installed"
# Trixie's CLI serves both plugins: sid's would ask for a newer glibc one day, and the plugin is what builds.
CLI_SUITE = "trixie"
PLUGIN = "docker-buildx"
PLUGIN_PATH = "usr/libexec/docker/cli-plugins"
PLUGIN_DIRECTORIES = tuple(
    Path(base, "docker/cli-plugins") for base in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)


@dataclass(frozen=True, slots=True)
class Buildx:
    """A docker CLI, and a configuration directory in which one version of buildx is its plugin."""

    docker: Path
    configuration: Path
    version: str

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a whole environment: the operator's own Docker settings are not in it."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.configuration),
            "DOCKER_CONFIG": str(self.configuration),
            "BUILDKIT_PROGRESS": "plain",
            **(extra or {}),
        }

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line of `docker buildx` with `arguments`."""
        return [str(self.docker), "buildx", *arguments]

    def run(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        directory: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout and stderr are one text, in the order of their lines."""
        return subprocess.run(
            self.command(arguments),
            env=self.environment(environment),
            cwd=directory,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def create_builder(self, name: str, endpoint: str, options: Mapping[str, str | Path] | None = None) -> None:
        """Create a builder with the driver `remote`, instead of any other of that name.

        `options` are the driver's: `cacert`, `cert`, `key` (absolute paths) and `servername`.

        Raises:
            Missing: buildx refused, in its own words.
        """
        # `buildx rm` would ask the old builder first, and wait 20 s for one that is gone.
        (self.configuration / "buildx" / "instances" / name).unlink(missing_ok=True)
        driver = [f"--driver-opt={key}={value}" for key, value in (options or {}).items()]
        done = self.run(["create", "--name", name, "--driver", "remote", *driver, endpoint])
        if done.returncode:
            raise Missing(f"buildx create failed: {done.stdout.strip()}")


def find_buildx(suite: str, cache: Path, configuration: Path) -> Buildx:
    """Return the buildx of a Debian suite, fetched if need be, or the "installed" one of this machine.

    Raises:
        Missing: it cannot be had.
    """
    if suite == INSTALLED:
        docker, plugin = find_installed()
    else:
        docker = Packages(CLI_SUITE, cache).root_of("docker-cli") / "usr/bin/docker"
        plugin = Packages(suite, cache).root_of(PLUGIN) / PLUGIN_PATH / PLUGIN
    plugins = configuration / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    link = plugins / PLUGIN
    link.unlink(missing_ok=True)
    link.symlink_to(plugin)
    return Buildx(docker, configuration.absolute(), read_version(plugin))


def find_installed() -> tuple[Path, Path]:
    """Return the docker CLI on PATH and its buildx plugin.

    Raises:
        Missing: one of them is not there.
    """
    docker = shutil.which("docker")
    own = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"), "cli-plugins")
    plugin = next((path / PLUGIN for path in (own, *PLUGIN_DIRECTORIES) if (path / PLUGIN).exists()), None)
    if not docker or not plugin:
        raise Missing(f"there is no docker CLI with the {PLUGIN} plugin on this machine")
    return Path(docker), plugin.resolve()


def find_any_buildx(preferred: str, cache: Path, configuration: Path) -> Buildx:
    """Return the preferred buildx, or the installed one where Debian's cannot be had.

    Raises:
        Missing: neither can be had; the text has both reasons.
    """
    try:
        return find_buildx(preferred, cache, configuration)
    except Missing as first:
        try:
            return find_buildx(INSTALLED, cache, configuration)
        except Missing as second:
            raise Missing(f"no docker buildx can be had: {first}; and {second}") from first


def read_version(plugin: Path) -> str:
    """Return the version that the plugin tells of itself, such as `0.29.1`.

    Raises:
        Missing: it does not run here.
    """
    try:
        done = subprocess.run([plugin, "docker-cli-plugin-metadata"], capture_output=True, text=True, check=True)
        version: str = json.loads(done.stdout)["Version"]
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as error:
        raise Missing(f"{plugin} does not run here: {error}") from error
    return version.removeprefix("v").partition("+")[0]
