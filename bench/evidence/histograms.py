"""How often an input drifts that does not: ten bins, a reference of 5,000 rows (50,000 where rows follow each
other)."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from modelmend.evidence import drift, psi

Array = NDArray[np.float64]

BINS, REFERENCE, EFFECT = 10, 5000, 0.1
ALPHA = 1 / 120
"""Per window: a window of 6 h, and a false alarm every 720 h."""


def false_alarms(seed: int, runs: int, rows: int, features: int) -> dict[str, float]:
    """Share of windows in which any of the features is called drifted, though none is."""
    live, before = _unmoved(seed, runs, rows, features)
    whole, moved = _psi(live, before)
    noise = 1 / rows + 1 / REFERENCE
    limit = noise * stats.chi2.isf(ALPHA / features, BINS - 1)
    enough = rows >= drift.ROWS_PER_BIN * BINS
    ours = enough & (moved > limit) & (whole - (BINS - 1) * noise > EFFECT)
    _agree(live[0], before[0], bool(ours[0].any()))
    return {
        "**FeatureDrift**, effect .1": float(ours.any(axis=1).mean()),
        "**FeatureDrift**, no effect asked": float((enough & (moved > limit)).any(axis=1).mean()),
        "PSI above .1": float((whole > 0.1).any(axis=1).mean()),
        "PSI above .2": float((whole > 0.2).any(axis=1).mean()),
        "chi-square test at 5 %, each feature": float(
            (_pearson(live, before) > stats.chi2.isf(0.05, BINS - 1)).any(axis=1).mean()
        ),
    }


def rows_of(
    seed: int, runs: int, windows: int, rows: int, features: int, references: int
) -> dict[str, Array]:
    """The first windows of `false_alarms`, and the first references, as rows of numbers for those who count no bins:
    (windows, rows, features). Within its bin each lies where a standard normal would."""
    live, before = _unmoved(seed, runs, rows, features)
    rng = np.random.default_rng(seed + 1)
    return {"live": _numbers(rng, live[:windows]), "before": _numbers(rng, before[:references])}


def moved_rows_of(
    seed: int, runs: int, windows: int, rows: int, shift: float, references: int
) -> dict[str, Array]:
    """The same of `seen`, its one feature."""
    live, before, _ = _moved(seed, runs, rows, shift)
    rng = np.random.default_rng(seed + 1)
    return {
        "live": _numbers(rng, live[:windows, None]),
        "before": _numbers(rng, before[:references, None]),
    }


def reference_of(seed: int, windows: int, rows: int, features: int) -> Array:
    """One reference as long as so many windows, for those who learn from it how far windows of that length lie apart:
    (1, windows * rows, features)."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(windows * rows, [1 / BINS] * BINS, size=(1, features)).astype(float)
    return _numbers(rng, counts)


