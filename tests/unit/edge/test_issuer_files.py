"""Everything that is wrong with the files of the block `issuer` is told before anything starts, at its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from proxy.edge.clock import wall_ns
from proxy.edge.files import Bundle, read_bundle
from proxy.edge.generation import build
from proxy.identity.issued import LiveRevocations
from proxy.settings.errors import SettingsErrors
from tests.helpers.certificates import Authority, Issued

ROOT = Authority.create("Farm CA")
ISSUER = ROOT.intermediate("Issuer")


def write(home: Path, name: str, authority: Authority) -> None:
    Issued(authority.certificate, authority.key, authority.above[1:]).write(home, name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ROOT.server("farm.test").write(tmp_path, "server")
    write(tmp_path, "issuer", ISSUER)
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    (tmp_path / "other.pem").write_bytes(Authority.create("Other").pem)
    return tmp_path


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "listen": {"address": "127.0.0.1:8443"},
        "tls": {"certificate_file": "server.pem", "key_file": "server.key"},
        "auth": [{"type": "mtls", "ca_file": "ca.pem", "issued": True}],
        "issuer": {
            "trust_domain": "farm.test",
            "authorities": [{"certificate_file": "issuer.pem", "key_file": "issuer.key"}],
        },
        "tenants": {"payments": {}},
        **changes,
    }


def read(home: Path, **changes: Any) -> Bundle:
    (home / "kilngate.yaml").write_text(json.dumps(settings(**changes)))
    return read_bundle(home / "kilngate.yaml", now_wall_ns=wall_ns())


def told(home: Path, **changes: Any) -> str:
    with pytest.raises(SettingsErrors) as caught:
        read(home, **changes)
    [line] = caught.value.lines
    return line.replace(f"{home}/", "").partition(": ")[2]


def test_good_files_make_an_issuer_that_this_door_trusts(home: Path) -> None:
    built = build(read(home), earlier=None, wall_ns=wall_ns, revocations=LiveRevocations())

    assert built.issuer is not None
    assert [one.der for one in built.issuer.authorities] == [ISSUER.der]


def test_the_authority_itself_may_be_the_trusted_one(home: Path) -> None:
    assert read(home, auth=[{"type": "mtls", "ca_file": "issuer.pem", "issued": True}])


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o700 | 0o001, 0o620])
def test_a_signing_key_that_others_may_use_is_refused(home: Path, mode: int) -> None:
    (home / "issuer.key").chmod(mode)

    assert told(home) == (
        f"issuer.authorities.0.key_file: issuer.key signs certificates and may be used by others "
        f"(mode {mode:04o}): chmod 600"
    )


def test_a_key_of_another_certificate_is_refused(home: Path) -> None:
    write(home, "issuer2", ROOT.intermediate("Another"))
    (home / "issuer.key").write_bytes((home / "issuer2.key").read_bytes())

    assert told(home) == "issuer.authorities.0.key_file: issuer.key is not the key of the certificate beside it"


def test_a_leaf_is_no_authority(home: Path) -> None:
    ROOT.server("farm.test").write(home, "issuer")

    assert told(home) == (
        "issuer.authorities.0.certificate_file: issuer.pem is not an authority: "
        "its basic constraints do not say CA:TRUE"
    )


def test_an_authority_that_no_method_trusts_is_refused(home: Path) -> None:
    assert told(home, auth=[{"type": "mtls", "ca_file": "other.pem", "issued": True}]) == (
        "issuer.authorities.0.certificate_file: issuer.pem leads to no ca_file of a method in 'auth', "
        "so that nothing would accept what it issues"
    )


def test_an_authority_that_lacks_one_between_is_refused(home: Path) -> None:
    below = ISSUER.intermediate("Below")
    Issued(below.certificate, below.key).write(home, "issuer")

    assert "leads to no ca_file" in told(home)


def test_an_authority_with_one_between_is_taken(home: Path) -> None:
    write(home, "issuer", ISSUER.intermediate("Below"))

    assert read(home)


def test_an_authority_above_that_allows_none_below_is_found(home: Path) -> None:
    write(home, "issuer", ROOT.intermediate("Middle", path_length=0).intermediate("Below"))

    assert "issues what would be refused: path length constraint exceeded" in told(home)


def test_an_authority_that_may_not_name_such_callers_is_found(home: Path) -> None:
    ca = Authority.create("Constrained")
    only = x509.NameConstraints([x509.UniformResourceIdentifier("elsewhere.test")], None)
    write(home, "issuer", constrained(ca, only))
    (home / "ca.pem").write_bytes(ca.pem)

    assert "issues what would be refused: permitted subtree violation" in told(home)


def constrained(ca: Authority, constraints: x509.NameConstraints) -> Authority:
    plain = ca.intermediate("Issuer")
    old = plain.certificate
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
    )
    for each in old.extensions:
        builder = builder.add_extension(each.value, each.critical)
    signed = builder.add_extension(constraints, critical=True).sign(ca.key, old.signature_hash_algorithm)  # type: ignore[arg-type]
    return Authority(signed, plain.key, (signed,))


def test_an_authority_that_has_ended_is_warned_of_and_stops_nothing(home: Path) -> None:
    bundle = read(home)

    later_ns = wall_ns() + 4000 * 86400 * 10**9
    assert read_bundle(home / "kilngate.yaml", now_wall_ns=later_ns).settings == bundle.settings


def test_the_second_authority_is_tried_too(home: Path) -> None:
    write(home, "old", Authority.create("Other").intermediate("Old"))
    authorities = [{"certificate_file": f"{name}.pem", "key_file": f"{name}.key"} for name in ("issuer", "old")]

    assert "issuer.authorities.1.certificate_file: old.pem leads to no ca_file" in told(
        home, issuer={"trust_domain": "farm.test", "authorities": authorities}
    )
