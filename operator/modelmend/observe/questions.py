"""How Prometheus is asked what a window counted. Called by `histograms` and `sums`.

It is asked for the difference, per process, of the last values at the window's end and at its begin, and only the sum
over processes is sent: neither a thousand replicas nor a window of days costs us memory, and nothing is kept from one
window to the next. It is the rule of `evidence.counts`: an unknown process began at 0, one that died within the window
counts with its last words, and a value that fell counts nothing.

    counted     sum by (…) (clamp_min(end - (begin or 0 * end), 0))
    known       model_info at the window's begin: without it, all that was counted before would count as new

`increase()` is none of this: it extrapolates.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelmend.contract import metrics
from modelmend.evidence import watch
from modelmend.observe import answers

LOOKBACK: Final = 300_000
"""Milliseconds before a window's begin in which a pod must have been scraped for its begin to be known."""
FARTHEST: Final = 86_400_000
"""Milliseconds before a window's begin in which the last value of a process is looked for."""
PLACE: Final = ("namespace", metrics.MODEL, metrics.ROLLOUT)

Ask = Callable[[str, tuple[str, ...]], Iterator[tuple[Mapping[str, str], float]]]
"""A query and the labels that each sample must have -> labels and value."""


@dataclass(frozen=True, slots=True)
class Question:
    """One window of a few rollouts. Times are seconds on Prometheus's clock."""

    begin: float
    end: float
    kind: watch.Kind
    places: frozenset[answers.Place]

    def selector(self, more: str = "") -> str:
        """Series of these places."""
        parts = [f'{label}=~"{_any(place[at] for place in self.places)}"' for at, label in enumerate(PLACE)]
        return "{" + ",".join([*parts, *([more] if more else [])]) + "}"

    def counted(self, name: str, *shown: str, within: tuple[str, ...] = (), more: str = "") -> str:
        """PromQL: what a counter rose by within the window, per place and the labels `shown`. within: further labels that
        tell one counter from another. more: a further condition on the series."""
        each = by(*PLACE, metrics.ARM, metrics.PROCESS, *shown, *within)
        series, before = f"{name}{self.selector(more)}", min(max(self.lasted, LOOKBACK), FARTHEST)
        end = f"max by ({each}) (last_over_time({series}[{self.lasted}ms]))"
        begin = f"max by ({each}) (last_over_time({series}[{before}ms] offset {self.lasted}ms))"
        return f"sum by ({by(*PLACE, *shown)}) (clamp_min({end} - ({begin} or 0 * {end}), 0))"

    def known(self, ask: Ask) -> set[answers.Place]:
        """The places whose counters at the begin of the window are known."""
        series = f"{metrics.MODEL_INFO}{self.selector()}"
        query = f"count by ({by(*PLACE)}) (last_over_time({series}[{LOOKBACK}ms] offset {self.lasted}ms))"
        return {place_of(labels) for labels, _ in ask(query, PLACE)}

    @property
    def lasted(self) -> int:
        """Milliseconds, exactly: the begin of a window is the end of the one before."""
        return max(round((self.end - self.begin) * 1000), 1)


def place_of(labels: Mapping[str, str]) -> answers.Place:
    """Whose sample this is."""
    return labels["namespace"], labels[metrics.MODEL], labels[metrics.ROLLOUT]


def by(*labels: str) -> str:
    """As PromQL lists labels."""
    return ", ".join(labels)


def _any(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text).replace("\\", "\\\\") for text in sorted(set(texts)))
