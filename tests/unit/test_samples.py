"""The samples in config/ are settings that work, and editors agree."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from proxy.ca.authority import Authority
from proxy.cli import main
from proxy.errors import Refused
from proxy.identity.rules import first_match
from proxy.policy.engine import Policy
from proxy.settings.parse import parse
from tests.helpers.solves import cache_options, control

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = CONFIG / "kilngate.schema.json"
SAMPLES = sorted(CONFIG.glob("*.yaml"))
KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sample")])


def certificate() -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 7, now, now + timedelta(days=90))
    usage = x509.KeyUsage(*(False,) * 5, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return signed.add_extension(usage, critical=True).sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def revocations() -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(NAME, now, now + timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def contents(name: str) -> bytes:
    """Return what a file of this name should hold."""
    if name.endswith(".key"):
        return KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if name.endswith("crl.pem"):
        return revocations()
    return b"token" if name.endswith("token") else certificate()


def installed(sample: Path, home: Path) -> Path:
    """Copy a sample to `home`, with every file that it names."""
    text = sample.read_text()
    for name in re.findall(r"(?m)^[^#\n]*_file: ([^ \n]+)", text):
        text = text.replace(name, name.lstrip("/"))
        file = home / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents(name))
        file.chmod(0o600)
    settings = home / sample.name
    settings.write_text(text)
    return settings


def test_there_are_samples_for_each_way_in() -> None:
    assert [sample.stem for sample in SAMPLES] == ["dedicated", "github-actions", "issuer", "kubernetes", "small-team"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_passes_check_config(sample: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check-config", "-o", "json", str(installed(sample, tmp_path))])

    told = json.loads(result.stdout)
    assert (result.exit_code, told["errors"]) == (0, [])
    assert all("admin.address" in warning for warning in told["warnings"])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_with_all_its_defaults_is_a_sample_again(sample: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown.yaml"
    first = CliRunner().invoke(main, ["config", "show", str(sample)]).stdout
    shown.write_text(first)

    assert CliRunner().invoke(main, ["config", "show", str(shown)]).stdout == first


def test_dedicated_tenants_share_no_daemon_and_those_who_trust_each_other_do() -> None:
    settings = parse((CONFIG / "dedicated.yaml").read_bytes(), file="dedicated.yaml")
    addresses = {name: settings.routes.of(name).address for name in settings.tenants}

    assert addresses["website"] == addresses["docs"] == settings.upstream.address
    assert len({addresses[name] for name, tenant in settings.tenants.items() if tenant.isolation == "dedicated"}) == 3
    assert all(len(each.template.fill(each.home, each.tenant)) > 1 for each in settings.daemons.on_demand)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_fits_the_schema_that_its_first_line_names(sample: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), str(sample)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert sample.read_text().splitlines()[0] == "# yaml-language-server: $schema=kilngate.schema.json"
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["small-team.yaml", "issuer.yaml"])
def test_a_sample_can_be_set_up_as_its_first_lines_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sample = CONFIG / name
    (tmp_path / sample.name).write_text(sample.read_text())
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"(?m)^#   kilngate ((?:ca|check-config) .+?)(?:   .*)?$", sample.read_text())

    results = [CliRunner().invoke(main, command.split()) for command in commands]

    assert len(commands) == 4
    assert [(result.exit_code, result.stderr) for result in results] == [(0, "")] * 4


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, ("payments", "default")),
        ({"event_name": "pull_request", "ref": "refs/pull/7/merge"}, ("payments-untrusted", "untrusted")),
        ({"event_name": "pull_request_target"}, ("payments-untrusted", "untrusted")),
        ({"event_name": "workflow_run"}, ("payments-untrusted", "untrusted")),
        ({"event_name": "issue_comment"}, ("payments-untrusted", "untrusted")),
        ({"ref": "refs/heads/topic"}, ("payments-untrusted", "untrusted")),
        ({"repository_id": "7"}, ("platform", "default")),
        ({"repository_id": "7", "event_name": "pull_request_target"}, None),
        ({"repository_id": "7", "repository_owner_id": "8"}, None),
    ],
)
def test_on_github_only_what_cannot_be_a_stranger_s_is_trusted(
    claims: dict[str, str], expected: tuple[str, str] | None
) -> None:
    settings = parse((CONFIG / "github-actions.yaml").read_bytes(), file="github-actions.yaml")
    [method] = settings.methods()
    pushed = {
        "repository_id": "123456789",
        "repository_owner_id": "987654",
        "ref": "refs/heads/main",
        "event_name": "push",
        "runner_environment": "github-hosted",
    }

    rule = first_match(method.rules, {**pushed, **claims})

    assert (rule and (rule.tenant, rule.policy)) == expected


def test_the_untrusted_of_github_neither_push_nor_export_caches() -> None:
    settings = parse((CONFIG / "github-actions.yaml").read_bytes(), file="github-actions.yaml")
    untrusted = Policy("untrusted", settings.all_policies()["untrusted"])
    cache = cache_options(exports=[("registry", {"ref": "ghcr.io/acme/cache"})])

    untrusted.judge(control(exporters=[("local", {})]))
    for request in (control(exporters=[("image", {"name": "ghcr.io/acme/app", "push": "true"})]), control(cache=cache)):
        with pytest.raises(Refused, match="policy-"):
            untrusted.judge(request)


def test_the_small_team_s_certificates_become_the_tenants_that_they_name(tmp_path: Path) -> None:
    [method] = parse((CONFIG / "small-team.yaml").read_bytes(), file="small-team.yaml").auth
    authority = Authority.create(tmp_path / "pki", "farm.example.com")

    def match(tenant: str, subject: str) -> tuple[str, str] | None:
        issued = authority.issue_client(tenant, subject, life=timedelta(days=1), force=False).certificate
        names = x509.load_pem_x509_certificate(issued.read_bytes()).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        rule = first_match(method.rules, {"uri": names.value.get_values_for_type(x509.UniformResourceIdentifier)})
        return (rule.tenant, rule.role) if rule else None

    assert match("platform", "alice") == ("platform", "admin")
    assert match("platform", "carol") == ("platform", "builder")
    assert match("payments", "alice") == ("payments", "builder")
    assert match("others", "alice") is None
