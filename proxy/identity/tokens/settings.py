"""What an operator writes about one issuer of tokens, and what is refused as too open."""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator

from proxy.identity.keyset import KeySource, Origin
from proxy.identity.rules import TokenRules
from proxy.identity.tokens.claims import Expectations
from proxy.identity.tokens.keys import Algorithm, KeyPolicy, KeysUnusable, RsaAlgorithm, read_key_set
from proxy.identity.tokens.places import discovery_place, place_fault
from proxy.identity.tokens.presets import PRESETS, faults_of, issuer_fault
from proxy.record import Record
from proxy.units import SECOND_NS, Duration, Size

Text = Annotated[str, Field(min_length=1, max_length=1024)]
File = Annotated[str, Field(min_length=1, max_length=4096)]
MethodName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
PresetName = Literal["github", "gitlab", "kubernetes", "generic"]


def _place(url: str) -> str:
    if fault := place_fault(url):
        raise ValueError(fault)
    return url


class Jwks(Record):
    """Where the issuer's public keys come from; by default its discovery document says it."""

    url: Annotated[str, AfterValidator(_place)] | None = None
    """The key set itself, for an issuer without a discovery document."""
    file: File | None = None
    """A file with the key set, read at start and at every reload."""
    inline: dict[str, JsonValue] | None = None
    """The key set, written out here."""
    ca_file: File | None = None
    """Authorities that the issuer's own TLS certificate may come from, in PEM, instead of the
    system's."""
    bearer_token_file: File | None = None
    """A token to show to the issuer, as a Kubernetes API server may ask for; read at every fetch."""

    @model_validator(mode="after")
    def _one_place(self) -> "Jwks":
        given = [name for name in ("url", "file", "inline") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}, not {len(given)}")
        if given in (["file"], ["inline"]) and (self.ca_file or self.bearer_token_file):
            raise ValueError("ca_file and bearer_token_file are for keys that are fetched")
        return self

    @property
    def origin(self) -> Origin:
        """Which of the four it is."""
        for origin, given in ((Origin.URL, self.url), (Origin.FILE, self.file), (Origin.INLINE, self.inline)):
            if given is not None:
                return origin
        return Origin.DISCOVERY


class Login(Record):
    """What `kilngate login` and others need to get a token of this issuer with a browser; told to everybody."""

    client_id: Text
    """The farm's own OAuth client at the issuer: a public one, without a secret."""
    scopes: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("openid", "email")
    """What the client asks the issuer for."""


class TokenSettings(Record):
    """Tokens of one issuer: which are trusted, and who they make of a caller."""

    type: Literal["jwt"]
    name: MethodName | None = None
    """What log and audit call this method; the preset's name if not given."""
    preset: PresetName
    """What is known of the issuer: which claims tell who calls, which rules would let strangers in."""
    issuer: Annotated[Text | None, Field(validate_default=True)] = None
    """The claim `iss`, letter for letter. Presets github and gitlab know theirs; name it for a
    GitHub Enterprise or GitLab of your own."""
    audiences: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    """The claim `aud` must name one of these. Choose one for this farm only, such as its URL."""
    extra_audiences: Literal["refuse", "allow"] = "refuse"
    """A token that is meant for others too could be shown here by those others."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(strict=False, min_length=1)] = ("RS256", "ES256")
    """Signature algorithms that are accepted."""
    rsa_keys_without_alg: RsaAlgorithm = "RS256"
    """The algorithm of an RSA key that does not name its own."""
    jwks: Jwks = Jwks()
    """Where the keys come from."""
    max_lifetime: Annotated[Duration, Field(ge=60 * SECOND_NS, le=366 * 86400 * SECOND_NS)] = 86400 * SECOND_NS
    """The longest time from `iat` to `exp` that is accepted."""
    leeway: Annotated[Duration, Field(ge=0, le=300 * SECOND_NS)] = 60 * SECOND_NS
    """How far the clocks of the issuer and of this machine may be apart."""
    token_limit: Annotated[Size, Field(ge=256, le=16 << 10)] = 8 << 10
    """The largest authorization value that is read."""
    token_types: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("jwt", "at+jwt")
    """Values of the header `typ` that are accepted, besides none."""
    login: Login | None = None
    """How people get a token of this issuer; none of them can if not given."""
    rules: TokenRules
    """Who becomes which tenant; the first rule that matches decides."""

    @field_validator("issuer")
    @classmethod
    def _known_issuer(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        preset = info.data.get("preset")
        if preset is None:
            return issuer
        found = issuer or PRESETS[preset].issuer
        if not found:
            raise ValueError(f"preset {preset} needs the issuer's URL")
        if fault := issuer_fault(preset, found):
            raise ValueError(fault)
        return found

    @field_validator("rules")
    @classmethod
    def _no_open_door(cls, rules: TokenRules, info: ValidationInfo) -> TokenRules:
        preset, issuer = info.data.get("preset"), info.data.get("issuer")
        faults = faults_of(preset, issuer, rules) if preset and issuer else []
        if faults:
            raise ValueError("; ".join(faults))
        return rules

    @model_validator(mode="after")
    def _keys_can_be_had(self) -> "TokenSettings":
        if self.jwks.origin is Origin.DISCOVERY and (fault := place_fault(self.trusted_issuer)):
            raise ValueError(f"issuer: {fault}, or give its keys by jwks.url, jwks.file or jwks.inline")
        if self.jwks.origin is Origin.INLINE:
            try:
                read_key_set(self.source.document, self.source.policy)
            except KeysUnusable as error:
                raise ValueError(f"jwks.inline: {error}") from None
        return self

    @property
    def trusted_issuer(self) -> str:
        """The issuer, given or known by the preset."""
        return self.issuer or ""

    @property
    def title(self) -> str:
        """The name of this method for people."""
        return self.name or self.preset

    @property
    def source(self) -> KeySource:
        """Where this issuer's keys come from, for `KeySets` and for who fetches."""
        places = {Origin.URL: self.jwks.url, Origin.FILE: self.jwks.file}
        return KeySource(
            issuer=self.trusted_issuer,
            origin=self.jwks.origin,
            place=places.get(self.jwks.origin) or discovery_place(self.trusted_issuer),
            document=json.dumps(self.jwks.inline).encode() if self.jwks.inline is not None else b"",
            policy=KeyPolicy(self.algorithms, self.rsa_keys_without_alg),
            ca_file=self.jwks.ca_file,
            bearer_token_file=self.jwks.bearer_token_file,
        )

    @property
    def expectations(self) -> Expectations:
        """What the claims of this issuer's tokens must say."""
        return Expectations(
            audiences=self.audiences,
            refuses_extra_audiences=self.extra_audiences == "refuse",
            types=tuple(type_.lower() for type_ in self.token_types),
            max_lifetime_ns=self.max_lifetime,
            leeway_ns=self.leeway,
        )
