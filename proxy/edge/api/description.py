"""The API in OpenAPI's words, served at /v1/openapi.json. A test asks a running door everything that stands here."""

from typing import Any, Final

Words = dict[str, Any]

VERSION: Final = "1"
# A refusal that anything may meet: what was sent is no HTTP, the path takes other methods, a fault of ours.
_ALWAYS: Final = {
    400: "The request cannot be read, or its query has what this path does not know.",
    405: "The path takes other methods.",
    500: "kilngate failed; tell whoever runs the farm, with `ref`.",
}
_IDENTITY: Final = {
    401: "Nobody was proven, or what was shown is bad: expired, revoked, already used.",
    403: "The caller is known, and belongs to no tenant.",
    429: "The tenant is over one of its limits; `Retry-After` says when to come again.",
    503: "The farm cannot judge or write down anything right now; builds go on.",
}
_HEADERS: Final = {"401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After"}
_NOTHING_ISSUED: Final = {404: "This farm issues no certificates."}


def _text(media_type: str, what: str) -> Words:
    return {"description": what, "content": {media_type: {"schema": {"type": "string"}}}}


def _json(schema: str, what: str) -> Words:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": what, "content": content}


def _operation(name: str, summary: str, good: Words, *refusals: dict[int, str], **more: Any) -> Words:
    refused = {str(status): _json("Error", what) for each in (_ALWAYS, *refusals) for status, what in each.items()}
    for status, header in (
        ("401", "WWW-Authenticate"),
        ("405", "Allow"),
        ("429", "Retry-After"),
        ("503", "Retry-After"),
    ):
        if status in refused:
            refused[status]["headers"] = {header: {"schema": {"type": "string"}}}
    return {"operationId": name, "summary": summary, "security": [], "responses": {"200": good, **refused}, **more}


def _record(what: str, **properties: Words) -> Words:
    return {
        "type": "object",
        "description": what,
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


_TEXT: Final[Words] = {"type": "string"}
_TEXT_OR_NOTHING: Final[Words] = {"type": ["string", "null"]}
_TEXTS: Final[Words] = {"type": "array", "items": _TEXT}
_SCHEMAS: Final[Words] = {
    "Error": _record(
        "A refusal.",
        error=_record(
            "What, why, and what finds it in the farm's log.",
            code={"type": "string", "pattern": "^KG-[0-9]{3}$", "description": "Its page: docs/errors.md of kilngate."},
            message=_TEXT,
            ref=_TEXT,
        ),
    ),
    "Caller": _record(
        "Who asks, by the certificate of the connection or the token of the request.",
        subject=_TEXT,
        tenant=_TEXT,
        role={"enum": ["viewer", "builder", "maintainer", "admin"]},
        policy={"type": "string", "description": "What its builds may ask for."},
        kind={"enum": ["ci", "person", "machine", None]},
        method={"type": "string", "description": "The way in which the farm knows the caller."},
        rule={"type": "string", "description": "The mapping rule that matched."},
        until={"type": ["string", "null"], "format": "date-time", "description": "When this must be proven again."},
    ),
    "Login": _record(
        "What a client needs to know to begin a login.",
        server_names={**_TEXTS, "description": "Names in the server's certificate."},
        issues_certificates={"type": "boolean"},
        trust_domain=_TEXT_OR_NOTHING,
        issuers={
            "type": "array",
            "items": _record(
                "An issuer whose tokens this farm takes.",
                issuer=_TEXT,
                preset={"enum": ["github", "gitlab", "kubernetes", "generic"]},
                audiences=_TEXTS,
                client_id=_TEXT_OR_NOTHING,
                scopes=_TEXTS,
            ),
        },
    ),
}
_FORMAT: Final[Words] = {
    "name": "format",
    "in": "query",
    "description": "`pem` gives the lists of all authorities that are accepted. Without it, `Accept` decides.",
    "schema": {"enum": ["der", "pem"]},
}
_REQUEST: Final[Words] = {
    "required": True,
    "description": "A certificate request in PEM, 64 KiB at most. Only its key and the proof of it are used: "
    "P-256, P-384 or Ed25519.",
    "content": {"application/pkcs10": {"schema": {"type": "string"}}, "application/x-pem-file": {"schema": _TEXT}},
}
_UNFIT: Final = {
    413: "The body has more than 64 KiB.",
    415: "The body is announced as something else than a certificate request.",
    422: "No certificate can be made of this request.",
}

DESCRIPTION: Final[Words] = {
    "openapi": "3.1.0",
    "info": {
        "title": "kilngate",
        "version": VERSION,
        "description": "What a client needs before it can build: who it is, how to log in, a certificate for its "
        "token. HTTP/1.1 on the port that builds use, one request a connection. Builds themselves are gRPC.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": {
        "/v1/certificates": {
            "post": _operation(
                "issue",
                "Exchange a token for a short-lived client certificate",
                _text("application/pem-certificate-chain", "The certificate, and those that lead to the root."),
                _IDENTITY,
                {404: _NOTHING_ISSUED[404]},
                _UNFIT,
                security=[{"token": []}],
                requestBody=_REQUEST,
            )
        },
        "/v1/ca.pem": {
            "get": _operation(
                "authority",
                "The authorities by which the server is known: `cacert` of buildx",
                _text("application/x-pem-file", "Certificates in PEM."),
            )
        },
        "/v1/crl": {
            "get": _operation(
                "revoked",
                "The list of issued certificates that were revoked",
                {
                    "description": "The list, signed by the authority that issues.",
                    "content": {
                        "application/pkix-crl": {"schema": {"type": "string", "format": "binary"}},
                        "application/x-pem-file": {"schema": _TEXT},
                    },
                },
                _NOTHING_ISSUED,
                {503: _IDENTITY[503]},
                parameters=[_FORMAT],
            )
        },
        "/v1/whoami": {
            "get": _operation(
                "whoami",
                "Who the farm takes the caller for",
                _json("Caller", "The caller."),
                _IDENTITY,
                security=[{"token": []}, {"certificate": []}],
            )
        },
        "/v1/login": {
            "get": _operation("login", "What a client needs to begin a login", _json("Login", "What there is."))
        },
        "/v1/setup.sh": {
            "get": _operation(
                "setup",
                "A script that gets a certificate and makes a builder",
                _text("text/x-shellscript", "POSIX sh; needs openssl and curl or wget."),
            )
        },
        "/v1/openapi.json": {
            "get": _operation(
                "description",
                "This description",
                {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}},
            )
        },
    },
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "certificate": {"type": "mutualTLS"},
        },
        "schemas": _SCHEMAS,
    },
}
