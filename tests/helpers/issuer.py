"""A token issuer on loopback: OIDC discovery, keys that rotate, and every way to answer badly."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.helpers.signing import SigningKey, claims, key_set, new_key

DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/keys"


class Fault(Enum):
    """How the issuer misbehaves."""

    SLOW = auto()  # answers when `may_answer` is set
    HUNG = auto()  # never answers
    TRICKLE = auto()  # sends the head and a part, then nothing
    STATUS_500 = auto()
    HTML = auto()
    EMPTY = auto()
    EMPTY_SET = auto()
    HUGE = auto()
    REDIRECT = auto()
    WRONG_ISSUER = auto()
    SLASHED_ISSUER = auto()
    NO_JWKS_URI = auto()
    PLAIN_JWKS_URI = auto()
    CUT = auto()  # closes in the middle of the body


class Issuer:
    """Serves its keys while entered. Change `keys`, `fault` and `cache_control` at any time."""

    def __init__(self, *keys: SigningKey, tls: ssl.SSLContext | None = None) -> None:
        self.keys = list(keys) or [new_key()]
        self.fault: Fault | None = None
        self.fault_path = KEYS_PATH
        self.cache_control: str | None = None
        self.authorizations: list[str | None] = []
        self.asked: list[str] = []
        self.url = ""
        self.may_answer = asyncio.Event()
        self._tls = tls
        self._was_asked = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        # Hung answers are cut at once when the test ends.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"https://localhost:{port}" if self._tls else f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def token(self, now_seconds: int | None = None, **changes: object) -> str:
        """Return a token signed by the newest key; a change to None removes a claim."""
        moment = int(time.time()) if now_seconds is None else now_seconds
        return self.keys[-1].sign(claims(self.url, moment, **changes))

    def rotate(self) -> SigningKey:
        """Replace all keys by a new one, and return it."""
        self.keys = [new_key(key_id=f"key-{len(self.asked)}-new")]
        return self.keys[0]

    async def wait_asked(self, times: int, path: str = KEYS_PATH) -> None:
        """Wait until `path` was asked for so many times in all."""
        async with self._was_asked, asyncio.timeout(20):
            await self._was_asked.wait_for(lambda: self.asked.count(path) >= times)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.authorizations.append(request.headers.get("authorization"))
        async with self._was_asked:
            self._was_asked.notify_all()
        if self.fault and request.path == self.fault_path:
            return await self._misbehave(request, self.fault)
        return self._well(request.path)

    def _well(self, path: str, **changes: object) -> web.Response:
        document = (
            {"issuer": self.url, "jwks_uri": self.url + KEYS_PATH} if path == DISCOVERY_PATH else key_set(*self.keys)
        )
        headers = {"cache-control": self.cache_control} if self.cache_control else {}
        said = {name: value for name, value in (document | changes).items() if value is not None}
        return web.json_response(said, headers=headers)

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault in (Fault.SLOW, Fault.HUNG):
            await (self.may_answer if fault is Fault.SLOW else asyncio.Event()).wait()
            return self._well(request.path)
        if fault in (Fault.TRICKLE, Fault.CUT):
            return await self._half(request, fault)
        if fault is Fault.REDIRECT:
            raise web.HTTPFound(self.url + "/elsewhere")
        plain = {
            Fault.STATUS_500: web.Response(status=500, text="no"),
            Fault.HTML: web.Response(text="<html>please log in</html>", content_type="text/html"),
            Fault.EMPTY: web.Response(),
            Fault.EMPTY_SET: web.json_response({"keys": []}),
            Fault.HUGE: web.Response(body=b" " * (40 << 20)),
            Fault.WRONG_ISSUER: self._well(request.path, issuer="https://issuer.example.com"),
            Fault.SLASHED_ISSUER: self._well(request.path, issuer=self.url + "/"),
            Fault.NO_JWKS_URI: self._well(request.path, jwks_uri=None),
            Fault.PLAIN_JWKS_URI: self._well(request.path, jwks_uri="http://keys.example.com/"),
        }
        return plain[fault]

    async def _half(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        whole = json.dumps(key_set(*self.keys)).encode()
        response = web.StreamResponse(headers={"content-length": str(len(whole))})
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        if fault is Fault.TRICKLE:
            await asyncio.Event().wait()
        assert request.transport
        request.transport.close()
        return response


@contextmanager
def issuer_in_thread(*keys: SigningKey) -> Iterator[Issuer]:
    """Serve an issuer beside a test that has no event loop of its own."""
    issuer = Issuer(*keys)
    is_up, loop = threading.Event(), asyncio.new_event_loop()
    is_over = asyncio.Event()

    async def serve() -> None:
        async with issuer:
            is_up.set()
            await is_over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert is_up.wait(20)
        yield issuer
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(20)
        loop.close()
