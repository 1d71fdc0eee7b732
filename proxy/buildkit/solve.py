"""The facts of a build that its `Control/Solve` tells: for events, metrics and the audit log.

Source: moby/buildkit api/services/control/control.proto, SolveRequest.
"""

from collections.abc import Iterable

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.wire import WireError
from proxy.errors import one_line
from proxy.events import BuildFacts

_MOST_WORDS = 16
_WORD_LENGTH = 64


def facts_of(request: BuildRequest) -> BuildFacts:
    """Return what is told of the build; its ref is the client's.

    Raises:
        WireError: the ref is none that BuildKit's clients make.
    """
    ref = request.draft.text(1)
    if not is_identifier(ref):
        raise WireError(f"the ref is not {IDENTIFIER_RULE}")
    # Clients fill field 3 and field 13, and daemons take 3 only without 13.
    exporters = [exporter.type for exporter in request.exporters]
    if request.deprecated_exporter:
        exporters.append(request.deprecated_exporter.type)
    return BuildFacts(
        ref=ref,
        is_internal=request.draft.flag(11),
        frontend=_word(request.frontend),
        exporters=_words(exporters),
        entitlements=_words(name.partition("=")[0] for name in request.entitlements),
    )


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the first distinct words, of which a log can bear only so many."""
    return tuple(dict.fromkeys(_word(text) for text in texts if text))[:_MOST_WORDS]


def _word(text: str) -> str:
    """Return `text` as one printable word: it is the caller's, and goes into logs."""
    return one_line(text[:_WORD_LENGTH]).replace(" ", "?")
