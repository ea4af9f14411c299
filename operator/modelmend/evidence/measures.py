"""What a signal measures on labels, of classes (`family`) or of numbers (`regression`): one door to both.

Called by ledger at every poll and by decide, for which a signal is a signal: words, rows, a detector, a verdict.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelmend.contract import metrics
from modelmend.evidence import confusion, counts, family, quality, regression, verdict, voting

Signal = family.Signal | regression.Signal
Table = confusion.Confusion | regression.Errors
"""What was counted: rows by class, or sums of errors."""


@dataclass(frozen=True, slots=True)
class Labels:
    """As `family.Labels`, of either kind."""

    shown: Table
    silence: verdict.Silence
    immature_for: float = 0.0


def of_classes(signals: Iterable[Signal]) -> list[family.Signal]:
    """Those that may need a table of classes."""
    return [signal for signal in signals if isinstance(signal, family.Signal)]


def needs_classes(signal: Signal) -> bool:
    """Whether right and wrong alone do not say it."""
    return isinstance(signal, family.Signal) and signal.metric is not family.Metric.ACCURACY


def title(signal: Signal) -> str:
    """What is measured, for sentences."""
    return family.title(signal) if isinstance(signal, family.Signal) else regression.title(signal)


def identity(signal: Signal) -> str:
    """What votes, and how."""
    return family.identity(signal) if isinstance(signal, family.Signal) else regression.identity(signal)


def asked(signal: Signal) -> quality.Asked:
    """The words for it; only if it is not refused."""
    return family.asked(signal) if isinstance(signal, family.Signal) else regression.asked(signal)


def table(signal: Signal, results: Mapping[str, int]) -> Table:
    """What of the counts this signal needs. Accuracy needs no classes, which older servers do not tell."""
    if isinstance(signal, regression.Signal):
        return regression.Errors.from_results(results)
    if signal.metric is family.Metric.ACCURACY:
        return confusion.Confusion.of_labels(labels(results))
    return family.narrowed([signal], confusion.Confusion.from_results(results))


def labels(results: Mapping[str, int]) -> counts.Tally:
    """Labels counted as evidence, wrong ones as bad."""
    wrong = results.get(metrics.Evidence.WRONG, 0)
    return counts.Tally(results.get(metrics.Evidence.RIGHT, 0) + wrong, wrong)


def since(now: Table, before: Table) -> Table:
    """What was counted since; of two tables of one signal."""
    if isinstance(now, regression.Errors):
        return now - before if isinstance(before, regression.Errors) else now
    return now - before if isinstance(before, confusion.Confusion) else now


def step(signal: Signal, state: voting.State, new: Mapping[str, int], at: float) -> voting.State:
    """The state after one poll's new counts; `at` is the poll's time in seconds."""
    found = table(signal, new)
    if isinstance(signal, regression.Signal):
        assert isinstance(found, regression.Errors)
        return regression.step(signal, state, found, at)
    assert isinstance(found, confusion.Confusion)
    return family.step(signal, state, found, at)


def figures(signal: Signal, shown: Table) -> quality.Figures | None:
    """The measure and its bounds; None without a row that votes. Only if the signal is not refused."""
    if isinstance(signal, regression.Signal):
        assert isinstance(shown, regression.Errors)
        return regression.figures(signal, shown)
    assert isinstance(shown, confusion.Confusion)
    return family.figures(signal, shown)


def judge(signal: Signal, state: voting.State, seen: Labels) -> tuple[verdict.Judgement, int]:
    """The verdict by the detector, which has taken the rows of this poll; and how many rows count for `min_labels`."""
    if isinstance(signal, regression.Signal):
        assert isinstance(seen.shown, regression.Errors)
        found = regression.judge(
            signal, state, regression.Labels(seen.shown, seen.silence, seen.immature_for)
        )
    else:
        assert isinstance(seen.shown, confusion.Confusion)
        found = family.judge(signal, state, family.Labels(seen.shown, seen.silence, seen.immature_for))
    return found, state.detected.seen.n


def judge_by_threshold(signal: Signal, seen: Labels) -> tuple[verdict.Judgement, int]:
    """The verdict of one look at one window; and how many rows count for `min_labels`."""
    if isinstance(signal, regression.Signal):
        assert isinstance(seen.shown, regression.Errors)
        told = regression.Labels(seen.shown, seen.silence, seen.immature_for)
        return regression.judge_by_threshold(signal, told), seen.shown.n
    assert isinstance(seen.shown, confusion.Confusion)
    found = family.judge_by_threshold(signal, family.Labels(seen.shown, seen.silence, seen.immature_for))
    return found, family.rows(signal, seen.shown)


def absent(signal: Signal, shown: Table) -> tuple[str, ...]:
    """Classes without which the measure is not known, and of which there is no row; none otherwise."""
    if isinstance(signal, regression.Signal):
        return ()
    assert isinstance(shown, confusion.Confusion)
    return family.absent(signal, shown)
