"""Bins of a few models over one window, in five queries however many models there are. Called by `prometheus`.

What a window counted is asked of Prometheus as the difference, per process, of the last values at its end and at its
begin, and only the sum over processes is sent: neither a thousand replicas nor a window of days costs us memory, and
nothing is kept from one window to the next. It is the rule of `evidence.counts`: an unknown process began at 0, one
that died within the window counts with its last words, and a value that fell counts nothing.

    bins        sum by (…, feature, bin) (clamp_min(end - (begin or 0 * end), 0)) > 0
    known       model_info at the window's begin: without it, all that was counted before would count as new
    reference   fractions by bin, rows, and how far its own blocks differ

`increase()` is none of this: it extrapolates.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelmend.contract import metrics
from modelmend.evidence import drift, psi, watch
from modelmend.observe import answers

LOOKBACK: Final = 300_000
"""Milliseconds before a window's begin in which a pod must have been scraped for its begin to be known."""
FARTHEST: Final = 86_400_000
"""Milliseconds before a window's begin in which the last value of a process is looked for."""
_PREDICTED: Final = f"{metrics.SCORE_FEATURE}|{metrics.CLASS_FEATURE}"
_SHOWN: Final = {metrics.SCORE_FEATURE: "score", metrics.CLASS_FEATURE: "class"}
_PLACE: Final = ("namespace", metrics.MODEL, metrics.ROLLOUT)

Ask = Callable[[str, tuple[str, ...]], Iterator[tuple[Mapping[str, str], float]]]
"""A query and the labels that each sample must have -> labels and value."""


@dataclass(frozen=True, slots=True)
class Question:
    """One window of a few rollouts. Times are seconds on Prometheus's clock."""

    begin: float
    end: float
    of_predictions: bool
    places: frozenset[answers.Place]


def read(question: Question, ask: Ask) -> dict[answers.Place, watch.Window]:
    """The window of each place. All that is asked is asked about the moment `question.end`."""
    asked = _Asked(question)
    known = {
        (labels["namespace"], labels[metrics.MODEL], labels[metrics.ROLLOUT])
        for labels, _ in ask(asked.known(), _PLACE)
    }
    live = _Table()
    for labels, value in ask(asked.bins(), (*_PLACE, metrics.FEATURE, metrics.BIN)):
        live.put(labels, labels[metrics.BIN], value)
    fractions, rows, blocks = _Table(), _Table(), _Table()
    for labels, value in ask(
        asked.gauge(metrics.REFERENCE_BIN_FRACTION, metrics.BIN), (*_PLACE, metrics.FEATURE, metrics.BIN)
    ):
        fractions.put(labels, labels[metrics.BIN], value)
    for labels, value in ask(asked.gauge(metrics.REFERENCE_ROWS), (*_PLACE, metrics.FEATURE)):
        rows.put(labels, "", value)
    for labels, value in ask(
        asked.gauge(metrics.REFERENCE_BLOCK, metrics.FIGURE), (*_PLACE, metrics.FEATURE, metrics.FIGURE)
    ):
        blocks.put(labels, labels[metrics.FIGURE], value)
    return {
        place: watch.Window(
            is_whole=place in known,
            features=tuple(
                drift.Feature(
                    _SHOWN.get(feature, feature),
                    _counts(found, rows.of(place, feature)[""]),
                    {name: round(value) for name, value in live.of(place, feature).items()},
                    _blocks(blocks.of(place, feature)),
                )
                for feature, found in fractions.features(place)
                if rows.of(place, feature)
            ),
        )
        for place in question.places
    }


class _Table:
    """Values by place, feature and name."""

    def __init__(self) -> None:
        self._found: dict[answers.Place, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))

    def put(self, labels: Mapping[str, str], name: str, value: float) -> None:
        place = labels["namespace"], labels[metrics.MODEL], labels[metrics.ROLLOUT]
        self._found[place][labels[metrics.FEATURE]][name] = value

    def features(self, place: answers.Place) -> list[tuple[str, dict[str, float]]]:
        return sorted(self._found[place].items()) if place in self._found else []

    def of(self, place: answers.Place, feature: str) -> dict[str, float]:
        return self._found.get(place, {}).get(feature, {})


@dataclass(frozen=True, slots=True)
class _Asked:
    """The queries of one question."""

    of: Question

    @property
    def _lasted(self) -> int:
        """Milliseconds, exactly: the begin of a window is the end of the one before."""
        return max(round((self.of.end - self.of.begin) * 1000), 1)

    def bins(self) -> str:
        by = _by(*_PLACE, metrics.ARM, metrics.PROCESS, metrics.FEATURE, metrics.BIN)
        series, lasted = f"{metrics.FEATURE_BINS}{self._selector()}", self._lasted
        before = min(max(lasted, LOOKBACK), FARTHEST)
        end = f"max by ({by}) (last_over_time({series}[{lasted}ms]))"
        begin = f"max by ({by}) (last_over_time({series}[{before}ms] offset {lasted}ms))"
        total = _by(*_PLACE, metrics.FEATURE, metrics.BIN)
        return f"sum by ({total}) (clamp_min({end} - ({begin} or 0 * {end}), 0)) > 0"

    def known(self) -> str:
        series = f"{metrics.MODEL_INFO}{self._selector(of_features=False)}"
        return f"count by ({_by(*_PLACE)}) (last_over_time({series}[{LOOKBACK}ms] offset {self._lasted}ms))"

    def gauge(self, name: str, *more: str) -> str:
        """The last value within the window: every pod of a version says the same."""
        within = f"{name}{self._selector()}[{max(self._lasted, LOOKBACK)}ms]"
        return f"max by ({_by(*_PLACE, metrics.FEATURE, *more)}) (last_over_time({within}))"

    def _selector(self, *, of_features: bool = True) -> str:
        parts = [
            f'{label}=~"{_any(place[at] for place in self.of.places)}"' for at, label in enumerate(_PLACE)
        ]
        if of_features:
            parts.append(f'{metrics.FEATURE}{"=~" if self.of.of_predictions else "!~"}"{_PREDICTED}"')
        return "{" + ",".join(parts) + "}"


def _by(*labels: str) -> str:
    return ", ".join(labels)


def _any(texts: Iterator[str]) -> str:
    return "|".join(re.escape(text).replace("\\", "\\\\") for text in sorted(set(texts)))


def _counts(fractions: Mapping[str, float], rows: float) -> dict[str, int]:
    """Rows by bin, from (m + 1/2) / (M + B/2) as the server exports it."""
    whole = rows + len(fractions) / 2
    return {name: max(round(fraction * whole - 0.5), 0) for name, fraction in fractions.items()}


def _blocks(figures: Mapping[str, float]) -> psi.Blocks | None:
    """None unless all figures are there, and can be divided by."""
    names = ("rows", "others", "mean", "deviation")
    if any(not figures.get(name) for name in names):
        return None
    return psi.Blocks(*(figures[name] for name in names))
