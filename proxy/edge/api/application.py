"""What each path of the API answers. Identity, limits and audit are those of any call to this farm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import HttpVersion10, HttpVersion11, web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.call.conversation import MOST_RETRIES
from proxy.call.identifying import Identifying
from proxy.call.world import World
from proxy.caller import Caller, Kind
from proxy.edge.api.answers import CRL, PEM_CHAIN, PEM_FILE, answer, moment, refusal, told
from proxy.edge.api.description import DESCRIPTION
from proxy.edge.api.facts import Facts
from proxy.edge.api.protocol import ApiProtocol
from proxy.edge.api.setup_script import SHELL, setup_script
from proxy.edge.api.visitor import Visitor
from proxy.edge.issuing import Desk
from proxy.errors import KeysNeeded, Refused
from proxy.events import ApiAnswered, CallId, CertificateIssued, Endpoint
from proxy.identity.authenticator import AUTHORIZATION_LIMIT_OCTETS
from proxy.identity.tokens.compact import read_bearer
from proxy.reasons import Reason

BODY_OCTETS = 64 * 1024
ENDPOINTS = {
    "/v1/certificates": Endpoint.CERTIFICATES,
    "/v1/ca.pem": Endpoint.CA,
    "/v1/crl": Endpoint.CRL,
    "/v1/whoami": Endpoint.WHOAMI,
    "/v1/login": Endpoint.LOGIN,
    "/v1/setup.sh": Endpoint.SETUP,
    "/v1/openapi.json": Endpoint.OPENAPI,
}
# The last is what curl and wget say of any body.
REQUEST_TYPES = frozenset(
    ["application/pkcs10", PEM_FILE, "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"]
)
VERSIONS = (HttpVersion10, HttpVersion11)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Visit:
    """One request: who asks, once it is known."""

    visitor: Visitor
    call: CallId
    authorization: tuple[bytes, ...]
    caller: Caller | None = None


_VISIT = web.RequestKey("visit", _Visit)


class Api:
    """The HTTPS API. `facts` are those of the generation in force; assign new ones to reload."""

    def __init__(self, world: World, desk: Desk) -> None:
        self.facts = Facts()
        self._world = world
        self._desk = desk
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Be ready for connections."""
        app = web.Application(middlewares=[self._answer], client_max_size=BODY_OCTETS)
        app.router.add_post("/v1/certificates", self._certificates)
        app.router.add_get("/v1/ca.pem", self._ca)
        app.router.add_get("/v1/crl", self._crl)
        app.router.add_get("/v1/whoami", self._whoami)
        app.router.add_get("/v1/login", self._login)
        app.router.add_get("/v1/setup.sh", self._setup)
        app.router.add_get("/v1/openapi.json", self._openapi)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()

    async def stop(self) -> None:
        """End every request."""
        if self._runner is not None:
            await self._runner.cleanup()

    def new_protocol(self) -> asyncio.Protocol:
        """Return what speaks HTTP on a new connection."""
        assert self._runner is not None
        assert self._runner.server is not None
        return ApiProtocol(self._runner.server, asyncio.get_running_loop(), self._world.report_bug)

    # --- every request ----------------------------------------------------------------------

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, refuse in one form, and tell what became of a request."""
        visitor = request.transport
        if not isinstance(visitor, Visitor):
            raise ConnectionError("the caller is gone")
        authorization = tuple(value for name, value in request.raw_headers if name.lower() == b"authorization")
        visit = request[_VISIT] = _Visit(visitor, CallId(visitor.number, 1), authorization)
        begun_ns, refused, allowed = visitor.now_ns(), None, ""
        try:
            response = await self._heard(request, handler)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            refused = Refused(Reason.HTTP_METHOD, allowed=allowed)
        except (Refused, web.HTTPException, web.RequestPayloadError) as error:
            refused = _refused(error)
        except ConnectionError:
            raise
        except Exception as error:  # a bug of ours ends this request and no other
            self._world.report_bug(error)
            refused = Refused(Reason.INTERNAL, detail=type(error).__name__)
        if refused is not None:
            response = refusal(refused, visit.call, allowed=allowed, has_token=bool(authorization))
        visitor.heard()
        self._tell(request, visit, response.status, visitor.now_ns() - begun_ns, refused)
        response.force_close()
        return response

    async def _heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.version not in VERSIONS:
            raise Refused(Reason.HTTP_MALFORMED, why="it is not HTTP/1.1")
        if not request.can_read_body:
            request[_VISIT].visitor.heard()
        return await handler(request)

    def _tell(
        self, request: web.Request, visit: _Visit, status: int, duration_ns: int, refused: Refused | None
    ) -> None:
        endpoint = ENDPOINTS.get(request.path, Endpoint.UNKNOWN)
        reason, detail = (refused.reason, refused.account) if refused else (None, "")
        self._world.emit(
            ApiAnswered(visit.call, visit.caller, visit.visitor.peer, endpoint, status, duration_ns, reason, detail)
        )

    @asynccontextmanager
    async def _proven(self, request: web.Request) -> AsyncIterator[Caller]:
        """Give who asks, counted against the limits of its tenant.

        Raises:
            Refused: as for any call.
        """
        visit, world = request[_VISIT], self._world
        if not world.is_audited():
            raise Refused(Reason.AUDIT_UNWRITABLE)
        identifying = Identifying(world, visit.visitor.certificate)
        try:
            visit.caller = caller = await self._identified(identifying, visit)
            visit.visitor.tenant = caller.tenant
            world.limits.admit_call(caller.tenant, now_ns=visit.visitor.now_ns())
            permit = world.limits.open_stream(caller.tenant)
            try:
                yield caller
            finally:
                permit.give_back()
        finally:
            identifying.close()

    async def _identified(self, identifying: Identifying, visit: _Visit) -> Caller:
        for _ in range(MOST_RETRIES + 1):
            try:
                return identifying.caller(visit.authorization)
            except KeysNeeded as needed:
                issuer = needed.issuer
                await self._wait_fetched(issuer)
        raise Refused(Reason.KEYS_UNAVAILABLE, detail=f"issuer {issuer}")

    async def _wait_fetched(self, issuer: str) -> None:
        is_over = asyncio.Event()
        self._world.need_keys(issuer, is_over.set)
        await is_over.wait()

    # --- each path --------------------------------------------------------------------------

    async def _certificates(self, request: web.Request) -> web.StreamResponse:
        self._desk.working_issuer()
        visit = request[_VISIT]
        async with self._proven(request) as caller:
            if request.content_type not in REQUEST_TYPES or "Content-Encoding" in request.headers:
                raise Refused(Reason.MEDIA_TYPE)
            if (request.content_length or 0) > BODY_OCTETS:
                raise Refused(Reason.BODY_TOO_LARGE, limit=BODY_OCTETS)
            body = await request.read()
            visit.visitor.heard()
            token = read_bearer(visit.authorization, limit_octets=AUTHORIZATION_LIMIT_OCTETS)
            if token is None:
                raise Refused(Reason.TOKEN_NEEDED)
            issued, chain = await self._desk.issue(caller, token, body)
            self._world.emit(
                CertificateIssued(
                    visit.call,
                    caller,
                    visit.visitor.peer,
                    Kind(issued.kind),
                    f"{issued.serial:x}",
                    issued.authority,
                    issued.not_after_ns,
                )
            )
        return answer(chain, PEM_CHAIN)

    async def _ca(self, _: web.Request) -> web.StreamResponse:
        return answer(self.facts.ca_pem, PEM_FILE)

    async def _crl(self, request: web.Request) -> web.StreamResponse:
        """Answer the list of the authority that issues, in DER; in PEM those of all that are accepted."""
        issuer = self._desk.working_issuer()
        asked = request.query.get("format")
        if asked not in (None, "der", "pem") or set(request.query) - {"format"}:
            raise Refused(Reason.HTTP_MALFORMED, why="the query may be format=der or format=pem")
        if asked == "pem" or (asked is None and PEM_FILE in request.headers.get("Accept", "")):
            lists = [await self._desk.revocation_list(authority) for authority in issuer.authorities]
            return answer(b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in lists), PEM_FILE)
        return answer(await self._desk.revocation_list(issuer.authorities[0]), CRL)

    async def _whoami(self, request: web.Request) -> web.StreamResponse:
        async with self._proven(request) as caller:
            return told(
                {
                    "subject": caller.subject,
                    "tenant": caller.tenant,
                    "role": caller.role.label,
                    "policy": caller.policy,
                    "kind": caller.kind.value if caller.kind else None,
                    "method": caller.method,
                    "rule": caller.rule,
                    "until": moment(caller.judged_until_ns),
                }
            )

    async def _login(self, _: web.Request) -> web.StreamResponse:
        return told(self.facts.login)

    async def _setup(self, request: web.Request) -> web.StreamResponse:
        return answer(setup_script(request.headers.get("Host", ""), self.facts.names), SHELL)

    async def _openapi(self, _: web.Request) -> web.StreamResponse:
        return told(DESCRIPTION)


def _refused(error: Exception) -> Refused:
    """Return what aiohttp found wrong as a refusal of ours."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Refused(Reason.BODY_TOO_LARGE, limit=BODY_OCTETS)
    if isinstance(error, web.HTTPNotFound):
        return Refused(Reason.PATH_UNKNOWN)
    return Refused(Reason.HTTP_MALFORMED, detail=type(error).__name__, why="its body or one of its headers is wrong")
