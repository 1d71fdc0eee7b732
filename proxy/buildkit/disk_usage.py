"""Disk usage for those who are not operators: sums over all tenants.

The daemon's records have no owner, and say in words what everybody built. Told are the
sums of what is in use and what is not, shared with an image store and not: at most four
records, so that stock clients print a table, and the totals that an operator would see.
A filter would make sums of records that the caller chooses; it is refused.

Source: moby/buildkit api/services/control/control.proto, UsageRecord; docker/buildx
commands/diskusage.go, `printSummary`: only sizes above 0 count.
"""

from collections.abc import Sequence
from typing import Final

from proxy.buildkit.draft import Draft, encode_number, encode_octets
from proxy.buildkit.wire import Message, Shape, Shapes, WireError
from proxy.caller import Role
from proxy.errors import Refused
from proxy.reasons import Reason

USAGE_REQUEST: Final[Shapes] = {1: Shape.TEXTS, 2: Shape.NUMBER}

_ID, _IN_USE, _SIZE, _DESCRIPTION, _SHARED = 1, 3, 4, 9, 11
_RESPONSE: Final[Shapes] = {1: Shape.MESSAGES}
_RECORD: Final[Shapes] = {_IN_USE: Shape.FLAG, _SIZE: Shape.NUMBER, _SHARED: Shape.FLAG}
_NEGATIVE = 1 << 63
_KINDS: Final = {
    (False, False): "reclaimable",
    (False, True): "reclaimable-shared",
    (True, False): "in-use",
    (True, True): "in-use-shared",
}
"""By whether it is in use and whether it is shared."""


def check_usage_request(request: Draft) -> None:
    """Turn away what asks for anything but everything; buildx says that with an empty filter.

    Raises:
        Refused: DISK_USAGE_FILTER.
    """
    if any(request.texts(1)) or request.number(2):
        raise Refused(Reason.DISK_USAGE_FILTER, needed=Role.ADMIN.label)


class Totals:
    """Makes sums of a DiskUsageResponse."""

    def feed(self, message: bytes) -> Sequence[bytes]:
        """Return the sums.

        Raises:
            Refused: ANSWER_UNREADABLE.
        """
        try:
            return (_sums(message),)
        except WireError as error:
            raise Refused(Reason.ANSWER_UNREADABLE, method="Control/DiskUsage", detail=str(error)) from None

    def finish(self) -> Sequence[bytes]:
        """Return nothing: there was one message."""
        return ()


def _sums(message: bytes) -> bytes:
    sums = {kind: [0, 0] for kind in _KINDS}
    for record in Message(message, _RESPONSE).messages(1):
        said = Message(record, _RECORD)
        size = said.number(_SIZE)
        total = sums[said.flag(_IN_USE), said.flag(_SHARED)]
        total[0] += 1
        total[1] += size if size < _NEGATIVE else 0
    return b"".join(_record(kind, count, octets) for kind, (count, octets) in sums.items() if count)


def _record(kind: tuple[bool, bool], count: int, octets: int) -> bytes:
    is_in_use, is_shared = kind
    told = encode_octets(_ID, _KINDS[kind].encode())
    if is_in_use:
        told += encode_number(_IN_USE, 1)
    told += encode_number(_SIZE, octets)
    told += encode_octets(_DESCRIPTION, f"records of the whole farm: {count}".encode())
    if is_shared:
        told += encode_number(_SHARED, 1)
    return encode_octets(1, told)
