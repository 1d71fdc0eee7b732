"""A farm that issues certificates, and a token exchanged for one as the documents say: with openssl and curl."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.lab.program import SOURCE
from tests.helpers.credentials import SERVER_NAME, Shown
from tests.helpers.signing import github_claims, gitlab_claims
from tests.helpers.tokens import AUDIENCE, Issuer

DONE = 200
USUAL = ("iss", "aud", "iat", "exp")


def issuing_settings(settings: Mapping[str, Any], authority: Shown, issuers: Mapping[str, str]) -> dict[str, Any]:
    """Return `settings` with an issuer, whose certificates the first method of `auth` accepts."""
    changed = deepcopy(dict(settings))
    certificates = {**changed["auth"][0], "issued": True}
    common = {"type": "jwt", "audiences": [AUDIENCE], "algorithms": ["ES256"]}
    changed["auth"] = [
        certificates,
        {
            **common,
            "preset": "github",
            "issuer": issuers["github"],
            "rules": [rule("main", "payments", repository_id="777", ref="refs/heads/main")],
        },
        {
            **common,
            "preset": "gitlab",
            "issuer": issuers["gitlab"],
            "rules": [rule("protected", "platform", project_id="22", ref_protected="true")],
        },
        {
            **common,
            "preset": "generic",
            "name": "staff",
            "issuer": issuers["people"],
            "login": {"client_id": "kilngate"},
            "rules": [{**rule("staff", "payments", sub="*@farm.test"), "role": "maintainer"}],
        },
    ]
    changed["issuer"] = {"trust_domain": SERVER_NAME, "authorities": [files_of(authority)]}
    return changed


def rule(name: str, tenant: str, **match: str) -> dict[str, Any]:
    """Return a mapping rule."""
    return {"name": name, "match": match, "tenant": tenant}


def files_of(authority: Shown) -> dict[str, str]:
    """Return an item of `issuer.authorities`."""
    return {"certificate_file": str(authority.certificate), "key_file": str(authority.key)}


def token_of(name: str, issuer: Issuer, **changes: object) -> str:
    """Return a token as the named issuer gives it to a job or a person."""
    said: dict[str, object] = {"jti": f"id-{time.time_ns()}"}
    if name == "people":
        return issuer.token("alice@farm.test", **{**said, **changes})
    claims = github_claims() if name == "github" else gitlab_claims()
    own = {claim: value for claim, value in claims.items() if claim not in USUAL}
    return issuer.token(**{**own, **said, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What came of an exchange: a certificate in files, or a refusal."""

    status: int
    shown: Shown
    text: str

    @property
    def code(self) -> str:
        """The number of the refusal, such as KG-609."""
        code: str = json.loads(self.text)["error"]["code"]
        return code


def exchange(directory: Path, address: str, ca: Path, token: str) -> Exchanged:
    """Make a key and a request, and send that with the token."""
    directory.mkdir(parents=True, exist_ok=True)
    key, request, answer = (directory / name for name in ("key.pem", "request.pem", "cert.pem"))
    make = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*make, "-subj", "/CN=me", "-keyout", key, "-out", request], check=True, capture_output=True)
    # A token in a command line can be read by everybody on a machine.
    (directory / "header").write_text(f"Authorization: Bearer {token}")
    port = address.rpartition(":")[2]
    done = subprocess.run(
        [
            "curl", "-sS", "--cacert", ca, "-H", f"@{directory / 'header'}", "--data-binary", f"@{request}",
            "-o", answer, "-w", "%{http_code}", "--resolve", f"{SERVER_NAME}:{port}:127.0.0.1",
            f"https://{SERVER_NAME}:{port}/v1/certificates",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return Exchanged(int(done.stdout), Shown(answer, key), answer.read_text())


def kilngate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator does, beside a door that runs."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "proxy", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
