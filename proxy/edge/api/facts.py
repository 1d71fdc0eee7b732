"""What everybody may know of this farm: how it can be recognised, and who gives tokens for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.identity.methods import jwt
from proxy.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Facts:
    """What one generation of settings tells everybody. `names` are those in the server's certificate."""

    ca_pem: bytes = b""
    names: tuple[str, ...] = ()
    login: Mapping[str, object] = field(default_factory=dict)


def read_facts(settings: Settings, files: Mapping[str, bytes]) -> Facts:
    """Return what settings and their files tell everybody."""
    chain = x509.load_pem_x509_certificates(files[settings.tls.certificate_file])
    ca_file = settings.tls.ca_file
    names = _names(chain[0])
    login = {
        "server_names": list(names),
        "issues_certificates": settings.issuer is not None,
        "trust_domain": settings.issuer.trust_domain if settings.issuer else None,
        "issuers": [_issuer(method) for method in settings.auth if isinstance(method, jwt.Config)],
    }
    return Facts(files[ca_file] if ca_file else chain[-1].public_bytes(Encoding.PEM), names, login)


def _issuer(method: jwt.Config) -> dict[str, object]:
    login = method.login
    return {
        "issuer": method.trusted_issuer,
        "preset": method.preset,
        "audiences": list(method.audiences),
        "client_id": login.client_id if login else None,
        "scopes": list(login.scopes) if login else [],
    }


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
    return (*listed.get_values_for_type(x509.DNSName), *addresses)
