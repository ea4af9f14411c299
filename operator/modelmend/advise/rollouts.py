"""How many pairs a rollout's decision needs: the operator's own paired tests, run on seeded pairs."""

from dataclasses import dataclass
from random import Random
from typing import Final

from modelmend.advise import chances, quantiles
from modelmend.advise.detection import Progress
from modelmend.evidence import paired

RUNS: Final = 200
STRIDE: Final = 40
"""Looks are at most a fortieth of the pairs so far apart, so that a decision is dated to a few percent."""
MOST: Final = 200_000
"""Pairs after which a run is given up as undecided."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A candidate that is better (or, below 0, worse) by `gain`, and how its comparison with the champion ends.

    gain: champion's share of wrong labels less the candidate's.
    discordant: share of pairs in which exactly one of the two is wrong; never less than the gain's size.
    pairs: until a decision, whichever. promoted, sent_back: shares of the runs; the rest stayed undecided.
    """

    gain: float
    discordant: float
    pairs: quantiles.Spread
    promoted: float
    sent_back: float


def contest(
    gain: float,
    discordant: float,
    margin: float,
    alpha: float,
    seed: int = 0,
    passed: Progress = lambda share: None,
) -> Contest:
    """Simulate comparisons from their first pair to "worse" or "not worse", one of the two wrong in `discordant`."""
    differ = max(discordant, abs(gain))
    dice = Random(seed)  # noqa: S311 - nothing secret is drawn
    ended: list[float] = []
    promoted = sent_back = 0
    for run in range(1, RUNS + 1):
        pairs, finding = _run(dice, differ, (differ - gain) / (2 * differ), margin, alpha)
        if finding is not paired.Finding.UNDECIDED:
            ended.append(pairs)
        promoted += finding is paired.Finding.NOT_WORSE
        sent_back += finding is paired.Finding.WORSE
        passed(run / RUNS)
    return Contest(gain, differ, quantiles.spread(ended, RUNS), promoted / RUNS, sent_back / RUNS)


def _run(dice: Random, differ: float, lost: float, margin: float, alpha: float) -> tuple[int, paired.Finding]:
    """Pairs at the decision, and which; `lost`: share of discordant pairs that only the candidate gets wrong."""
    seen = paired.Paired(0, 0, 0)
    while seen.n < MOST:
        new = max(seen.n // STRIDE, 1)
        apart = chances.hits(new, differ).draw(dice)
        a = chances.hits(apart, lost).draw(dice)
        seen = paired.Paired(seen.a + a, seen.b + apart - a, seen.c + new - apart)
        # As `paired.compare`, without its costly forecast.
        if paired.is_worse(seen, alpha):
            return seen.n, paired.Finding.WORSE
        if paired.is_not_worse(seen, margin, alpha):
            return seen.n, paired.Finding.NOT_WORSE
    return seen.n, paired.Finding.UNDECIDED
