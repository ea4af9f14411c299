"""The three verdicts, the judgement that carries one, and how its figures are written.

Every judgement ends in one sentence that is the same in status, Event, condition and log. Unknown is a verdict
of its own: missing, old or too few numbers never count as healthy and never as failing.
"""

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    OK = "OK"
    BREACHED = "Breached"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its figures.

    value: the observed share (accuracy, error rate); None without outcomes.
    bound: what the true share surely is at most (when the sentence says so) or at least; None without outcomes.
    n: outcomes behind the value; for Unknown, those counted so far.
    because: one sentence without a full stop, with metric, value, bound, limit and n.
    """

    verdict: Verdict
    value: float | None
    bound: float | None
    n: int
    because: str


def unknown(because: str, counted: int = 0) -> Judgement:
    """Unknown, with what was counted so far."""
    return Judgement(Verdict.UNKNOWN, None, None, counted, because)


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nothing was counted, and how long is too long; seconds."""

    lasted: float
    tolerated: float

    @property
    def is_too_long(self) -> bool:
        return self.lasted > self.tolerated


def figures(*shares: float) -> list[str]:
    """Shares as decimals: three digits, or as many as keep different shares apart (six at most)."""
    for digits in range(3, 6):
        written = [f"{share:.{digits}f}" for share in shares]
        if len(set(written)) == len(set(shares)):
            return written
    return [f"{share:.6f}" for share in shares]


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 45 s, 14 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (rest, "min")]
    largest = next(place for place, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[largest : largest + 2] if amount)


def about(number: int) -> str:
    """920 for 917, with thousands apart: an estimate does not know its last digits."""
    return f"{round(number, 2 - len(str(number))):,}"
