"""From a wish to the fields of a signal: what `modelmend tune` says.

falseAlarmEvery   counts polls with labels. At r labels a poll at most a share min(r, 1) of polls has any, however
                  they arrive: so a wish of one false alarm in T is kept by falseAlarmEvery = T min(r, 1).
minLabels         from so many labels on, the accuracy shown is known to about the fall (one standard error);
                  but not more than the quickest tenth of alarms needs, so that none is held back by it.
limit             the minimum that was named; else half the fall below the healthy accuracy.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelmend.advise import detection, rollouts
from modelmend.api.spec import Rollout
from modelmend.evidence import detector, verdict

ROLLOUT: Final = Rollout()
ANALYSIS: Final = ROLLOUT.analysis
"""What holds where spec says nothing."""
MONTH: Final = timedelta(days=30)
DAY: Final = timedelta(days=1)
GAINS: Final = (0.01, 0.02, 0.05, -0.02, -0.05)
"""Candidates that the rollout's figures are given for."""
TYPICAL: Final = 0.02
"""The gain of the candidate for which the deadline is chosen."""
RAREST: Final = 2.0
"""As `decide.terms.RAREST`, which brings the whole of decide along."""
FEWEST_LABELS: Final = 20
"""Least minLabels that is ever advised: a share of fewer means nothing to a reader."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants, and what there is. Shares are within (0, 1).

    minimum: the limit; None: it is chosen from `accuracy`, the healthy one. Exactly one of the two is given.
    fall: below the minimum; below the healthy accuracy where that is given.
    within: a fall that is not seen in nine of ten cases by then is out of reach.
    Raises ValueError, one sentence with the remedy, when no policy could fulfil it.
    """

    labels_per_day: float
    minimum: float | None = None
    accuracy: float | None = None
    fall: float = 0.03
    false_alarms_per_month: float = 1.0
    interval: timedelta = timedelta(seconds=30)
    within: timedelta = timedelta(days=7)
    discordant: float = 0.06
    margin: float = ANALYSIS.margin
    alpha: float = ANALYSIS.alpha
    shadow: int = ROLLOUT.shadow.traffic
    weights: tuple[int, ...] = tuple(step.weight for step in ROLLOUT.steps)
    step_labels: int = ANALYSIS.min_labels
    deadline: timedelta = ANALYSIS.deadline
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.minimum is None) == (self.accuracy is None):
            raise ValueError("give either --minimum, the limit, or --accuracy, that of the healthy model")
        if self.fallen <= 0:
            raise ValueError(
                f"no accuracy is left after a fall of {self.fall:g} below {self.named:g}: give a smaller --fall"
            )
        if not self.false_alarm_every > self.interval:
            raise ValueError(
                f"{self.false_alarms_per_month:g} false alarms a month at {self.labels_per_day:g} labels a day "
                f"would be one at almost every look: ask for fewer than "
                f"{MONTH / self.interval * self.busy:,.6g} a month"
            )

    @property
    def named(self) -> float:
        """The accuracy that the fall is counted from."""
        return self.minimum if self.minimum is not None else self.accuracy or 0.0

    @property
    def limit(self) -> float:
        """The accuracy that must be exceeded."""
        return self.minimum if self.minimum is not None else self.named - self.fall / 2

    @property
    def fallen(self) -> float:
        """The accuracy that is to be seen as failing."""
        return self.named - self.fall

    @property
    def patience(self) -> timedelta:
        """When the fall must be seen; also before a false alarm is due, for an alarm that comes later says nothing."""
        return min(self.within, MONTH / self.false_alarms_per_month)

    @property
    def labels_per_poll(self) -> float:
        return self.labels_per_day * (self.interval / DAY)

    @property
    def busy(self) -> float:
        """At most this share of polls brings labels, whatever their pattern."""
        return min(self.labels_per_poll, 1.0)

    @property
    def false_alarm_every(self) -> timedelta:
        """To write: rounded up, so that the wish is kept."""
        exact = (MONTH / self.false_alarms_per_month * self.busy).total_seconds()
        unit = next(size for size, least in ((3600, 36_000), (60, 600), (1, 0)) if exact >= least)
        return timedelta(seconds=math.ceil(round(exact / unit, 6)) * unit)

    @property
    def alarm(self) -> detector.Limit:
        """What the operator's detector is asked with these fields."""
        return detector.Limit(1 - self.limit, max(self.false_alarm_every / self.interval, RAREST))


