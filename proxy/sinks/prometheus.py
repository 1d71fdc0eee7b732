"""Metrics for Prometheus: counted at each event, written out when it asks.

Counting costs about a microsecond an event, for it touches plain dicts only; the
client library comes in when somebody scrapes, in a thread of its own.
"""

import platform
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from proxy.events import Event
from proxy.sinks import metric_table as m
from proxy.sinks.counting import Counting
from proxy.sinks.histogram import Histogram
from proxy.sinks.rpc_labels import method_labels
from proxy.sinks.tally import Key, Tally


class PrometheusSink(Collector):
    """Counts events, and renders the counts in Prometheus' text format.

    `version` is kilngate's, `openssl` that of the library which speaks TLS. At most
    `tenants_limit` tenants have series of their own, the rest share `_other`.
    """

    def __init__(self, *, version: str, openssl: str, tenants_limit: int = 500) -> None:
        self._tally = Tally(tenants_limit=tenants_limit)
        self._actions = Counting(self._tally).actions
        self._tally.values[(m.BUILD_INFO, version, platform.python_version(), openssl)] = 1
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def __call__(self, event: Event) -> None:
        """Count `event`; on the event loop's thread."""
        self._actions[type(event)](event)

    def render(self) -> bytes:
        """Return all metrics in text format 0.0.4; takes its time, call it in a thread."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Family]:
        """Return no samples, only names: the registry asks when the sink registers."""
        return [_family(metric) for metric in m.TABLE]

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the table with its samples."""
        values, histograms = self._tally.copy()
        families = {metric.name: _family(metric) for metric in m.TABLE}
        for key, value in sorted(values.items()):
            families[key[0]].add_sample(key[0], _labels(key), value)
        for key, histogram in sorted(histograms.items()):
            _add_histogram(families[key[0]], key, histogram)
        yield from families.values()


def describe() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return name, type, labels and help of every metric of ours, for the docs."""
    return [(metric.name, metric.kind, metric.labels, metric.help) for metric in m.TABLE]


def _family(metric: m.Metric) -> Family:
    # The client library adds `_total` to a counter's name when it writes the name out.
    return Family(metric.name.removesuffix("_total"), metric.help, metric.kind)


def _labels(key: Key) -> dict[str, str]:
    names = m.BY_NAME[key[0]].labels
    values = (*method_labels(key[1]), *key[2:]) if names[:1] == m.METHOD[:1] else key[1:]
    return dict(zip(names, values, strict=True))


def _add_histogram(family: Family, key: Key, histogram: Histogram) -> None:
    name, labels = key[0], _labels(key)
    buckets, sum_seconds = histogram.read()
    for upper, count in buckets:
        family.add_sample(f"{name}_bucket", {**labels, "le": upper}, count)
    family.add_sample(f"{name}_count", labels, buckets[-1][1])
    family.add_sample(f"{name}_sum", labels, sum_seconds)
