"""Addresses as operators write them: `0.0.0.0:8443`, `[::1]:9464`, `localhost:8443`; networks: `10.0.0.0/8`."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

EXPECTED = 'expected an IP address and a port, such as "0.0.0.0:8443", "[::]:8443" or "localhost:8443"'


class Endpoint(NamedTuple):
    """An IP address and a port; port 0 lets the system choose one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read `HOST:PORT`; a name other than `localhost` would need a look-up, and listens nobody knows where.

    Raises:
        ValueError: it is not an IP address and a port.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]") if is_bracketed else host)
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65535:
        raise ValueError(f"not an address; {EXPECTED}")
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError(f"not an address; {EXPECTED}") from None
    if (address.version == 6) != is_bracketed:
        raise ValueError(f"not an address; {EXPECTED}")
    return Endpoint(host, int(port))


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Read a network in CIDR form, or a single address.

    Raises:
        ValueError: it is neither, or bits are set beyond the mask: which of the two was meant?
    """
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f'not a network ({error}); expected one such as "10.0.0.0/8" or "fd00::/64"') from None


class _EndpointFromText:
    """Teaches pydantic to read an `Endpoint` from text and to write it back."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _from_text(parse_endpoint)

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": ":[0-9]{1,5}$", "examples": ["0.0.0.0:8443", "[::]:8443"]}


class _NetworkFromText:
    """Teaches pydantic to read a network from text and to write it back."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _from_text(parse_network)

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": ["10.0.0.0/8", "fd00::/64"]}


def _from_text(parse: Callable[[str], Any]) -> CoreSchema:
    return core_schema.no_info_after_validator_function(
        parse,
        core_schema.str_schema(strict=True),
        serialization=core_schema.plain_serializer_function_ser_schema(str),
    )


Address = Annotated[Endpoint, _EndpointFromText]
Network = Annotated[IPv4Network | IPv6Network, _NetworkFromText]
