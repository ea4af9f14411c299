"""Bins of a few models over one window, in five queries however many models there are. Called by `prometheus`.

known       whether the window's begin is (`questions`)
bins        what was counted by feature and bin (`questions`), where that is anything
reference   fractions by bin, rows, and how far its own blocks differ
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modelmend.contract import metrics
from modelmend.evidence import drift, psi, watch
from modelmend.observe import answers, questions

_PREDICTED: Final = f"{metrics.SCORE_FEATURE}|{metrics.CLASS_FEATURE}"
_SHOWN: Final = {metrics.SCORE_FEATURE: "score", metrics.CLASS_FEATURE: "class"}


def read(question: questions.Question, ask: questions.Ask) -> dict[answers.Place, watch.Window]:
    """The window of each place. All that is asked is asked about the moment `question.end`."""
    asked, known = _Asked(question), question.known(ask)
    live = _Table()
    for labels, value in ask(asked.bins(), (*questions.PLACE, metrics.FEATURE, metrics.BIN)):
        live.put(labels, labels[metrics.BIN], value)
    fractions, rows, blocks = _Table(), _Table(), _Table()
    for labels, value in ask(
        asked.gauge(metrics.REFERENCE_BIN_FRACTION, metrics.BIN),
        (*questions.PLACE, metrics.FEATURE, metrics.BIN),
    ):
        fractions.put(labels, labels[metrics.BIN], value)
    for labels, value in ask(asked.gauge(metrics.REFERENCE_ROWS), (*questions.PLACE, metrics.FEATURE)):
        rows.put(labels, "", value)
    for labels, value in ask(
        asked.gauge(metrics.REFERENCE_BLOCK, metrics.FIGURE),
        (*questions.PLACE, metrics.FEATURE, metrics.FIGURE),
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
        self._found[questions.place_of(labels)][labels[metrics.FEATURE]][name] = value

    def features(self, place: answers.Place) -> list[tuple[str, dict[str, float]]]:
        return sorted(self._found[place].items()) if place in self._found else []

    def of(self, place: answers.Place, feature: str) -> dict[str, float]:
        return self._found.get(place, {}).get(feature, {})


@dataclass(frozen=True, slots=True)
class _Asked:
    """The queries of one question."""

    of: questions.Question

    def bins(self) -> str:
        counted = self.of.counted(metrics.FEATURE_BINS, metrics.FEATURE, metrics.BIN, more=self._features)
        return f"{counted} > 0"

    def gauge(self, name: str, *more: str) -> str:
        """The last value within the window: every pod of a version says the same."""
        within = f"{name}{self.of.selector(self._features)}[{max(self.of.lasted, questions.LOOKBACK)}ms]"
        return f"max by ({questions.by(*questions.PLACE, metrics.FEATURE, *more)}) (last_over_time({within}))"

    @property
    def _features(self) -> str:
        is_one = "=~" if self.of.kind is watch.Kind.PREDICTIONS else "!~"
        return f'{metrics.FEATURE}{is_one}"{_PREDICTED}"'


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
