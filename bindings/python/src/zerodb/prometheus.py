"""Metrics for the Prometheus client, https://pypi.org/project/prometheus-client/::

    from prometheus_client import REGISTRY, start_http_server
    from zerodb.prometheus import Collector

    REGISTRY.register(Collector(environment))
    start_http_server(8000)

Needs the package ``prometheus_client``: ``pip install zerodb[prometheus]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector as BaseCollector

from zerodb._environment import Environment
from zerodb._tool_output import path_text
from zerodb._types import Metric


class Collector(BaseCollector):
    """Collects the metrics of environments, each with a label ``environment``: its path.

    They are counts of all processes together, so that one process should export them. An
    environment that has been closed is left out.
    """

    def __init__(self, *environments: Environment) -> None:
        self._environments = environments

    def describe(self) -> Iterable[Family]:
        """Nothing: the names are known when the metrics are collected."""
        return []

    def collect(self) -> Iterator[Family]:
        """The metrics, those of one name in one family."""
        families: dict[str, Family] = {}
        for environment in self._environments:
            if environment.closed:
                continue
            for metric in environment.metrics():
                if metric.name not in families:
                    families[metric.name] = _family(metric)
                _add(families[metric.name], path_text(environment.path), metric)
        yield from families.values()


def _family(metric: Metric) -> Family:
    labels = ["environment"] + ([metric.label[0]] if metric.label else [])
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=labels)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=labels)
    return HistogramMetricFamily(metric.name, metric.help, labels=labels)


def _add(family: Family, path: str, metric: Metric) -> None:
    labels = [path] + ([metric.label[1]] if metric.label else [])
    if isinstance(family, HistogramMetricFamily):
        buckets = [(_bound(bucket.bound), float(bucket.count)) for bucket in metric.buckets]
        family.add_metric(labels, buckets, metric.value)
    elif isinstance(family, (CounterMetricFamily, GaugeMetricFamily)):
        family.add_metric(labels, metric.value)


def _bound(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else repr(bound)
