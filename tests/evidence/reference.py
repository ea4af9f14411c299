"""The formulas a second time, over whole arrays with numpy, so that the room is checked by something else.

Derived from the text of each formula, with probabilities instead of logarithms wherever that does not overflow;
imported by the tests of this folder only.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

Array = NDArray[np.float64]


def detector_alarms(bad: Array, n: Array, share: float, alarm: float) -> Array:
    """Per run, the 1-based poll of the first alarm, or infinity. bad, n: (runs, polls)."""
    stakes = np.array([0.05, 0.125, 0.25, 0.5, 0.95]) / max(share, 0.5)
    runs, polls = bad.shape
    m = np.zeros((runs, len(stakes)))
    first = np.full(runs, np.inf)
    for poll in range(polls):
        k, rest = bad[:, poll, None], (n[:, poll] - bad[:, poll])[:, None]
        with np.errstate(over="ignore"):
            grown = (m + 1) * (1 + stakes * (1 - share)) ** k * (1 - stakes * share) ** rest
        m = np.where(n[:, poll, None] > 0, np.minimum(grown, 10 * alarm), m)
        first = np.where(np.isinf(first) & (m.mean(axis=1) >= alarm), poll + 1, first)
    return first


def vote_alarms(votes: Array, share: float, alarm: float) -> Array:
    """As `detector_alarms`, with one bounded vote a look; NaN where a look has none. votes: (runs, looks)."""
    stakes = np.array([0.05, 0.125, 0.25, 0.5, 0.95]) / max(share, 0.01)
    runs, looks = votes.shape
    m = np.zeros((runs, len(stakes)))
    first = np.full(runs, np.inf)
    for look in range(looks):
        vote = votes[:, look, None]
        m = np.where(np.isnan(vote), m, np.minimum((m + 1) * (1 + stakes * (vote - share)), 10 * alarm))
        above = (m.mean(axis=1) >= alarm) & (votes[:, look] > share)
        first = np.where(np.isinf(first) & above, look + 1, first)
    return first


def log_e_blocks(shares: Array, bets: tuple[float, ...], threshold: float = 0.0) -> Array:
    """(runs, blocks) of votes to the log e-value after each block: factors 1 + L (vote - threshold)."""
    steps = np.log1p(np.multiply.outer(shares - threshold, np.array(bets)))
    return np.asarray(logsumexp(np.cumsum(steps, axis=1), axis=-1) - np.log(len(bets)))


def upper_difference(x: Array, n: Array, y: Array, o: Array, alpha: float) -> Array:
    """The bound of `margin`: x of n wrong on the candidate, y of o on the champion."""
    p, q = (x + 1) / (n + 2), (y + 1) / (o + 2)
    total = n + o
    variance = total * (p * (1 - p) / n + q * (1 - q) / o)
    rho = np.sqrt((-2 * np.log(2 * alpha) + np.log(-2 * np.log(2 * alpha) + 1)) / 2000)
    width = np.sqrt(
        2 * (total * rho**2 + 1) / (total * rho) ** 2 * np.log1p(np.sqrt(total * rho**2 + 1) / (2 * alpha))
    )
    return np.asarray(p - q + np.sqrt(variance) * width)


def psi(live: Array, reference: Array) -> Array:
    """PSI of counts over the last axis, smoothed as the documentation says."""
    n, m, bins = live.sum(-1, keepdims=True), reference.sum(-1, keepdims=True), live.shape[-1]
    before = (reference + 0.5) / (m + 0.5 * bins)
    now = (live + 10 * before) / (n + 10)
    return np.asarray(((now - before) * np.log(now / before)).sum(-1))


def log_e_worse(a: Array, b: Array) -> Array:
    bets = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
    logs = np.multiply.outer(a, np.log(1 + bets)) + np.multiply.outer(b, np.log(1 - bets))
    return np.asarray(logsumexp(logs, axis=-1) - np.log(len(bets)))


def log_e_not_worse(a: Array, b: Array, c: Array, margin: float) -> Array:
    bets = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
    logs = (
        np.multiply.outer(a, np.log(1 - bets * (1 - margin)))
        + np.multiply.outer(b, np.log(1 + bets * (1 + margin)))
        + np.multiply.outer(c, np.log(1 + bets * margin))
    )
    return np.asarray(logsumexp(logs, axis=-1) - np.log(len(bets)))


def log_e_split(x: Array, e: Array, weight: Array) -> Array:
    """x, e, weight: (runs, polls); the log e-value after each poll."""
    ratios = np.array([1.1, 1.25, 1.5, 2.0, 3.0])
    steps = x[..., None] * np.log(ratios) - e[..., None] * np.log(1 + weight[..., None] * (ratios - 1))
    return np.asarray(logsumexp(np.cumsum(steps, axis=1), axis=-1) - np.log(len(ratios)))


def pairs_in_time(
    rng: np.random.Generator, runs: int, looks: int, step: int, only_candidate: float, only_champion: float
) -> tuple[Array, Array, Array]:
    """Cumulative a, b, c of shape (runs, looks), `step` pairs between two looks."""
    rates = [only_candidate, only_champion, 1 - only_candidate - only_champion]
    new = rng.multinomial(step, rates, size=(runs, looks)).astype(float)
    a, b, c = np.moveaxis(np.cumsum(new, axis=1), -1, 0)
    return a, b, c


def first_true(found: NDArray[np.bool_]) -> Array:
    """Per run, the 0-based look at which `found` is first true, or infinity. found: (runs, looks)."""
    return np.where(found.any(axis=1), found.argmax(axis=1), np.inf)


def sign_test(a: int, b: int) -> float:
    """One-sided p-value of a fixed look at discordant pairs: P(at least a of a + b | fair coin)."""
    return float(stats.binom.sf(a - 1, a + b, 0.5))
