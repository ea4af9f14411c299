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
