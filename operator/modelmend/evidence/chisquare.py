"""Tail and quantile of the chi-square distribution, with `math` alone: the operator has no scipy.

Called by psi. sf(x; k) = Q(k/2, x/2), the regularised upper incomplete gamma function, by its series below and its
continued fraction above the bend (Press et al., Numerical Recipes, 6.2); relative error about 1e-13. k need not be
whole.
"""

import math
from statistics import NormalDist

_ACCURATE = 1e-14


def sf(x: float, degrees: float) -> float:
    """P(chi-square > x) with `degrees` > 0 degrees of freedom; 1 for x <= 0."""
    if x <= 0:
        return 1.0
    a, z = degrees / 2, x / 2
    log_weight = a * math.log(z) - z - math.lgamma(a)
    if z < a + 1:
        return max(1 - math.exp(log_weight) * _series(a, z), 0.0)
    return math.exp(log_weight) * _fraction(a, z)


def isf(p: float, degrees: float) -> float:
    """The x with sf(x) = p, 0 < p <= 1; ValueError outside. Newton's method on ln sf, kept within what was
    bracketed, from Wilson and Hilferty's approximation (1931)."""
    if not 0 < p <= 1:
        raise ValueError(f"{p} is not a probability above 0")
    if p == 1:
        return 0.0
    spread = 2 / (9 * degrees)
    after = degrees * max(1 - spread - NormalDist().inv_cdf(p) * math.sqrt(spread), 0.1) ** 3
    x, low, high = 0.0, 0.0, math.inf
    while abs(after - x) > 1e-12 * x:
        x = after
        tail = sf(x, degrees)
        low, high = (x, high) if tail > p else (low, x)
        log_density = (degrees / 2 - 1) * math.log(x / 2) - x / 2 - math.lgamma(degrees / 2) - math.log(2)
        after = x + ((math.log(tail) - math.log(p)) * tail / math.exp(log_density) if tail else -x)
        if not low < after < high:
            after = (low + high) / 2 if high < math.inf else 2 * x
    return x


def _series(a: float, z: float) -> float:
    """sum over i >= 0 of z^i / (a (a + 1) ... (a + i))."""
    term = total = 1 / a
    i = 0
    while term > total * _ACCURATE:
        i += 1
        term *= z / (a + i)
        total += term
    return total


def _fraction(a: float, z: float) -> float:
    """Lentz's evaluation of the continued fraction of Q(a, z) without its weight."""
    b = z + 1 - a
    c, d = math.inf, 1 / b
    value, factor, i = d, 0.0, 0
    while abs(factor - 1) > _ACCURATE:
        i += 1
        numerator = -i * (i - a)
        b += 2
        d = 1 / (b + numerator * d)
        c = b + numerator / c
        factor = c * d
        value *= factor
    return value
