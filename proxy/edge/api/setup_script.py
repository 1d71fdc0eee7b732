"""The script that sets a builder up on a machine without Python: POSIX sh, curl or wget, openssl."""

import re
from importlib import resources
from typing import Final

SHELL: Final = "text/x-shellscript; charset=utf-8"
_MARK: Final = "@FARM@"
# What a Host field may be: a name or an address, and a port. Nothing that a shell would read as more.
_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?", re.ASCII)


def setup_script(host: str, names: tuple[str, ...]) -> bytes:
    """Return the script for the farm that the caller reached as `host`, else by its certificate's first name."""
    farm = host if _HOST.fullmatch(host) else next((name for name in names if _HOST.fullmatch(name)), "")
    text = resources.files("proxy.edge.api").joinpath("setup.sh").read_text("utf-8")
    return text.replace(_MARK, farm).encode()
