"""Keys and tokens as issuers make them, and as attackers do: any header, any payload, any octets."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW_SECONDS = 1_800_000_000
AUDIENCE = "https://farm.example.com"
GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.example.com"
KUBERNETES = "https://kubernetes.default.svc.cluster.local"

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def coded(octets: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass(frozen=True)
class SigningKey:
    """A key of an issuer; `private` is what it signs with."""

    private: Any = field(repr=False)
    algorithm: str = "ES256"
    key_id: str | None = "key-1"

    def public(self, **changes: object) -> dict[str, object]:
        """Return the public half as a JSON Web Key; a change to None removes a member."""
        written: dict[str, object] = jwt.get_algorithm_by_name(self.algorithm).to_jwk(
            self.private.public_key(), as_dict=True
        )
        written.pop("key_ops", None)
        written |= {"kid": self.key_id, "alg": self.algorithm, "use": "sig"} | changes
        return {name: value for name, value in written.items() if value is not None}

    def sign(self, claims: Mapping[str, object] | bytes, header: Mapping[str, object] | bytes | None = None) -> str:
        """Return a token with these claims; header members are added to alg, typ and kid, None removes one."""
        if header is None or isinstance(header, Mapping):
            members = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id} | dict(header or {})
            header = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        signed = f"{coded(header)}.{coded(payload)}"
        return f"{signed}.{coded(self.signature(signed.encode()))}"

    def signature(self, signed: bytes) -> bytes:
        """Return the signature of `signed`."""
        return jwt.get_algorithm_by_name(self.algorithm).sign(signed, self.private)


def new_key(algorithm: str = "ES256", key_id: str | None = "key-1", *, rsa_bits: int = 2048) -> SigningKey:
    """Return a fresh key for `algorithm`."""
    private: Any
    if algorithm in _CURVES:
        private = ec.generate_private_key(_CURVES[algorithm])
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(65537, rsa_bits)
    return SigningKey(private, algorithm, key_id)


def key_set(*keys: SigningKey | Mapping[str, object]) -> dict[str, object]:
    """Return a JSON Web Key Set."""
    return {"keys": [key.public() if isinstance(key, SigningKey) else dict(key) for key in keys]}


def claims(issuer: str, now_seconds: int = NOW_SECONDS, **changes: object) -> dict[str, object]:
    """Return what every token says; a change to None removes a claim."""
    always: dict[str, object] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "someone",
        "iat": now_seconds - 10,
        "exp": now_seconds + 300,
    }
    return {name: value for name, value in (always | changes).items() if value is not None}


def github_claims(now_seconds: int = NOW_SECONDS, **changes: object) -> dict[str, object]:
    """Return the claims of a GitHub Actions job (docs.github.com, "OpenID Connect reference")."""
    said: dict[str, object] = {
        "sub": "repo:acme@4242/payments@777:ref:refs/heads/main",
        "repository": "acme/payments",
        "repository_id": "777",
        "repository_owner": "acme",
        "repository_owner_id": "4242",
        "repository_visibility": "private",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "event_name": "push",
        "job_workflow_ref": "acme/payments/.github/workflows/build.yml@refs/heads/main",
        "runner_environment": "github-hosted",
        "run_id": "1",
    }
    return claims(GITHUB, now_seconds, **(said | changes))


def gitlab_claims(now_seconds: int = NOW_SECONDS, **changes: object) -> dict[str, object]:
    """Return the claims of a GitLab job (docs.gitlab.com, "ID token authentication")."""
    said: dict[str, object] = {
        "sub": "project_path:acme/payments:ref_type:branch:ref:main",
        "project_id": "22",
        "project_path": "acme/payments",
        "namespace_id": "72",
        "namespace_path": "acme",
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "pipeline_source": "push",
        "groups_direct": ["acme/builders", "acme/ops"],
    }
    return claims(GITLAB, now_seconds, **(said | changes))


def kubernetes_claims(now_seconds: int = NOW_SECONDS, **changes: object) -> dict[str, object]:
    """Return the claims of a projected service account token (kubernetes.io, "Configure service accounts")."""
    said: dict[str, object] = {
        "aud": [AUDIENCE],
        "sub": "system:serviceaccount:build:runner",
        "kubernetes.io": {
            "namespace": "build",
            "node": {"name": "node-1", "uid": "n-uid"},
            "pod": {"name": "runner-0", "uid": "p-uid"},
            "serviceaccount": {"name": "runner", "uid": "s-uid"},
        },
    }
    return claims(KUBERNETES, now_seconds, **(said | changes))
