"""From files to one generation: everything that a reload replaces, built aside before anything is swapped."""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from proxy.edge.files import Bundle
from proxy.edge.keys import read_key_files
from proxy.edge.tls import ServerTls
from proxy.events import CertificateLoaded, Event, RevocationListLoaded
from proxy.identity.authenticator import Authenticator, Method
from proxy.identity.chain import read_lists
from proxy.identity.issued import LiveRevocations, Trust
from proxy.identity.keyset import KeySets
from proxy.identity.methods import jwt, mtls
from proxy.issuer.authority import Authority
from proxy.issuer.issuer import Issuer
from proxy.policy.engine import Policy
from proxy.settings.schema import Settings
from proxy.units import SECOND_NS

NAMESPACE_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Built:
    """What one bundle of settings and files makes; `facts` are to be told when it takes effect."""

    bundle: Bundle
    tls: ServerTls
    authenticator: Authenticator
    keysets: KeySets
    policies: Mapping[str, Policy]
    issuer: Issuer | None
    facts: tuple[Event, ...]


def build(
    bundle: Bundle, *, earlier: KeySets | None, wall_ns: Callable[[], int], revocations: LiveRevocations
) -> Built:
    """Build a generation. `revocations` are those of issued certificates; all generations share them.

    Raises:
        ValueError: certificates, lists or keys that cannot be used together; the text says which.
    """
    settings, files = bundle.settings, bundle.files
    certificates = [method for method in settings.auth if isinstance(method, mtls.Config)]
    tls = ServerTls(
        settings.tls.certificate_file,
        settings.tls.key_file,
        [files[method.ca_file] for method in certificates],
        settings.tls.min_version,
        settings.tls.strict,
        [files[method.crl_file] for method in certificates if method.crl_file],
    )
    facts: list[Event] = []
    keysets = KeySets((method.source for method in settings.auth if isinstance(method, jwt.Config)), earlier=earlier)
    read_key_files(keysets, emit=facts.append, wall_ns=wall_ns)
    facts += _loaded("server", files[settings.tls.certificate_file])
    for method in certificates:
        facts += _loaded("ca", files[method.ca_file])
        if method.crl_file:
            facts += _lists_loaded(files[method.crl_file])
    issuer = _issuer(bundle)
    for named in settings.issuer.authorities if settings.issuer else ():
        facts += _loaded("issuer", files[named.certificate_file])
    trust = _trust(issuer, settings, revocations) if issuer else None
    methods = [_method(each, bundle, keysets, trust) for each in settings.methods()]
    policies = {name: Policy(name, policy) for name, policy in settings.all_policies().items()}
    authenticator = Authenticator(methods, stranger=mtls.stranger)
    return Built(bundle, tls, authenticator, keysets, policies, issuer, tuple(facts))


def namespace_key(bundle: Bundle) -> bytes:
    """Return the secret that sessions and shared keys are named with.

    Raises:
        ValueError: its file holds less than 32 octets.
        OSError: its file cannot be read.
    """
    settings = bundle.settings
    if settings.isolation.key_file is None:
        # Who has this key may be the server anyway; replicas and restarts that share it agree on all names.
        private_key = load_pem_private_key(bundle.files[settings.tls.key_file], None)
        secret = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    else:
        secret = Path(settings.isolation.key_file).read_bytes().strip()
        if len(secret) < NAMESPACE_KEY_OCTETS:
            raise ValueError(f"isolation.key_file: {settings.isolation.key_file} holds less than 32 octets")
    return hmac.digest(secret, b"kilngate namespaces", "sha256")


def _method(config: jwt.Config | mtls.Config, bundle: Bundle, keysets: KeySets, trust: Trust | None) -> Method:
    if isinstance(config, jwt.Config):
        return config.build(keysets)
    crl = bundle.files[config.crl_file] if config.crl_file else None
    return config.build(bundle.files[config.ca_file], crl, trust)


def _issuer(bundle: Bundle) -> Issuer | None:
    wanted = bundle.settings.issuer
    if wanted is None:
        return None
    files = bundle.files
    authorities = [Authority.read(files[each.certificate_file], files[each.key_file]) for each in wanted.authorities]
    return Issuer(wanted.trust_domain, authorities, wanted.lifetimes, _policies_of_tenants(bundle.settings))


def _trust(issuer: Issuer, settings: Settings, revocations: LiveRevocations) -> Trust:
    return Trust(
        domain=issuer.domain,
        authorities=frozenset(authority.der for authority in issuer.authorities),
        tenants=_policies_of_tenants(settings),
        policies=frozenset(settings.all_policies()),
        revocations=revocations,
    )


def _policies_of_tenants(settings: Settings) -> Mapping[str, str]:
    return {name: tenant.policy for name, tenant in settings.tenants.items()}


def _loaded(role: str, pem: bytes) -> Iterable[Event]:
    for certificate in x509.load_pem_x509_certificates(pem):
        until_ns = int(certificate.not_valid_after_utc.timestamp()) * SECOND_NS
        yield CertificateLoaded(role, certificate.subject.rfc4514_string(), until_ns)


def _lists_loaded(octets: bytes) -> Iterable[Event]:
    for crl in read_lists(octets):
        until = crl.next_update_utc
        until_ns = int(until.timestamp()) * SECOND_NS if until else 0
        yield RevocationListLoaded(crl.issuer.rfc4514_string(), until_ns, len(crl))
