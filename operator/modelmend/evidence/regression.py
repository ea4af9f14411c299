"""MAE and RMSE of a model that predicts numbers, judged by errors up to a bound; and who is farther from the truth.

Called by measures (signals), and by the runtime (`farther`). What can be said honestly of a mean error:

    right within `tolerance`    a share, like any accuracy: `family`, `paired` hold as they are
    who is farther from truth   a pair with a, b, c (`farther`): `paired` holds as it is. It says who is closer more
                                often, not who has the smaller MAE: a candidate that is closer mostly and far off
                                seldom wins here and loses there
    MAE, RMSE                   min(|error|, bound) / bound is a vote in [0, 1], and the mean of a poll is one
                                bounded vote (`detector.vote`); RMSE: squares of both

There is always a bound: no test of an unbounded mean keeps any error probability, whatever its sample, since one error
in a million may be as large as it likes (Bahadur, Savage 1956). Counting up to the bound never alarms falsely: the mean
of what is counted is at most the true one. A rise that comes only from errors beyond the bound is not seen.

A sum travels as a counter of whole MILLIONTHS: of the bound for errors, of its square for squares.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from modelmend.contract import metrics
from modelmend.evidence import bounds, counts, detector, paired, quality, verdict, voting

MILLION: Final = metrics.MILLION
SAME: Final = 0.25
"""Of the tolerance: by so much two errors may differ and be the same. With none, nearly every pair of two models that
are alike is discordant, and "not worse by a margin" takes dozens of times as many; with the whole tolerance, a model
that is off by a tolerance would never be farther from the truth than one that is not."""
STRICT: Final = 4.0
"""Standard errors of the simple mode, as in `family`."""
BOUND: Final = 10.0
"""In tolerances: up to which an error counts, where nobody says."""


def bound(tolerance: float, chosen: float | None) -> float:
    """Up to which an error counts."""
    return BOUND * tolerance if chosen is None else chosen


class Metric(enum.StrEnum):
    MAE = "MAE"
    RMSE = "RMSE"


@dataclass(frozen=True, slots=True)
class Errors:
    """Sums over n rows with truth, in whole millionths. clipped, clipped_squared: of votes in [0, 1].
    Raises ValueError where a sum is negative or above n votes.
    """

    n: int = 0
    clipped: int = 0
    clipped_squared: int = 0

    def __post_init__(self) -> None:
        if min(self.n, self.clipped, self.clipped_squared) < 0:
            raise ValueError(f"sums of errors must be numbers that are not negative: {self}")
        if max(self.clipped, self.clipped_squared) > self.n * MILLION:
            raise ValueError(f"{self.n} rows cannot have more than {self.n} votes: {self}")

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.n + other.n,
            self.clipped + other.clipped,
            self.clipped_squared + other.clipped_squared,
        )

    def __sub__(self, before: "Errors") -> "Errors":
        """What was counted since `before`."""
        return self.of(
            self.n - before.n,
            self.clipped - before.clipped,
            self.clipped_squared - before.clipped_squared,
        )

    @classmethod
    def of(cls, n: int, clipped: int, clipped_squared: int) -> Self:
        """Counters of one process are scraped together, but a look-back may hold one poll's worth of only some."""
        most = n * MILLION
        return cls(n, min(max(clipped, 0), most), min(max(clipped_squared, 0), most))

    @classmethod
    def from_results(cls, results: Mapping[str, int]) -> Self:
        """From counted results, whatever else is there."""
        return cls.of(*(results.get(name, 0) for name in metrics.Errors))

    def to_json(self) -> list[int]:
        return [self.n, self.clipped, self.clipped_squared]

    @classmethod
    def from_json(cls, saved: Sequence[int]) -> Self:
        """The inverse of `to_json`; TypeError or ValueError when `saved` is not of its making."""
        n, clipped, clipped_squared = (int(each) for each in saved)
        return cls(n, clipped, clipped_squared)


@dataclass(frozen=True, slots=True)
class Signal:
    """maximum: the highest healthy value, above 0. bound: up to which an error counts, in the same unit.
    min_labels, alarm, block: as in `family.Signal`."""

    metric: Metric
    maximum: float
    min_labels: int
    alarm: float
    bound: float
    block: float | None = None

    @property
    def limit(self) -> detector.Limit:
        """For the detector; only if there is no `refusal`."""
        return detector.Limit((self.maximum / self.bound) ** self.power, self.alarm)

    @property
    def power(self) -> int:
        return 2 if self.metric is Metric.RMSE else 1


