"""The small authority: what it writes, what it refuses, and that a door believes it."""

import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.ca.authority import Authority, AuthorityError
from proxy.caller import Role
from proxy.cli.ca import command
from proxy.errors import Refused
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.identity.methods.mtls import Config, Mtls
from proxy.reasons import Reason
from tests.helpers.certificates import rsa_key

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki", "farm.test")


def door(authority: Authority) -> Mtls:
    rule = {"match": {"uri": "spiffe://farm.test/tenant/payments/*"}, "tenant": "payments"}
    config = Config.model_validate({"type": "mtls", "ca_file": "ca.pem", "crl_file": "crl.pem", "rules": [rule]})
    return config.build((authority.directory / "ca.pem").read_bytes(), (authority.directory / "crl.pem").read_bytes())


def shown(certificate: Path) -> Credentials:
    chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    return Credentials(PresentedCertificate(tuple(each.public_bytes(Encoding.DER) for each in chain)))


def test_a_client_it_issued_is_believed_by_the_door(authority: Authority) -> None:
    issued = authority.issue_client("payments", "alice", life=DAY)

    caller = door(authority).authenticate(shown(issued.certificate), now_wall_ns=time.time_ns())

    assert caller is not None
    assert (caller.tenant, caller.role, caller.subject) == (
        "payments",
        Role.BUILDER,
        "spiffe://farm.test/tenant/payments/alice",
    )


def test_a_client_it_revoked_is_refused_by_the_door(authority: Authority) -> None:
    issued = authority.issue_client("payments", "alice", life=DAY)
    Authority.load(authority.directory).revoke(issued.serial)

    with pytest.raises(Refused) as refused:
        door(authority).authenticate(shown(issued.certificate), now_wall_ns=time.time_ns())

    assert refused.value.reason is Reason.CERTIFICATE_REVOKED


def test_keys_are_for_their_owner_only(authority: Authority) -> None:
    issued = authority.issue_client("payments", "alice", life=DAY)
    authority.issue_server(["localhost", "127.0.0.1"], life=DAY)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.directory.glob("*.key")}

    assert issued.key.name in modes
    assert set(modes.values()) == {0o600}


def test_nothing_is_overwritten_unless_asked(authority: Authority) -> None:
    first = authority.issue_client("payments", "alice", life=DAY)
    before = first.certificate.read_bytes()

    with pytest.raises(AuthorityError, match="--force"):
        authority.issue_client("payments", "alice", life=DAY)
    with pytest.raises(AuthorityError, match="has an authority already"):
        Authority.create(authority.directory, "farm.test")

    assert first.certificate.read_bytes() == before
    assert authority.issue_client("payments", "alice", life=DAY, force=True).serial != first.serial


@pytest.mark.parametrize(
    ("tenant", "subject"), [("Payments", "a"), ("pay/ments", "a"), ("p", "a/b"), ("", "a"), ("p", "")]
)
def test_names_that_could_be_read_as_another_are_refused(authority: Authority, tenant: str, subject: str) -> None:
    with pytest.raises(AuthorityError):
        authority.issue_client(tenant, subject, life=DAY)


def test_a_server_certificate_names_hosts_and_is_for_servers_only(authority: Authority) -> None:
    issued = authority.issue_server(["farm.test", "127.0.0.1"], life=DAY)

    parsed = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert names.get_values_for_type(x509.DNSName) == ["farm.test"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_serial_that_it_never_issued_cannot_be_revoked(authority: Authority) -> None:
    with pytest.raises(AuthorityError, match="issued no certificate"):
        authority.revoke("abc123")


def test_an_empty_directory_is_told_how_to_begin(tmp_path: Path) -> None:
    ended = CliRunner().invoke(command, ["issue", str(tmp_path), "--tenant", "payments", "--subject", "alice"])

    assert ended.exit_code == 1
    assert "kilngate ca init" in ended.output


def test_the_commands_make_an_authority_a_client_and_a_list(tmp_path: Path) -> None:
    run, pki = CliRunner(), str(tmp_path / "pki")

    outputs = [
        run.invoke(command, ["init", pki, "--name", "farm.test"]),
        run.invoke(command, ["issue", pki, "--server", "localhost"]),
        run.invoke(command, ["issue", pki, "--tenant", "payments", "--subject", "alice", "--life", "12h"]),
        run.invoke(command, ["crl", pki]),
    ]

    assert [each.exit_code for each in outputs] == [0, 0, 0, 0], [each.output for each in outputs]
    assert "valid 12 h" in outputs[2].output


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "ca.json", "crl.pem"])
def test_files_of_another_authority_are_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("somebody's own")

    with pytest.raises(AuthorityError, match=name):
        Authority.create(tmp_path, "farm.test")

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "somebody's own"


