"""Counters, gauges and histograms in plain dicts, and what tenants may appear in them.

A key is the metric's name and its label values, a small tuple: one look-up adds to
it. Only the event loop's thread writes. `copy` may be called from any thread: it takes
each dict as a whole, which CPython does in one step.

Gauges of open things are kept by the tenant's own name and folded when they are read,
so that what was opened under one label and closed under another still comes to zero.
Counters are folded when they are counted, for a counter must never fall.
"""

from collections import defaultdict
from collections.abc import Container, Iterable

from proxy.sinks.histogram import Histogram
from proxy.sinks.metric_table import BUILDS_IN_FLIGHT, BY_NAME, STREAMS_OPEN, TENANTS_FOLDED

Key = tuple[str, ...]
NOBODY = "_none"  # no tenant can be called so: their names begin with a letter or digit
OTHER = "_other"


class Tally:
    """The numbers behind the metrics."""

    def __init__(self, *, tenants_limit: int) -> None:
        self.values: defaultdict[Key, float] = defaultdict(int)
        self.open: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.histograms: dict[Key, Histogram] = {}
        self.labels: dict[str | None, str] = {None: NOBODY}
        self._tenants_limit = tenants_limit
        self._leaving: frozenset[str] = frozenset()
        self._generation = 0
        self._copied = 0  # the newest generation that was read; the one word that another thread writes

    def label(self, tenant: str | None) -> str:
        """Return the label value that `tenant` may have."""
        return self.labels.get(tenant, OTHER)

    def begin(self, key: Key) -> Histogram:
        """Return a new, empty histogram for `key`."""
        histogram = self.histograms[key] = Histogram(BY_NAME[key[0]].buckets)
        return histogram

    def observe(self, key: Key, duration_ns: int) -> None:
        """Count a duration in the histogram of `key`."""
        (self.histograms.get(key) or self.begin(key)).observe(duration_ns)

    def close(self, metric: str, tenant: str) -> None:
        """Take one from a gauge of open things."""
        key = (metric, tenant)
        self.open[key] -= 1
        if not self.open[key]:
            del self.open[key]

    def set_tenants(self, tenants: Iterable[str]) -> None:
        """Give series to these tenants only, the longest known first, up to the cap."""
        self.settle()
        named = tuple(dict.fromkeys(tenants))
        known = [tenant for tenant in named if tenant in self.labels]
        kept = tuple(dict.fromkeys([*known, *named]))[: self._tenants_limit]
        self._leaving = frozenset(tenant for tenant in self.labels if tenant) - frozenset(kept)
        self._generation += 1
        self.labels = {None: NOBODY, **{tenant: tenant for tenant in (*kept, *self._leaving)}}
        self.values[(TENANTS_FOLDED,)] = len(named) - len(kept)

    def settle(self) -> None:
        """Let the tenants go that the settings no longer name, once their last numbers were read."""
        if not self._leaving or self._copied < self._generation:
            return
        leaving, self._leaving = self._leaving, frozenset()
        self.labels = {tenant: label for tenant, label in self.labels.items() if label not in leaving}
        self.values = defaultdict(int, {k: v for k, v in self.values.items() if _tenant_of(k) not in leaving})
        self.histograms = {k: v for k, v in self.histograms.items() if _tenant_of(k) not in leaving}

    def keep(self, metrics: Iterable[str], kept: Container[Key]) -> None:
        """Drop every series of `metrics` that is not among `kept`."""
        names = frozenset(metrics)
        for key in [key for key in self.values if key[0] in names and key not in kept]:
            del self.values[key]

    def copy(self) -> tuple[dict[Key, float], dict[Key, Histogram]]:
        """Return what there is to show now."""
        generation = self._generation
        values, histograms = dict(self.values), self.histograms.copy()
        labels = self.labels
        for tenant in labels.values():
            if tenant != NOBODY:
                values[(STREAMS_OPEN, tenant)] = values[(BUILDS_IN_FLIGHT, tenant)] = 0
        for (metric, tenant), count in self.open.copy().items():
            key = (metric, labels.get(tenant, OTHER))
            values[key] = values.get(key, 0) + count
        self._copied = generation
        return values, histograms


def _tenant_of(key: Key) -> str | None:
    labels = BY_NAME[key[0]].labels
    return key[1] if labels[:1] == ("tenant",) else None
