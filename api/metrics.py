"""Prometheus metrics: the counters of this process, and the service's gauges as they are in the database."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.upkeep.gauges import Gauge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_counters = CollectorRegistry()
REQUESTS = Counter(
    "quarterturn_requests", "Answers of this process, without tiles", ["method", "status"], registry=_counters
)
TILES = Counter("quarterturn_tiles", "Tiles that this process served", registry=_counters)
UPLOADED = Counter("quarterturn_upload_bytes", "Bytes that this process received", registry=_counters)
REFUSED = Counter("quarterturn_refused", "Requests that were refused, by reason", ["code"], registry=_counters)


class _Gauges(Collector):
    """Gauges of one moment."""

    def __init__(self, gauges: list[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for one in self._gauges:
            names, values = [name for name, _ in one.labels], [value for _, value in one.labels]
            family = families.setdefault(one.name, GaugeMetricFamily(f"quarterturn_{one.name}", one.help, labels=names))
            family.add_metric(values, one.value)
        return families.values()


def exposition(gauges: list[Gauge]) -> bytes:
    """The counters and the gauges in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Gauges(gauges))
    return generate_latest(_counters) + generate_latest(registry)
