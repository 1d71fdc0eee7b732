"""Fetch the key set of a token issuer: one bounded, unredirected, authenticated question.

An issuer that is slow, broken or hostile costs 5 s and 512 KiB at most and can point us nowhere:
redirects are refused, and so is a discovery document that names another issuer.

Source: OpenID Connect Discovery 1.0 section 4.3; RFC 9111 section 5.2.2.1 (max-age); CVE-2026-102267.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from proxy.identity.keyset import KeySource, Origin
from proxy.identity.tokens.keys import DOCUMENT_LIMIT_OCTETS
from proxy.identity.tokens.notation import NotationError, read_object
from proxy.identity.tokens.places import linked_place_fault
from proxy.units import SECOND_NS

TIMEOUT_SECONDS = 5.0
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(rb"[\x21-\x7e]+")
_NEVER_KEEP = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?:$|[,\s=])", re.ASCII | re.IGNORECASE)


class KeysNotFetched(Exception):
    """An issuer could not be asked; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A key set as it came, and for how long the issuer says it is good; None if it says nothing."""

    document: bytes
    max_age_ns: int | None


def new_session() -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, no idle connections and no environment's proxies.

    It never unpacks what it reads: a small answer must not become a large one.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "kilngate"},
        auto_decompress=False,
    )


async def fetch_keys(session: aiohttp.ClientSession, source: KeySource) -> Fetched:
    """Return the key set of `source`, following its discovery document if it has one.

    Raises:
        KeysNotFetched: anything else than an answer 200 of the allowed size came in time.
    """
    url = source.place
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            trust = await asyncio.to_thread(_trust, source.ca_file)
            headers = await asyncio.to_thread(_authorization, source.bearer_token_file)
            if source.origin is Origin.DISCOVERY:
                found = await _get(session, url, trust=trust, headers=headers)
                url = linked_place(found.document, source.issuer)
            return await _get(session, url, trust=trust, headers=headers)
    except TimeoutError:
        raise KeysNotFetched(f"{url}: no answer within {TIMEOUT_SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise KeysNotFetched(f"{url}: {str(error) or type(error).__name__}") from error


def linked_place(document: bytes, issuer: str) -> str:
    """Return where the discovery document of `issuer` says the keys are.

    Raises:
        ValueError: it is no such document, or of another issuer, or names an unfit place.
    """
    try:
        found = read_object(document)
    except NotationError as error:
        raise ValueError(f"the discovery document cannot be read: {error}") from None
    if found.get("issuer") != issuer:
        raise ValueError("the discovery document is of another issuer")
    url = found.get("jwks_uri")
    if not isinstance(url, str):
        raise ValueError("the discovery document names no jwks_uri")
    if fault := linked_place_fault(url, issuer=issuer):
        raise ValueError(f"the jwks_uri of the discovery document: {fault}")
    return url


def max_age_ns(cache_control: str) -> int | None:
    """Return for how long an answer with this Cache-Control is good; None if it does not say."""
    if _NEVER_KEEP.search(cache_control):
        return 0
    found = _MAX_AGE.search(cache_control)
    return int(found[1]) * SECOND_NS if found else None


async def _get(
    session: aiohttp.ClientSession, url: str, *, trust: ssl.SSLContext | bool, headers: dict[str, str]
) -> Fetched:
    async with session.get(url, allow_redirects=False, ssl=trust, headers=headers) as answer:
        if answer.status != 200:
            raise ValueError(f"the answer is {answer.status}, not 200")
        document = bytearray()
        async for chunk in answer.content.iter_any():
            document += chunk
            if len(document) > DOCUMENT_LIMIT_OCTETS:
                raise ValueError(f"the answer is larger than {DOCUMENT_LIMIT_OCTETS} octets")
        return Fetched(bytes(document), max_age_ns(", ".join(answer.headers.getall("cache-control", []))))


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


def _authorization(token_file: str | None) -> dict[str, str]:
    if token_file is None:
        return {}
    token = Path(token_file).read_bytes().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{token_file} does not hold one token")
    return {"authorization": f"Bearer {token.decode('ascii')}"}
