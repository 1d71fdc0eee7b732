"""aiohttp's HTTP/1.1 as this farm speaks it: small requests only, and refusals in our own words."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from proxy.edge.api.answers import refusal
from proxy.edge.api.visitor import Visitor
from proxy.errors import Refused
from proxy.events import ApiAnswered, CallId, Endpoint
from proxy.reasons import Reason

# A request line of ours has 60 octets; a header line may hold a token (`token_limit` is 16 KiB at most).
LINE_OCTETS = 2 * 1024
FIELD_OCTETS = 17 * 1024
FIELDS = 64
# What a caller still sends behind an answer is read for so long, that it may read the answer.
LINGER_S = 2.0


class ApiProtocol(web.RequestHandler):
    """One connection's HTTP. `report_bug` is told of faults of our own; nothing is logged here."""

    __slots__ = ("_report_bug",)

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, report_bug: Callable[[Exception], None]):
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=0,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=LINE_OCTETS,
            max_field_size=FIELD_OCTETS,
            max_headers=FIELDS,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._report_bug = report_bug

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it holds what the caller sent
    ) -> web.StreamResponse:
        """Answer what is no request, or failed where no answer of ours could be made."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("nobody can be answered any more")
        is_theirs = status < 500
        reason = Reason.HTTP_MALFORMED if is_theirs else Reason.INTERNAL
        refused = Refused(reason, detail=type(exc).__name__, why="it is not HTTP/1.1, or one of its lines is too long")
        if not is_theirs and isinstance(exc, Exception):
            self._report_bug(exc)
        return tell_refusal(request.transport, refused)

    def log_exception(self, *_: Any, **named: Any) -> None:
        """Say where our own code failed; never what the request held."""
        if isinstance(error := named.get("exc_info"), Exception):
            self._report_bug(error)


def tell_refusal(transport: object, refused: Refused) -> web.StreamResponse:
    """Return the answer to what is no request, and tell that it was given.

    Raises:
        ConnectionError: the caller is gone.
    """
    if not isinstance(transport, Visitor):
        raise ConnectionError("the caller is gone")
    call = CallId(transport.number, 1)
    answered = refusal(refused, call)
    transport.heard()
    transport.emit(
        ApiAnswered(call, None, transport.peer, Endpoint.UNKNOWN, answered.status, 0, refused.reason, refused.account)
    )
    return answered
