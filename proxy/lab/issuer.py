"""A token issuer on loopback, as small as OIDC discovery allows: `python -m proxy.lab.issuer DIRECTORY PORT`.

DIRECTORY keeps the key. Tokens are minted by whoever may read it; over HTTP there
are only the public halves.

Source: OpenID Connect Discovery 1.0 section 4.
"""

import os
import sys
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.lab.tokens import public_keys

KEYS_PATH = "/keys"
DISCOVERY_PATH = "/.well-known/openid-configuration"


def issuer_url(port: int) -> str:
    """Return the issuer's name, which is also where it answers."""
    return f"http://127.0.0.1:{port}"


def signing_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Return the issuer's key, made at the first call and kept in a file that only its owner reads."""
    path = directory / "issuer-key.pem"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        made = ec.generate_private_key(ec.SECP256R1())
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} does not hold an elliptic curve key")
    return key


def application(key: ec.EllipticCurvePrivateKey, port: int) -> web.Application:
    """Return the two documents that a verifier asks for."""
    name = issuer_url(port)
    discovery = {
        "issuer": name,
        "jwks_uri": name + KEYS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }

    async def tell_discovery(_: web.Request) -> web.Response:
        return web.json_response(discovery)

    async def tell_keys(_: web.Request) -> web.Response:
        return web.json_response(public_keys(key))

    answers = web.Application()
    answers.add_routes([web.get(DISCOVERY_PATH, tell_discovery), web.get(KEYS_PATH, tell_keys)])
    return answers


def main() -> None:
    """Serve until a signal ends us."""
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    web.run_app(application(signing_key(directory), port), host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main()
