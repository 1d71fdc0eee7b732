"""What a `Control/Solve` request asks for, as far as kilngate must judge it.

Source: moby/buildkit api/services/control/control.proto, SolveRequest; the attribute
`local-sessionid:NAME` is frontend/dockerui/config.go's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.wire import Message, Shape, Shapes, WireError
from proxy.errors import Refused, one_line
from proxy.events import BuildFacts
from proxy.reasons import Reason

LOCAL_SESSION_PREFIX = "local-sessionid:"
_MOST_WORDS = 16
_WORD_LENGTH = 64

_SOLVE: Shapes = {
    1: Shape.TEXT,  # Ref
    2: Shape.MESSAGE,  # Definition
    3: Shape.TEXT,  # ExporterDeprecated
    4: Shape.MESSAGES,  # ExporterAttrsDeprecated
    5: Shape.TEXT,  # Session
    6: Shape.TEXT,  # Frontend
    7: Shape.MESSAGES,  # FrontendAttrs
    8: Shape.MESSAGE,  # Cache
    9: Shape.TEXTS,  # Entitlements
    10: Shape.MESSAGES,  # FrontendInputs
    11: Shape.FLAG,  # Internal
    12: Shape.MESSAGE,  # SourcePolicy
    13: Shape.MESSAGES,  # Exporters
    14: Shape.FLAG,  # EnableSessionExporter
    15: Shape.TEXT,  # SourcePolicySession
    16: Shape.NUMBER,  # CompatibilityVersion
    17: Shape.FLAG,  # ProxyNetwork
}
_EXPORTER: Shapes = {1: Shape.TEXT, 2: Shape.MESSAGES}


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """The names in a request that must belong to the caller, and the facts to tell.

    `sessions` are all session ids named beside the build definition, each once. A
    request may name none: BuildKit then builds without a caller's files.
    """

    sessions: tuple[str, ...]
    facts: BuildFacts
    has_work: bool
    """The request itself names a frontend or a definition. Stock clients send both later, to LLBBridge/Solve."""


def read_solve(message: bytes) -> SolveRequest:
    """Return what `message` asks for.

    Raises:
        Refused: MESSAGE_UNREADABLE, it is no SolveRequest, or two daemons could read
            it differently, or an id in it is none that BuildKit's clients make.
    """
    try:
        request = Message(message, _SOLVE)
        return SolveRequest(
            sessions=_sessions(request),
            facts=_facts(request),
            has_work=bool(request.text(6)) or any(map(len, request.messages(2))),
        )
    except WireError as error:
        raise Refused(Reason.MESSAGE_UNREADABLE, method="Control/Solve", why=str(error)) from None


def _sessions(request: Message) -> tuple[str, ...]:
    """Return the session ids of the request itself, of its policy, and of its attributes."""
    optional = [text for text in (request.text(5), request.text(15)) if text]
    attributes = request.pairs(7).items()
    named = [value for key, value in attributes if key.startswith(LOCAL_SESSION_PREFIX)]
    return tuple(dict.fromkeys(_checked(text, "a session id") for text in optional + named))


def _facts(request: Message) -> BuildFacts:
    return BuildFacts(
        ref=_checked(request.text(1), "the ref"),
        is_internal=request.flag(11),
        frontend=_word(request.text(6)),
        exporters=_words(_exporters(request)),
        entitlements=_words(name.partition("=")[0] for name in request.texts(9)),
    )


def _exporters(request: Message) -> Iterator[str]:
    """Yield exporter types: clients fill field 3 and field 13, and daemons take 3 only without 13."""
    for octets in request.messages(13):
        yield Message(octets, _EXPORTER).text(1)
    yield request.text(3)


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the first distinct words, of which a log can bear only so many."""
    return tuple(dict.fromkeys(_word(text) for text in texts if text))[:_MOST_WORDS]


def _word(text: str) -> str:
    """Return `text` as one printable word: it is the caller's, and goes into logs."""
    return one_line(text[:_WORD_LENGTH]).replace(" ", "?")


def _checked(identifier: str, what: str) -> str:
    if not is_identifier(identifier):
        raise WireError(f"{what} is not {IDENTIFIER_RULE}")
    return identifier
