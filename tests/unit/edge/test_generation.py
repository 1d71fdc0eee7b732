"""One generation, from its files."""

import json
from pathlib import Path

from proxy.edge.files import read_bundle
from proxy.edge.generation import build
from proxy.events import CertificateLoaded, RevocationListLoaded
from proxy.identity.issued import LiveRevocations
from tests.helpers.certificates import Authority


def test_every_list_and_certificate_of_its_files_is_told(tmp_path: Path) -> None:
    root, other = Authority.create("Root CA"), Authority.create("Other CA")
    certificate, key = root.server("farm.test").write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(root.pem + other.pem)
    (tmp_path / "crl.pem").write_bytes(root.crl(7, 8) + other.crl(9))
    rule = {"match": {"uri": "*"}, "tenant": "payments"}
    settings = {
        "listen": {"address": "127.0.0.1:0"},
        "tls": {"certificate_file": str(certificate), "key_file": str(key)},
        "auth": [{"type": "mtls", "ca_file": "ca.pem", "crl_file": "crl.pem", "rules": [rule]}],
        "tenants": {"payments": {}},
    }
    (tmp_path / "kilngate.yaml").write_text(json.dumps(settings))

    built = build(
        read_bundle(tmp_path / "kilngate.yaml", now_wall_ns=0),
        earlier=None,
        wall_ns=lambda: 0,
        revocations=LiveRevocations(),
    )
    certificates = [(one.role, one.subject) for one in built.facts if isinstance(one, CertificateLoaded)]
    lists = [(one.issuer, one.entries) for one in built.facts if isinstance(one, RevocationListLoaded)]

    assert certificates == [("server", "CN=farm.test"), ("ca", "CN=Root CA"), ("ca", "CN=Other CA")]
    assert lists == [("CN=Root CA", 2), ("CN=Other CA", 1)]
