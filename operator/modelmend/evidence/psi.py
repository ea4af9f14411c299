"""How far has a histogram moved from its reference, and how far would it move by chance?

Called by drift, and by the trainer (`calibrate`). With N live rows, M reference rows and B bins,

    reference fraction r = (m + 0.5) / (M + 0.5 B)
    live fraction      l = (k + 10 r) / (N + 10)                 10 rows like the reference: no logarithm of 0
    PSI = sum (l - r) ln(l / r)

Without drift, and with rows that are independent, PSI is about (1/N + 1/M) chi-square with B - 1 degrees of freedom
(Yurdakul 2018): so no number like 0.1 or 0.2 means anything by itself. Two things spoil this in bins that hold few
rows, and are mended:

- A bin that is empty in the reference and in the traffic is no bin: it takes no degree of freedom, and what
  smoothing alone adds to the PSI for it (`floor`) is taken off again.
- A bin that expects three rows and by chance has none adds 14 times 1/N to the PSI: with five such bins in fifteen,
  false alarms would be 10 to 50 times as frequent as promised at p = .001 and less. So significance asks `moved`, in
  which a bin with fewer rows than expected counts (l - r)^2 / r, its part of Pearson's chi-square: the same for small
  shifts, and never more.

Rows that follow each other are alike (a day has a course), and then PSI is larger by chance than that. So the
trainer measures it: each contiguous block of the reference, as long as a window of live traffic, against the rest.
Their mean and deviation give a gamma distribution, and the larger threshold of the two wins:

    no drift at p:   moved <= max( (1/N + 1/M) isf(p; B - 1),  mean/f isf(p; f) ),    f = 2 (mean / deviation)^2

It is never scaled down for windows with more rows than a block: differences between days do not average out within
one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from modelmend.evidence import chisquare

PSEUDO_ROWS = 10.0
PSEUDO_COUNT = 0.5

BLOCKS_NEEDED = 10
"""Contiguous blocks below which their deviation is not known well enough to calibrate with."""

Bins = Mapping[str, int]
"""Rows by name of the bin; a bin that is not named has none."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """PSI of contiguous blocks of the reference. rows: of a block. others: of the rest that it was compared with.
    mean, deviation: of `Distance.moved`; both above 0."""

    rows: float
    others: float
    mean: float
    deviation: float

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "others": self.others, "mean": self.mean, "deviation": self.deviation}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        return cls(*(float(saved[name]) for name in ("rows", "others", "mean", "deviation")))


@dataclass(frozen=True, slots=True)
class Distance:
    """n, m: rows of the window and of the reference.
    psi: as shown and as in PromQL. floor: its part from bins without any row.
    moved: what is judged for significance, at most psi - floor. degrees: of freedom; 0 for one bin.
    bin: the one that adds most, its fractions `before` and `now` not smoothed; "" without rows.
    """

    n: int
    m: int
    psi: float = 0.0
    floor: float = 0.0
    moved: float = 0.0
    degrees: int = 0
    bin: str = ""
    before: float = 0.0
    now: float = 0.0


def distance(reference: Bins, live: Bins) -> Distance:
    """PSI of two histograms over the same bins. A live bin that the reference does not name counts as one that it
    has no rows in."""
    names = [*reference, *(name for name in live if name not in reference)]
    n, m = sum(live.values()), sum(reference.values())
    used = sum(1 for name in names if reference.get(name) or live.get(name))
    if not (n and m):
        return Distance(n, m, degrees=max(used - 1, 0))
    psi = floor = moved = most = 0.0
    worst = ""
    pseudo_m = m + PSEUDO_COUNT * len(names)
    for name in names:
        was, is_ = reference.get(name, 0), live.get(name, 0)
        before = (was + PSEUDO_COUNT) / pseudo_m
        now = (is_ + PSEUDO_ROWS * before) / (n + PSEUDO_ROWS)
        part = (now - before) * math.log(now / before)
        psi += part
        if not (was or is_):
            floor += part
            continue
        moved += part if now > before else (now - before) ** 2 / before
        if part > most or not worst:
            most, worst = part, name
    return Distance(
        n, m, psi, floor, moved, used - 1, worst, reference.get(worst, 0) / m, live.get(worst, 0) / n
    )


def noise(found: Distance, blocks: Blocks | None) -> float:
    """The PSI that is expected without drift."""
    by_rows = found.degrees * (1 / found.n + 1 / found.m)
    return by_rows if blocks is None else max(by_rows, _mean(found, blocks))


def threshold(found: Distance, blocks: Blocks | None, p: float, quantiles: dict[float, float]) -> float:
    """What `moved` exceeds without drift with probability p; 0 for a single bin. `quantiles` is filled by degrees
    of freedom: of thousands of features, most share theirs."""
    if found.degrees == 0:
        return 0.0
    if found.degrees not in quantiles:
        quantiles[found.degrees] = chisquare.isf(p, found.degrees)
    by_rows = (1 / found.n + 1 / found.m) * quantiles[found.degrees]
    if blocks is None:
        return by_rows
    degrees = _degrees(blocks)
    return max(by_rows, _mean(found, blocks) / degrees * chisquare.isf(p, degrees))


def p_value(found: Distance, blocks: Blocks | None) -> float:
    """The probability of this `moved` or more without drift; 1 for a single bin."""
    if found.degrees == 0:
        return 1.0
    by_rows = chisquare.sf(found.moved / (1 / found.n + 1 / found.m), found.degrees)
    if blocks is None:
        return by_rows
    degrees = _degrees(blocks)
    return max(by_rows, chisquare.sf(found.moved * degrees / _mean(found, blocks), degrees))


def calibrate(blocks: Sequence[Bins]) -> Blocks | None:
    """From the histograms of contiguous blocks of the reference, all over the same bins; each is compared with the
    rest together.

    Mean and deviation are each taken one standard error higher than measured (of a gamma distribution's): a few
    dozen blocks know neither exactly, and too low a threshold alarms. None for fewer than BLOCKS_NEEDED blocks with
    rows, or when they do not differ (a constant feature).
    """
    kept = [block for block in blocks if sum(block.values())]
    if len(kept) < BLOCKS_NEEDED:
        return None
    total: dict[str, int] = {}
    for block in kept:
        for name, rows in block.items():
            total[name] = total.get(name, 0) + rows
    found = [
        distance({name: rows - block.get(name, 0) for name, rows in total.items()}, block) for block in kept
    ]
    number = len(found)
    mean = sum(each.moved for each in found) / number
    variance = sum((each.moved - mean) ** 2 for each in found) / (number - 1)
    if not variance:
        return None
    deviation, skewed = math.sqrt(variance), 6 * variance / mean**2
    return Blocks(
        rows=sum(each.n for each in found) / number,
        others=sum(each.m for each in found) / number,
        mean=mean + deviation / math.sqrt(number),
        deviation=deviation * (1 + math.sqrt(2 / (number - 1) + skewed / number) / 2),
    )


def _mean(found: Distance, blocks: Blocks) -> float:
    """Mean PSI of blocks with as many rows as the window has, if those are fewer than in the blocks measured."""
    return blocks.mean * max((1 / found.n + 1 / found.m) / (1 / blocks.rows + 1 / blocks.others), 1.0)


def _degrees(blocks: Blocks) -> float:
    return 2 * (blocks.mean / blocks.deviation) ** 2
