"""The identifiers that callers give a daemon: refs of builds and ids of sessions.

Source: BuildKit makes them of 25 letters and digits (identity/randomid.go), but takes
any text. It looks a session up by what stands behind the first `:`, so `x:ID` would
name `ID` while our books say something else (session/manager.go, `Get`).
"""

import re

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.-]{1,128}")
IDENTIFIER_RULE = "1 to 128 letters, digits, '_', '.' or '-'"


def is_identifier(text: str | bytes) -> bool:
    """Tell whether `text` may name a build or a session."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return _IDENTIFIER.fullmatch(plain) is not None
