"""kilngate: the front door of a shared BuildKit farm.

The rooms, from the public port inwards; each is wholly pure (P) or wholly I/O (E):

    cli        E  the commands, one file each
    app        E  wires the rooms together: start, reload, drain, stop
    edge       E  every socket, TLS, clock and HTTP client
    sinks      E  metrics, audit and log: readers of the event stream
    settings   P  the file an operator writes, read and checked
    call       P  the life of one call, from head to trailers
    identity   P  who calls: certificate or token, mapped to a tenant and a role
    limits     P  how much a tenant may do at once
    policy     P  what a build may ask for
    http2      P  frames, header compression, flow control, abuse: the relay
    buildkit   P  what BuildKit's RPCs are and say
    grpc       P  heads, messages, statuses
    events caller reasons errors record units glob    P  the words all rooms share

Nothing is imported from here. The distribution is called kilngate because the
import name `proxy` is also used by another project on PyPI; `proxy.cli` checks.
"""

__version__ = "0.1.0"
__distribution__ = "kilngate"
