"""The paired comparison keeps its alpha at every look, and decides in as few pairs as the documentation states."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evidence import reference
from modelmend.evidence import paired
from modelmend.evidence.paired import Paired

ALPHA = 0.05
FIRES = math.log(1 / ALPHA)

few = st.integers(0, 3000)
pairs_seen = st.builds(Paired, few, few, few)
margins = st.sampled_from([0.0, 0.005, 0.01, 0.02, 0.1, 0.5])


def mean_e(log_e: Callable[[Paired], float], n: int, rates: tuple[Fraction, Fraction, Fraction]) -> float:
    """E of the e-value after n pairs, over every possible outcome."""
    total = 0.0
    for a, b in itertools.product(range(n + 1), repeat=2):
        if (c := n - a - b) >= 0:
            ways = math.factorial(n) // (math.factorial(a) * math.factorial(b) * math.factorial(c))
            probability = ways * rates[0] ** a * rates[1] ** b * rates[2] ** c
            total += float(probability) * math.exp(log_e(Paired(a, b, c)))
    return total


def thirds(only_candidate: str, only_champion: str) -> tuple[Fraction, Fraction, Fraction]:
    a, b = Fraction(only_candidate), Fraction(only_champion)
    return a, b, 1 - a - b


def ever_fires(
    rates: tuple[float, float, float], pairs: int, log_e: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> float:
    """Exact probability that e reaches 1/alpha at any of the looks 1..pairs, by dynamic programming over (a, b)."""
    alive = np.zeros((pairs + 1, pairs + 1))
    alive[0, 0] = 1.0
    index = np.indices(alive.shape)
    for n in range(1, pairs + 1):
        size = n + 1
        now = alive[:size, :size] * rates[2]
        now[1:] += alive[: size - 1, :size] * rates[0]
        now[:, 1:] += alive[:size, : size - 1] * rates[1]
        a, b = index[0, :size, :size], index[1, :size, :size]
        now[log_e(np.stack([a, b, n - a - b])) >= FIRES] = 0.0
        alive[:size, :size] = now
    return float(1 - alive.sum())


@pytest.mark.parametrize("n", [1, 2, 7, 12])
def test_the_mean_of_each_e_value_is_one_at_the_edge_of_its_null_hypothesis(n: int) -> None:
    margin = Fraction(1, 10)

    assert mean_e(paired.log_e_worse, n, thirds("1/5", "1/5")) == pytest.approx(1, abs=1e-12)
    assert mean_e(paired.log_e_better, n, thirds("1/5", "1/5")) == pytest.approx(1, abs=1e-12)
    assert mean_e(
        lambda pairs: paired.log_e_not_worse(pairs, float(margin)), n, thirds("3/10", "1/5")
    ) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_mean_of_each_e_value_is_below_one_inside_its_null_hypothesis(n: int) -> None:
    assert mean_e(paired.log_e_worse, n, thirds("1/10", "1/5")) < 1
    assert mean_e(paired.log_e_better, n, thirds("1/5", "1/10")) < 1
    assert mean_e(lambda pairs: paired.log_e_not_worse(pairs, 0.1), n, thirds("2/5", "1/5")) < 1
    assert mean_e(lambda pairs: paired.log_e_not_worse(pairs, 0.0), n, thirds("2/5", "1/5")) < 1


def test_an_equal_candidate_is_ever_rolled_back_with_probability_at_most_alpha() -> None:
    """Exact, at every one of 150 discordant pairs; concordant ones change nothing."""
    probability = ever_fires((0.5, 0.5, 0.0), 150, lambda abc: reference.log_e_worse(abc[0], abc[1]))

    assert 0.01 < probability <= ALPHA


@pytest.mark.parametrize(("only_candidate", "only_champion"), [(0.2, 0.1), (0.1, 0.0), (0.4, 0.3)])
def test_a_candidate_worse_by_the_margin_is_ever_promoted_with_probability_at_most_alpha(
    only_candidate: float, only_champion: float
) -> None:
    """Exact, at every one of 150 pairs, for the e-value alone: the discordant pairs asked for only lower it."""
    rates = (only_candidate, only_champion, 1 - only_candidate - only_champion)

    probability = ever_fires(rates, 150, lambda abc: reference.log_e_not_worse(abc[0], abc[1], abc[2], 0.1))

    assert 0.001 < probability <= ALPHA


@given(st.lists(st.tuples(few, few, few), min_size=1, max_size=5), margins)
def test_the_room_and_the_reference_agree(seen: list[tuple[int, int, int]], margin: float) -> None:
    a, b, c = np.array(seen, dtype=float).T
    pairs = [Paired(*each) for each in seen]

    assert [paired.log_e_worse(each) for each in pairs] == pytest.approx(
        reference.log_e_worse(a, b), abs=1e-8
    )
    assert [paired.log_e_better(each) for each in pairs] == pytest.approx(
        reference.log_e_worse(b, a), abs=1e-8
    )
    assert [paired.log_e_not_worse(each, margin) for each in pairs] == pytest.approx(
        reference.log_e_not_worse(a, b, c, margin), abs=1e-8
    )


@given(pairs_seen, margins)
def test_a_loss_of_the_candidate_never_speaks_for_it(pairs: Paired, margin: float) -> None:
    lost = Paired(pairs.a + 1, pairs.b, pairs.c)
    won = Paired(pairs.a, pairs.b + 1, pairs.c)

    assert paired.log_e_worse(won) < paired.log_e_worse(pairs) < paired.log_e_worse(lost)
    assert paired.log_e_better(lost) < paired.log_e_better(pairs) < paired.log_e_better(won)
    assert paired.log_e_not_worse(lost, margin) < paired.log_e_not_worse(won, margin)


@given(pairs_seen)
def test_worse_and_better_are_never_both_proven(pairs: Paired) -> None:
    assert not (paired.is_worse(pairs, ALPHA) and paired.is_better(pairs, ALPHA))


@pytest.mark.parametrize(
    "pairs", [Paired(10**9, 0, 0), Paired(0, 10**9, 0), Paired(10**9, 10**9, 10**9), Paired(0, 0, 10**9)]
)
def test_a_billion_pairs_overflow_nothing(pairs: Paired) -> None:
    for log_e in (paired.log_e_worse(pairs), paired.log_e_better(pairs), paired.log_e_not_worse(pairs, 0.01)):
        assert math.isfinite(log_e)
    assert paired.compare(pairs, 0.01, ALPHA).because


def test_no_pairs_prove_nothing() -> None:
    nothing = Paired(0, 0, 0)

    assert paired.log_e_worse(nothing) == paired.log_e_better(nothing) == 0
    assert paired.log_e_not_worse(nothing, 0.01) == pytest.approx(0)
    assert paired.expected_pairs(nothing, 0.01, ALPHA) is None


@pytest.mark.parametrize(("a", "b", "c"), [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_negative_counts_are_refused(a: int, b: int, c: int) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        Paired(a, b, c)


@pytest.mark.parametrize("margin", [-0.01, 1.0, float("nan")])
def test_a_margin_that_no_bet_survives_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        paired.log_e_not_worse(Paired(1, 1, 1), margin)


def test_not_worse_asks_for_thirty_discordant_pairs() -> None:
    early, enough = Paired(0, 29, 100), Paired(0, 30, 100)

    assert paired.log_e_not_worse(early, 0.02) > FIRES
    assert not paired.is_not_worse(early, 0.02, ALPHA)
    assert paired.is_not_worse(enough, 0.02, ALPHA)


def test_a_near_copy_of_the_champion_passes_once_it_provably_differs_less_than_the_margin() -> None:
    assert not paired.is_not_worse(Paired(0, 0, 900), 0.01, ALPHA)
    assert paired.is_not_worse(Paired(0, 0, 1000), 0.01, ALPHA)
    assert paired.is_not_worse(Paired(2, 2, 3000), 0.01, ALPHA)


def test_without_a_margin_a_copy_never_passes() -> None:
    assert not paired.is_not_worse(Paired(0, 0, 10**9), 0.0, ALPHA)


def test_rollback_waits_for_no_thirty_pairs() -> None:
    assert paired.is_worse(Paired(8, 0, 5), ALPHA)
    assert not paired.is_worse(Paired(7, 0, 5), ALPHA)


def test_evidence_at_every_look_asks_for_more_than_the_sign_test_at_one() -> None:
    for a, b in itertools.product(range(0, 60, 3), repeat=2):
        if paired.is_worse(Paired(a, b, 0), ALPHA):
            assert reference.sign_test(a, b) <= ALPHA


@pytest.mark.parametrize(
    ("margin", "only_candidate", "only_champion"),
    [(0.02, 0.04, 0.02), (0.01, 0.035, 0.025), (0.05, 0.08, 0.03)],
)
def test_over_ten_thousand_pairs_wrong_promotions_stay_within_alpha(
    margin: float, only_candidate: float, only_champion: float
) -> None:
    """2,000 rollouts at the edge, a look every 20 pairs. [.014 to .026]"""
    a, b, c = reference.pairs_in_time(np.random.default_rng(21), 2000, 500, 20, only_candidate, only_champion)

    promoted = (reference.log_e_not_worse(a, b, c, margin) >= FIRES).any(axis=1)

    assert promoted.mean() <= ALPHA


def test_over_ten_thousand_pairs_false_rollbacks_stay_within_alpha() -> None:
    """2,000 rollouts of an equal candidate, a look every 20 pairs. [.02 to .03]"""
    a, b, _ = reference.pairs_in_time(np.random.default_rng(22), 2000, 500, 20, 0.03, 0.03)

    assert (reference.log_e_worse(a, b) >= FIRES).any(axis=1).mean() <= ALPHA


@pytest.mark.parametrize(
    ("only_candidate", "only_champion", "median"), [(0.04, 0.02, 1000), (0.055, 0.005, 180)]
)
def test_a_worse_candidate_is_rolled_back_within_the_pairs_that_the_documentation_states(
    only_candidate: float, only_champion: float, median: float
) -> None:
    a, b, _ = reference.pairs_in_time(np.random.default_rng(23), 1000, 400, 20, only_candidate, only_champion)

    pairs = 20 * (reference.first_true(reference.log_e_worse(a, b) >= FIRES) + 1)

    assert np.isfinite(pairs).mean() > 0.99
    assert np.median(pairs) == pytest.approx(median, rel=0.15)


def test_an_equal_candidate_is_promoted_within_the_pairs_that_the_documentation_states() -> None:
    a, b, c = reference.pairs_in_time(np.random.default_rng(24), 1000, 400, 20, 0.03, 0.03)
    found = (reference.log_e_not_worse(a, b, c, 0.02) >= FIRES) & (a + b >= 30)

    pairs = 20 * (reference.first_true(found) + 1)

    assert np.isfinite(pairs).mean() > 0.97
    assert np.median(pairs) == pytest.approx(1220, rel=0.15)


def test_the_expected_pairs_are_what_half_of_the_rollouts_need() -> None:
    """Estimated after 400 pairs of 40 rollouts, against the look at which each was found."""
    a, b, c = reference.pairs_in_time(np.random.default_rng(25), 40, 600, 20, 0.03, 0.03)
    found = (reference.log_e_not_worse(a, b, c, 0.02) >= FIRES) & (a + b >= 30)
    needed = 20 * (reference.first_true(found) + 1)

    early = [Paired(int(a[run, 19]), int(b[run, 19]), int(c[run, 19])) for run in range(40)]
    expected = [paired.expected_pairs(pairs, 0.02, ALPHA) or math.inf for pairs in early]

    assert np.median(expected) == pytest.approx(np.median(needed), rel=0.25)


@given(pairs_seen, st.sampled_from([0.0, 0.01, 0.05]))
def test_expected_pairs_end_where_the_finding_begins(pairs: Paired, margin: float) -> None:
    expected = paired.expected_pairs(pairs, margin, ALPHA)

    if paired.is_not_worse(pairs, margin, ALPHA):
        assert expected == pairs.n
    elif expected is not None:
        assert expected > pairs.n


def test_expected_pairs_are_not_given_when_the_rates_do_not_lead_there() -> None:
    assert paired.expected_pairs(Paired(30, 10, 400), 0.01, ALPHA) is None
    assert paired.expected_pairs(Paired(0, 0, 5), 0.0, ALPHA) is None


def test_a_worse_candidate_is_named_with_the_score() -> None:
    comparison = paired.compare(Paired(57, 21, 926), 0.01, ALPHA)

    assert comparison == paired.Comparison(
        paired.Finding.WORSE,
        1004,
        None,
        "the candidate is worse than the champion: right alone 21 times against 57 in 1,004 pairs (alpha 0.05)",
    )


def test_a_candidate_worse_by_less_than_the_margin_is_worse() -> None:
    pairs = Paired(1300, 1100, 97_600)

    assert paired.is_not_worse(pairs, 0.01, ALPHA)
    assert paired.compare(pairs, 0.01, ALPHA).finding is paired.Finding.WORSE


def test_a_candidate_that_is_not_worse_is_named_with_the_margin() -> None:
    comparison = paired.compare(Paired(31, 30, 1500), 0.02, ALPHA)

    assert comparison.finding is paired.Finding.NOT_WORSE
    assert comparison.expected == comparison.n == 1561
    assert comparison.because == (
        "the candidate is not worse than the champion by 0.02 or more: "
        "right alone 30 times against 31 in 1,561 pairs (alpha 0.05)"
    )


def test_without_a_margin_not_worse_means_better() -> None:
    comparison = paired.compare(Paired(15, 52, 200), 0.0, ALPHA)

    assert comparison.finding is paired.Finding.NOT_WORSE
    assert comparison.because.startswith(
        "the candidate is better than the champion: right alone 52 times against 15"
    )


def test_an_open_comparison_says_how_far_it_is() -> None:
    comparison = paired.compare(Paired(12, 13, 400), 0.02, ALPHA)

    assert comparison.finding is paired.Finding.UNDECIDED
    assert comparison.expected == 1199
    assert comparison.because == (
        "undecided after 425 of about 1,200 pairs: the candidate was right alone 13 times against 12 in 425 pairs"
    )


def test_an_open_comparison_that_leads_nowhere_says_so() -> None:
    comparison = paired.compare(Paired(15, 12, 400), 0.0, ALPHA)

    assert comparison.finding is paired.Finding.UNDECIDED
    assert comparison.because.startswith("undecided, with no end in sight at the observed rates")


def test_a_comparison_without_pairs_says_so() -> None:
    comparison = paired.compare(Paired(0, 0, 0), 0.02, ALPHA)

    assert comparison.finding is paired.Finding.UNDECIDED
    assert comparison.because == "no pair of candidate and champion has a label yet"
