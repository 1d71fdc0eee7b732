import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.algorithms import ECAlgorithm

from proxy.edge.files import Bundle, read_bundle
from proxy.settings.errors import SettingsErrors
from proxy.units import SECOND_NS

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * SECOND_NS
DAY = timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "farm")])
SETTINGS = """\
listen: {address: 127.0.0.1:8443}
tls:
  certificate_file: server.pem
  key_file: server.key
tenants: {payments: }
auth:
  - {type: mtls, ca_file: server.pem, crl_file: farm.crl, rules: [{match: {uri: "*"}, tenant: payments}]}
  - type: jwt
    preset: generic
    issuer: https://id.test
    audiences: [farm]
    jwks:
      file: keys.json
    rules: [{match: {team: pay}, tenant: payments}]
audit:
  file: audit.log
"""


def certificate(*, start: datetime = NOW - DAY, end: datetime = NOW + 90 * DAY) -> bytes:
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 7, start, end)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def private_key(key: ec.EllipticCurvePrivateKey = KEY, passphrase: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def revocations(due: datetime = NOW + DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder(NAME, NOW - 9 * DAY, due)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def key_set() -> bytes:
    jwk = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return json.dumps({"keys": [{**jwk, "kid": "1", "alg": "ES256", "use": "sig"}]}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "kilngate.yaml").write_text(SETTINGS)
    (tmp_path / "server.pem").write_bytes(certificate())
    (tmp_path / "server.key").write_bytes(private_key())
    (tmp_path / "server.key").chmod(0o600)
    (tmp_path / "farm.crl").write_bytes(revocations())
    (tmp_path / "keys.json").write_bytes(key_set())
    return tmp_path


def read(home: Path) -> Bundle:
    return read_bundle(home / "kilngate.yaml", now_wall_ns=NOW_NS)


def told(home: Path) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        read(home)
    return [line.replace(f"{home}/", "") for line in caught.value.lines]


def test_the_settings_and_what_they_name_are_read_once(home: Path) -> None:
    bundle = read(home)

    assert bundle.settings.tenants.keys() == {"payments"}
    assert len(bundle.digest) == 64
    assert bundle.files[bundle.settings.tls.certificate_file] == (home / "server.pem").read_bytes()
    assert {Path(name).name for name in bundle.files} == {"server.pem", "server.key", "farm.crl", "keys.json"}
    assert bundle.warnings == ()


def test_every_file_that_is_missing_is_told_at_its_key(home: Path) -> None:
    for name in ("server.pem", "server.key", "farm.crl", "keys.json"):
        (home / name).unlink()

    assert told(home) == [
        "kilngate.yaml:3:21: tls.certificate_file: cannot read server.pem: No such file or directory",
        "kilngate.yaml:4:13: tls.key_file: cannot read server.key: No such file or directory",
        "kilngate.yaml:7:27: auth.0.ca_file: cannot read server.pem: No such file or directory",
        "kilngate.yaml:7:49: auth.0.crl_file: cannot read farm.crl: No such file or directory",
        "kilngate.yaml:13:13: auth.1.jwks.file: cannot read keys.json: No such file or directory",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(home: Path) -> None:
    (home / "server.key").chmod(0)

    assert told(home) == ["kilngate.yaml:4:13: tls.key_file: cannot read server.key: Permission denied"]


def test_a_directory_is_no_file(home: Path) -> None:
    (home / "server.pem").unlink()
    (home / "server.pem").mkdir()

    assert told(home)[0] == "kilngate.yaml:3:21: tls.certificate_file: cannot read server.pem: Is a directory"


@pytest.mark.parametrize(
    ("name", "octets", "what"),
    [
        ("server.pem", b"", "is empty"),
        ("server.pem", b"hello", "holds no certificate in PEM form"),
        ("server.pem", private_key(), "holds no certificate in PEM form; it holds a private key"),
        ("server.key", b"hello", "holds no private key in PEM form"),
        ("server.key", certificate(), "holds no private key in PEM form; it holds a certificate"),
        (
            "server.key",
            private_key(passphrase=b"secret"),
            "is encrypted; expected a private key without a passphrase",
        ),
        (
            "server.key",
            private_key(ec.generate_private_key(ec.SECP256R1())),
            "is not the key of the certificate beside it",
        ),
        ("farm.crl", b"hello", "holds no revocation list"),
        ("farm.crl", certificate(), "holds no revocation list"),
        ("keys.json", b"{}", "is no key set"),
        ("keys.json", b"\xff", "is no key set"),
        ("keys.json", b" " * ((16 << 20) + 1), "is larger than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_holds_something_else_is_told(home: Path, name: str, octets: bytes, what: str) -> None:
    (home / name).write_bytes(octets)

    assert all(f"{name} {what}" in line for line in told(home))


def test_the_settings_file_itself_may_be_missing(tmp_path: Path) -> None:
    assert told(tmp_path) == ["kilngate.yaml:1:1: cannot be read: No such file or directory"]


def test_mistakes_in_the_settings_and_in_the_files_are_told_in_one_go(home: Path) -> None:
    (home / "server.key").unlink()
    (home / "kilngate.yaml").write_text(SETTINGS + "  sink: yes\ndrain: {timeout: 5}\nlog: {level_file: x}\n")

    assert told(home) == [
        "kilngate.yaml:4:13: tls.key_file: cannot read server.key: No such file or directory",
        "kilngate.yaml:17:3: audit.sink: unknown key; expected file, sync or on_failure",
        "kilngate.yaml:18:18: drain.timeout: a duration is a number and a unit: 500ms, 10s, 5m, 24h or 7d (got 5)",
        "kilngate.yaml:19:7: log.level_file: unknown key; did you mean 'level'?",
    ]


def test_a_key_that_everybody_may_read_is_a_warning(home: Path) -> None:
    (home / "server.key").chmod(0o644)

    [warning] = read(home).warnings
    assert warning.endswith("server.key can be read by every user of this machine (mode 0644): chmod 600")


def test_a_key_that_a_group_may_read_is_none(home: Path) -> None:
    (home / "server.key").chmod(0o640)

    assert read(home).warnings == ()


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [
        (NOW - 9 * DAY, NOW - 3 * DAY, "(CN=farm) expired 3 days ago"),
        (NOW - 9 * DAY, NOW + 3 * DAY, "(CN=farm) expires in 3 days"),
        (NOW + 2 * DAY, NOW + 90 * DAY, "(CN=farm) is valid only in 2 days"),
    ],
)
def test_a_certificate_out_of_its_time_is_a_warning(home: Path, start: datetime, end: datetime, what: str) -> None:
    (home / "server.pem").write_bytes(certificate(start=start, end=end))

    warnings = read(home).warnings

    assert warnings
    assert all(warning.endswith(what) for warning in warnings)


@pytest.mark.parametrize("is_der", [False, True])
def test_a_revocation_list_that_is_overdue_is_a_warning(home: Path, is_der: bool) -> None:
    pem = revocations(due=NOW - 2 * DAY)
    der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    (home / "farm.crl").write_bytes(der if is_der else pem)

    [warning] = read(home).warnings
    assert warning.endswith("farm.crl (CN=farm) is out of date: its next issue was due 2 days ago")


def test_the_audit_log_needs_a_directory(home: Path) -> None:
    (home / "kilngate.yaml").write_text(SETTINGS.replace("audit.log", "logs/audit.log"))

    assert told(home) == ["kilngate.yaml:16:9: audit.file: the directory logs does not exist"]


def test_the_digest_is_of_the_settings_file_alone(home: Path) -> None:
    before = read(home).digest
    (home / "server.pem").write_bytes(certificate())
    same = read(home).digest
    (home / "kilngate.yaml").write_text(SETTINGS + "# changed\n")

    assert same == before
    assert read(home).digest != before
