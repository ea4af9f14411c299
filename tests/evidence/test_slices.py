"""A candidate that is better on the whole is stopped where it is worse for the few that somebody named."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmend.evidence import paired, slices
from modelmend.evidence.paired import Paired
from modelmend.evidence.slices import Require, Slice

ALPHA = 0.05
few = st.integers(0, 2000)


def test_no_slice_stops_nothing() -> None:
    assert slices.gate([], ALPHA) == slices.Gate(True, "no slice was named")


def test_a_slice_that_is_worse_by_more_than_its_margin_stops_the_candidate() -> None:
    gate = slices.gate(
        [Slice("carrier = UA", Paired(20, 60, 2000), 0.02), Slice("carrier = HA", Paired(60, 9, 231), 0.02)],
        ALPHA,
    )

    assert gate == slices.Gate(
        False,
        "the candidate is worse on carrier = HA by more than 0.02: "
        "right alone 9 against 60 times in 300 rows (alpha 0.05 over 2 slices)",
    )


def test_a_slice_that_is_worse_within_its_margin_passes() -> None:
    pairs = Paired(1300, 1000, 20_000)

    assert paired.is_worse(pairs, ALPHA)
    assert slices.gate([Slice("x = 1", pairs, 0.05)], ALPHA).because == (
        "the candidate is not worse on any of 1 slice by more than its margin"
    )


def test_a_slice_with_too_few_rows_passes_with_a_word_unless_proof_is_required() -> None:
    parts = [Slice("x = 1", Paired(30, 40, 5000), 0.02), Slice("x = 2", Paired(1, 0, 9), 0.02)]

    lenient, strict = slices.gate(parts, ALPHA), slices.gate(parts, ALPHA, Require.PROVEN_NOT_WORSE)

    assert lenient == slices.Gate(
        True, "on no slice is the candidate proven worse; Unknown, with too few rows to tell, on x = 2"
    )
    assert strict == slices.Gate(
        False,
        "the candidate is not proven within 0.02 on x = 2: right alone 0 against 1 times in 10 rows "
        "(alpha 0.05 over 2 slices)",
    )
    assert slices.gate(parts[:1], ALPHA, Require.PROVEN_NOT_WORSE).passed


def test_a_slice_without_rows_says_so() -> None:
    gate = slices.gate([Slice("x = 3", Paired(0, 0, 0), 0.0)], ALPHA, Require.PROVEN_NOT_WORSE)

    assert gate.because.startswith("the candidate is not proven within 0 on x = 3: no compared row is in it")


@pytest.mark.parametrize("m", [0.0, 0.1])
@pytest.mark.parametrize("n", [1, 6])
def test_the_mean_of_the_e_value_is_one_at_the_margin(n: int, m: float) -> None:
    mean = 0.0
    for a, b in itertools.product(range(n + 1), repeat=2):
        if (c := n - a - b) >= 0:
            ways = math.factorial(n) // (math.factorial(a) * math.factorial(b) * math.factorial(c))
            rates = (0.2 + m) ** a * 0.2**b * (0.6 - m) ** c
            mean += ways * rates * math.exp(slices.log_e_worse_by(Paired(a, b, c), m))

    assert mean == pytest.approx(1)


def test_without_a_margin_it_is_the_test_for_worse() -> None:
    assert slices.log_e_worse_by(Paired(30, 10, 400), 0.0) == pytest.approx(
        paired.log_e_worse(Paired(30, 10, 400))
    )


def test_of_ten_slices_at_their_margin_any_is_refused_with_probability_at_most_alpha() -> None:
    """2,000 holdouts of ten slices of 300 rows, each exactly at its margin of .05."""
    rng = np.random.default_rng(101)
    rows = rng.multinomial(300, [0.10, 0.05, 0.85], size=(400, 10))

    refused = [
        not slices.gate(
            [Slice(str(i), Paired(*map(int, row)), 0.05) for i, row in enumerate(parts)], ALPHA
        ).passed
        for parts in rows
    ]

    assert np.mean(refused) <= ALPHA


@pytest.mark.parametrize("m", [-0.1, 1.0, float("nan")])
def test_a_margin_out_of_range_is_refused(m: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        slices.log_e_worse_by(Paired(1, 1, 1), m)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(few, few, few, st.sampled_from([0.0, 0.01, 0.5])), max_size=4),
    st.sampled_from(Require),
)
def test_every_gate_has_a_sentence(parts: list[tuple[int, int, int, float]], require: Require) -> None:
    gate = slices.gate(
        [Slice(f"x = {i}", Paired(a, b, c), m) for i, (a, b, c, m) in enumerate(parts)], ALPHA, require
    )

    assert gate.because
    assert not gate.because.endswith(".")
