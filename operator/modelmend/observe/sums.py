"""Sums of a few models over one window: predictions by class, and what scores promised. Called by `prometheus`.

In two to four queries however many models there are, by the rule of `questions`. A name is in the sums when some pod
counts it, be it zero: that none does is another finding than that nothing came.

    Classes   predictions by class
    Scores    predictions, those with a score, the sum of their scores
    Labels    labelled rows that had a score, how many were right, the sum of their scores
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from modelmend.contract import metrics
from modelmend.evidence import watch
from modelmend.observe import answers, questions

_SCORES: Final = {
    metrics.PREDICTIONS: watch.ROWS,
    metrics.SCORED: watch.SCORED,
    metrics.EXPECTED_CORRECT: watch.EXPECTED,
}
_LABELS: Final = {
    metrics.Scored.ROWS: watch.ROWS,
    metrics.Scored.RIGHT: watch.RIGHT,
    metrics.Scored.EXPECTED: watch.EXPECTED,
}


def read(question: questions.Question, ask: questions.Ask) -> dict[answers.Place, watch.Window]:
    """The window of each place."""
    known = question.known(ask)
    found: dict[answers.Place, dict[str, float]] = defaultdict(dict)
    for place, name, value in _asked(question, ask):
        found[place][name] = value
    return {place: watch.Window(place in known, sums=found[place]) for place in question.places}


def _asked(question: questions.Question, ask: questions.Ask) -> Iterator[tuple[answers.Place, str, float]]:
    if question.kind is watch.Kind.SCORES:
        for series, name in _SCORES.items():
            counted = question.counted(series, within=(metrics.CLASS,))
            for labels, value in ask(counted, questions.PLACE):
                yield questions.place_of(labels), name, value
        return
    of_classes = question.kind is watch.Kind.CLASSES
    series, label = (
        (metrics.PREDICTIONS, metrics.CLASS) if of_classes else (metrics.SCORED_EVIDENCE, metrics.FIGURE)
    )
    for labels, value in ask(question.counted(series, label), (*questions.PLACE, label)):
        if of_classes:
            yield questions.place_of(labels), labels[label], value
        elif labels[label] in _LABELS:
            yield questions.place_of(labels), _LABELS[metrics.Scored(labels[label])], value
