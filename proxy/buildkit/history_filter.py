"""Filters of a history request, made to mean at a shared daemon what they mean to their tenant.

A daemon takes a record if one of the filters matches it, and a filter matches if all of
its terms do; only then it sorts the records and cuts them to the request's limit. So
each filter gets one term more, that the ref is the tenant's own: a limit then counts
own records alone, and nothing that a filter or a limit does can tell of others.

A filter is CSV to the daemon, then containerd's filter grammar with two ways to quote.
Only the plain part of it is taken: what has no quotes, commas and spaces in its values
has one reading, and is all that stock clients write. A pattern for refs is not searched
in the daemon's name as it is, for it might match the tenant's: it is searched behind.

Source: moby/buildkit solver/llbsolver/history/filter.go (filters and limit both came with
v0.20; older daemons take no notice of either) and containerd pkg/filters; docker/buildx
commands/history/utils.go, `dockerFiltersToBuildkit`.
"""

import re
from collections.abc import Sequence
from typing import Final

from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.namespace import Namespace
from proxy.errors import Refused
from proxy.reasons import Reason

# A daemon tries every filter on every record of every tenant, and compiles its patterns anew each time.
MOST_LETTERS: Final = 1024

_LETTERS = re.compile(r"[!#-~]+")
_TIME = re.compile(r"(?:startedAt|completedAt|duration)(?:>=|<=|>|<)[A-Za-z0-9:.+-]+")
# What a value begins with could be read as a quote, a separator or more of the operator.
_WORD = re.compile(r"(ref|status|repository)(==|!=|~=)([^=!~/|.].*)")
_PATTERN = re.compile(r"(\^?)([A-Za-z0-9_.-][A-Za-z0-9_.*+?-]*\$?)")


def own_filters(filters: Sequence[str], names: Namespace) -> list[str]:
    """Return filters that match, of the tenant's records, those that `filters` match; with none, all of them.

    Raises:
        Refused: HISTORY_FILTER, one of them is not understood.
    """
    if sum(map(len, filters)) > MOST_LETTERS:
        raise _refused("of many", f"all filters together may have {MOST_LETTERS} letters")
    own = f"ref~=^{names.tenant}[.]"
    return [f"{_own_terms(each, names)},{own}" for each in filters] or [own]


def _own_terms(text: str, names: Namespace) -> str:
    terms = text.split(",")
    if not all(map(_is_plain, terms)):
        raise _refused(
            text,
            "each term is ref, status or repository with ==, != or ~=, or startedAt, completedAt or duration with "
            "<, <=, > or >=, and a value without quotes, commas and spaces",
        )
    return ",".join(_own_term(term, names) for term in terms)


def _is_plain(term: str) -> bool:
    return bool(_LETTERS.fullmatch(term) and (_TIME.fullmatch(term) or _WORD.fullmatch(term)))


def _own_term(term: str, names: Namespace) -> str:
    word = _WORD.fullmatch(term)
    if word is None:
        return term
    key, operator, value = word.groups()
    if key != "ref":
        return term
    return f"ref{operator}{_own_pattern(value, names) if operator == '~=' else _own_ref(value, names)}"


def _own_ref(ref: str, names: Namespace) -> str:
    if not is_identifier(ref):
        raise _refused(ref, f"a ref is {IDENTIFIER_RULE}")
    return names.ref(ref)


def _own_pattern(pattern: str, names: Namespace) -> str:
    """Return a pattern that finds behind the tenant's name what `pattern` finds in a ref."""
    known = _PATTERN.fullmatch(pattern)
    if known is None:
        raise _refused(
            pattern, "a pattern for refs has letters, digits, '_', '-', '.', '*', '+', '?', and ^ and $ at its ends"
        )
    anchor, rest = known.groups()
    return f"^{names.tenant}[.]{'' if anchor else '.*'}(?:{rest})"


def _refused(what: str, why: str) -> Refused:
    return Refused(Reason.HISTORY_FILTER, filter=what, why=why)