def _unmoved(seed: int, runs: int, rows: int, features: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    live = rng.multinomial(rows, [1 / BINS] * BINS, size=(runs, features)).astype(float)
    before = rng.multinomial(REFERENCE, [1 / BINS] * BINS, size=(runs, features)).astype(float)
    return live, before


def _moved(seed: int, runs: int, rows: int, shift: float) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    p = np.array([(1 - shift) / BINS, (1 + shift) / BINS] * (BINS // 2))
    live = rng.multinomial(rows, p, size=runs).astype(float)
    before = rng.multinomial(REFERENCE, [1 / BINS] * BINS, size=runs).astype(float)
    return live, before, p


def _numbers(rng: np.random.Generator, counts: Array) -> Array:
    """(windows, features, bins) of rows by bin as (windows, rows, features) of numbers."""
    windows, features, _ = counts.shape
    rows = int(counts[0, 0].sum())
    found = np.empty((windows, rows, features), np.float32)
    for window in range(windows):
        for feature in range(features):
            places = np.repeat(np.arange(BINS), counts[window, feature].astype(int))
            share = (rng.permutation(places) + rng.random(rows)) / BINS
            found[window, :, feature] = stats.norm.ppf(np.clip(share, 1e-9, 1 - 1e-9))
    return found


def seen(seed: int, runs: int, rows: int, features: int, shift: float) -> tuple[float, dict[str, float]]:
    """The true PSI of a feature whose bins hold (1 - shift) and (1 + shift) tenths in turn, and how often it is called drifted among d."""
    live, before, p = _moved(seed, runs, rows, shift)
    whole, moved = _psi(live, before)
    noise = 1 / rows + 1 / REFERENCE
    significant = moved > noise * stats.chi2.isf(ALPHA / features, BINS - 1)
    rules = {
        "**FeatureDrift**, effect .1": significant & (whole - (BINS - 1) * noise > EFFECT),
        "**FeatureDrift**, no effect asked": significant,
        "PSI above .1": whole > 0.1,
        "PSI above .2": whole > 0.2,
    }
    true = float(((p - 1 / BINS) * np.log(p * BINS)).sum())
    return true, {name: float(found.mean()) for name, found in rules.items()}


def in_time(seed: int, references: int, windows: int, rows: int, rho: float) -> dict[str, float]:
    """The same where each row is like the one before (AR(1) with rho), one feature."""
    rng, found = np.random.default_rng(seed), np.zeros(4)
    for _ in range(references):
        blocks = _series(rng, 50, rows, rho)
        total = blocks.sum(axis=0)
        measured = psi.calibrate([_bins(block) for block in blocks])
        for window in _series(rng, windows, rows, rho):
            feature = drift.Feature("x", _bins(total), _bins(window), measured)
            plain = drift.Feature("x", _bins(total), _bins(window))
            asked = drift.Asked(0.0, ALPHA)
            seen = drift.judge(asked, [feature]), drift.judge(asked, [plain])
            shown = seen[1].found[0].distance.psi
            found += [*(report.found[0].is_drifted for report in seen), shown > 0.1, shown > 0.2]
    shares = found / (references * windows)
    return dict(
        zip(
            [
                "**FeatureDrift**, blocks measured",
                "**FeatureDrift**, no blocks",
                "PSI above .1",
                "PSI above .2",
            ],
            shares.tolist(),
            strict=True,
        )
    )


def _psi(live: Array, before: Array) -> tuple[Array, Array]:
    n, m = live.sum(-1, keepdims=True), before.sum(-1, keepdims=True)
    r = (before + 0.5) / (m + 0.5 * BINS)
    now = (live + 10 * r) / (n + 10)
    parts = (now - r) * np.log(now / r)
    return parts.sum(-1), np.where(now > r, parts, (now - r) ** 2 / r).sum(-1)


def _pearson(live: Array, before: Array) -> Array:
    n, m = live.sum(-1, keepdims=True), before.sum(-1, keepdims=True)
    return np.asarray(((live * np.sqrt(m / n) - before * np.sqrt(n / m)) ** 2 / (live + before)).sum(-1))


def _series(rng: np.random.Generator, windows: int, rows: int, rho: float) -> Array:
    edges = stats.norm.ppf(np.linspace(0, 1, BINS + 1)[1:-1])
    series = np.empty((windows, rows))
    series[:, 0] = rng.standard_normal(windows)
    for t in range(1, rows):
        series[:, t] = rho * series[:, t - 1] + math.sqrt(1 - rho**2) * rng.standard_normal(windows)
    places = np.searchsorted(edges, series)
    return np.stack([(places == number).sum(axis=1) for number in range(BINS)], axis=1)


def _bins(rows: Array) -> dict[str, int]:
    return {str(number): int(count) for number, count in enumerate(rows)}


def _agree(live: Array, before: Array, expected: bool) -> None:
    """The arrays here and the room itself say the same of one window; AssertionError otherwise."""
    features = [
        drift.Feature(str(i), _bins(b), _bins(w)) for i, (b, w) in enumerate(zip(before, live, strict=True))
    ]
    assert (
        any(found.is_drifted for found in drift.judge(drift.Asked(EFFECT, ALPHA), features).found) == expected
    )
