"""What half and nine in ten of simulated runs came to, where some were given up."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The quick tenth, the half, and nine in ten; None: not within the length that was simulated."""

    quick: float | None
    median: float | None
    ninth: float | None


def spread(ended: Sequence[float], runs: int) -> Spread:
    """Quantiles of `runs` runs, of which only those that ended brought a number."""
    ordered = sorted(ended)

    def at(share: float) -> float | None:
        place = max(-int(-share * runs // 1) - 1, 0)
        return ordered[place] if place < len(ordered) else None

    return Spread(at(0.1), at(0.5), at(0.9))
