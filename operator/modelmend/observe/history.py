"""The operator's own polls, asked about moments of the past. Called by backtest alone.

What a poll asks is asked here as a range query: Prometheus evaluates it at every pulse of a chunk as it would have
been evaluated then, and each pulse is read from the chunk by the very code that reads a poll. So there is no second
opinion of what a counter means.

    pulses    |.......|.......|.......|     one chunk: one range query for each question of a poll
    windows   asked as they are: one instant query about the end of each
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from modelmend.contract import arms, metrics
from modelmend.evidence import confusion, query, watch
from modelmend.observe import answers, prometheus, questions

POINTS: Final = 1000
"""Pulses asked about at once. Prometheus refuses 11,000 points a series, and a thousand keep its answer small."""
MARGIN: Final = 60.0
"""Seconds that a pulse looks back beyond the one before it, as the operator does after a poll that failed."""
OVERVIEW: Final = 5000
"""Points at which it is asked who was alive."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a version, as far as it is in the history. Times are seconds since the epoch, known to about a
    five-thousandth of the whole."""

    version: str
    rollout: str
    begun: float
    seen: float
    """When it was there last."""
    served: bool
    """It answered alone: it was the stable version. Before that, its requests were a candidate's."""


@dataclass(slots=True)
class _Chunk:
    """Samples of one query by pulse, as an instant query would have brought them."""

    first: int
    past: int
    samples: dict[int, list[Any]] = field(default_factory=dict)


