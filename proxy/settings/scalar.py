"""What a plain YAML scalar means: null, true, a number, or text.

The core schema of YAML 1.2, narrowed where it surprises: `no`, `on`, `1:30` and
dates are text, and so are `0777` and numbers beyond 18 digits, so that the record
refuses them where it wants a number. Infinity and NaN are text too.

Source: YAML 1.2.2 section 10.3.2.
"""

import re

Scalar = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_REAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
# Line breaks and tabs may stand in a quoted or block scalar; no other control character has a use in settings.
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> Scalar:
    """Return the value that the unquoted `text` stands for."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def is_fit(text: str) -> bool:
    """Tell whether `text` holds no control character and no half of a surrogate pair."""
    return _UNFIT.search(text) is None
