"""Promotion on divided traffic: the bound holds at every look, from three hundred labels on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import reference
from modelmend.evidence import counts, margin, split
from modelmend.evidence.paired import Finding

ALPHA = 0.05
tallies = st.integers(0, 3000).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))


def compare(candidate: counts.Tally, champion: counts.Tally, m: float = 0.02) -> margin.paired.Comparison:
    state = split.step(split.State(), candidate, champion)
    return margin.compare(state, candidate, champion, m, ALPHA)


@settings(max_examples=40)
@given(tallies, tallies, st.sampled_from([0.001, 0.05, 0.3]))
def test_the_room_and_the_reference_agree(
    candidate: counts.Tally, champion: counts.Tally, alpha: float
) -> None:
    if candidate.n and champion.n:
        excess, half = margin.difference(candidate, champion, alpha)
        x, n, y, o = (
            np.array(float(each)) for each in (candidate.bad, candidate.n, champion.bad, champion.n)
        )
        assert excess + half == pytest.approx(float(reference.upper_difference(x, n, y, o, alpha)))


@pytest.mark.parametrize("weight", [0.5, 0.1])
@pytest.mark.parametrize(("error", "m"), [(0.1, 0.02), (0.1, 0.05), (0.02, 0.02), (0.005, 0.01), (0.3, 0.05)])
def test_a_candidate_worse_by_the_margin_is_ever_promoted_with_probability_at_most_alpha(
    weight: float, error: float, m: float
) -> None:
    """600 rollouts of 200 polls of 100 labels, a look at each. [.01 to .045]"""
    rng = np.random.default_rng(91)
    new = rng.binomial(100, weight, size=(600, 200))
    n, o = np.cumsum(new, axis=1), np.cumsum(100 - new, axis=1)
    x = np.cumsum(rng.binomial(new, error + m), axis=1)
    y = np.cumsum(rng.binomial(100 - new, error), axis=1)

    upper = reference.upper_difference(x, np.maximum(n, 1), y, np.maximum(o, 1), ALPHA)
    promoted = (upper < m) & (np.minimum(n, o) >= margin.LABELS_NEEDED)

    assert promoted.any(axis=1).mean() <= ALPHA


def test_an_equal_candidate_is_promoted_within_what_the_documentation_states() -> None:
    """Error .10, margin .05: 1,100 labels at 50/50, 3,300 at 10/90 (median of 300)."""
    rng = np.random.default_rng(92)
    for weight, labels in ((0.5, 1100), (0.1, 3300)):
        new = rng.binomial(100, weight, size=(300, 120))
        n, o = np.cumsum(new, axis=1), np.cumsum(100 - new, axis=1)
        x, y = (
            np.cumsum(rng.binomial(new, 0.1), axis=1),
            np.cumsum(rng.binomial(100 - new, 0.1), axis=1),
        )
        upper = reference.upper_difference(x, np.maximum(n, 1), y, np.maximum(o, 1), ALPHA)
        found = (upper < 0.05) & (np.minimum(n, o) >= margin.LABELS_NEEDED)
        assert 100 * (np.median(reference.first_true(found)) + 1) == pytest.approx(labels, rel=0.15)


def test_three_hundred_labels_are_asked_for_on_each_arm() -> None:
    few, many = counts.Tally(299, 0), counts.Tally(30_000, 3000)

    assert not margin.is_not_worse(few, many, 0.2, ALPHA)
    assert not margin.is_not_worse(many, few, 0.2, ALPHA)
    assert margin.is_not_worse(counts.Tally(300, 0), many, 0.2, ALPHA)


def test_a_worse_a_not_worse_and_a_better_candidate_are_named_with_both_rates() -> None:
    worse = compare(counts.Tally(1000, 200), counts.Tally(9000, 900))
    not_worse = compare(counts.Tally(20_000, 2000), counts.Tally(20_000, 2000))
    better = compare(counts.Tally(20_000, 1000), counts.Tally(20_000, 2000), m=0.0)

    assert (worse.finding, worse.because) == (
        Finding.WORSE,
        "the candidate is worse than the champion: wrong 0.200 over 1,000 labels against 0.100 over 9,000 (alpha 0.05)",
    )
    assert (not_worse.finding, not_worse.because) == (
        Finding.NOT_WORSE,
        "the candidate is not worse than the champion by 0.02 or more: "
        "wrong 0.100 over 20,000 labels against 0.100 over 20,000 (alpha 0.05)",
    )
    assert better.because.startswith("the candidate is better than the champion: wrong 0.050")
    assert not_worse.expected == not_worse.n == 40_000


def test_an_open_comparison_says_how_far_it_is_or_that_it_leads_nowhere() -> None:
    on_its_way = compare(counts.Tally(400, 40), counts.Tally(3600, 360))
    nowhere = compare(counts.Tally(400, 48), counts.Tally(3600, 360))

    assert on_its_way.finding is Finding.UNDECIDED
    assert on_its_way.because.startswith("undecided after 4,000 of about ")
    assert on_its_way.expected is not None
    assert nowhere.because.startswith("undecided, with no end in sight at the observed rates: wrong 0.120")


@settings(max_examples=40)
@given(tallies, tallies, st.sampled_from([0.0, 0.02, 0.2]))
def test_expected_labels_end_where_the_finding_begins(
    candidate: counts.Tally, champion: counts.Tally, m: float
) -> None:
    comparison = compare(candidate, champion, m)

    assert comparison.because
    if comparison.finding is Finding.UNDECIDED and comparison.expected is not None:
        assert comparison.expected > comparison.n


@pytest.mark.parametrize(
    ("candidate", "champion", "missing"),
    [
        (counts.Tally(), counts.Tally(), "two"),
        (counts.Tally(5, 1), counts.Tally(), "champion"),
        (counts.Tally(), counts.Tally(5, 1), "candidate"),
    ],
)
def test_an_arm_without_labels_is_nothing_to_compare(
    candidate: counts.Tally, champion: counts.Tally, missing: str
) -> None:
    assert compare(candidate, champion).because == f"no label on the {missing} yet: nothing to compare"


@pytest.mark.parametrize("m", [-0.01, 1.0, float("nan")])
def test_a_margin_out_of_range_is_refused(m: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        compare(counts.Tally(5, 1), counts.Tally(5, 1), m)


def test_an_alpha_of_one_half_divides_by_nothing() -> None:
    assert margin.difference(counts.Tally(500, 50), counts.Tally(500, 50), 0.5)[1] > 0
