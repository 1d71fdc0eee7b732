"""The settings file and every file it names, read once into one unchanging bundle.

`check-config` and a reload use this same code: what one accepts the other accepts.
Blocking; a running process calls it in a thread.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from proxy.edge.file_contents import Unfit, fault_of_pair, look, look_at_token_keys
from proxy.edge.issuer_files import issuer_faults
from proxy.identity.methods import jwt
from proxy.settings.errors import START, Mistake, SettingsErrors
from proxy.settings.parse import judge, read_values
from proxy.settings.references import Kind, Reference, references
from proxy.settings.schema import Settings
from proxy.settings.tree import Tree

# A revocation list of 300 000 entries; a key set or certificate is a thousandth of it.
MAX_OCTETS = 16 << 20
SECRETS = (Kind.PRIVATE_KEY, Kind.SECRET)
ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """Settings, and the octets of every file they name.

    `digest` is the SHA-256 of the settings file, `files` has the file names as they
    stand in `settings`; secrets that are read anew at each use and files that are
    written are not in it. `warnings` are sentences for the operator.
    """

    settings: Settings
    digest: str
    files: Mapping[str, bytes]
    warnings: tuple[str, ...]


def read_bundle(file: str | Path, *, now_wall_ns: int) -> Bundle:
    """Read and check the settings `file` and what it names; `now_wall_ns` judges the age of certificates.

    Raises:
        SettingsErrors: everything that is wrong, in the settings or in the files.
    """
    text = _octets_of_settings(str(file))
    tree = read_values(text, file=str(file))
    settings, mistakes = _judged(tree, str(file))
    told = {mistake.path for mistake in mistakes}
    found = [_examined(reference, now_wall_ns) for reference in references(tree.root) if reference.path not in told]
    mistakes += [_mistake(tree, one.reference, one.fault) for one in found if one.fault]
    mistakes += _pairs(tree, found)
    if settings is not None:
        mistakes += _token_keys(tree, settings, found)
    files = {one.reference.file: one.octets for one in found if one.reference.kind not in (Kind.SECRET, Kind.WRITTEN)}
    if settings is not None and not mistakes:
        mistakes += _issuer(tree, settings, files, now_wall_ns)
    if settings is None or mistakes:
        raise SettingsErrors(str(file), mistakes)
    warnings = settings.warnings() + [warning for one in found for warning in one.warnings]
    return Bundle(settings, hashlib.sha256(text).hexdigest(), MappingProxyType(files), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Examined:
    """A file that was looked at: its octets, and the fault that makes it useless, if any."""

    reference: Reference
    octets: bytes = b""
    fault: str = ""
    warnings: tuple[str, ...] = ()


def _judged(tree: Tree, file: str) -> tuple[Settings | None, list[Mistake]]:
    try:
        return judge(tree, file=file), []
    except SettingsErrors as errors:
        return None, list(errors.mistakes)


def _octets_of_settings(file: str) -> bytes:
    try:
        return _read(file)
    except OSError as error:
        raise SettingsErrors(file, [Mistake(START, (), f"cannot be read: {error.strerror}")]) from None


def _read(file: str) -> bytes:
    """Read a file to its end, but no more than `MAX_OCTETS` + 1 of it.

    Raises:
        OSError: it is not there, not a file, or not readable.
    """
    with open(file, "rb") as opened:
        return opened.read(MAX_OCTETS + 1)


def _examined(reference: Reference, now_wall_ns: int) -> _Examined:
    if reference.kind is Kind.WRITTEN:
        return _examined_directory(reference)
    try:
        octets = _read(reference.file)
    except OSError as error:
        return _Examined(reference, fault=f"cannot read {reference.file}: {error.strerror}")
    if len(octets) > MAX_OCTETS:
        return _Examined(reference, fault=f"{reference.file} is larger than {MAX_OCTETS >> 20} MiB")
    if reference.kind is Kind.SIGNING_KEY and (fault := _exposure(reference.file)):
        return _Examined(reference, fault=f"{reference.file} {fault}")
    try:
        warnings = look(reference.kind, octets, now_wall_ns=now_wall_ns)
    except Unfit as error:
        return _Examined(reference, fault=f"{reference.file} {error}")
    told = [f"{reference.file} {warning}" for warning in warnings]
    return _Examined(reference, octets, warnings=(*told, *_mode_warnings(reference)))


def _examined_directory(reference: Reference) -> _Examined:
    directory = Path(reference.file).parent
    if not directory.is_dir():
        return _Examined(reference, fault=f"the directory {directory} does not exist")
    is_writable = os.access(reference.file if Path(reference.file).exists() else directory, os.W_OK)
    return _Examined(reference, warnings=() if is_writable else (f"{reference.file} cannot be written by this user",))


def _mode_warnings(reference: Reference) -> list[str]:
    mode = stat.S_IMODE(os.stat(reference.file).st_mode)
    if reference.kind in SECRETS and mode & 0o007:
        return [f"{reference.file} can be read by every user of this machine (mode {mode:04o}): chmod 600"]
    return []


def _exposure(file: str) -> str:
    """Return who else may use a signing key; empty if nobody.

    A group may read what root owns: that is how systemd (LoadCredential) and Kubernetes (fsGroup) hand a key over.
    """
    there = os.stat(file)
    allowed = 0o740 if there.st_uid == ROOT_UID else 0o700
    if (mode := stat.S_IMODE(there.st_mode)) & ~allowed:
        return f"signs certificates and may be used by others (mode {mode:04o}): chmod 600"
    return ""


def _pairs(tree: Tree, found: list[_Examined]) -> list[Mistake]:
    """Return a mistake for each key that does not belong to the certificate beside it."""
    fit = {one.reference.path: one for one in found if not one.fault}
    mistakes = []
    for path, key in fit.items():
        certificate = fit.get((*path[:-1], "certificate_file"))
        if path[-1] == "key_file" and certificate and (fault := fault_of_pair(certificate.octets, key.octets)):
            mistakes.append(_mistake(tree, key.reference, f"{key.reference.file} {fault}"))
    return mistakes


def _token_keys(tree: Tree, settings: Settings, found: list[_Examined]) -> list[Mistake]:
    """Return a mistake for each file of keys in which its issuer's policy finds none to use."""
    mistakes = []
    for one in found:
        method = settings.auth[int(one.reference.path[1])] if one.reference.kind is Kind.TOKEN_KEYS else None
        if one.fault or not isinstance(method, jwt.Config):
            continue
        try:
            look_at_token_keys(one.octets, method.source.policy)
        except Unfit as error:
            mistakes.append(_mistake(tree, one.reference, f"{one.reference.file} {error}"))
    return mistakes


def _issuer(tree: Tree, settings: Settings, files: Mapping[str, bytes], now_wall_ns: int) -> list[Mistake]:
    found = issuer_faults(settings, files, now_wall_ns=now_wall_ns)
    return [Mistake(tree.value_mark(path), path, what) for path, what in found]


def _mistake(tree: Tree, reference: Reference, what: str) -> Mistake:
    return Mistake(tree.value_mark(reference.path), reference.path, what)
