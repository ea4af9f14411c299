"""PSI, what chance makes of it, and the quantiles behind it: against scipy, and against simulated windows."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from evidence import reference
from modelmend.evidence import chisquare, psi

histograms = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), min_size=1, max_size=12)


def bins(rows: NDArray[np.int64]) -> dict[str, int]:
    return {str(number): int(count) for number, count in enumerate(rows)}


@pytest.mark.parametrize("degrees", [0.7, 1, 2, 3.3, 9, 31, 250])
@pytest.mark.parametrize("p", [0.9, 0.5, 0.05, 1e-3, 1e-6, 1e-12])
def test_tail_and_quantile_equal_scipys(degrees: float, p: float) -> None:
    x = stats.chi2.isf(p, degrees)

    assert chisquare.sf(x, degrees) == pytest.approx(p, rel=1e-9)
    assert chisquare.isf(p, degrees) == pytest.approx(x, rel=1e-9)


@settings(max_examples=40)
@given(st.floats(1e-15, 1), st.floats(0.3, 300))
def test_the_quantile_is_the_inverse_of_the_tail(p: float, degrees: float) -> None:
    assert chisquare.sf(chisquare.isf(p, degrees), degrees) == pytest.approx(p, rel=1e-6)


def test_the_ends_of_the_distribution() -> None:
    assert chisquare.sf(0.0, 5) == chisquare.sf(-1.0, 5) == 1.0
    assert chisquare.isf(1.0, 5) == 0.0
    assert chisquare.sf(1e5, 3) == 0.0
    with pytest.raises(ValueError, match="not a probability"):
        chisquare.isf(0.0, 5)


@settings(max_examples=40)
@given(histograms)
def test_the_room_and_the_reference_agree(rows: list[tuple[int, int]]) -> None:
    before, now = np.array(rows).T
    found = psi.distance(bins(before), bins(now))

    if before.sum() and now.sum():
        assert found.psi == pytest.approx(
            float(reference.psi(now.astype(float), before.astype(float))), abs=1e-12
        )
        assert 0 <= found.moved <= found.psi - found.floor + 1e-12
        assert found.degrees == int(((before + now) > 0).sum()) - 1
    else:
        assert (found.n, found.m, found.psi) == (int(now.sum()), int(before.sum()), 0.0)


def test_small_shifts_are_the_same_by_psi_and_by_pearson() -> None:
    before, now = np.full(10, 100_000), np.array([100_400, 99_600] * 5)

    found = psi.distance(bins(before), bins(now))

    pearson = ((now - before) ** 2 / before).sum() / now.sum()
    assert found.psi == pytest.approx(pearson, rel=0.01)
    assert found.moved == pytest.approx(pearson, rel=0.01)


def test_the_bin_that_moved_most_is_named_with_its_fractions() -> None:
    found = psi.distance({"a": 500, "b": 500, "__missing__": 0}, {"a": 450, "b": 450, "__missing__": 100})

    assert (found.bin, found.before, found.now) == ("__missing__", 0.0, 0.1)


def test_a_category_that_the_reference_does_not_name_is_a_bin_of_its_own() -> None:
    named = psi.distance({"a": 500, "b": 500, "new": 0}, {"a": 400, "b": 400, "new": 200})

    assert psi.distance({"a": 500, "b": 500}, {"a": 400, "b": 400, "new": 200}) == named
    assert named.degrees == 2


def test_bins_that_nobody_uses_neither_count_nor_weigh() -> None:
    rows = {"a": 5000, "b": 5000}
    few = psi.distance(rows, {"a": 520, "b": 480})
    many = psi.distance(rows | {f"never {i}": 0 for i in range(20)}, {"a": 520, "b": 480})

    assert many.degrees == few.degrees == 1
    assert many.floor > 0
    assert many.psi - many.floor == pytest.approx(few.psi, rel=0.05)


def test_a_constant_feature_moves_by_nothing_and_is_exceeded_by_nothing() -> None:
    found = psi.distance({"x": 900, "__missing__": 0}, {"x": 400, "__missing__": 0})

    assert found.degrees == 0
    assert psi.threshold(found, None, 0.01, {}) == 0.0
    assert psi.p_value(found, None) == 1.0


def judged(
    live: NDArray[np.int64], before: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """`moved` and degrees of freedom of many windows at once; live, before: (windows, bins)."""
    n, m = live.sum(-1, keepdims=True), before.sum(-1, keepdims=True)
    r = (before + 0.5) / (m + 0.5 * live.shape[-1])
    now = (live + 10 * r) / (n + 10)
    parts = np.where(now > r, (now - r) * np.log(now / r), (now - r) ** 2 / r)
    used = (live + before) > 0
    return np.where(used, parts, 0).sum(-1), used.sum(-1) - 1


@pytest.mark.parametrize("rows", [(220, 5000), (1000, 5000), (10_000, 5000), (1000, 500)])
@pytest.mark.parametrize("rare", [(), (3,), (1, 3, 3, 3, 10)])
def test_without_drift_the_threshold_is_exceeded_no_more_often_than_promised(
    rows: tuple[int, int], rare: tuple[int, ...]
) -> None:
    """20,000 windows of ten bins and some that expect a few rows only, at p = .01. [.0002 to .011]"""
    n, m = rows
    rates = [expected / n for expected in rare]
    rng = np.random.default_rng(61)
    p = np.array([(1 - sum(rates)) / 10] * 10 + rates)
    live, before = rng.multinomial(n, p, size=20_000), rng.multinomial(m, p, size=20_000)

    moved, degrees = judged(live, before)

    alarms = moved > (1 / n + 1 / m) * stats.chi2.isf(0.01, degrees)
    assert alarms.mean() <= 0.01 + 2 * math.sqrt(0.01 / 20_000)
    found = psi.distance(bins(before[0]), bins(live[0]))
    assert found.moved == pytest.approx(moved[0])
    assert psi.threshold(found, None, 0.01, {}) == pytest.approx(
        (1 / n + 1 / m) * stats.chi2.isf(0.01, degrees[0])
    )


def deciles_in_time(rng: np.random.Generator, windows: int, rows: int, rho: float) -> NDArray[np.int64]:
    """Histograms of an AR(1) series cut at its deciles: (windows, 10)."""
    edges = stats.norm.ppf(np.linspace(0, 1, 11)[1:-1])
    series = np.empty((windows, rows))
    series[:, 0] = rng.standard_normal(windows)
    for t in range(1, rows):
        series[:, t] = rho * series[:, t - 1] + math.sqrt(1 - rho**2) * rng.standard_normal(windows)
    found = np.searchsorted(edges, series)
    return np.stack([(found == number).sum(axis=1) for number in range(10)], axis=1)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_rows_that_follow_each_other_are_calibrated_on_the_references_own_blocks(rho: float) -> None:
    """30 references of 50 blocks of 500 rows, 40 windows each, at p = .05. [rho .8: .51 of windows without blocks,
    .04 with]"""
    rng = np.random.default_rng(62)
    plain = calibrated = 0
    for _ in range(30):
        blocks = deciles_in_time(rng, 50, 500, rho)
        measured = psi.calibrate([bins(block) for block in blocks])
        before = bins(blocks.sum(axis=0))
        for window in deciles_in_time(rng, 40, 500, rho):
            found = psi.distance(before, bins(window))
            plain += found.moved > psi.threshold(found, None, 0.05, {})
            calibrated += found.moved > psi.threshold(found, measured, 0.05, {})

    assert calibrated / 1200 <= 0.05 + 0.02  # windows of one reference share its luck
    assert plain / 1200 > 0.3 if rho else plain / 1200 <= 0.05 + 0.02


def test_the_larger_threshold_wins_and_p_values_say_the_same() -> None:
    before, now = bins(np.full(10, 500)), bins(np.array([130, 70] * 5))
    found = psi.distance(before, now)
    wild, tame = psi.Blocks(1000, 4000, 0.5, 0.4), psi.Blocks(1000, 4000, 0.0001, 0.00005)

    for blocks in (None, wild, tame):
        for p in (0.2, 0.01, 1e-4):
            limit = psi.threshold(found, blocks, p, {})
            assert (found.moved > limit) == (psi.p_value(found, blocks) < p)
    assert psi.threshold(found, tame, 0.01, {}) == psi.threshold(found, None, 0.01, {})
    assert psi.threshold(found, wild, 0.01, {}) > psi.threshold(found, None, 0.01, {})
    assert psi.noise(found, tame) == psi.noise(found, None) < psi.noise(found, wild)


def test_windows_smaller_than_a_block_may_vary_more_and_larger_ones_no_less() -> None:
    blocks = psi.Blocks(1000, 49_000, 0.05, 0.03)
    smaller, same, larger = (
        psi.threshold(psi.Distance(n, 50_000, 0.1, 0.0, 0.1, 9), blocks, 0.01, {})
        for n in (250, 1000, 20_000)
    )

    assert smaller > 3 * same
    assert larger == pytest.approx(same, rel=0.01)


def test_blocks_that_cannot_tell_are_not_calibrated_with() -> None:
    few = [{"a": 50, "b": 50 + i} for i in range(psi.BLOCKS_NEEDED - 1)]
    empty = [{"a": 0, "b": 0}] * 30

    assert psi.calibrate(few) is None
    assert psi.calibrate([*few, *empty]) is None
    assert psi.calibrate([{"a": 100}] * 30) is None


def test_blocks_outlive_json() -> None:
    blocks = psi.Blocks(1000, 49_000, 0.05, 0.03)

    assert psi.Blocks.from_json(json.loads(json.dumps(blocks.to_json()))) == blocks