@dataclass(frozen=True, slots=True)
class Labels:
    """As `family.Labels`, with sums of errors."""

    shown: Errors
    silence: verdict.Silence
    immature_for: float = 0.0


def farther(candidate: float, champion: float, same: float) -> paired.Paired:
    """One pair from the absolute errors of both on the same row: a where the candidate's is larger by more than
    `same`, b where the champion's is.

    same: difference that does not matter, in the unit of the target (SAME tolerances). An error that is not a number is
    infinitely large.
    """
    mine, theirs = (math.inf if math.isnan(each) else abs(each) for each in (candidate, champion))
    a, b = int(mine > theirs + same), int(theirs > mine + same)
    return paired.Paired(a, b, 1 - a - b)


def title(signal: Signal) -> str:
    """What is measured, for sentences."""
    return f"{signal.metric.value} (errors counted up to {signal.bound:g})"


def identity(signal: Signal) -> str:
    """What votes, and how: evidence for one identity says nothing about another, whatever the signal's name."""
    return title(signal) if signal.block is None else f"{title(signal)} in blocks of {signal.block:g} s"


def refusal(signal: Signal) -> str | None:
    """Why this signal cannot be judged, as a sentence with the remedy; None if it can."""
    if not 0 < signal.maximum < signal.bound:
        return (
            f"{signal.metric.value} not judged: its limit {signal.maximum:g} must be above 0 and below {signal.bound:g}, up "
            "to which errors count: give a larger spec.evaluation.errorBound"
        )
    return None


def step(signal: Signal, state: voting.State, new: Errors, at: float) -> voting.State:
    """The state after one poll's new rows; `at` is the poll's time in seconds. Nothing changes for a refused signal."""
    if refusal(signal) is not None:
        return state
    rows = {voting.ONLY: _votes(signal, new)}
    if signal.block is not None:
        return voting.by_block(state, rows, signal.limit, at, signal.block)
    return voting.by_poll(state, rows, signal.limit)


def judge(signal: Signal, state: voting.State, labels: Labels) -> verdict.Judgement:
    """The verdict; `state` has already taken the rows of this poll. Unknown, with the reason, for a refused signal."""
    if (reason := refusal(signal)) is not None:
        return verdict.unknown(reason)
    run = state.detected.run
    seen = quality.Seen(
        shown=figures(signal, labels.shown),
        run=_value(signal, run.share) if run.n else None,
        silence=labels.silence,
        immature_for=labels.immature_for,
    )
    return quality.judge(asked(signal), state.detected, seen)


def judge_by_threshold(signal: Signal, labels: Labels) -> verdict.Judgement:
    """The simple verdict, of one look at one window: Breached when Wilson's bound (4 standard errors) is at or above the
    maximum. Votes between 0 and 1 spread less than those at both ends, for which that bound is made."""
    if (reason := refusal(signal)) is not None:
        return verdict.unknown(reason)
    votes, shown = _votes(signal, labels.shown), None
    if votes.n:
        low, high = bounds.wilson(votes, STRICT)
        shown = quality.Figures(votes.n, *(_value(signal, each) for each in (votes.share, low, high)))
    seen = quality.Seen(shown, None, labels.silence, labels.immature_for)
    return quality.judge_by_threshold(asked(signal), seen, "4 standard errors")


def asked(signal: Signal) -> quality.Asked:
    """The words for it."""
    looks = "polls" if signal.block is None else f"blocks of {verdict.duration(signal.block)}"
    return quality.Asked(
        metric=title(signal),
        limit=signal.maximum,
        min_labels=signal.min_labels,
        alarm=signal.alarm,
        looks=f"{looks} with labels",
        rising=True,
    )


def figures(signal: Signal, errors: Errors) -> quality.Figures | None:
    """Of the errors as counted. The bound of `bounds.anytime` holds for votes too: its likelihood ratios are convex
    in the vote, hence largest in mean when every vote is 0 or 1. None without rows."""
    votes = _votes(signal, errors)
    if not votes.n:
        return None
    low, high = bounds.anytime(votes, bounds.SURE)
    return quality.Figures(votes.n, _value(signal, votes.share), _value(signal, low), _value(signal, high))


def _votes(signal: Signal, errors: Errors) -> counts.Tally:
    bad = errors.clipped_squared if signal.metric is Metric.RMSE else errors.clipped
    return counts.Tally(errors.n, bad / MILLION)


def _value(signal: Signal, share: float) -> float:
    return signal.bound * (math.sqrt(share) if signal.metric is Metric.RMSE else share)
