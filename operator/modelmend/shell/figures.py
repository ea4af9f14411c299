"""The operator's own metrics.

Series of single ModelDeployments are bounded: beyond `LIMIT` of them the rest is only counted, since a metric per
object of a large fleet costs Prometheus more than it tells.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import prometheus_client
from prometheus_client import core

from modelmend.api import resources
from modelmend.api.status import SignalStatus, Verdict
from modelmend.evidence import quality

LIMIT: Final = 2000
BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_PLACE: Final = ("namespace", "name")
_Series = tuple[str, tuple[str, ...], float]
"""Name of the family, labels, value."""


class Figures:
    """`loop.telemetry.Telemetry` on a registry of its own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self._looks = prometheus_client.Counter(
            "modelmend_operator_reconcile_total",
            "Looks at a ModelDeployment, by how they ended.",
            ("result",),
            registry=self.registry,
        )
        self._look_seconds = prometheus_client.Histogram(
            "modelmend_operator_reconcile_duration_seconds",
            "Duration of a look.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._actions = prometheus_client.Counter(
            "modelmend_operator_actions_total", "Actions carried out.", ("action",), registry=self.registry
        )
        self.queue_depth = prometheus_client.Gauge(
            "modelmend_operator_queue_depth", "ModelDeployments that wait for a look.", registry=self.registry
        )
        self._poll_seconds = prometheus_client.Gauge(
            "modelmend_operator_poll_duration_seconds",
            "Duration of the last poll of Prometheus.",
            registry=self.registry,
        )
        self._polled = prometheus_client.Gauge(
            "modelmend_operator_last_poll_timestamp_seconds",
            "When Prometheus last answered.",
            registry=self.registry,
        )
        self._polls = prometheus_client.Counter(
            "modelmend_operator_polls_total",
            "Polls of Prometheus, by how they ended.",
            ("result",),
            registry=self.registry,
        )
        self._leader = prometheus_client.Gauge(
            "modelmend_operator_leader", "1 while this replica leads.", registry=self.registry
        )
        self._shown: dict[tuple[str, str], list[_Series]] = {}
        self.registry.register(_Shown(self._shown))
        prometheus_client.ProcessCollector(registry=self.registry)
        for result in ("ok", "conflict", "refused", "unavailable", "fenced", "invalid", "error"):
            self._looks.labels(result)
        for result in ("ok", "failed"):
            self._polls.labels(result)

    def reconciled(self, result: str, seconds: float) -> None:
        self._looks.labels(result).inc()
        self._look_seconds.observe(seconds)

    def acted(self, action: str) -> None:
        self._actions.labels(action).inc()

    def polled(self, seconds: float, problem: str | None, at: float) -> None:
        self._poll_seconds.set(seconds)
        self._polls.labels("ok" if problem is None else "failed").inc()
        if problem is None:
            self._polled.set(at)

    def leads(self, leads: bool) -> None:
        self._leader.set(leads)
        if not leads:
            self._shown.clear()  # Whoever leads shows them.

    def shows(self, owner: resources.ModelDeployment, shown: Mapping[str, quality.Figures]) -> None:
        status, place = owner.status, owner.key
        found: list[_Series] = []
        if status.stage is not None:
            found.append(("stage", (*place, status.stage.value), 1.0))
        for signal in status.signals:
            where = (*place, signal.name, signal.type.value)
            for verdict in Verdict:
                found.append(("verdict", (*where, verdict.value), float(signal.verdict is verdict)))
            found += [(name, where, number) for name, number in _shown(signal, shown)]
        for condition in status.conditions:
            found.append(("condition", (*place, condition.type, condition.status.value), 1.0))
        self._shown[place] = found

    def forgets(self, namespace: str, name: str) -> None:
        self._shown.pop((namespace, name), None)


class _Shown:
    """Series of single ModelDeployments, made when they are scraped."""

    def __init__(self, shown: Mapping[tuple[str, str], list[_Series]]) -> None:
        self._shown = shown

    def describe(self) -> list[core.Metric]:
        return list(self._families().values())

    def collect(self) -> list[core.Metric]:
        families = self._families()
        for series in list(self._shown.values())[:LIMIT]:
            for name, labels, value in series:
                families[name].add_metric(labels, value)
        families["omitted"].add_metric((), float(max(len(self._shown) - LIMIT, 0)))
        return list(families.values())

    def _families(self) -> dict[str, core.GaugeMetricFamily]:
        def family(name: str, text: str, *labels: str) -> core.GaugeMetricFamily:
            return core.GaugeMetricFamily(f"modelmend_operator_{name}", text, labels=labels)

        return {
            "stage": family("stage", "1 for the stage of a ModelDeployment.", *_PLACE, "stage"),
            "verdict": family(
                "signal_verdict", "1 for the verdict of a signal.", *_PLACE, "signal", "type", "verdict"
            ),
            "value": family(
                "signal_value", "What a signal shows over its window.", *_PLACE, "signal", "type"
            ),
            "labels": family(
                "signal_labels", "Labels, or rows, behind that value.", *_PLACE, "signal", "type"
            ),
            "condition": family("condition", "1 for the status of a condition.", *_PLACE, "type", "status"),
            "omitted": family(
                "omitted", f"ModelDeployments beyond the {LIMIT} that have series of their own."
            ),
        }


def _shown(signal: SignalStatus, shown: Mapping[str, quality.Figures]) -> Iterator[tuple[str, float]]:
    """What moves with every label exactly; what is judged once a window, or asked, as it was said."""
    if not signal.type.is_measured:
        if signal.value is not None:
            yield "value", signal.value
            if signal.type.is_windowed:
                yield "labels", float(signal.n)
    elif (figures := shown.get(signal.name)) is not None:
        yield from (("value", figures.value), ("labels", float(figures.n)))
