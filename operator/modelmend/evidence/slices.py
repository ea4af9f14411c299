"""Is the candidate worse on a part of the data that somebody named, by more than they allow there?

Called by decide at the offline gate for each of `evaluation.slices` (column = value). A model that is better on the
whole may be bad for the few. For the pairs of one slice (`paired.Paired`) and its margin m,

    H0: it is worse by at most m      E = mean_L (1 + L (1 - m))^a (1 - L (1 + m))^b (1 - L m)^c,   L < 1 / (1 + m)

Each factor has mean 1 + L (difference - m) <= 1 under H0. With k slices each is asked at alpha / k (Bonferroni), so
that a candidate which is within the margin on all of them is refused with probability at most alpha.

A slice of a few rows proves little either way. `Require.PROVEN_NOT_WORSE` therefore asks the reverse of
each slice.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelmend.evidence import evalue, paired

BETS = (0.05, 0.1, 0.2, 0.4, 0.8)


class Require(enum.StrEnum):
    NOT_PROVEN_WORSE = "NotProvenWorse"
    PROVEN_NOT_WORSE = "ProvenNotWorse"


@dataclass(frozen=True, slots=True)
class Slice:
    """name: as in `carrier = UA`. margin: in [0, 1)."""

    name: str
    pairs: paired.Paired
    margin: float


@dataclass(frozen=True, slots=True)
class Gate:
    """because: one sentence without a full stop, on the slice that decided, or on all of them."""

    passed: bool
    because: str


def log_e_worse_by(pairs: paired.Paired, margin: float) -> float:
    """ln of the e-value against "worse by at most `margin`"; 0 without pairs.

    ValueError for a margin outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"the margin {margin} must be at least 0 and below 1")
    stakes = [bet / (1 + margin) for bet in BETS]
    return evalue.log_mean(
        [
            pairs.a * math.log1p(stake * (1 - margin))
            + pairs.b * math.log1p(-stake * (1 + margin))
            + pairs.c * math.log1p(-stake * margin)
            for stake in stakes
        ]
    )


def gate(
    slices: Sequence[Slice],
    alpha: float,
    require: Require = Require.NOT_PROVEN_WORSE,
    won: str = paired.RIGHT_ALONE,
) -> Gate:
    """Whether a candidate passes on every slice; without slices it does. won: what it is to win a pair."""
    if not slices:
        return Gate(True, "no slice was named")
    each = alpha / len(slices)
    for part in slices:
        if evalue.fires(log_e_worse_by(part.pairs, part.margin), each):
            because = (
                f"the candidate is worse on {part.name} by more than {part.margin:g}: {_score(part, won)}"
            )
            return Gate(False, f"{because} (alpha {alpha:g} over {_slices(len(slices))})")
    open_ = [part for part in slices if not paired.is_not_worse(part.pairs, part.margin, each)]
    if open_ and require is Require.PROVEN_NOT_WORSE:
        part = min(open_, key=lambda part: part.pairs.n)
        because = f"the candidate is not proven within {part.margin:g} on {part.name}: {_score(part, won)}"
        return Gate(False, f"{because} (alpha {alpha:g} over {_slices(len(slices))})")
    if open_:
        names = ", ".join(part.name for part in open_)
        return Gate(
            True, f"on no slice is the candidate proven worse; Unknown, with too few rows to tell, on {names}"
        )
    return Gate(True, f"the candidate is not worse on any of {_slices(len(slices))} by more than its margin")


def _slices(number: int) -> str:
    return f"{number:,} slice{'s' if number > 1 else ''}"


def _score(part: Slice, won: str) -> str:
    if not part.pairs.n:
        return "no compared row is in it"
    return f"{won} {part.pairs.b:,} against {part.pairs.a:,} times in {part.pairs.n:,} rows"
