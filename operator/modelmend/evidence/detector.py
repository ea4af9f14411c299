"""Has the share of bad outcomes risen above its limit? A detector that may look for ever.

Called by voting (labels of signals), ledger and guards (errors, slow requests). "Below the limit for ten polls in a
row" is no evidence: overlapping windows alarm by chance, again and again. This one states how rarely it does.

For each stake L = l / max(th, 1/2), with th the highest healthy share of bad outcomes, at every poll with
n > 0 new outcomes, k of them bad (Shiryaev-Roberts e-detector; Shin, Ramdas, Rinaldo 2023):

    M_L <- (M_L + 1) (1 + L (1 - th))^k (1 - L th)^(n - k);     alarm when mean_L M_L >= c

While the share is within the limit, the mean of M minus the number of polls is a supermartingale: hence at least
c polls *with outcomes* lie between two false alarms on average. Polls without outcomes change nothing.

Where single outcomes do not follow each other independently, or are not known one by one (an error of regression, a
mean over classes), all of a poll's or a block's give one bounded vote together (`vote`): with x their mean in [0, 1],

    M_L <- (M_L + 1) (1 + L (x - th)),    L = l / max(th, 0.01)

has the same guarantee as soon as the expected x, given the past, is within the limit (Waudby-Smith, Ramdas 2024). A
mean varies less than an outcome, so its stakes are higher.

After an alarm the evidence must be outweighed: without the + 1, which is a fresh start at every poll, M falls while the
share is healthy, and the breach ends when mean M < 1. With the + 1 it never would: M then settles near
1 / (1 - F) for a factor F per poll, which is above 1 unless a single poll halves M.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from modelmend.evidence import counts

STAKES = (0.05, 0.125, 0.25, 0.5, 0.95)

LEAST_SHARE = 0.01
"""Limits below this are bet on as if they were this, so that one vote multiplies no evidence by more than about 100."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The highest healthy share of bad outcomes, and how many polls a false alarm must be away.

    share: within [0, 1]; 1 - minimum for an accuracy.
    alarm: c, polls with outcomes between false alarms on average; above 1, at most 1e15.
    Raises ValueError outside these ranges.
    """

    share: float
    alarm: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"the limit {self.share} is not a share; give a number between 0 and 1")
        if not 1 < self.alarm <= 1e15:
            raise ValueError(
                f"a false alarm every {self.alarm:g} polls cannot be kept; falseAlarmEvery must exceed the interval"
            )


@dataclass(frozen=True, slots=True)
class State:
    """What the detector remembers; JSON-friendly, a few hundred bytes.

    share: the limit against which the evidence was gathered; another limit starts afresh.
    logs: ln(1 + M_L), one per stake, never negative, at most ln(1 + 10 c).
    seen: all outcomes so far.
    run: the latest ones, from where their share has been above the limit all along; the outcomes that raise an alarm.
        It goes on through a breach, and is empty while the share is healthy.
    breached: an alarm was raised, and has not been outweighed since.
    """

    share: float | None = None
    logs: tuple[float, ...] = (0.0,) * len(STAKES)
    seen: counts.Tally = field(default_factory=counts.Tally)
    run: counts.Tally = field(default_factory=counts.Tally)
    breached: bool = False

    @property
    def level(self) -> float:
        """mean_L M_L, to be compared with `Limit.alarm`."""
        return sum(math.expm1(log) for log in self.logs) / len(self.logs)

    def to_json(self) -> dict[str, Any]:
        return {
            "share": self.share,
            "logs": list(self.logs),
            "seen": self.seen.to_json(),
            "run": self.run.to_json(),
            "breached": self.breached,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; ValueError when it was saved with another number of stakes."""
        logs = tuple(float(log) for log in saved["logs"])
        if len(logs) != len(STAKES):
            raise ValueError(f"the detector has {len(STAKES)} stakes and {len(logs)} were saved; reset it")
        share = saved["share"]
        return cls(
            share=None if share is None else float(share),
            logs=logs,
            seen=counts.Tally.from_json(saved["seen"]),
            run=counts.Tally.from_json(saved["run"]),
            breached=bool(saved["breached"]),
        )


def step(state: State, new: counts.Tally, limit: Limit) -> State:
    """The state after one poll with `new` outcomes; everything since a downtime may come as one poll.

    An alarm needs a poll that itself lies above the limit: at share 0 the bare recursion would count polls
    until it alarms on a faultless model. Fewer alarms keep the guarantee.
    A breach that ends starts afresh, so that the guarantee holds from there on. To restart by hand (a promotion,
    a rejection, a reset command), begin with `State()`.
    """
    return _advance(state, new, limit, [_log_factor(stake, new, limit.share) for stake in STAKES])


def vote(state: State, new: counts.Tally, limit: Limit) -> State:
    """The state after one bounded vote: the share of `new`, however many outcomes stand behind it.

    `limit.alarm` then counts votes; everything else is as in `step`.
    """
    if new.n == 0:
        return step(state, new, limit)
    least = max(limit.share, LEAST_SHARE)
    return _advance(
        state, new, limit, [math.log1p(stake / least * (new.share - limit.share)) for stake in STAKES]
    )


def _advance(state: State, new: counts.Tally, limit: Limit, log_factors: Sequence[float]) -> State:
    if state.share != limit.share:
        state = State(share=limit.share, seen=state.seen)
    if new.n == 0:
        return state
    ceiling = math.log1p(10 * limit.alarm)
    logs = tuple(
        min(_softplus(_log_m(log, outweighing=state.breached) + log_factor), ceiling)
        for log, log_factor in zip(state.logs, log_factors, strict=True)
    )
    after = replace(state, logs=logs, seen=state.seen + new, run=state.run + new)
    if state.breached:
        return after if after.level >= 1 else State(share=limit.share, seen=after.seen)
    if after.level >= limit.alarm and _is_above(new, limit):
        return replace(after, breached=True)
    return after if _is_above(after.run, limit) else replace(after, run=counts.Tally())


def _is_above(tally: counts.Tally, limit: Limit) -> bool:
    return tally.bad > tally.n * limit.share


def _log_m(log: float, *, outweighing: bool) -> float:
    """ln(1 + M), or ln M while a breach is being outweighed, from the stored ln(1 + M)."""
    if not outweighing:
        return log
    return math.log(math.expm1(log)) if log > 0 else -math.inf


def _log_factor(stake: float, new: counts.Tally, share: float) -> float:
    bet = stake / max(share, 0.5)
    return new.bad * math.log1p(bet * (1 - share)) + (new.n - new.bad) * math.log1p(-bet * share)


def _softplus(x: float) -> float:
    """ln(1 + e^x) without overflow: with x = ln((1 + M) F), the next ln(1 + M)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
