"""The comparison on divided traffic keeps its alpha at any error rate, steady or not."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evidence import reference
from modelmend.evidence import counts, evalue, split

tallies = st.integers(0, 400).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))


def after(polls: list[tuple[counts.Tally, counts.Tally]]) -> split.State:
    state = split.State()
    for candidate, champion in polls:
        state = split.step(state, candidate, champion)
    return state


@pytest.mark.parametrize(("requests", "others"), [(1, 1), (3, 2), (5, 9), (9, 1)])
@pytest.mark.parametrize(
    ("error", "champions_error"), [(0.1, 0.1), (0.5, 0.5), (0.95, 0.95), (0.1, 0.3), (0.0, 0.9)]
)
def test_the_mean_is_at_most_one_for_a_candidate_no_worse(
    requests: int, others: int, error: float, champions_error: float
) -> None:
    """Over every possible poll, and from any state before it, ratio by ratio."""
    mean = np.zeros(len(split.RATIOS))
    for x, y in itertools.product(range(requests + 1), range(others + 1)):
        probability = stats.binom.pmf(x, requests, error) * stats.binom.pmf(y, others, champions_error)
        state = split.step(split.State(), counts.Tally(requests, x), counts.Tally(others, y))
        mean += probability * np.exp(state.logs)

    assert (mean <= 1 + 1e-12).all()


@pytest.mark.parametrize(("requests", "others", "bad"), [(5, 9, 4), (9, 5, 12), (2, 20, 7)])
def test_the_mean_is_at_most_one_given_the_totals_of_the_poll(requests: int, others: int, bad: int) -> None:
    """Which makes a swing of both arms harmless: only the division of the bad outcomes counts."""
    mean = np.zeros(len(split.RATIOS))
    for x in range(max(0, bad - others), min(requests, bad) + 1):
        probability = stats.hypergeom.pmf(x, requests + others, bad, requests)
        state = split.step(split.State(), counts.Tally(requests, x), counts.Tally(others, bad - x))
        mean += probability * np.exp(state.logs)

    assert (mean <= 1 + 1e-12).all()


@given(st.lists(st.tuples(tallies, tallies), min_size=1, max_size=6))
def test_the_room_and_the_reference_agree(polls: list[tuple[counts.Tally, counts.Tally]]) -> None:
    told = [(c, s) for c, s in polls if c.n and s.n]
    x = np.array([[c.bad for c, _ in told]], dtype=float)
    e = np.array([[c.bad + s.bad for c, s in told]], dtype=float)
    weight = np.array([[c.n / (c.n + s.n) for c, s in told]], dtype=float)

    expected = reference.log_e_split(x, e, weight)[0, -1] if told else 0.0

    assert after(polls).log_e == pytest.approx(expected, abs=1e-8)


@given(tallies)
def test_an_arm_without_outcomes_proves_nothing(tally: counts.Tally) -> None:
    assert after([(tally, counts.Tally()), (counts.Tally(), tally)]) == split.State()


def test_a_billion_outcomes_overflow_nothing() -> None:
    arm = counts.Tally(10**9, 10**9)

    assert math.isfinite(after([(arm, arm), (arm, counts.Tally(10**9, 0))]).log_e)


@given(st.lists(st.tuples(tallies, tallies), max_size=6))
def test_the_state_outlives_json(polls: list[tuple[counts.Tally, counts.Tally]]) -> None:
    state = after(polls)

    assert split.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_a_state_with_other_ratios_is_refused() -> None:
    with pytest.raises(ValueError, match="5 ratios and 1 were saved"):
        split.State.from_json({"logs": [0.0]})


@pytest.mark.parametrize("weight", [0.5, 0.1])
@pytest.mark.parametrize("swing", [0.0, 0.09])
def test_an_equal_candidate_is_ever_found_worse_with_probability_at_most_alpha(
    weight: float, swing: float
) -> None:
    """300 polls of 100 labels, error .10, or swinging between .01 and .19 for both; 1,500 rollouts. [.02]"""
    rng = np.random.default_rng(31)
    error = 0.10 + swing * np.where(np.arange(300) // 25 % 2, 1, -1)
    requests = rng.binomial(100, weight, size=(1500, 300))
    x, y = rng.binomial(requests, error), rng.binomial(100 - requests, error)

    log_e = reference.log_e_split(x.astype(float), (x + y).astype(float), requests / 100)

    assert (log_e >= math.log(20)).any(axis=1).mean() <= 0.05


def test_a_worse_candidate_is_found_on_a_tenth_of_the_traffic() -> None:
    """Error .20 against .10, 100 labels a poll: nearly all within 150 polls."""
    rng = np.random.default_rng(32)
    requests = rng.binomial(100, 0.1, size=(500, 150))
    x, y = rng.binomial(requests, 0.2), rng.binomial(100 - requests, 0.1)

    log_e = reference.log_e_split(x.astype(float), (x + y).astype(float), requests / 100)

    assert (log_e >= math.log(20)).any(axis=1).mean() > 0.95


def test_evidence_fires_at_one_over_alpha() -> None:
    assert evalue.fires(math.log(20) + 1e-12, 0.05)
    assert not evalue.fires(math.log(20) - 1e-9, 0.05)


def test_the_mean_of_e_values_is_taken_without_overflow() -> None:
    assert evalue.log_mean([0.0, math.log(3)]) == pytest.approx(math.log(2))
    assert evalue.log_mean([1e6, 0.0]) == pytest.approx(1e6 - math.log(2))
