"""Where keys may be fetched from: https only, and plain http on this very machine for tests and sidecars.

Source: OpenID Connect Discovery 1.0, section 4 (the place of the discovery document).
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

DISCOVERY_PATH = "/.well-known/openid-configuration"


def place_fault(url: str) -> str | None:
    """Return what is wrong with `url` as a place to fetch keys from; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is not a URL"
    if not url.isascii() or not url.isprintable() or " " in url or not host:
        return "it is not a URL such as https://issuer.example.com"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "it must have no user name, password or fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "it must begin with https:// (http:// is for loopback addresses only)"


def is_loopback(host: str) -> bool:
    """Say whether `host` can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def discovery_place(issuer: str) -> str:
    """Return the URL of the discovery document of `issuer`."""
    return issuer.rstrip("/") + DISCOVERY_PATH


def linked_place_fault(url: str, *, issuer: str) -> str | None:
    """Return what is wrong with a key set URL that a discovery document names.

    An issuer elsewhere must not point us at a service of this machine.
    """
    is_plain = url.startswith("http:")
    if is_plain and urlsplit(issuer).scheme != "http":
        return "it must begin with https://"
    return place_fault(url)
