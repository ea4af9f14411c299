"""Seeded draws from exact tables: how many labels a poll brings, and how many of them are wrong.

The standard library draws no Poisson or binomial numbers, and `tune` must run where nothing but Modelmend is installed.
Each table holds all but 1e-12 of the probability; one uniform number and a bisection give a draw.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Final

WIDE: Final = 9.0
"""Standard deviations on each side of the mean that a table spans, and a few numbers more."""


@dataclass(frozen=True, slots=True)
class Table:
    """Whole numbers from `first` on, with their cumulative probabilities."""

    first: int
    cumulative: tuple[float, ...]

    def draw(self, dice: Random) -> int:
        place = bisect_left(self.cumulative, dice.random() * self.cumulative[-1])
        return self.first + place


def arrivals(mean: float) -> Table:
    """How many arrive in an interval in which at least one does: Poisson with this mean (above 0), without 0."""
    low, high = _span(mean, math.sqrt(mean), 1, None)
    logs = [number * math.log(mean) - mean - math.lgamma(number + 1) for number in range(low, high + 1)]
    return Table(low, tuple(accumulate(math.exp(log) for log in logs)))


@lru_cache(maxsize=1024)
def hits(n: int, share: float) -> Table:
    """How many of n are hit, each with probability `share` within [0, 1]: binomial."""
    if share <= 0 or share >= 1 or n == 0:
        return Table(n if share >= 1 else 0, (1.0,))
    low, high = _span(n * share, math.sqrt(n * share * (1 - share)), 0, n)
    whole, yes, no = math.lgamma(n + 1), math.log(share), math.log1p(-share)
    logs = [
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * yes + (n - k) * no
        for k in range(low, high + 1)
    ]
    return Table(low, tuple(accumulate(math.exp(log) for log in logs)))


def wait(dice: Random, mean: float) -> int:
    """Intervals up to and with the first one in which something arrives, when `mean` arrive in one on average."""
    empty = -mean
    return max(math.ceil(math.log(1 - dice.random()) / empty), 1)


def _span(mean: float, deviation: float, least: int, most: int | None) -> tuple[int, int]:
    low = max(math.floor(mean - WIDE * deviation - 10), least)
    high = math.ceil(mean + WIDE * deviation + 10)
    return low, high if most is None else min(high, most)
