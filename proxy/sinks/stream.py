"""The event stream: what happened, handed to every sink.

`emit` is called on the event loop's thread only, often inside the life of a call:
it never raises and never waits.
"""

from collections.abc import Callable, Iterable

from proxy.errors import one_line
from proxy.events import Event, SinkFailed

Sink = Callable[[Event], None]


class EventStream:
    """Hands each event to the sinks, in the order in which they were added.

    A sink that raises is left out of that event; the others learn of it by
    `SinkFailed`. A failure while telling that is counted in `failures` only, so a
    broken sink cannot start a chain reaction.

    A sink may say by `takes(kind)` which kinds of events it ever looks at; `route_again`
    asks it anew. Calls are thousands a second, and most sinks pass most of them by.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self._routes: dict[type, tuple[Sink, ...]] = {}
        self.failures = 0

    def add(self, sink: Sink) -> None:
        """Hand events to `sink` too, from the next one on."""
        self._sinks = (*self._sinks, sink)
        self.route_again()

    def remove(self, sink: Sink) -> None:
        """Hand no more events to `sink`."""
        self._sinks = tuple(one for one in self._sinks if one is not sink)
        self.route_again()

    def route_again(self) -> None:
        """Ask the sinks again what they take."""
        self._routes.clear()

    def emit(self, event: Event) -> None:
        """Say that `event` happened."""
        kind = type(event)
        for sink in self._routes.get(kind) or self._route(kind):
            try:
                sink(event)
            except Exception as failure:  # any failure: observation must not break what is observed
                self._tell(sink, failure, event)

    def _route(self, kind: type) -> tuple[Sink, ...]:
        takers = [sink for sink in self._sinks if getattr(sink, "takes", _everything)(kind)]
        self._routes[kind] = tuple(takers)
        return self._routes[kind]

    def _tell(self, failed: Sink, failure: Exception, event: Event) -> None:
        self.failures += 1
        if isinstance(event, SinkFailed):
            return
        # The failure's own text may quote the event: only the types are told.
        detail = one_line(f"{type(failure).__name__} on {type(event).__name__}")
        told = SinkFailed(name_of(failed), detail)
        for sink in self._sinks:
            if sink is not failed:
                try:
                    sink(told)
                except Exception:
                    self.failures += 1


def _everything(_kind: type) -> bool:
    return True


def name_of(sink: Sink) -> str:
    """Return the sink's class name, or the function's: a closed set, fit for a label."""
    return getattr(sink, "__name__", type(sink).__name__)