@dataclass(frozen=True, slots=True)
class Advice:
    """What to write, and what comes of it."""

    wish: Wish
    min_labels: int
    delay: detection.Delay
    contests: tuple[rollouts.Contest, ...]
    out_of_reach: str | None
    """One sentence without a full stop; None when the fall is seen in time."""

    def pairs_per_second(self, percent: float) -> float:
        """Labelled pairs at this share of traffic."""
        return self.wish.labels_per_day * percent / 100 / DAY.total_seconds()

    def comparison(self, pairs: float) -> float:
        """Seconds until so many pairs have come in shadow."""
        return pairs / self.pairs_per_second(self.wish.shadow)

    def canary(self) -> float:
        """Seconds that the canary's steps take, by their labels."""
        return sum(self.wish.step_labels / self.pairs_per_second(weight) for weight in self.wish.weights)

    @property
    def rollout(self) -> timedelta | None:
        """In which a rollout ends well in nine of ten cases for a candidate that is better by TYPICAL, in whole hours;
        None where no length is enough."""
        typical = next(contest for contest in self.contests if contest.gain == TYPICAL)
        if typical.pairs.ninth is None or typical.promoted < 0.9:
            return None
        return timedelta(hours=math.ceil((self.comparison(typical.pairs.ninth) + self.canary()) / 3600))

    @property
    def deadline(self) -> timedelta | None:
        """To write where the present one is too short, unless longer than anybody waits; None: leave it as it is."""
        needed = self.rollout
        longest = max(self.wish.within, self.wish.deadline)
        return needed if needed is not None and self.wish.deadline < needed <= longest else None

    @property
    def rollout_out_of_reach(self) -> str | None:
        """One sentence without a full stop; None when a good candidate is through in time."""
        needed, gain = self.rollout, f"a candidate {TYPICAL * 100:g} points better"
        if needed is None:
            return (
                f"out of reach: {gain} is not promoted in 9 of 10 cases, because the two disagree on "
                f"{self.wish.discordant:g} of requests and the margin is {self.wish.margin:g}: widen "
                "rollout.analysis.margin"
            )
        if needed <= max(self.wish.within, self.wish.deadline):
            return None
        return (
            f"out of reach: a rollout of {gain} takes {verdict.duration(needed.total_seconds())} in 9 of 10 cases: "
            "raise rollout.shadow.traffic (100 gives nobody another answer, and costs pods) and the steps' weights, "
            "lower rollout.analysis.minLabels, or send more labels"
        )


def advise(wish: Wish, passed: detection.Progress = lambda share: None) -> Advice:
    """Simulate with the operator's own tests; some seconds."""
    parts = 1 + len(GAINS)

    def part(number: int) -> detection.Progress:
        return lambda share: passed((number + min(share, 1.0)) / parts)

    delay = detection.delay(
        wish.alarm, 1 - wish.fallen, wish.labels_per_poll, wish.interval, wish.seed, part(0)
    )
    contests = tuple(
        rollouts.contest(gain, wish.discordant, wish.margin, wish.alpha, wish.seed, part(number))
        for number, gain in enumerate(GAINS, start=1)
    )
    passed(1.0)
    return Advice(wish, _min_labels(wish, delay), delay, contests, _out_of_reach(wish, delay))


def _min_labels(wish: Wish, delay: detection.Delay) -> int:
    known = wish.limit * (1 - wish.limit) / wish.fall**2
    if delay.labels.quick is not None:
        known = min(known, delay.labels.quick)
    return max(math.ceil(known / 10) * 10, FEWEST_LABELS)


def _out_of_reach(wish: Wish, delay: detection.Delay) -> str | None:
    """What would have to change; estimates by the growth of evidence, which the delay is inverse to."""
    allowed = wish.patience.total_seconds()
    needed = delay.time.ninth
    if needed is not None and needed <= allowed:
        return None
    gain = detection.growth(1 - wish.limit, 1 - wish.fallen)
    if needed is None:
        # Nine in ten take about twice as long as the logarithm alone says.
        labels = 2 * math.log(wish.alarm.alarm) / gain if gain > 0 else math.inf
        needed = max(labels / wish.labels_per_day * DAY.total_seconds(), 2 * allowed)
    times = needed / allowed
    labels_said = f"{_up(wish.labels_per_day * times):,.0f} labels a day" if math.isfinite(times) else None
    fall = _seen_fall(wish, gain * times)
    fall_said = None if fall is None else f"a fall of {fall:.2f}"
    ways = " or ".join(way for way in (labels_said, fall_said) if way)
    why, last = "", "a longer --within"
    if wish.patience < wish.within:
        why, last = ", and by then an alarm may as well be a false one", "fewer false alarms a month"
    return (
        f"out of reach: at {wish.labels_per_day:,.6g} labels a day a fall of {wish.fall:g} is not seen within "
        f"{verdict.duration(allowed)} in 9 of 10 cases{why}; it takes about {ways}, or {last}"
    )


def _seen_fall(wish: Wish, wanted: float) -> float | None:
    """The smallest fall, in hundredths, whose evidence grows as fast as is wanted; None where none does."""
    for hundredths in range(math.ceil(wish.fall * 100), math.floor(wish.named * 100)):
        fall = hundredths / 100
        limit = wish.limit if wish.minimum is not None else wish.named - fall / 2
        if fall > wish.fall and detection.growth(1 - limit, 1 - wish.named + fall) >= wanted:
            return fall
    return None


def _up(number: float) -> float:
    """Rounded up to two digits."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return math.ceil(round(number / unit, 6)) * unit
