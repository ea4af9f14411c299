"""E-values on a log scale: their mean over a grid of bets, and when one is large enough.

Called by paired and split. An e-value has mean at most 1 under the null hypothesis; a mean of e-values is one too.
"""

import math
from collections.abc import Sequence


def log_mean(logs: Sequence[float]) -> float:
    """ln of the mean of e^log, without overflow; at least one log."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs) / len(logs))


def fires(log_e: float, alpha: float) -> bool:
    """E >= 1/alpha. Ville's inequality: under the null hypothesis an e-process *ever* does so with probability at
    most alpha, so one may look at every poll; alpha is spent once per process, not once per look."""
    return log_e >= -math.log(alpha)