def test_a_server_certificate_needs_a_name(authority: Authority) -> None:
    with pytest.raises(AuthorityError, match="name"):
        authority.issue_server([], life=DAY)
    assert not (authority.directory / "server.pem").exists()


def test_an_authority_whose_files_are_broken_is_told(authority: Authority) -> None:
    (authority.directory / "ca.key").write_text("no key")
    with pytest.raises(AuthorityError, match="cannot be read"):
        Authority.load(authority.directory)

    (authority.directory / "ca.key").write_bytes(
        rsa_key(2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(AuthorityError, match="not an elliptic curve key"):
        Authority.load(authority.directory)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "give either --server NAME, or --tenant TENANT and --subject NAME"),
        (["--tenant", "payments"], "give either --server NAME, or --tenant TENANT and --subject NAME"),
        (["--server", "farm.test", "--tenant", "payments"], "give either --server NAME, or"),
        (["--server", "farm.test", "--subject", "alice"], "give either --server NAME, or"),
        (["--server", "farm.test", "--life", "99y"], "--life: a duration is a number and a unit"),
    ],
)
def test_a_certificate_is_for_a_server_or_for_a_client_and_lasts_some_time(
    authority: Authority, arguments: list[str], what: str
) -> None:
    done = CliRunner().invoke(command, ["issue", str(authority.directory), *arguments])

    assert done.exit_code == 2
    assert what in done.stderr
    assert not (authority.directory / "server.pem").exists()


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=3651), timedelta(days=999_999_999)])
def test_a_certificate_lasts_some_time_and_no_longer_than_its_authority(authority: Authority, life: timedelta) -> None:
    for issue in (
        lambda: authority.issue_client("payments", "alice", life=life),
        lambda: authority.issue_server(["farm.test"], life=life),
    ):
        with pytest.raises(AuthorityError, match="at most 3649 days"):
            issue()

    assert not list(authority.directory.glob("*-alice.*"))


# --- authorities for kilngate's own issuer ---------------------------------------------------


def test_an_authority_for_the_issuer_signs_client_certificates_of_its_domain_and_nothing_else(
    authority: Authority,
) -> None:
    made = authority.issue_issuer(life=DAY)
    certificate, root = x509.load_pem_x509_certificates(made.certificate.read_bytes())
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(x509.NameConstraints)

    assert root == authority.certificate
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.UniformResourceIdentifier("farm.test")]
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600


def test_each_authority_for_the_issuer_has_files_of_its_own(authority: Authority) -> None:
    names = [authority.issue_issuer(life=DAY).certificate.name for _ in range(3)]

    assert names == ["issuer1.pem", "issuer2.pem", "issuer3.pem"]


def test_an_authority_for_the_issuer_can_be_revoked(authority: Authority) -> None:
    made = authority.issue_issuer(life=DAY)
    Authority.load(authority.directory).revoke(made.serial)

    [entry] = x509.load_pem_x509_crl((authority.directory / "crl.pem").read_bytes())
    assert f"{entry.serial_number:x}" == made.serial


def test_an_authority_that_may_sign_no_other_says_so(authority: Authority) -> None:
    own = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    narrow = Authority.create(authority.directory.parent / "narrow", "farm.test")
    made = narrow.issue_issuer(life=DAY)
    chain = x509.load_pem_x509_certificates(made.certificate.read_bytes())
    (narrow.directory / "ca.pem").write_bytes(chain[0].public_bytes(Encoding.PEM))

    assert own.path_length == 1
    with pytest.raises(AuthorityError, match="may sign no other authority"):
        Authority.load(narrow.directory).issue_issuer(life=DAY)


def test_the_command_prints_what_goes_into_the_settings(tmp_path: Path) -> None:
    Authority.create(tmp_path / "pki", "farm.test")

    result = CliRunner().invoke(command, ["issuer", str(tmp_path / "pki"), "--life", "90d"])

    assert result.exit_code == 0
    assert f"authorities: [{{certificate_file: {tmp_path}/pki/issuer1.pem, " in result.stdout
