"""The block `tls`: what the public port shows and demands."""

from typing import Annotated, Literal

from pydantic import Field

from proxy.record import Record

File = Annotated[str, Field(min_length=1, max_length=4096)]


class Tls(Record):
    """The server's own certificate, and how strict the handshake is."""

    certificate_file: File
    """The server's certificate chain in PEM, its own certificate first."""
    key_file: File
    """The private key of that certificate in PEM, readable by kilngate's user only."""
    ca_file: File | None = None
    """The authorities by which callers may know this server, told at /v1/ca.pem; the last certificate of
    `certificate_file` if not given. For a public certificate: the public root, which stays when others change."""
    min_version: Literal["1.2", "1.3"] = "1.3"
    """The oldest TLS that is accepted, in quotes."""
    strict: bool = False
    """Refuse a bad or missing client certificate in the handshake. The caller then sees only a
    20 s wait; without this it reads why. Leave it off where callers use tokens."""
