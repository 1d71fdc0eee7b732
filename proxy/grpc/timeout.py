"""The deadline a caller sends along: `grpc-timeout: 20S`.

Source: PROTOCOL-HTTP2.md, "Timeout": at most 8 digits and a unit.
"""

import re

from proxy.caller import FOREVER_NS

_UNITS_NS = {
    b"n": 1,
    b"u": 1_000,
    b"m": 1_000_000,
    b"S": 1_000_000_000,
    b"M": 60_000_000_000,
    b"H": 3_600_000_000_000,
}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MOST = 99_999_999


def parse_timeout(value: bytes) -> int:
    """Return nanoseconds, at most `FOREVER_NS`: `99999999H` is eleven thousand years.

    Raises:
        ValueError: anything but 1 to 8 digits and one of the units `H M S m u n`.
    """
    found = _TIMEOUT.fullmatch(value)
    if not found:
        raise ValueError("malformed grpc-timeout")
    return min(int(found[1]) * _UNITS_NS[found[2]], FOREVER_NS)


def format_timeout(timeout_ns: int) -> bytes:
    """Return the field value for `timeout_ns`, in the finest unit that holds it.

    Rounded down, by less than one part in 100,000: who forwards a deadline may not
    stretch it. Only 0 becomes 0. What has passed already is 0, too.
    """
    left_ns = min(max(0, timeout_ns), FOREVER_NS)
    unit, unit_ns = next((unit, unit_ns) for unit, unit_ns in _UNITS_NS.items() if left_ns // unit_ns <= _MOST)
    return b"%d%b" % (left_ns // unit_ns, unit)