class History(prometheus.Prometheus):
    """Polls of one model at the pulses `begin`, `begin + step`, … until `end`."""

    def __init__(
        self, source: prometheus.Source, of: answers.Key, begin: float, end: float, step: float
    ) -> None:
        super().__init__(source, of)
        self._key, self._begin, self._end, self._step = of, begin, end, step
        self._at = begin
        self._in_poll = False
        self._points = POINTS
        self._chunks: dict[str, _Chunk] = {}
        self._refused: dict[str, str] = {}
        self.asked = 0
        """Queries so far."""

    @property
    def pulses(self) -> int:
        return math.floor((self._end - self._begin) / self._step) + 1

    def moment(self, pulse: int) -> float:
        """When a pulse was, to the millisecond that Prometheus keeps."""
        return round(self._begin + pulse * self._step, 3)

    def pulse(self, number: int, *, by_class: bool) -> answers.Answer:
        """What a poll would have brought at this pulse. No latency: only candidates are guarded. Raises Unanswered."""
        self._at, self._in_poll = self.moment(number), True
        lookback = max(self._step + MARGIN, prometheus.LOOKBACK)
        try:
            return self._poll(lookback, frozenset(), by_class)
        finally:
            self._in_poll = False

    def before(self, *, by_class: bool) -> answers.Answer:
        """What had been counted when the first pulse came, whoever counted it within the last day. Raises Unanswered."""
        self._at = self._begin
        return self._poll(prometheus.LONGEST_LOOKBACK, frozenset(), by_class)

    def value(self, text: str) -> query.Answer:
        """What a query of the user's own said at the last pulse. Raises Unanswered when Prometheus is in trouble."""
        if text in self._refused:
            return query.Answer(error=self._refused[text])
        points, self._in_poll = self._points, True
        try:
            found = self._samples(text, {})
        except prometheus.Unanswered as problem:
            if problem.fault is None:
                raise
            # As in observe.queries: it is this text that has no answer, and nobody else's question is the worse for it.
            self._points = points
            said = f"its query has no answer ({problem.fault}): correct spec.monitoring.signals[].query"
            return query.Answer(error=self._refused.setdefault(text, said))
        finally:
            self._in_poll = False
        return query.Answer(tuple(float(sample["value"][1]) for sample in found))

    def window(self, question: questions.Question) -> Mapping[answers.Place, watch.Window]:
        """What was counted in a window that ended at some pulse. Raises Unanswered."""
        return self._windows(question)

    def lives(self) -> list[Life]:
        """All that was alive, in the order in which they began. Raises Unanswered."""
        solo = self._alive(self._series(metrics.REQUESTS, f'{metrics.ARM}="{arms.Arm.SOLO}"'), "> 0")
        found = {rollout: Life(*life, served=True) for rollout, life in solo.items()}
        for name in (metrics.EVIDENCE, metrics.MODEL_INFO):
            for rollout, life in self._alive(self._series(name)).items():
                found.setdefault(rollout, Life(*life, served=False))
        return sorted(found.values(), key=lambda life: (life.begun, life.rollout))

    def classes(self, rollout: str) -> tuple[str, ...]:
        """The classes that labels of this life name, in the order of scikit-learn. Raises Unanswered."""
        series = self._series(metrics.EVIDENCE, f'{metrics.ROLLOUT}="{rollout}"')
        lasts = max(math.ceil(self._end - self._begin), 1)
        by = f"{metrics.PREDICTED}, {metrics.ACTUAL}"
        found = self._counted(
            f"count by ({by}) (last_over_time({series}[{lasts}s]))", {"time": f"{self._end:.3f}"}
        )
        named = {each["metric"].get(label) for each in found for label in (metrics.PREDICTED, metrics.ACTUAL)}
        return tuple(sorted(named - {None, "", confusion.ELSE}, key=_as_class))

    def others(self) -> list[str]:
        """namespace/name of models that have a history here. Raises Unanswered."""
        lasts = max(math.ceil(self._end - self._begin), 1)
        told = f"count by (namespace, {metrics.MODEL}) (last_over_time({metrics.MODEL_INFO}[{lasts}s]))"
        asked = {"time": f"{self._end:.3f}"}
        labels = (sample["metric"] for sample in self._counted(told, asked))
        return sorted(f"{each.get('namespace', '?')}/{each.get(metrics.MODEL, '?')}" for each in labels)

    def _alive(self, series: str, condition: str = "") -> dict[str, tuple[str, str, float, float]]:
        step = max(math.ceil((self._end - self._begin) / OVERVIEW), math.ceil(self._step), 1)
        by = f"{metrics.VERSION}, {metrics.ROLLOUT}"
        text = f"count by ({by}) (last_over_time({series}[{step}s]) {condition})"
        found: dict[str, tuple[str, str, float, float]] = {}
        for each in self._range(text, self._begin, self._end + step, step):
            labels, times = each["metric"], [float(at) for at, _ in each["values"]]
            rollout = labels.get(metrics.ROLLOUT)
            if not rollout:
                continue
            # Seen at a point means: seen since the point before.
            begun, seen = max(times[0] - step, self._begin), min(times[-1], self._end)
            _, _, earlier, later = found.get(rollout, ("", "", begun, seen))
            found[rollout] = (
                labels.get(metrics.VERSION, ""),
                rollout,
                min(begun, earlier),
                max(seen, later),
            )
        return found

    def _clock(self) -> float:
        return self._at

    def _moment(self) -> str:
        return f"{self._at:.3f}"

    def _samples(self, text: str, parameters: dict[str, str]) -> list[Any]:
        if not self._in_poll:
            return self._counted(text, parameters)
        number = round((self._at - self._begin) / self._step)
        chunk = self._chunks.get(text)
        if chunk is None or not chunk.first <= number < chunk.past:
            chunk = self._chunks[text] = self._chunk(text, number)
        return chunk.samples.get(number, [])

    def _counted(self, text: str, parameters: dict[str, str]) -> list[Any]:
        self.asked += 1
        return super()._samples(text, parameters)

    def _chunk(self, text: str, first: int) -> _Chunk:
        """As many pulses as Prometheus can answer at once."""
        while True:
            past = min(first + self._points, self.pulses)
            try:
                found = self._range(text, self.moment(first), self.moment(past - 1), self._step)
            except prometheus.Unanswered as error:
                if not error.was_too_much or self._points == 1:
                    raise
                self._points = max(self._points // 4, 1)
                continue
            chunk = _Chunk(first, past)
            for each in found:
                for at, text in each["values"]:
                    number = round((float(at) - self._begin) / self._step)
                    sample = {"metric": each["metric"], "value": [at, text]}
                    chunk.samples.setdefault(number, []).append(sample)
            return chunk

    def _range(self, text: str, begin: float, end: float, step: float) -> list[Any]:
        self.asked += 1
        # The client rounds to seconds; what stands in params wins.
        exactly = {"start": f"{begin:.3f}", "end": f"{end:.3f}"}
        instants = (datetime.fromtimestamp(at, UTC) for at in (begin, end))
        return self._called(
            lambda: self._client.custom_query_range(text, *instants, f"{step:.3f}", params=exactly)
        )


def _as_class(key: str) -> tuple[bool, float, str]:
    """Numbers by their value, before texts."""
    try:
        return False, float(key), key
    except ValueError:
        return True, 0.0, key
