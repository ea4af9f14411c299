"""Bounds hold at every look at once, and agree with scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from modelmend.evidence import bounds, counts

tallies = st.integers(1, 10**9).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))
alphas = st.sampled_from([0.001, 0.01, 0.05, 0.3])


def test_without_outcomes_nothing_is_known() -> None:
    assert bounds.anytime(counts.Tally(), 0.05) == (0.0, 1.0)
    assert bounds.wilson(counts.Tally(), 4.0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("n", "bad"), [(1, 0), (1, 1), (20, 3), (1240, 233), (1240, 0), (1240, 1240), (10**6, 17)]
)
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_anytime_interval_equals_the_roots_of_its_formula(n: int, bad: int, alpha: float) -> None:
    def excess(share: float) -> float:
        return float(
            special.betaln(1 + bad, 1 + n - bad)
            - special.xlogy(bad, share)
            - special.xlog1py(n - bad, -share)
        ) + math.log(alpha)

    low, high = bounds.anytime(counts.Tally(n, bad), alpha)

    assert low == pytest.approx(
        optimize.brentq(excess, 1e-300, bad / n, xtol=1e-300) if bad else 0.0, rel=1e-6
    )
    assert high == pytest.approx(optimize.brentq(excess, bad / n, 1 - 1e-16) if bad < n else 1.0, rel=1e-6)


@given(tallies, alphas)
def test_the_anytime_interval_holds_the_observed_share_and_mirrors(tally: counts.Tally, alpha: float) -> None:
    low, high = bounds.anytime(tally, alpha)
    mirrored = bounds.anytime(counts.Tally(tally.n, tally.n - tally.bad), alpha)

    assert 0 <= low <= tally.share <= high <= 1
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-7)


@given(tallies)
def test_more_certainty_makes_a_wider_interval(tally: counts.Tally) -> None:
    sure, surer = bounds.anytime(tally, 0.05), bounds.anytime(tally, 0.001)

    assert surer[0] <= sure[0]
    assert surer[1] >= sure[1]


def test_more_outcomes_make_a_narrower_interval() -> None:
    widths = [
        high - low
        for low, high in (bounds.anytime(counts.Tally(10**i, 10 ** (i - 1)), 0.05) for i in range(1, 10))
    ]

    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1e-3


@pytest.mark.parametrize("share", [0.02, 0.15, 0.5])
def test_the_true_share_is_ever_left_out_with_probability_at_most_alpha(share: float) -> None:
    """Exact, over all sequences of 300 outcomes: the probability of those never left out, by dynamic programming."""
    alpha, longest = 0.05, 300
    alive = np.zeros(longest + 1)
    alive[0] = 1.0
    for n in range(1, longest + 1):
        alive[1 : n + 1], alive[0] = (
            alive[1 : n + 1] * (1 - share) + alive[:n] * share,
            alive[0] * (1 - share),
        )
        k = np.arange(longest + 1)
        log_ratio = special.betaln(1 + k[: n + 1], 1 + n - k[: n + 1]) - (
            k[: n + 1] * np.log(share) + (n - k[: n + 1]) * np.log1p(-share)
        )
        alive[: n + 1][log_ratio >= math.log(1 / alpha)] = 0.0

    assert 0.001 < 1 - alive.sum() <= alpha


def test_left_out_means_the_same_here_as_in_the_exact_proof() -> None:
    for n, bad in [(10, 0), (50, 20), (300, 70)]:
        low, high = bounds.anytime(counts.Tally(n, bad), 0.05)
        for share in (0.02, 0.15, 0.5):
            log_ratio = special.betaln(1 + bad, 1 + n - bad) - (
                bad * np.log(share) + (n - bad) * np.log1p(-share)
            )
            assert (low < share < high) == (log_ratio < math.log(20))


@pytest.mark.parametrize(("n", "bad"), [(1, 0), (10, 10), (57, 3), (1240, 233), (10**9, 10**8)])
def test_wilsons_interval_equals_scipys(n: int, bad: int) -> None:
    expected = stats.binomtest(bad, n).proportion_ci(1 - 2 * stats.norm.sf(4.0), method="wilson")

    assert bounds.wilson(counts.Tally(n, bad), 4.0) == pytest.approx((expected.low, expected.high), abs=1e-9)
