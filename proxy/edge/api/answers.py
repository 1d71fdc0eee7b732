"""How answers and refusals of the API are written. Nobody keeps them, nothing runs in them, no other site gets them."""

import json
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from proxy.caller import FOREVER_NS
from proxy.errors import Refused
from proxy.events import CallId
from proxy.units import SECOND_NS

JSON: Final = "application/json"
PEM_CHAIN: Final = "application/pem-certificate-chain"
PEM_FILE: Final = "application/x-pem-file"
CRL: Final = "application/pkix-crl"
HEADERS: Final = {
    "Server": "kilngate",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # One request, one connection.
    "Connection": "close",
}
# Where a wait is asked for and nobody knows how long.
USUAL_WAIT_S: Final = 5
_CHALLENGE: Final = 'Bearer realm="kilngate"'


def answer(body: bytes, media_type: str) -> web.Response:
    """Return an answer that went well."""
    return web.Response(body=body, headers={**HEADERS, "Content-Type": media_type})


def told(value: object) -> web.Response:
    """Return a value as JSON."""
    return answer(json.dumps(value, indent=1).encode() + b"\n", JSON)


def refusal(refused: Refused, call: CallId, *, allowed: str = "", has_token: bool = False) -> web.Response:
    """Return a refusal: its number, its sentence, and the reference that finds it in the farm's log."""
    reason = refused.reason
    error = {"code": f"KG-{reason.number}", "message": refused.sentence, "ref": call.reference}
    headers = {**HEADERS, "Content-Type": JSON}
    if reason.http_status == 401:
        headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_token"' if has_token else _CHALLENGE
    elif reason.http_status in (429, 503):
        headers["Retry-After"] = str(-(-refused.retry_after_ns // SECOND_NS) or USUAL_WAIT_S)
    if allowed:
        headers["Allow"] = allowed
    return web.Response(status=reason.http_status, body=json.dumps({"error": error}).encode() + b"\n", headers=headers)


def moment(wall_ns: int) -> str | None:
    """Return a time as RFC 3339 writes it, in UTC; None for never."""
    if wall_ns >= FOREVER_NS:
        return None
    return datetime.fromtimestamp(wall_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
