"""Between which values a share lies: at any time, however often one looks; or at one look.

Called by family and guards for the bound in their sentence, and by paired for the rate of disagreement.
Shares are of bad outcomes; the accuracy lies between 1 - high and 1 - low.
"""

import math
from collections.abc import Callable

from modelmend.evidence import counts

Interval = tuple[float, float]
"""(low, high), both within [0, 1]."""

SURE = 0.001
"""Error probability of the bounds that sentences call "99.9% sure"."""


def anytime(tally: counts.Tally, alpha: float) -> Interval:
    """Interval that holds the true share at every look at once, with probability at least 1 - alpha.

    { t : B(1 + k, 1 + n - k) / (t^k (1 - t)^(n - k)) < 1 / alpha } for k bad among n: the Beta(1, 1) mixture of
    Bernoulli likelihoods is a martingale under the true t, and Ville's inequality does the rest (Robbins 1970).
    No outcome, no knowledge: (0, 1). Its logarithm is convex in t, so each end is one bisection, rounded outwards.
    """
    if tally.n == 0:
        return 0.0, 1.0
    bad, good = tally.bad, tally.n - tally.bad
    log_beta = math.lgamma(1 + bad) + math.lgamma(1 + good) - math.lgamma(2 + tally.n)
    allowed = -math.log(alpha)

    def holds(share: float) -> bool:
        return log_beta - bad * math.log(share) - good * math.log1p(-share) < allowed

    low = _edge(holds, 0.0, tally.share) if bad else 0.0
    high = _edge(holds, 1.0, tally.share) if good else 1.0
    return low, high


def wilson(tally: counts.Tally, z: float) -> Interval:
    """Wilson's score interval for one look, z standard errors wide; (0, 1) without outcomes (Wilson 1927)."""
    if tally.n == 0:
        return 0.0, 1.0
    share, spread = tally.share, z * z / tally.n
    centre = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / tally.n + spread / (4 * tally.n))
    return max((centre - half) / (1 + spread), 0.0), min((centre + half) / (1 + spread), 1.0)


def _edge(holds: Callable[[float], bool], outside: float, inside: float) -> float:
    """The last float beyond which `holds` is true, seen from `outside`."""
    while (middle := (outside + inside) / 2) not in (outside, inside):
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return outside
