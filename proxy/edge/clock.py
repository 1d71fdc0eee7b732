"""The only reader of a clock."""

import time

now_ns = time.monotonic_ns
"""Nanoseconds of a clock that never runs backwards: for durations and deadlines."""

wall_ns = time.time_ns
"""Nanoseconds since the Unix epoch: for certificates, tokens and what people read."""
