"""Does a candidate pass the gate on the holdout, before it sees any traffic?

Called by decide with the three counts that the trainer reports; the verdict is computed here, never taken over. The
same e-values as in a rollout (`paired`), so that one alpha means one thing everywhere.
"""

from dataclasses import dataclass

from modelmend.evidence import paired


@dataclass(frozen=True, slots=True)
class Gate:
    """because: one sentence without a full stop, with the score, the holdout's size and alpha."""

    passed: bool
    because: str


def better(pairs: paired.Paired, alpha: float, won: str = paired.RIGHT_ALONE) -> Gate:
    """`require: Better`. Passes a candidate that is not better with probability at most alpha."""
    return _gate(paired.is_better(pairs, alpha), "better than the champion", pairs, alpha, won)


def not_worse(pairs: paired.Paired, margin: float, alpha: float, won: str = paired.RIGHT_ALONE) -> Gate:
    """`require: NotWorse`. Passes a candidate that is worse by `margin` or more with probability at most alpha."""
    claim = f"not worse than the champion by {margin:g} or more"
    return _gate(paired.is_not_worse(pairs, margin, alpha), claim, pairs, alpha, won)


def first(pairs: paired.Paired, constant: str, alpha: float, won: str = paired.RIGHT_ALONE) -> Gate:
    """The first version of all, against always answering the same: `constant`, e.g. `the mean`. Passes one that is not
    better with probability at most alpha."""
    gate = _gate(
        paired.is_better(pairs, alpha), f"better than always answering {constant}", pairs, alpha, won
    )
    if gate.passed or not pairs.n:
        return gate
    remedy = "give spec.retraining.data.dataset columns that tell more, or more rows"
    return Gate(False, f"{gate.because}; {remedy}")


def _gate(passed: bool, claim: str, pairs: paired.Paired, alpha: float, won: str) -> Gate:
    if not pairs.n:
        return Gate(False, "the holdout is empty: nothing was compared")
    finding = f"the candidate is {claim}" if passed else f"the candidate is not proven {claim}"
    score = f"{won} {pairs.b:,} against {pairs.a:,} times on the holdout of {pairs.n:,}"
    return Gate(passed, f"{finding}: {score} (alpha {alpha:g})")
