"""Memory that takes up room only where it was written: the large buffers that all connections share.

Most octets of a buffer for bulk are never touched by a farm at rest; a `bytearray` would
write zeros to all of them at once.

Source: mmap(2), MAP_ANONYMOUS.
"""

import mmap


def new_buffer(octets: int) -> memoryview:
    """Return `octets` zeros to read and write."""
    return memoryview(mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
