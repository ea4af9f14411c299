"""Counters of servers of the users' own, by the names that spec.monitoring.metrics gives them, as if they were ours.

One question for the whole fleet asks for all names at once (a hundred to a query, so that none grows without end):

    sum by (namespace, modelmend_model, modelmend_rollout, modelmend_process, modelmend_series, <labels>) (
      max without (instance, …) (
        label_replace(last_over_time({__name__=~"a|b", modelmend_rollout!=""}[L]), "modelmend_series", "$1", "__name__", "(.+)")))

`max` first, since two Prometheus replicas show one counter twice; then `sum` over whatever further labels a server
has. The labels modelmend_… come from the target (the chart's PodMonitor), never from the pod: a pod cannot count for
another namespace, nor for another model. Its process is the container's id, so that a restart is another process and
a counter never falls. Names of series and labels are checked by the API; nothing else of a user's is in the query.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelmend.api.spec import Metrics, ModelDeploymentSpec
from modelmend.contract import metrics
from modelmend.decide import terms
from modelmend.evidence import confusion, ledger
from modelmend.observe import answers

MODEL: Final = "modelmend_model"
ROLLOUT: Final = "modelmend_rollout"
PROCESS: Final = "modelmend_process"
SERIES: Final = "modelmend_series"
IDENTITY: Final = ("namespace", MODEL, ROLLOUT, PROCESS, SERIES)
AT_ONCE: Final = 100
"""Names in one query."""
REPLICAS: Final = ("instance", "job", "endpoint", "container", "prometheus", "prometheus_replica")
"""Labels that tell two scrapes of one counter apart, and not two counters."""
SCRAPED: Final = f'clamp_min(time() - max by (namespace, {MODEL}) (timestamp(up{{{MODEL}!=""}}) and up{{{MODEL}!=""}} == 1), 0)'

Sample = tuple[Mapping[str, str], float]
Ask = Callable[[str, tuple[str, ...], tuple[str, ...]], Iterable[Sample]]
"""A query, the labels that every sample must have, and those that it may have: samples, each once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one model's counters are called, and what is wanted of them."""

    names: Metrics
    limit: float | None
    """Seconds: the guard of latency."""
    by_class: bool
    """Signals need labels by class."""

    @classmethod
    def of(cls, spec: ModelDeploymentSpec) -> "Wanted | None":
        """None for a model that the built-in server serves."""
        if spec.monitoring.metrics is None:
            return None
        guard = spec.rollout.guards.p99_latency
        return cls(
            names=spec.monitoring.metrics,
            limit=None if guard is None else guard.total_seconds(),
            by_class=terms.need_classes(spec),
        )

    def series(self) -> Iterator[str]:
        """Every series that must be asked for."""
        outcomes = self.names.outcomes
        yield self.names.requests.name
        yield from (name for name in (outcomes.correct, outcomes.total) if name is not None)
        if outcomes.by_class is not None:
            yield outcomes.by_class.name
        if self.names.latency is not None and self.limit is not None:
            yield from (f"{self.names.latency}_count", f"{self.names.latency}_bucket")

    def labels(self) -> Iterator[str]:
        """Every label of the user's own by which sums must be told apart."""
        outcomes = self.names.outcomes
        yield self.names.requests.code
        if outcomes.rollout is not None:
            yield outcomes.rollout
        if outcomes.by_class is not None:
            yield from (outcomes.by_class.predicted, outcomes.by_class.actual)
        if self.names.latency is not None and self.limit is not None:
            yield "le"


def read(
    models: Mapping[answers.Key, Wanted],
    window: str,
    ask: Ask,
    counters: dict[answers.Place, dict[str, dict[str, float]]],
) -> None:
    """Adds the counters of these models to `counters`, under the names that ledgers know."""
    names = sorted({name for mapping in models.values() for name in mapping.series()})
    labels = tuple(sorted({label for mapping in models.values() for label in mapping.labels()}))
    found = [
        sample
        for begin in range(0, len(names), AT_ONCE)
        for sample in ask(query(names[begin : begin + AT_ONCE], labels, window), IDENTITY, labels)
    ]
    latest: dict[tuple[answers.Place, str], dict[str, float]] = defaultdict(dict)
    for told, value in found:
        key = told["namespace"], told[MODEL]
        if (mapping := models.get(key)) is not None:
            for place, result, amount in _meant(mapping, key, told, value):
                results = latest[place, told[PROCESS]]
                results[result] = results.get(result, 0.0) + amount
    for (place, process), results in latest.items():
        for result, amount in _settled(models[place[:2]], results):
            counters[place][process][result] = amount


def query(names: Iterable[str], labels: Iterable[str], window: str) -> str:
    """For these series, told apart by these labels; `window` as `[300s]`."""
    chosen = f'{{__name__=~"{"|".join(names)}", {ROLLOUT}!=""}}'
    named = f'label_replace(last_over_time({chosen}{window}), "{SERIES}", "$1", "__name__", "(.+)")'
    by = ", ".join((*IDENTITY, *labels))
    return f"sum by ({by}) (max without ({', '.join(REPLICAS)}) ({named}))"


_TOTAL: Final = " total"
_BUCKET: Final = " bucket "
"""Begin with a space, as no result of a ledger does."""


def _meant(
    mapping: Wanted, key: answers.Key, told: Mapping[str, str], value: float
) -> Iterator[tuple[answers.Place, str, float]]:
    """(where, result, amount) of one sample; one series may be named for more than one thing."""
    series, names = told[SERIES], mapping.names
    own = (*key, told[ROLLOUT])
    if series == names.requests.name and (code := told.get(names.requests.code)):
        yield own, ledger.FAILED if code.startswith("5") else ledger.ANSWERED, value
    if names.latency is not None and series == f"{names.latency}_count":
        yield own, ledger.TIMED, value
    if names.latency is not None and series == f"{names.latency}_bucket" and told.get("le"):
        yield own, _BUCKET + told["le"], value
    outcomes = names.outcomes
    if outcomes.rollout is not None:
        own = (*key, told.get(outcomes.rollout) or told[ROLLOUT])
    if series == outcomes.correct:
        yield own, metrics.Evidence.RIGHT, value
    if series == outcomes.total:
        yield own, _TOTAL, value
    if outcomes.by_class is not None and series == outcomes.by_class.name:
        predicted, actual = (
            told.get(label, "") for label in (outcomes.by_class.predicted, outcomes.by_class.actual)
        )
        if predicted and actual:
            yield own, metrics.Evidence.RIGHT if predicted == actual else metrics.Evidence.WRONG, value
            if mapping.by_class:
                yield own, confusion.result_name(predicted, actual), value


def _settled(mapping: Wanted, results: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """The results of one process, with those that only several series together tell."""
    yield from ((result, value) for result, value in results.items() if not result.startswith(" "))
    if _TOTAL in results:
        # Both are read at one scrape; a server that moves `correct` first may be caught in between.
        yield metrics.Evidence.WRONG, max(results[_TOTAL] - results.get(metrics.Evidence.RIGHT, 0.0), 0.0)
    buckets = {
        bound: value
        for result, value in results.items()
        if result.startswith(_BUCKET) and (bound := _bound(result.removeprefix(_BUCKET))) is not None
    }
    if buckets and mapping.limit is not None:
        above = [bound for bound in buckets if bound >= mapping.limit]
        yield ledger.FAST, buckets[min(above) if above else max(buckets)]


def _bound(text: str) -> float | None:
    """A bound of a histogram; None for the last one, which has no end."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
