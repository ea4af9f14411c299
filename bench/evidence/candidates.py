"""Rules that judge a candidate against the champion: 300 polls of 100 labels, the champion's error .10."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from modelmend.evidence import margin, pairblocks, paired, split

Array = NDArray[np.float64]

POLLS, LABELS, ERROR, DISCORDANT, MARGIN, ALPHA = 300, 100, 0.10, 0.06, 0.02, 0.05
FIRES = math.log(1 / ALPHA)


@dataclass(frozen=True)
class Outcome:
    """Shares of rollouts, and the median labels until either end among those that ended."""

    rolled_back: float
    promoted: float
    labels: float


def _outcome(worse: NDArray[np.bool_], promoted: NDArray[np.bool_], labels: int = LABELS) -> Outcome:
    """From what holds at each poll, (runs, polls): whichever comes first counts; a tie goes back."""
    back, forward = _first(worse), _first(promoted)
    end = np.minimum(back, forward)
    ended = end[np.isfinite(end)]
    return Outcome(
        float((back <= forward)[np.isfinite(back)].sum() / len(back)),
        float((forward < back).mean()),
        float((np.median(ended) + 1) * labels) if len(ended) else math.inf,
    )


def _first(found: NDArray[np.bool_]) -> Array:
    return np.where(found.any(axis=1), found.argmax(axis=1), np.inf)


def _log_mean(logs: Array) -> Array:
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).mean(axis=-1)))


def _pairs(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """ln of the e-values for worse and not worse; cumulative counts of shape (runs, polls)."""
    bets, wide = np.array(paired.BETS), np.array(paired.MARGIN_BETS)
    worse = np.multiply.outer(a, np.log1p(bets)) + np.multiply.outer(b, np.log1p(-bets))
    level = (
        np.multiply.outer(a, np.log1p(-wide * (1 - MARGIN)))
        + np.multiply.outer(b, np.log1p(wide * (1 + MARGIN)))
        + np.multiply.outer(c, np.log1p(wide * MARGIN))
    )
    return _log_mean(worse), _log_mean(level)


def pairs(
    rng: np.random.Generator, runs: int, worse_by: float, rows: int = 1, turns: int = 0
) -> tuple[Array, Array]:
    """New a and b of each poll. rows: alike in each request. turns: polls in which only one of the two errs, in
    random order."""
    first, second = (DISCORDANT + worse_by) / 2, (DISCORDANT - worse_by) / 2
    shape = (runs, POLLS)
    if turns:
        mine = np.repeat(rng.random((runs, POLLS // turns)) < first / DISCORDANT, turns, axis=1)
        new = rng.binomial(LABELS, DISCORDANT, size=shape)
        return np.where(mine, new, 0.0), np.where(mine, 0.0, new)
    new = rng.multinomial(LABELS // rows, [first, second, 1 - DISCORDANT], size=shape) * float(rows)
    return new[..., 0], new[..., 1]


def by_pairs(new: tuple[Array, Array]) -> Outcome:
    a, b = (np.cumsum(each, axis=1) for each in new)
    n = LABELS * np.arange(1, POLLS + 1.0)
    worse, level = _pairs(a, b, n - a - b)
    _agree_pairs(a, b, n, worse, level)
    return _outcome(worse >= FIRES, (level >= FIRES) & (a + b >= paired.DISCORDANT_NEEDED))


def _agree_pairs(a: Array, b: Array, n: Array, worse: Array, level: Array) -> None:
    for poll in (0, POLLS // 2, POLLS - 1):
        seen = paired.Paired(int(a[0, poll]), int(b[0, poll]), int(n[poll] - a[0, poll] - b[0, poll]))
        assert math.isclose(paired.log_e_worse(seen), worse[0, poll], rel_tol=1e-6, abs_tol=1e-6)
        assert math.isclose(paired.log_e_not_worse(seen, MARGIN), level[0, poll], rel_tol=1e-6, abs_tol=1e-6)


def by_blocks(new: tuple[Array, Array], polls: int) -> Outcome:
    a, b = (each.reshape(len(each), -1, polls).sum(axis=2) for each in new)
    share = np.where(a + b > 0, (a - b) / np.maximum(a + b, 1), 0.0)
    bets, wide = np.array(pairblocks.BETS), np.array(pairblocks.MARGIN_BETS)
    worse = _log_mean(np.cumsum(np.log1p(np.multiply.outer(share, bets)), axis=1))
    excess = MARGIN - (a - b) / (polls * LABELS)
    level = _log_mean(np.cumsum(np.log1p(np.multiply.outer(excess, wide)), axis=1))
    return _outcome(worse >= FIRES, level >= FIRES, LABELS * polls)


@dataclass(frozen=True)
class Arms:
    """New labels and wrong ones of each poll, on the candidate and on the champion; (runs, polls)."""

    n: Array
    x: Array
    o: Array
    y: Array


def arms(rng: np.random.Generator, runs: int, worse_by: float, weight: float, swing: float = 0.0) -> Arms:
    """swing: how far the error of both goes up and down together, every 25 polls."""
    error = ERROR + swing * np.where(np.arange(POLLS) // 25 % 2, 1, -1)
    n = rng.binomial(LABELS, weight, size=(runs, POLLS))
    x, y = rng.binomial(n, error + worse_by), rng.binomial(LABELS - n, error)
    return Arms(*(each.astype(float) for each in (n, x, LABELS - n, y)))


def by_split(seen: Arms) -> Outcome:
    ratios = np.array(split.RATIOS)
    both, weight = seen.x + seen.y, seen.n / (seen.n + seen.o)
    told = (seen.n > 0) & (seen.o > 0)
    steps = np.multiply.outer(seen.x, np.log(ratios)) - both[..., None] * np.log1p(
        np.multiply.outer(weight, ratios - 1)
    )
    log_e = _log_mean(np.cumsum(np.where(told[..., None], steps, 0.0), axis=1))
    n, x, o, y = (np.cumsum(each, axis=1) for each in (seen.n, seen.x, seen.o, seen.y))
    upper = _upper(n, x, o, y)
    ready = np.minimum(n, o) >= margin.LABELS_NEEDED
    return _outcome(log_e >= FIRES, ready & (upper < MARGIN))


def _upper(n: Array, x: Array, o: Array, y: Array) -> Array:
    p, q = (x + 1) / (n + 2), (y + 1) / (o + 2)
    total = n + o
    variance = p * (1 - p) / np.maximum(n, 1) + q * (1 - q) / np.maximum(o, 1)
    log = -2 * math.log(2 * ALPHA)
    grown = total * (log + math.log(log + 1)) / margin.TIGHTEST
    width = np.sqrt(2 * (grown + 1) / grown * np.log1p(np.sqrt(grown + 1) / (2 * ALPHA)))
    return np.asarray(p - q + np.sqrt(variance) * width)


def rivals(seen: Arms) -> dict[str, Outcome]:
    """Each promotes whatever it has not rolled back after 300 polls."""
    candidate = seen.x / np.maximum(seen.n, 1)
    champion = seen.y / np.maximum(seen.o, 1)
    fails = (candidate > champion + MARGIN) & (seen.n > 0)
    n, x, o, y = (np.cumsum(each, axis=1) for each in (seen.n, seen.x, seen.o, seen.y))
    pooled = (x + y) / (n + o)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / np.maximum(n, 1) + 1 / np.maximum(o, 1)))
    ten = _rolling(seen.x, 10) / np.maximum(_rolling(seen.n, 10), 1)
    below = ten > _rolling(seen.y, 10) / np.maximum(_rolling(seen.o, 10), 1) + MARGIN
    in_a_row = _rolling(below.astype(float), 10) >= 10
    in_a_row[:, :19] = False
    rules = {
        "accuracy below the champion's less .02, ten rolling polls in a row": in_a_row,
        "Argo-like: more than 3 failed measurements": np.cumsum(fails, axis=1) > 3,
        "Flagger-like: 5 failed checks": np.cumsum(fails, axis=1) >= 5,
        "z-test at 5 % at each poll": (x / np.maximum(n, 1) - y / np.maximum(o, 1)) / error > 1.645,
    }
    last = np.zeros_like(fails)
    last[:, -1] = True
    return {name: _outcome(found, last) for name, found in rules.items()}


def _rolling(each: Array, width: int) -> Array:
    total = np.cumsum(each, axis=1)
    total[:, width:] = total[:, width:] - total[:, :-width].copy()
    return total


def against_the_optimum(rng: np.random.Generator, runs: int, worse_by: float) -> tuple[float, float, float]:
    """(fixed, mean, median) pairs until a candidate this much worse is rolled back, a look at every pair: the sign
    test's fixed number of pairs at alpha .05 and power .9, and what the e-process needs."""
    share = (DISCORDANT + worse_by) / 2 / DISCORDANT
    fixed = next(
        n for n in range(5, 100_000)
        if stats.binom.sf(stats.binom.isf(ALPHA, n, 0.5), n, share) >= 0.9
    ) / DISCORDANT  # fmt: skip
    discordant = 2000
    lost = rng.random((runs, discordant)) < share
    a = np.cumsum(lost, axis=1).astype(float)
    b = np.arange(1, discordant + 1) - a
    worse, _ = _pairs(a, b, np.zeros_like(a))
    needed = (_first(worse >= FIRES) + 1) / DISCORDANT
    return float(fixed), float(needed.mean()), float(np.median(needed))
