"""The accuracy family of a classifier: accuracy, precision, recall, f1, balancedAccuracy, each with a minimum.

Called by ledger (`step`) and decide (`judge`, or `judge_by_threshold` in the simple mode, `evidence: Threshold`). Each measure is a share of bad rows among those that vote on it
(`confusion`), so one detector serves them all; its factors, with th = 1 - minimum:

    accuracy, precision, recall     1 + L (1 - th) for a bad row, 1 - L th for a good one
    f1                              1 + L (1 - th) for a false positive or negative, 1 - 2 L th for a true positive:
                                    the very same with the limit 2 th / (1 + th), L scaled by 1 + th
    balanced accuracy               1 + L (mean over classes of the share of misses - th), one vote a poll, since the
                                    weight of a row hangs on how many others there are of its class

The condition of the guarantee, for each: at every row that votes, its probability of being bad, given the past, is
within the limit; for balanced accuracy, the mean over classes of that probability. It is about labels that were
counted: where only predicted positives are ever labelled, recall says nothing.

Several classes. Precision, recall and f1 are those of one class, `positive_class`, against the rest. Balanced
accuracy is the mean recall over all of them. Micro averages of a single-label model all equal accuracy; macro
precision and macro f1 are refused: a class that is no longer predicted has no precision, and a mean of ratios that
share their errors has no finite-sample test.

What the counters can say about label delay. They count labels when these arrive, not when their prediction was made.
The labels that arrive first are the quick ones, and quick labels are not typical (a fraud is reported sooner than
no fraud). Once a version is older than the delay's p90, the arriving labels are the usual mixture again:

    version serves |---- p90 of the delay ----|  mature: count from here
    labels arrive     quick quick    quick      quick slow quick slow

So the caller absorbs immature labels into the checkpoint but does not give them to `step`; then `detector.State.seen`
counts from the first mature label, and `minLabels` is compared with that.
"""

import enum
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from modelmend.evidence import bounds, confusion, counts, detector, quality, verdict, voting


class Metric(enum.StrEnum):
    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"
    BALANCED_ACCURACY = "balancedAccuracy"


OF_ONE_CLASS = (Metric.PRECISION, Metric.RECALL, Metric.F1)
STRICT = 4.0
"""Standard errors of the simple mode: at two, looks at every poll would alarm by chance within days."""


@dataclass(frozen=True, slots=True)
class Signal:
    """minimum: lowest healthy value, in [0, 1]. min_labels: rows that vote, before a verdict.
    alarm: polls (with a block: blocks) with such rows between two false alarms: falseAlarmEvery / interval (/ block).
    classes: the model's, as keys of the table. positive_class: whose precision, recall or f1; may be left out of two
    classes, and is then the second, as everywhere in scikit-learn. block: seconds; None for none.
    within: of numbers, how far from the truth is right; for accuracy only.
    """

    metric: Metric
    minimum: float
    min_labels: int
    alarm: float
    classes: tuple[str, ...] = ()
    positive_class: str | None = None
    block: float | None = None
    within: float | None = None

    @property
    def limit(self) -> detector.Limit:
        """For the detector; ValueError when minimum or alarm is out of range."""
        share = confusion.share_of_f1(self.minimum) if self.metric is Metric.F1 else 1 - self.minimum
        return detector.Limit(share, self.alarm)

    @property
    def positive(self) -> str:
        """The class in question; only if there is no `refusal`."""
        return self.positive_class if self.positive_class is not None else self.classes[-1]


@dataclass(frozen=True, slots=True)
class Labels:
    """shown: the table of the window that people see (or of the version's life). silence: since the last counted label
    (or since maturity, without one). immature_for: seconds until the version is as old as the label delay's p90; 0
    once it is."""

    shown: confusion.Confusion
    silence: verdict.Silence
    immature_for: float = 0.0


def refusal(signal: Signal) -> str | None:
    """Why this signal cannot be judged for this model, as a sentence with the remedy; None if it can."""
    name, classes = signal.metric.value, ", ".join(signal.classes)
    if signal.metric is Metric.ACCURACY:
        return None
    if len(signal.classes) < 2:
        return (
            f"{name} needs the classes of the model, and {len(signal.classes)} are on record for this version: none are "
            "of more than 50 classes, or where an older Modelmend made the record; the next version's is complete"
        )
    if signal.metric is Metric.BALANCED_ACCURACY:
        return None
    if signal.positive_class is None and len(signal.classes) > 2:
        return (
            f"{name} of {len(signal.classes)} classes is not one number: name positiveClass (one of {classes}), "
            "or watch balancedAccuracy, the mean recall of all"
        )
    if signal.positive not in signal.classes:
        return f"{name}: positiveClass {signal.positive} is not one of the model's classes {classes}"
    return None


def title(signal: Signal) -> str:
    """What is measured, for sentences."""
    if signal.within is not None:
        return f"{signal.metric.value} within {signal.within:g}"
    named = signal.positive_class or (signal.positive if len(signal.classes) == 2 else None)
    return (
        f"{signal.metric.value} of {named}"
        if signal.metric in OF_ONE_CLASS and named
        else signal.metric.value
    )


def identity(signal: Signal) -> str:
    """What votes, and how: evidence for one identity says nothing about another, whatever the signal's name."""
    return title(signal) if signal.block is None else f"{title(signal)} in blocks of {signal.block:g} s"


def narrowing(signals: Collection[Signal]) -> str | None:
    """Which table `narrowed` makes for these signals; tables of two kinds do not add. None if none is needed."""
    known = [signal for signal in signals if signal.metric is not Metric.ACCURACY and refusal(signal) is None]
    positives = sorted({signal.positive for signal in known if signal.metric in OF_ONE_CLASS})
    by_class = any(signal.metric is Metric.BALANCED_ACCURACY for signal in known)
    return json.dumps([positives, by_class]) if known else None


