"""How long until a fall is seen: the operator's own detector, run on seeded labels.

Each run begins with a fresh detector, which is the slowest: evidence is never below that of a fresh one, so a fall
after a long healthy life is seen no later. Polls without labels change nothing and are skipped, but their time counts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from modelmend.advise import chances, quantiles
from modelmend.evidence import counts, detector

RUNS: Final = 200
FEWEST: Final = 50
"""Runs even where each is long; the tenths are then rough."""
LOOKS: Final = 250_000
"""Polls with labels over all runs, some seconds of work; after it no run begins beyond the fewest."""
LONGEST: Final = 20_000
"""Polls with labels in one run; a fall that is not seen by then is out of reach."""

Progress = Callable[[float], None]
"""Told the share that is done, within [0, 1]."""


@dataclass(frozen=True, slots=True)
class Delay:
    """labels: counted from the fall to the alarm. time: the same in seconds, without the delay of the labels."""

    labels: quantiles.Spread
    time: quantiles.Spread
    runs: int


def delay(
    limit: detector.Limit,
    wrong: float,
    labels_per_poll: float,
    interval: timedelta,
    seed: int = 0,
    passed: Progress = lambda share: None,
) -> Delay:
    """From a fall to a share of `wrong` labels to the alarm, when labels arrive independently of each other."""
    dice, arrivals = Random(seed), chances.arrivals(labels_per_poll)  # noqa: S311 - nothing secret is drawn
    labels: list[float] = []
    time: list[float] = []
    runs = looks = 0
    while runs < FEWEST or (runs < RUNS and looks < LOOKS):
        state, polls, alone = detector.State(), 0, 0
        while not state.breached and alone < LONGEST:
            n = arrivals.draw(dice)
            polls += chances.wait(dice, labels_per_poll)
            new = counts.Tally(n, chances.hits(n, wrong).draw(dice))
            state, alone = detector.step(state, new, limit), alone + 1
        runs, looks = runs + 1, looks + alone
        if state.breached:
            labels.append(state.seen.n)
            time.append(polls * interval.total_seconds())
        passed(max(min(runs / FEWEST, looks / LOOKS), runs / RUNS))
    return Delay(quantiles.spread(labels, runs), quantiles.spread(time, runs), runs)


def growth(limit: float, wrong: float) -> float:
    """Evidence gained a label in natural logarithms, with the best stake, when a share of `wrong` labels is wrong.

    0 where no stake gains. A delay is about ln(alarm) / growth labels, so ratios of it tell what another fall costs.
    """
    bets = [stake / max(limit, 0.5) for stake in detector.STAKES]
    gains = [wrong * math.log1p(bet * (1 - limit)) + (1 - wrong) * math.log1p(-bet * limit) for bet in bets]
    return max(*gains, 0.0)


def expected(state: detector.State, limit: detector.Limit, wrong: float, labels_per_poll: int) -> int | None:
    """Labels until the verdict turns, if from now on exactly a share of `wrong` of each poll's labels is wrong.

    None when it does not within LONGEST polls. An estimate, and a cautious one: chance makes most runs a little quicker.
    """
    new = counts.Tally(labels_per_poll, labels_per_poll * wrong)
    after = state
    for polls in range(1, LONGEST + 1):
        before, after = after, detector.step(after, new, limit)
        if after.breached != state.breached:
            return polls * labels_per_poll
        if after.logs == before.logs:
            return None
    return None
