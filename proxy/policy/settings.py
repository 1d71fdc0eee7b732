"""One policy of the block `policies`: a record a rule."""

from typing import Annotated

from pydantic import Field

from proxy.policy.rules.cache import Config as Cache
from proxy.policy.rules.entitlements import Config as Entitlements
from proxy.policy.rules.exec import Config as Exec
from proxy.policy.rules.exporters import Config as Exporters
from proxy.policy.rules.frontends import Config as Frontends
from proxy.policy.rules.network import Config as Network
from proxy.policy.rules.resources import Config as Resources
from proxy.policy.rules.sources import Config as Sources
from proxy.record import Record


class PolicySettings(Record):
    """What builds may ask for. A rule that is left out has its defaults; `sources` is left out unless it is given."""

    contact: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    """Whom a developer should ask who was refused, such as "#build-farm"; it stands in the sentence."""
    entitlements: Entitlements = Entitlements()
    """What takes a step out of its sandbox."""
    frontends: Frontends = Frontends()
    """What turns a build's files into steps."""
    exporters: Exporters = Exporters()
    """What becomes of the result, and what it may be called."""
    cache: Cache = Cache()
    """Caches that are imported and exported."""
    sources: Sources | None = None
    """Images, repositories and URLs that a build may use."""
    network: Network = Network()
    """How steps reach the network."""
    resources: Resources = Resources()
    """What each step may use."""
    exec: Exec = Exec()
    """Containers that are opened in a running build."""
