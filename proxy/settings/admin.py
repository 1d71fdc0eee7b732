"""The block `admin`: metrics, health and version on a listener of their own."""

from proxy.record import Record
from proxy.settings.address import Address, Endpoint


class Admin(Record):
    """The operator's port. It asks nobody who they are: keep it on loopback or a private network."""

    address: Address = Endpoint("127.0.0.1", 9464)
    """Where /metrics, /livez, /readyz and /version answer. A change needs a restart."""
