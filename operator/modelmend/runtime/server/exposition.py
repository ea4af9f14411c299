"""Counters to Prometheus' text format, written by hand: a scrape walks whole arrays and formats numbers only.

Label strings are made once per tally. The `prometheus_client` library would cost start-up time and ten times as
long per scrape, on the event loop that answers predictions; a test reads this text back with its parser.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmend.contract import metrics
from modelmend.contract.arms import Arm
from modelmend.runtime import artifact, reference
from modelmend.runtime.server.binning import Binner
from modelmend.runtime.server.settings import Life
from modelmend.runtime.server.tally import CLASSES_MAX, OTHER, Histogram, Ledger, Tally

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, float]
"""(suffix of the name, labels in braces; value)"""


@dataclass(frozen=True, slots=True)
class Known:
    """A model that this process loaded, described once: it stays known when it leaves memory."""

    life: Life
    arm: Arm
    digest: str
    rows: tuple[tuple[str, int], ...]
    """(feature, rows of the reference that it was counted on)"""
    fractions: tuple[tuple[str, str, float], ...]
    """(feature, bin, fraction of the reference rows)"""
    blocks: tuple[tuple[str, str, float], ...]
    """(feature, figure, value), of features whose blocks were measured"""


def known(life: Life, arm: Arm, model: artifact.LoadedModel, binner: Binner) -> Known:
    """What is exported of a model itself: its digest and its reference."""
    rows: list[tuple[str, int]] = []
    fractions: list[tuple[str, str, float]] = []
    blocks: list[tuple[str, str, float]] = []
    histograms: dict[str, reference.Numeric | reference.Categorical | None] = {
        name: model.reference.features[name] for name in binner.features
    }
    histograms[metrics.SCORE_FEATURE] = model.reference.score
    if 0 < len(model.class_keys) <= CLASSES_MAX:
        histograms[metrics.CLASS_FEATURE] = model.reference.classes
    for name, histogram in histograms.items():
        if histogram is not None:
            rows.append((name, sum(histogram.counts)))
            # (m + 1/2) / (M + B/2): a bin that was empty in training has no logarithm.
            whole = sum(histogram.counts) + len(histogram.bins) / 2
            fractions += [
                (name, each, (count + 0.5) / whole)
                for each, count in zip(histogram.bins, histogram.counts, strict=True)
            ]
            if histogram.blocks is not None:
                blocks += [(name, figure, value) for figure, value in histogram.blocks.to_json().items()]
    return Known(life, arm, model.digest, tuple(rows), tuple(fractions), tuple(blocks))


class Exposition:
    """The text of one process."""

    def __init__(self, ledger: Ledger, model: str, process: str) -> None:
        self._ledger = ledger
        self._model = model
        self._process = process
        self._static: list[str] = []
        self._labels: dict[tuple[Life, Arm], str] = {}
        self._bins: dict[tuple[Life, Arm], list[str]] = {}

    def describe(self, models: Iterable[Known]) -> None:
        """Adds series that never change: which models, and what they were trained on."""
        everything = list(models)
        info = [(self._with(each.life, each.arm, digest=each.digest), 1.0) for each in everything]
        rows = [
            (self._with(each.life, each.arm, feature=feature), float(number))
            for each in everything
            for feature, number in each.rows
        ]
        fractions = [
            (self._with(each.life, each.arm, feature=feature, bin=name), value)
            for each in everything
            for feature, name, value in each.fractions
        ]
        blocks = [
            (self._with(each.life, each.arm, feature=feature, figure=figure), value)
            for each in everything
            for feature, figure, value in each.blocks
        ]
        self._static += _family(metrics.MODEL_INFO, "gauge", "Models that this process loaded.", info)
        self._static += _family(metrics.REFERENCE_ROWS, "gauge", "Rows of the reference by feature.", rows)
        self._static += _family(
            metrics.REFERENCE_BIN_FRACTION, "gauge", "Share of the reference rows in a bin.", fractions
        )
        self._static += _family(
            metrics.REFERENCE_BLOCK, "gauge", "Drift between blocks of the reference by chance.", blocks
        )

    def text(self) -> bytes:
        """Everything, as of now."""
        lines = list(self._static)
        for name, kind, explanation, samples in _FAMILIES:
            found = [sample for tally in self._ledger for sample in samples(self, tally)]
            lines += _family(name, kind, explanation, found)
        return ("\n".join(lines) + "\n").encode()

    def requests(self, tally: Tally) -> Iterator[Sample]:
        """Inference requests by HTTP status."""
        if tally.served:
            for code, number in tally.served.requests.items():
                yield self._of(tally, code=str(code)), number

    def durations(self, tally: Tally) -> Iterator[Sample]:
        """Seconds of the model's own time."""
        if tally.served:
            yield from self._histogram(tally, tally.served.duration, metrics.LATENCY_BUCKETS)

    def predictions(self, tally: Tally) -> Iterator[Sample]:
        """Predicted rows by class."""
        if tally.served and not tally.served.classes:
            yield self._of(tally), int(tally.served.predictions[0])
        elif tally.served:
            for name, number in _bounded(tally.served.classes, tally.served.predictions.tolist()).items():
                yield self._of(tally, **{metrics.CLASS: name}), number

    def scored(self, tally: Tally) -> Iterator[Sample]:
        """Rows whose scores are numbers."""
        if tally.served and tally.served.has_scores:
            yield self._of(tally), tally.served.scored_rows

    def expected_correct(self, tally: Tally) -> Iterator[Sample]:
        """Sum of the largest probability of each row."""
        if tally.served and tally.served.has_scores:
            yield self._of(tally), tally.served.expected_correct

    def scored_evidence(self, tally: Tally) -> Iterator[Sample]:
        """Labelled rows that had a score: their number, how many were right, and how many the scores promised."""
        for figure, number in (tally.labelled.scored or {}).items():
            yield self._of(tally, figure=str(figure)), number

    def bins(self, tally: Tally) -> Iterator[Sample]:
        """Rows by feature and bin, and by score and class under names of their own."""
        served = tally.served
        if served is None or served.binner is None:
            return
        labels = self._bins.get((tally.life, tally.arm))
        if labels is None:
            named = [*served.binner.bins, (metrics.SCORE_FEATURE, served.score_names)]
            if 0 < len(served.classes) <= CLASSES_MAX:
                named.append((metrics.CLASS_FEATURE, (*served.classes, reference.OTHER, reference.MISSING)))
            labels = [
                self._of(tally, feature=feature, bin=name) for feature, names in named for name in names
            ]
            self._bins[tally.life, tally.arm] = labels
        counts = [*served.bins.tolist(), *served.scores.tolist()]
        if 0 < len(served.classes) <= CLASSES_MAX:
            counts += [*served.predictions.tolist(), 0, 0]
        yield from zip(labels, counts, strict=True)

    def outcomes(self, tally: Tally) -> Iterator[Sample]:
        """Labelled rows, predicted against actual."""
        for (predicted, actual), number in tally.labelled.outcomes.items():
            yield self._of(tally, predicted=predicted, actual=actual), number

    def evidence(self, tally: Tally) -> Iterator[Sample]:
        """Requests whose counted row was right or wrong, predicted against actual."""
        for (result, predicted, actual), number in tally.labelled.evidence.items():
            yield self._of(tally, result=str(result), predicted=predicted, actual=actual), number

    def errors(self, tally: Tally) -> Iterator[Sample]:
        """Of the same requests of a regressor."""
        return self._results(tally, tally.labelled.errors.counted if tally.labelled.errors else None)

    def absolute_errors(self, tally: Tally) -> Iterator[Sample]:
        """Labelled rows by how far they were from the truth."""
        if (found := tally.labelled.errors) is not None:
            bounds = [part * found.grading.tolerance for part in metrics.ERROR_BUCKETS]
            yield from self._histogram(tally, found.absolute, bounds)

    def squared_errors(self, tally: Tally) -> Iterator[Sample]:
        """The sum of their squares."""
        if (found := tally.labelled.errors) is not None:
            yield self._of(tally), found.squared

    def paired(self, tally: Tally) -> Iterator[Sample]:
        """Requests whose counted row both models scored."""
        return self._results(tally, tally.labelled.paired)

    def feedback(self, tally: Tally) -> Iterator[Sample]:
        """Items of feedback by what became of them."""
        return self._results(tally, tally.labelled.feedback)

    def delays(self, tally: Tally) -> Iterator[Sample]:
        """Seconds from prediction to label."""
        if tally.labelled.delay:
            yield from self._histogram(tally, tally.labelled.delay, metrics.DELAY_BUCKETS)

    def logged(self, tally: Tally) -> Iterator[Sample]:
        """Rows written to the prediction log."""
        if tally.logged:
            for part, number in tally.logged.written.items():
                yield self._of(tally, part=part), number

    def dropped(self, tally: Tally) -> Iterator[Sample]:
        """Rows that the prediction log lost."""
        if tally.logged:
            for part, number in tally.logged.dropped.items():
                yield self._of(tally, part=part), number

    def log_failures(self, tally: Tally) -> Iterator[Sample]:
        """Parts that could not be written at once."""
        if tally.logged:
            yield self._of(tally), tally.logged.failures

    def _results(self, tally: Tally, counts: Mapping[Any, int] | None) -> Iterator[Sample]:
        for result, number in (counts or {}).items():
            yield self._of(tally, result=str(result)), number

    def _histogram(self, tally: Tally, histogram: Histogram, bounds: Sequence[float]) -> Iterator[Sample]:
        below = 0
        for bound, number in zip([*map(repr, bounds), "+Inf"], histogram.counts, strict=True):
            below += number
            yield "_bucket" + self._of(tally, le=bound), below
        yield "_sum" + self._of(tally), histogram.total
        yield "_count" + self._of(tally), below

    def _of(self, tally: Tally, **more: str) -> str:
        return self._with(tally.life, tally.arm, **more)

    def _with(self, life: Life, arm: Arm, **more: str) -> str:
        common = self._labels.get((life, arm))
        if common is None:
            common = ",".join(
                f'{name}="{_escaped(value)}"'
                for name, value in (
                    (metrics.MODEL, self._model),
                    (metrics.VERSION, life.version),
                    (metrics.ROLLOUT, life.rollout),
                    (metrics.ARM, arm),
                    (metrics.PROCESS, self._process),
                )
            )
            self._labels[life, arm] = common
        return "{" + common + "".join(f',{name}="{_escaped(value)}"' for name, value in more.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _bounded(names: Sequence[str], numbers: Sequence[int]) -> dict[str, int]:
    counts = dict(zip(names[:CLASSES_MAX], numbers, strict=False))
    if len(names) > CLASSES_MAX:
        counts[OTHER] = sum(numbers[CLASSES_MAX:])
    return counts


def _family(name: str, kind: str, explanation: str, samples: Sequence[Sample]) -> list[str]:
    if not samples:
        return []
    lines = [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value}" for labels, value in samples]
    return lines


_FAMILIES: Final[tuple[tuple[str, str, str, Callable[[Exposition, Tally], Iterator[Sample]]], ...]] = (
    (metrics.REQUESTS, "counter", "Inference requests by HTTP status.", Exposition.requests),
    (metrics.REQUEST_DURATION, "histogram", "Seconds of a model's own time.", Exposition.durations),
    (metrics.PREDICTIONS, "counter", "Predicted rows by class.", Exposition.predictions),
    (metrics.SCORED, "counter", "Predicted rows whose scores are numbers.", Exposition.scored),
    (metrics.EXPECTED_CORRECT, "counter", "Rows estimated to be right.", Exposition.expected_correct),
    (metrics.FEATURE_BINS, "counter", "Rows by feature and bin.", Exposition.bins),
    (metrics.OUTCOMES, "counter", "Labelled rows, predicted against actual.", Exposition.outcomes),
    (metrics.EVIDENCE, "counter", "Requests whose counted row was right or wrong.", Exposition.evidence),
    (
        metrics.SCORED_EVIDENCE,
        "counter",
        "Requests whose counted row had a score: rows, right, expected.",
        Exposition.scored_evidence,
    ),
    (metrics.ERRORS, "counter", "Errors of a regressor on these requests, in parts.", Exposition.errors),
    (metrics.ABSOLUTE_ERROR, "histogram", "Labelled rows by absolute error.", Exposition.absolute_errors),
    (metrics.SQUARED_ERROR, "counter", "Sum of squared errors of the same rows.", Exposition.squared_errors),
    (metrics.PAIRED_OUTCOMES, "counter", "Requests whose counted row both models scored.", Exposition.paired),
    (metrics.FEEDBACK, "counter", "Items of feedback by result.", Exposition.feedback),
    (metrics.LABEL_DELAY, "histogram", "Seconds from prediction to label.", Exposition.delays),
    (metrics.LOG_ROWS, "counter", "Rows written to the prediction log.", Exposition.logged),
    (metrics.LOG_DROPPED, "counter", "Rows that the prediction log lost.", Exposition.dropped),
    (
        metrics.LOG_FAILURES,
        "counter",
        "Failed attempts to write the prediction log.",
        Exposition.log_failures,
    ),
)