def narrowed(signals: Collection[Signal], table: confusion.Confusion) -> confusion.Confusion:
    """What these signals need of a table; refused ones need nothing. To be taken of each process before counting."""
    known = [signal for signal in signals if refusal(signal) is None]
    positives = {signal.positive for signal in known if signal.metric in OF_ONE_CLASS}
    by_class = any(signal.metric is Metric.BALANCED_ACCURACY for signal in known)
    return confusion.narrowed(table, positives, by_class=by_class)


def step(signal: Signal, state: voting.State, new: confusion.Confusion, at: float) -> voting.State:
    """The state after one poll's new labels; `at` is the poll's time in seconds. Nothing changes for a refused
    signal."""
    if refusal(signal) is not None:
        return state
    rows = _rows(signal, new)
    if signal.block is not None:
        return voting.by_block(state, rows, signal.limit, at, signal.block)
    if signal.metric is Metric.BALANCED_ACCURACY:
        return voting.by_poll(state, rows, signal.limit)
    return voting.by_row(state, rows[voting.ONLY], signal.limit)


def judge(signal: Signal, state: voting.State, labels: Labels) -> verdict.Judgement:
    """The verdict; `state` has already taken the labels of this poll. Unknown, with the reason, for a refused
    signal."""
    if (reason := refusal(signal)) is not None:
        return verdict.unknown(reason)
    run = state.detected.run
    seen = _seen(signal, labels, figures(signal, labels.shown), _value(signal, run.share) if run.n else None)
    return quality.judge(asked(signal), state.detected, seen)


def judge_by_threshold(signal: Signal, labels: Labels) -> verdict.Judgement:
    """The simple verdict: Breached when Wilson's bound (4 standard errors, of each class's share if there are several)
    of the shown window is at or below the minimum. No memory, no stated interval between false alarms; alarm and block
    are not used."""
    if (reason := refusal(signal)) is not None:
        return verdict.unknown(reason)
    shown = _bounded(signal, labels.shown, lambda tally, _: bounds.wilson(tally, STRICT))
    return quality.judge_by_threshold(asked(signal), _seen(signal, labels, shown, None), "4 standard errors")


def _seen(signal: Signal, labels: Labels, shown: quality.Figures | None, run: float | None) -> quality.Seen:
    return quality.Seen(shown, run, labels.silence, labels.immature_for, _lack(signal, labels.shown))


def _rows(signal: Signal, table: confusion.Confusion) -> voting.Rows:
    if signal.metric is Metric.BALANCED_ACCURACY:
        return confusion.misses(table, signal.classes)
    if signal.metric is Metric.ACCURACY:
        return {voting.ONLY: confusion.wrong(table)}
    counted = {
        Metric.PRECISION: confusion.false_positives,
        Metric.RECALL: confusion.false_negatives,
        Metric.F1: confusion.missed_overlap,
    }[signal.metric]
    return {voting.ONLY: counted(table, signal.positive)}


def figures(signal: Signal, table: confusion.Confusion) -> quality.Figures | None:
    """The measure and its bounds, which hold at every look together: those of the classes share the error
    probability. None without a row that votes, or one of each class; only if there is no `refusal`."""
    return _bounded(signal, table, lambda tally, classes: bounds.anytime(tally, bounds.SURE / classes))


def rows(signal: Signal, table: confusion.Confusion) -> int:
    """How many rows of a table vote; only if there is no `refusal`."""
    return sum(tally.n for tally in _rows(signal, table).values())


def absent(signal: Signal, table: confusion.Confusion) -> tuple[str, ...]:
    """Classes without which balanced accuracy is not known, and of which the table has no row; none otherwise."""
    if signal.metric is not Metric.BALANCED_ACCURACY or not table.n:
        return ()
    return tuple(name for name, tally in _rows(signal, table).items() if not tally.n)


def _bounded(
    signal: Signal, table: confusion.Confusion, bound: Callable[[counts.Tally, int], bounds.Interval]
) -> quality.Figures | None:
    rows = _rows(signal, table)
    if not all(tally.n for tally in rows.values()):
        return None
    edges = [bound(tally, len(rows)) for tally in rows.values()]
    low, high = (sum(each) / len(edges) for each in zip(*edges, strict=True))
    pooled = voting.pooled(rows)
    return quality.Figures(pooled.n, _value(signal, pooled.share), _value(signal, high), _value(signal, low))


def _value(signal: Signal, share: float) -> float:
    return confusion.f1(share) if signal.metric is Metric.F1 else 1 - share


def asked(signal: Signal) -> quality.Asked:
    """The words for it; only if there is no `refusal`."""
    of_one = signal.metric in OF_ONE_CLASS
    rows = {
        Metric.PRECISION: f"rows predicted {signal.positive}",
        Metric.RECALL: f"rows that are {signal.positive}",
        Metric.F1: f"rows that are or were predicted {signal.positive}",
    }[signal.metric] if of_one else "labels"  # fmt: skip
    looks = "polls" if signal.block is None else f"blocks of {verdict.duration(signal.block)}"
    return quality.Asked(
        metric=title(signal),
        limit=signal.minimum,
        min_labels=signal.min_labels,
        alarm=signal.alarm,
        rows=rows,
        looks=f"{looks} with {rows if of_one else 'labels'}",
    )


def _lack(signal: Signal, table: confusion.Confusion) -> str:
    """Why there are few rows although there are labels."""
    if signal.metric in OF_ONE_CLASS and table.n:
        return f"among {table.n:,} labels"
    lost = absent(signal, table)
    return f"no label of {', '.join(lost)} among {table.n:,}" if lost else ""
