"""Debian packages: where they come from, and what apt is told. Nothing is fetched here."""

from pathlib import Path

import pytest

from proxy.lab.missing import Missing
from proxy.lab.packages import Packages, choose_mirror, find_mirror, private_settings, run, sources, transport_settings

DEBIAN = """\
'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0
'http://mirror.example/debian/dists/bookworm-updates/InRelease' mirror.example_debian_dists_bookworm-updates_InRelease 0
'http://mirror.example/security/dists/bookworm-security/InRelease' mirror.example_security_InRelease 0
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror.example_Packages 0
"""
OTHERS = "'https://vendor.example/linux/debian/dists/bookworm/InRelease' vendor.example_InRelease 0\n"


def test_the_mirror_is_the_one_of_the_machine() -> None:
    assert choose_mirror(DEBIAN) == "http://mirror.example/debian"


def test_a_vendor_with_suites_of_the_same_name_is_not_the_mirror() -> None:
    assert choose_mirror(OTHERS + DEBIAN) == "http://mirror.example/debian"


def test_a_mirror_without_updates_is_taken_if_it_is_the_only_one() -> None:
    assert (
        choose_mirror("'mirror+file:/etc/mirrors.list/dists/trixie/InRelease' x 0\n") == "mirror+file:/etc/mirrors.list"
    )


@pytest.mark.parametrize("listed", ["", "'http://mirror.example/ubuntu/dists/noble/InRelease' x 0\n"])
def test_a_machine_of_another_system_has_no_mirror(listed: str) -> None:
    assert choose_mirror(listed) is None


def test_a_named_mirror_goes_before_the_machines_own() -> None:
    assert find_mirror({"KILNGATE_DEBIAN_MIRROR": "http://named.example/debian"}) == "http://named.example/debian"


def test_releases_must_be_signed_by_debians_keyring() -> None:
    written = sources("sid", "http://mirror.example/debian", Path("/keys.gpg"))

    assert written == "deb [signed-by=/keys.gpg] http://mirror.example/debian sid main\n"


def test_unsigned_releases_and_packages_are_refused() -> None:
    written = private_settings(Path("/home"))

    assert 'Acquire::AllowInsecureRepositories "false";' in written
    assert 'APT::Get::AllowUnauthenticated "false";' in written


def test_only_what_concerns_the_transport_is_taken_from_the_machine() -> None:
    dump = 'Acquire::http::Proxy "http://proxy.example";\nAcquire::AllowInsecureRepositories "1";\nAPT::X "y";\n'

    assert transport_settings(dump) == 'Acquire::http::Proxy "http://proxy.example";\n'


def test_what_was_unpacked_once_needs_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "debian/sid/unpacked/runc"
    root.mkdir(parents=True)
    monkeypatch.setenv("PATH", "")

    assert Packages("sid", tmp_path).root_of("runc") == root


def test_without_apt_the_choices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing, match="KILNGATE_DEBIAN_MIRROR"):
        Packages("sid", tmp_path).root_of("runc")


def test_a_failed_tool_is_told_in_its_own_words() -> None:
    with pytest.raises(Missing, match="sh -c failed: E: no such package"):
        run(["sh", "-c", "echo W: noise >&2; echo E: no such package >&2; exit 100"], {})
