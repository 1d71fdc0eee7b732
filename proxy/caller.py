"""Who calls, once it is known."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, Literal

FOREVER_NS = 1 << 62
DEFAULT_POLICY: Final = "default"
RoleName = Literal["viewer", "builder", "maintainer", "admin"]


class Role(IntEnum):
    """What a caller may do; each role may do all that the ones below it may."""

    VIEWER = 1
    BUILDER = 2
    MAINTAINER = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The word that settings, messages and the audit log use."""
        return self.name.lower()


class Kind(Enum):
    """What kind of caller a token speaks for: it decides how long a certificate for it lasts."""

    CI = "ci"
    PERSON = "person"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Caller:
    """A proven identity, mapped to a tenant.

    `subject` is the name for people (a SAN, or the subject claim), `method` the
    configured name of the authenticator that proved it, `rule` the mapping rule that
    matched. The proof must be judged again after `judged_until_ns` (wall clock, Unix
    epoch): the end of the certificate, of its revocation list, or of the token.
    `policy` names the policy that its builds are judged by. `kind` is None where nobody said it.
    """

    tenant: str
    role: Role
    subject: str
    method: str
    rule: str
    judged_until_ns: int = FOREVER_NS
    policy: str = DEFAULT_POLICY
    kind: Kind | None = None
