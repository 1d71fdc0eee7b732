"""Records of TLS 1.3 made by hand, to say what no library says: key updates by the thousand.

Source: RFC 8446 sections 5.2, 5.3, 7.1, 7.2, 7.3.
"""

import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HANDSHAKE, APPLICATION_DATA = 22, 23


class Sealer:
    """What a caller of TLS_AES_128_GCM_SHA256 sends after its handshake."""

    def __init__(self, secret: bytes) -> None:
        self._begin(secret)

    @classmethod
    def from_keylog(cls, text: str) -> "Sealer":
        """Take the caller's secret from a key log of one connection."""
        lines = (line.split() for line in text.splitlines())
        return cls(next(bytes.fromhex(line[2]) for line in lines if line and line[0] == "CLIENT_TRAFFIC_SECRET_0"))

    def content(self, octets: bytes) -> bytes:
        """Return a record of application data."""
        return self._record(octets, APPLICATION_DATA)

    def key_update(self) -> bytes:
        """Return a record that asks for a key update, and use the new key from now on."""
        record = self._record(b"\x18\x00\x00\x01\x01", HANDSHAKE)
        self._begin(_expanded(self._secret, b"traffic upd", 32))
        return record

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._aead = AESGCM(_expanded(secret, b"key", 16))
        self._iv = int.from_bytes(_expanded(secret, b"iv", 12))
        self._number = 0

    def _record(self, octets: bytes, kind: int) -> bytes:
        inner = octets + bytes([kind])
        head = struct.pack(">BHH", APPLICATION_DATA, 0x0303, len(inner) + 16)
        nonce = (self._iv ^ self._number).to_bytes(12)
        self._number += 1
        return head + self._aead.encrypt(nonce, inner, head)


def _expanded(secret: bytes, label: bytes, octets: int) -> bytes:
    full = b"tls13 " + label
    info = struct.pack(">HB", octets, len(full)) + full + b"\x00"
    return HKDFExpand(SHA256(), octets, info).derive(secret)
