"""The claims every token must carry, and what they must say: who, for whom, from when to when.

Source: RFC 7519 section 4.1, RFC 8725 sections 3.8 to 3.11. Stricter than both: times are whole
seconds, every one of these claims is required, and a token's life is capped.
"""

from dataclasses import dataclass

from proxy.errors import Refused
from proxy.reasons import Reason
from proxy.units import SECOND_NS, said

# No calendar reaches further; a larger number is an attempt to break arithmetic.
LAST_SECOND = 253_402_300_799
SUBJECT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Expectations:
    """What one issuer's tokens must say. Durations are nanoseconds; `types` are lower case."""

    audiences: tuple[str, ...]
    refuses_extra_audiences: bool
    types: tuple[str, ...]
    max_lifetime_ns: int
    leeway_ns: int


def check_times(claims: dict[str, object], expected: Expectations, *, now_wall_ns: int) -> int:
    """Return until when the token may be used, leeway included, as wall-clock nanoseconds.

    Raises:
        Refused: TOKEN_CLAIMS for a missing or wrongly typed time or too long a life,
            TOKEN_EXPIRED, TOKEN_NOT_YET_VALID.
    """
    expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    begins = max(issued, _seconds(claims, "nbf") if "nbf" in claims else issued)
    if expires <= begins:
        raise _unacceptable("it expires before it begins")
    if (expires - issued) * SECOND_NS > expected.max_lifetime_ns:
        limit = said(expected.max_lifetime_ns)
        raise _unacceptable(f"it lives longer than {limit}. Ask your issuer for a token of its own for this farm")
    until_ns = expires * SECOND_NS + expected.leeway_ns
    if until_ns <= now_wall_ns:
        raise Refused(Reason.TOKEN_EXPIRED, ago=said(now_wall_ns - expires * SECOND_NS))
    ahead_ns = begins * SECOND_NS - now_wall_ns
    if ahead_ns > expected.leeway_ns:
        raise Refused(Reason.TOKEN_NOT_YET_VALID, until=said(ahead_ns))
    return until_ns


def check_subject(claims: dict[str, object]) -> str:
    """Return the subject of the token.

    Raises:
        Refused: TOKEN_CLAIMS, it has none.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT:
        raise _unacceptable("it has no subject (sub)")
    return subject


def check_type(type_: str | None, expected: Expectations) -> None:
    """Let pass a token of an expected type; most issuers do not say one.

    Raises:
        Refused: TOKEN_CLAIMS: it was made for another use, such as a logout notice (RFC 8725, 3.11).
    """
    if type_ is not None and type_.lower().removeprefix("application/") not in expected.types:
        raise _unacceptable("its type (typ) is not that of an access or identity token")


def check_audience(claims: dict[str, object], expected: Expectations) -> None:
    """Let pass a token that is meant for us, and for nobody else unless that is allowed.

    Raises:
        Refused: TOKEN_WRONG_AUDIENCE. Whoever else a token is meant for could pass it on to us.
    """
    named = claims.get("aud")
    audiences = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    ours = [audience for audience in audiences if audience in expected.audiences]
    if not ours or (expected.refuses_extra_audiences and len(ours) != len(audiences)):
        detail = "it is meant for others too" if ours else "our audience is not in it"
        raise Refused(Reason.TOKEN_WRONG_AUDIENCE, detail=detail, expected=expected.audiences[0])


def _seconds(claims: dict[str, object], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 < value <= LAST_SECOND:  # True is an int to isinstance
        raise _unacceptable(f"its {name!r} is not there or not a time in whole seconds")
    return value


def _unacceptable(why: str) -> Refused:
    return Refused(Reason.TOKEN_CLAIMS, detail=why, why=why)
