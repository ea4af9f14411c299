"""MAE and RMSE of a regression model: shown always, judged where an error has a bound.

Called by ledger (`step`) and decide (`judge`). What can be said honestly of a mean error:

    right within `tolerance`    a share, like any accuracy: `family`, `paired` hold as they are
    who is farther from truth   a pair with a, b, c (`farther`): `paired` holds as it is. It says who is closer more
                                often, not who has the smaller MAE: a candidate that is closer mostly and far off
                                seldom wins here and loses there
    MAE, RMSE with a `bound`    min(|error|, bound) / bound is a vote in [0, 1], and the mean of a poll is one
                                bounded vote (`detector.vote`); RMSE: squares of both
    MAE, RMSE without one       no verdict: no test of an unbounded mean keeps any error probability, whatever its
                                sample, since one error in a million may be as large as it likes (Bahadur, Savage 1956)

Counting up to the bound never alarms falsely: the mean of what is counted is at most the true one. A rise that
comes only from errors beyond the bound is not seen.

A sum travels as a counter of whole MILLIONTHS: of the bound for errors, of its square for squares (of the tolerance
where there is no bound).
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from modelmend.evidence import bounds, counts, detector, paired, quality, verdict, voting

MILLION: Final = 1_000_000
SAME: Final = 0.25
"""Of the tolerance: by so much two errors may differ and be the same. With none, nearly every pair of two models that
are alike is discordant, and "not worse by a margin" takes dozens of times as many; with the whole tolerance, a model
that is off by a tolerance would never be farther from the truth than one that is not."""

# Results of the counted rows; no result of another family has these names.
ROWS: Final = "errors_rows"
ABSOLUTE: Final = "errors_absolute"
SQUARED: Final = "errors_squared"
CLIPPED: Final = "errors_clipped"
CLIPPED_SQUARED: Final = "errors_clipped_squared"


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
    """Sums over n rows with truth. absolute, squared: of errors in the unit of the target.
    clipped, clipped_squared: of votes in [0, 1], 0 where there is no bound.
    Raises ValueError where a sum is negative, not finite, or above n votes.
    """

    n: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    clipped: float = 0.0
    clipped_squared: float = 0.0

    def __post_init__(self) -> None:
        sums = (self.absolute, self.squared, self.clipped, self.clipped_squared)
        if self.n < 0 or not all(math.isfinite(each) and each >= 0 for each in sums):
            raise ValueError(f"sums of errors must be numbers that are not negative: {self}")
        if max(self.clipped, self.clipped_squared) > self.n:
            raise ValueError(f"{self.n} rows cannot have more than {self.n} votes: {self}")

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.n + other.n,
            self.absolute + other.absolute,
            self.squared + other.squared,
            self.clipped + other.clipped,
            self.clipped_squared + other.clipped_squared,
        )

    @classmethod
    def from_results(cls, results: Mapping[str, int], scale: float) -> Self:
        """From counted results; `scale` is the bound, or the tolerance where there is none."""
        n = results.get(ROWS, 0)
        absolute, squared, clipped, clipped_squared = (
            results.get(name, 0) / MILLION for name in (ABSOLUTE, SQUARED, CLIPPED, CLIPPED_SQUARED)
        )
        # Counters of one process are scraped together, but a look-back may hold one poll's worth of only some.
        return cls(n, absolute * scale, squared * scale**2, min(clipped, n), min(clipped_squared, n))

    @property
    def mae(self) -> float | None:
        """None without rows."""
        return self.absolute / self.n if self.n else None

    @property
    def rmse(self) -> float | None:
        """None without rows."""
        return math.sqrt(self.squared / self.n) if self.n else None


@dataclass(frozen=True, slots=True)
class Signal:
    """maximum: the highest healthy value, above 0. bound: up to which an error counts, in the same unit; None for
    none. min_labels, alarm, block: as in `family.Signal`."""

    metric: Metric
    maximum: float
    min_labels: int
    alarm: float
    bound: float | None = None
    block: float | None = None

    @property
    def limit(self) -> detector.Limit:
        """For the detector; only with a bound above the maximum."""
        assert self.bound is not None
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


def refusal(signal: Signal) -> str | None:
    """Why this signal can be shown but not judged; None if it can be judged."""
    if signal.bound is None:
        return (
            "not judged: without a bound on errors no number of rows proves a mean; "
            "give bound, or watch accuracy with a tolerance"
        )
    if not 0 < signal.maximum < signal.bound:
        return f"not judged: maximum {signal.maximum:g} must be above 0 and below the bound {signal.bound:g}"
    return None


def step(signal: Signal, state: voting.State, new: Errors, at: float) -> voting.State:
    """The state after one poll's new rows; `at` is the poll's time in seconds."""
    if refusal(signal) is not None:
        return state
    rows = {voting.ONLY: _votes(signal, new)}
    if signal.block is not None:
        return voting.by_block(state, rows, signal.limit, at, signal.block)
    return voting.by_poll(state, rows, signal.limit)


def judge(signal: Signal, state: voting.State, labels: Labels) -> verdict.Judgement:
    """The verdict; `state` has already taken the rows of this poll."""
    if (reason := refusal(signal)) is not None:
        return _only_shown(signal, labels.shown, reason)
    run = state.detected.run
    seen = quality.Seen(
        shown=_figures(signal, labels.shown),
        run=_value(signal, run.share) if run.n else None,
        silence=labels.silence,
        immature_for=labels.immature_for,
    )
    looks = "polls" if signal.block is None else f"blocks of {verdict.duration(signal.block)}"
    asked = quality.Asked(
        metric=f"{signal.metric.value} (errors counted up to {signal.bound:g})",
        limit=signal.maximum,
        min_labels=signal.min_labels,
        alarm=signal.alarm,
        looks=f"{looks} with labels",
        rising=True,
    )
    return quality.judge(asked, state.detected, seen)


def _only_shown(signal: Signal, shown: Errors, reason: str) -> verdict.Judgement:
    value = shown.rmse if signal.metric is Metric.RMSE else shown.mae
    if value is None:
        return verdict.unknown(f"{signal.metric.value} {reason}")
    because = f"{signal.metric.value} {verdict.figures(value)[0]} over {shown.n:,} labels, {reason}"
    return verdict.Judgement(verdict.Verdict.UNKNOWN, value, None, shown.n, because)


def _votes(signal: Signal, errors: Errors) -> counts.Tally:
    bad = errors.clipped_squared if signal.metric is Metric.RMSE else errors.clipped
    return counts.Tally(errors.n, bad)


def _figures(signal: Signal, errors: Errors) -> quality.Figures | None:
    """Of the errors as counted. The bound of `bounds.anytime` holds for votes too: its likelihood ratios are convex
    in the vote, hence largest in mean when every vote is 0 or 1."""
    votes = _votes(signal, errors)
    if not votes.n:
        return None
    low, high = bounds.anytime(votes, bounds.SURE)
    return quality.Figures(votes.n, _value(signal, votes.share), _value(signal, low), _value(signal, high))


def _value(signal: Signal, share: float) -> float:
    assert signal.bound is not None
    return signal.bound * (math.sqrt(share) if signal.metric is Metric.RMSE else share)
