"""Is the candidate worse than the champion, or not worse, on requests that both answered?

Called by decide at every poll of shadow, canary and bake, and by offline for the gate. One labelled row per request
is a pair. Of the pairs, only the discordant ones tell the two apart; the rest say how small the difference is.

    worse      H0: the candidate is not worse           E = mean_L (1 + L)^a (1 - L)^b
    better     H0: the candidate is not better          E = mean_L (1 - L)^a (1 + L)^b
    not worse  H0: it is worse by at least margin m     E = mean_L (1 - L (1 - m))^a (1 + L (1 + m))^b (1 + L m)^c

Each factor has mean 1 + L (difference of error probabilities, in the direction of the claim) <= 1 under its H0, so each
E is an e-process: exact in finite samples, valid at every look, a function of three counters whatever their order.
One process per rollout, never reset between its steps.
"""

import enum
import math
from dataclasses import dataclass

from modelmend.evidence import bounds, counts, evalue, search, verdict

BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
MARGIN_BETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)

DISCORDANT_NEEDED = 30
"""Discordant pairs before "not worse" is said, unless the two provably disagree less often than the margin."""

RIGHT_ALONE = "right alone"
"""What it is to win a pair, for sentences."""

CLOSER = "closer to the truth"
"""The same of numbers (`regression.farther`)."""

NO_DRIFT = 1e-9
"""Growth of ln E per pair below which it is taken for none: billions of pairs, or rounding."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Pairs so far: a = candidate only wrong, b = champion only wrong, c = the rest (both right, both wrong).

    Raises ValueError for a negative count.
    """

    a: int
    b: int
    c: int

    def __post_init__(self) -> None:
        if min(self.a, self.b, self.c) < 0:
            raise ValueError(f"pairs cannot be negative: a={self.a}, b={self.b}, c={self.c}")

    @property
    def n(self) -> int:
        return self.a + self.b + self.c

    @property
    def discordant(self) -> int:
        return self.a + self.b


class Finding(enum.StrEnum):
    WORSE = "Worse"
    NOT_WORSE = "NotWorse"
    UNDECIDED = "Undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the pairs prove, at one alpha and margin.

    expected: pairs in all at which "not worse" may be expected; n once it is found; None when the observed rates do
        not lead there.
    because: one sentence without a full stop.
    """

    finding: Finding
    n: int
    expected: int | None
    because: str


def log_e_worse(pairs: Paired) -> float:
    """ln of the e-value against "the candidate is not worse"; 0 without pairs."""
    return evalue.log_mean([pairs.a * math.log1p(bet) + pairs.b * math.log1p(-bet) for bet in BETS])


def log_e_better(pairs: Paired) -> float:
    """ln of the e-value against "the candidate is not better"; 0 without pairs."""
    return evalue.log_mean([pairs.b * math.log1p(bet) + pairs.a * math.log1p(-bet) for bet in BETS])


def log_e_not_worse(pairs: Paired, margin: float) -> float:
    """ln of the e-value against "the candidate's error probability is higher by at least `margin`", 0 <= margin < 1."""
    return evalue.log_mean(
        [pairs.a * lost + pairs.b * won + pairs.c * drawn for lost, won, drawn in _log_factors(margin)]
    )


def is_worse(pairs: Paired, alpha: float) -> bool:
    """False with probability at least 1 - alpha at all looks together, if the candidate is not worse."""
    return evalue.fires(log_e_worse(pairs), alpha)


def is_better(pairs: Paired, alpha: float) -> bool:
    """False with probability at least 1 - alpha at all looks together, if the candidate is not better."""
    return evalue.fires(log_e_better(pairs), alpha)


def is_not_worse(pairs: Paired, margin: float, alpha: float) -> bool:
    """False with probability at least 1 - alpha at all looks together, if the candidate is worse by `margin` or more.

    Besides the e-value this asks that the models were seen to differ: DISCORDANT_NEEDED pairs, or that they provably
    disagree less often than the margin (a difference in errors cannot exceed the rate of disagreement), which lets
    a near-copy of the champion pass. Asking for more never weakens the guarantee.
    """
    return evalue.fires(log_e_not_worse(pairs, margin), alpha) and differs_enough_or_hardly(
        pairs, margin, alpha
    )


def expected_pairs(pairs: Paired, margin: float, alpha: float) -> int | None:
    """Pairs in all at which `is_not_worse` may be expected to be found: "412 of about 920".

    The counted pairs are carried on at the observed rates, with half a pair more on each discordant side: the first
    few pairs prove nothing about rates near 0. None when the e-value would not grow for any bet, or before any pair.
    An estimate, not a promise: half of the runs take longer.
    """
    if not pairs.n:
        return None
    if is_not_worse(pairs, margin, alpha):
        return pairs.n
    rate_a, rate_b = (pairs.a + 0.5) / (pairs.n + 1), (pairs.b + 0.5) / (pairs.n + 1)
    rate_c = 1 - rate_a - rate_b
    drift = max(rate_a * lost + rate_b * won + rate_c * drawn for lost, won, drawn in _log_factors(margin))
    if drift < NO_DRIFT:
        return None

    def is_found(more: int) -> bool:
        new_a, new_b = round(rate_a * more), round(rate_b * more)
        after = Paired(pairs.a + new_a, pairs.b + new_b, pairs.c + max(more - new_a - new_b, 0))
        return is_not_worse(after, margin, alpha)

    return pairs.n + search.first(is_found)


def compare(pairs: Paired, margin: float, alpha: float, won: str = RIGHT_ALONE) -> Comparison:
    """Worse, NotWorse or Undecided. Worse wins when both are proven (worse, though by less than the margin): a
    candidate that loses for certain is not promoted."""
    score = f"{won} {pairs.b:,} times against {pairs.a:,} in {pairs.n:,} pairs"
    if is_worse(pairs, alpha):
        because = f"the candidate is worse than the champion: {score} (alpha {alpha:g})"
        return Comparison(Finding.WORSE, pairs.n, None, because)
    expected = expected_pairs(pairs, margin, alpha)
    if expected == pairs.n:
        claim = f"not worse than the champion by {margin:g} or more" if margin else "better than the champion"
        return Comparison(
            Finding.NOT_WORSE, pairs.n, expected, f"the candidate is {claim}: {score} (alpha {alpha:g})"
        )
    if not pairs.n:
        because = "no pair of candidate and champion has a label yet"
    elif expected is None:
        because = f"undecided, with no end in sight at the observed rates: the candidate was {score}"
    else:
        because = (
            f"undecided after {pairs.n:,} of about {verdict.about(expected)} pairs: the candidate was {score}"
        )
    return Comparison(Finding.UNDECIDED, pairs.n, expected, because)


def differs_enough_or_hardly(pairs: Paired, margin: float, alpha: float) -> bool:
    """DISCORDANT_NEEDED discordant pairs, or provably fewer than the margin allows to matter."""
    if pairs.discordant >= DISCORDANT_NEEDED:
        return True
    return bounds.anytime(counts.Tally(pairs.n, pairs.discordant), alpha)[1] < margin


def _log_factors(margin: float) -> list[tuple[float, float, float]]:
    """Per bet: ln of the factor for a, b and c. Raises ValueError for a margin outside [0, 1)."""
    if not 0 <= margin < 1:
        raise ValueError(f"the margin {margin} must be at least 0 and below 1")
    return [
        (math.log1p(-bet * (1 - margin)), math.log1p(bet * (1 + margin)), math.log1p(bet * margin))
        for bet in MARGIN_BETS
    ]
