"""Values of attributes, read as a daemon reads them.

Source: Go's strconv.ParseBool; strings.Split for lists of names.
"""

from collections.abc import Mapping
from typing import Final

from proxy.buildkit.wire import WireError

Attributes = Mapping[str, str]
_FALSE: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
# A build names a handful of images; each name is judged.
_MOST_LIST_LENGTH: Final = 64 << 10


def is_set(attrs: Attributes, key: str) -> bool:
    """Tell whether a yes-or-no attribute is there and does not say no; a daemon takes an empty one for yes."""
    return key in attrs and attrs[key] not in _FALSE


def listed(attrs: Attributes, key: str) -> list[str]:
    """Return what a list of names holds: parted at each comma, nothing trimmed; an empty text holds nothing.

    Raises:
        WireError: it is longer than a list of names could be.
    """
    value = attrs.get(key, "")
    if len(value) > _MOST_LIST_LENGTH:
        raise WireError(f"the attribute {key} has {len(value)} characters")
    return value.split(",") if value else []
