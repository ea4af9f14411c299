"""Have the shares of the classes moved, though nobody has labelled anything yet?

Called by decide, once a window, to explain drift of predictions (black-box shift estimation; Lipton, Wang, Smola
2018). Let R[i, j] be how often the model says i when the truth is j, from the holdout. If only the shares of the
classes moved (a disease spreads, and looks the same), R still holds, and the shares of predictions are mu = R q. So

    q = R^-1 mu,    w = q / p   (p: shares in the reference; w: the weights of the classes)
    Var q = R^-1 ( (diag mu - mu mu') / N  +  sum_j q_j^2 (diag R_j - R_j R_j') / n_j ) R^-1'

A model that hardly tells two classes apart has columns of R that are hardly different: then R^-1 blows up noise,
and the answer is a sentence instead of a number. A share that comes out clearly negative says that more than the
shares has moved. Only an explanation: it never retrains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from modelmend.evidence import confusion, verdict

LARGEST_CONDITION = 30.0
"""|R| |R^-1| in the 1-norm. Two classes told apart as well as (sensitivity + specificity - 1) = .05 have 40."""
ROWS_PER_CLASS = 20
"""Rows of the holdout in each class, and predictions of the window per class."""

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True)
class Share:
    """Of one class: in the reference, in the window, and the standard error of their difference; none is 0."""

    name: str
    before: float
    now: float
    error: float

    @property
    def weight(self) -> float:
        """w: how many times as frequent the class has become."""
        return self.now / self.before


@dataclass(frozen=True, slots=True)
class Report:
    """judgement: value is the largest change of a share, bound what chance explains of it. shares: () where nothing
    can be said."""

    judgement: verdict.Judgement
    shares: tuple[Share, ...] = ()


def judge(
    holdout: confusion.Confusion,
    predicted: Mapping[str, int],
    classes: tuple[str, ...],
    effect: float,
    alpha: float,
) -> Report:
    """Breached when a class's share moved by more than `effect` beyond chance, at alpha over all classes.

    holdout: of rows that the fit had not seen. predicted: predictions of the window by class.
    """
    rows = {j: sum(holdout.cells.get((i, j), 0) for i in classes) for j in classes}
    n = sum(predicted.get(name, 0) for name in classes)
    if (reason := _lack(rows, n, classes)) is not None:
        return Report(verdict.unknown(f"label shift unknown: {reason}", n))
    rates = [[holdout.cells.get((i, j), 0) / rows[j] for j in classes] for i in classes]
    inverse = inverted(rates)
    if inverse is None or _norm(rates) * _norm(inverse) > LARGEST_CONDITION:
        first, second = _alike(rates, classes)
        because = f"label shift unknown: on the holdout the model hardly tells {first} from {second}"
        return Report(verdict.unknown(because, n))
    shares = _shares(rates, inverse, rows, [predicted.get(name, 0) / n for name in classes], n, classes)
    wide = -NormalDist().inv_cdf(alpha / (2 * len(classes)))
    impossible = min(shares, key=lambda share: share.now / share.error)
    if impossible.now < -wide * impossible.error:
        because = (
            f"label shift alone does not explain the predictions: the share of {impossible.name} comes out at "
            f"{impossible.now:.3f}"
        )
        return Report(verdict.unknown(because, n), shares)
    most = max(shares, key=lambda share: abs(share.now - share.before) - wide * share.error)
    return Report(_judgement(most, wide, effect, n), shares)


def inverted(matrix: Matrix) -> Matrix | None:
    """The inverse of a square matrix by Gauss and Jordan with partial pivoting; None when it is singular."""
    size = len(matrix)
    work = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        best = max(range(column, size), key=lambda row: abs(work[row][column]))
        if abs(work[best][column]) < 1e-12:
            return None
        work[column], work[best] = work[best], work[column]
        pivot = work[column][column]
        work[column] = [value / pivot for value in work[column]]
        for row in range(size):
            if row != column and (factor := work[row][column]):
                work[row] = [
                    value - factor * above for value, above in zip(work[row], work[column], strict=True)
                ]
    return [row[size:] for row in work]


def _shares(
    rates: Matrix, inverse: Matrix, rows: Mapping[str, int], mu: list[float], n: int, classes: tuple[str, ...]
) -> tuple[Share, ...]:
    size, m = range(len(classes)), sum(rows.values())
    now = [sum(inverse[k][i] * mu[i] for i in size) for k in size]
    found = []
    for k, name in enumerate(classes):
        of_traffic = _variance(inverse[k], mu) / n
        of_rates = sum(
            now[j] ** 2 * _variance(inverse[k], [rates[i][j] for i in size]) / rows[classes[j]] for j in size
        )
        before = rows[name] / m
        error = math.sqrt(of_traffic + of_rates + before * (1 - before) / m)
        found.append(Share(name, before, now[k], error))
    return tuple(found)


def _variance(weights: list[float], shares: list[float]) -> float:
    """Of the weight of one draw from these shares."""
    mean = sum(weight * share for weight, share in zip(weights, shares, strict=True))
    square = sum(weight**2 * share for weight, share in zip(weights, shares, strict=True))
    return max(square - mean**2, 0.0)


def _judgement(most: Share, wide: float, effect: float, n: int) -> verdict.Judgement:
    change, chance = most.now - most.before, wide * most.error
    before, now, far = verdict.figures(most.before, max(most.now, 0.0), chance)
    told = f"the share of {most.name} is {now} over {n:,} predictions, {before} in the reference (chance explains {far})"
    if abs(change) - chance > effect:
        return verdict.Judgement(verdict.Verdict.BREACHED, change, chance, n, f"labels shifted: {told}")
    return verdict.Judgement(verdict.Verdict.OK, change, chance, n, f"no label shift: {told}")


def _lack(rows: Mapping[str, int], n: int, classes: tuple[str, ...]) -> str | None:
    if len(classes) < 2:
        return f"a model with {len(classes)} class has no shares to compare"
    few = [name for name in classes if rows[name] < ROWS_PER_CLASS]
    if few:
        return f"the holdout has {rows[few[0]]:,} rows of {few[0]}, and {ROWS_PER_CLASS} are needed"
    needed = ROWS_PER_CLASS * len(classes)
    return None if n >= needed else f"{n:,} of {needed:,} predictions needed"


def _norm(matrix: Matrix) -> float:
    """The largest sum of a column."""
    return max(sum(abs(row[j]) for row in matrix) for j in range(len(matrix)))


def _alike(rates: Matrix, classes: tuple[str, ...]) -> tuple[str, str]:
    """The two classes whose predictions differ least."""
    pairs = [(i, j) for i in range(len(classes)) for j in range(i)]
    i, j = min(pairs, key=lambda pair: sum(abs(row[pair[0]] - row[pair[1]]) for row in rates))
    return classes[j], classes[i]
