"""Would this door accept what its issuer signs? Tried with a certificate that nobody gets, before anything starts."""

from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.caller import Kind
from proxy.edge.tls_offline import present
from proxy.identity.credentials import ChainFault, PresentedCertificate
from proxy.identity.issued import Grant, Name, write_uri
from proxy.identity.methods import mtls
from proxy.issuer.authority import Authority, Order
from proxy.issuer.issuer import SHORTEST_NS
from proxy.settings.errors import Path
from proxy.settings.schema import Settings

# openssl/x509_vfy.h: not yet valid, expired. Dates are warned of, and judged when somebody asks for a certificate.
_DATES = (9, 10)


def issuer_faults(settings: Settings, files: Mapping[str, bytes], *, now_wall_ns: int) -> Iterator[tuple[Path, str]]:
    """Return a place and a sentence for each authority of the block `issuer` whose certificates would be refused."""
    if settings.issuer is None:
        return
    for number, named in enumerate(settings.issuer.authorities):
        try:
            authority = Authority.read(files[named.certificate_file], files[named.key_file])
            fault = _fault(settings, files, authority, now_wall_ns)
        except ValueError as error:
            fault = str(error)
        if fault:
            yield ("issuer", "authorities", number, "certificate_file"), f"{named.certificate_file} {fault}"


def _fault(settings: Settings, files: Mapping[str, bytes], authority: Authority, now_wall_ns: int) -> str:
    cas = [files[method.ca_file] for method in settings.auth if isinstance(method, mtls.Config)]
    shown = present(_tried(settings, authority, now_wall_ns), cas)
    trusted = {each.public_bytes(Encoding.DER) for bundle in cas for each in x509.load_pem_x509_certificates(bundle)}
    if shown.chain[-1] not in trusted:
        return "leads to no ca_file of a method in 'auth', so that nothing would accept what it issues"
    fault = next((fault for fault in shown.faults if fault.code not in _DATES), None)
    return f"issues what would be refused: {_told(shown, fault)}" if fault else ""


def _told(shown: PresentedCertificate, fault: ChainFault) -> str:
    who = x509.load_der_x509_certificate(shown.chain[min(fault.depth, len(shown.chain) - 1)])
    return f"{fault.text} ({who.subject.rfc4514_string()})"


def _tried(settings: Settings, authority: Authority, now_wall_ns: int) -> bytes:
    """Return a certificate as a caller would get it, for a key that is thrown away."""
    assert settings.issuer is not None
    tenant = next(iter(settings.tenants), "nobody")
    uri = write_uri(settings.issuer.trust_domain, Name(tenant, Kind.MACHINE, "check-config"))
    grant = Grant(role="viewer", policy=None, method="check-config", rule="none")
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    begins_ns = min(now_wall_ns, authority.ends_ns - SHORTEST_NS)
    order = Order(key, uri, "check-config", grant, begins_ns, begins_ns + SHORTEST_NS)
    return authority.sign(order, serial=1)
