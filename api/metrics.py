"""Prometheus metrics: what this process counts, and the service's gauges as they stand in the database."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.upkeep.gauges import Gauge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_counted = CollectorRegistry()
REQUESTS = Counter(
    "quarterturn_requests", "Answers of this process, tiles apart", ["method", "status"], registry=_counted
)
TILES = Counter("quarterturn_tiles", "Tiles that this process served", registry=_counted)
UPLOADED = Counter("quarterturn_upload_bytes", "Bytes that this process took in", registry=_counted)
REFUSED = Counter("quarterturn_refused", "Requests that were kept out, by reason", ["code"], registry=_counted)


class _Standing(Collector):
    """Gauges of one moment."""

    def __init__(self, found: list[Gauge]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for one in self._found:
            names, values = [name for name, _ in one.labels], [value for _, value in one.labels]
            family = families.setdefault(one.name, GaugeMetricFamily(f"quarterturn_{one.name}", one.help, labels=names))
            family.add_metric(values, one.value)
        return families.values()


def exposition(found: list[Gauge]) -> bytes:
    """All of it, in Prometheus' text format."""
    standing = CollectorRegistry()
    standing.register(_Standing(found))
    return generate_latest(_counted) + generate_latest(standing)
