"""The verdict on a number that somebody asks Prometheus for: above or below a threshold, for some time.

Called by observe at every answer (`step`) and by decide for signals of type Query (`judge`). The threshold itself is
a breach (`above: 12` breaches at 12). No statistics: the query is the user's, and so is the number of its false
alarms; `for` is what they have against single spikes.

    answer                              verdict
    one number, within                  OK
    one number, beyond, not yet `for`   OK, and says what is waited for
    one number, beyond, all of `for`    Breached
    none, NaN, infinite, or too old     Unknown (onMissing: Hold); Breached after all of `for` (onMissing: Breach)
    several series                      Unknown, always: the query does not say which one is meant
    an error of Prometheus              Unknown, always: the error is not the model's

An answer that is missing for one look does not forget how long the number was beyond, and neither does an operator that
restarts: the clock begins anew only when nothing was known for longer than `FORGETS`. Otherwise one lost scrape in
ten minutes would keep `for: 10m` from ever being reached.
"""

import enum
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from modelmend.evidence import verdict

FORGETS: Final = 600.0
"""Seconds without a usable answer after which nobody knows how long the number has been beyond. More than the age of a
checkpoint, so that a restart stops no clock."""


class OnMissing(enum.StrEnum):
    HOLD = "Hold"
    BREACH = "Breach"


@dataclass(frozen=True, slots=True)
class Asked:
    """name: of the signal. text: PromQL as somebody wrote it. above, below: exactly one is given; ValueError otherwise.
    for_: seconds it must last. stale: seconds after which an answer is too old. since: what came before was to be
    forgotten (a promotion, a rejection, a reset)."""

    name: str
    text: str = ""
    above: float | None = None
    below: float | None = None
    for_: float = 0.0
    on_missing: OnMissing = OnMissing.HOLD
    stale: float = 300.0
    since: float = 0.0

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"signal {self.name} needs exactly one of above and below")

    @property
    def threshold(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    @property
    def side(self) -> str:
        return "above" if self.above is not None else "below"

    @property
    def identity(self) -> str:
        """Another one asks about something else: what is known of it says nothing here. `for` may change freely."""
        told = f"{self.side} {self.threshold!r} {self.since!r} {self.text}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def is_beyond(self, value: float) -> bool:
        return value >= self.threshold if self.above is not None else value <= self.threshold


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said at one look. values: of the first two series, more are as bad. error: a sentence on what
    cannot be asked, or None."""

    values: tuple[float, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """of: whose state it is (`Asked.identity`). answer, at: the last one, and when it came. since: when the number was
    first beyond, and has been at every answer since. known: when that was last seen. Seconds; JSON-friendly."""

    of: str
    answer: Answer
    at: float
    since: float | None = None
    known: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Values as texts: JSON knows no NaN."""
        return {
            "of": self.of,
            "values": [repr(value) for value in self.answer.values],
            "error": self.answer.error,
            "at": self.at,
            "since": self.since,
            "known": self.known,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError when `saved` is not of its making."""
        error = saved.get("error")
        answer = Answer(
            tuple(float(value) for value in saved.get("values") or ()), None if error is None else str(error)
        )
        since, known = (
            None if saved.get(name) is None else float(saved[name]) for name in ("since", "known")
        )
        return cls(str(saved["of"]), answer, float(saved["at"]), since, known)


def step(asked: Asked, state: State | None, answer: Answer, now: float) -> State:
    """The state after one answer at `now` (seconds)."""
    fresh = State(asked.identity, answer, now)
    if state is None or state.of != fresh.of or state.known is None or now - state.known > FORGETS:
        before = fresh
    else:
        before = replace(fresh, since=state.since, known=state.known)
    lacking = _lack(answer)
    if _fault(answer) is not None or (lacking is not None and asked.on_missing is OnMissing.HOLD):
        return before
    if lacking is None and not asked.is_beyond(answer.values[0]):
        return replace(before, since=None, known=now)
    return replace(before, since=now if before.since is None else min(before.since, now), known=now)


def judge(asked: Asked, state: State | None, now: float) -> verdict.Judgement:
    """The verdict at `now`. No sentence holds a running length of time: it would be another one at every look."""
    if state is None or state.of != asked.identity:
        return verdict.unknown(f"{asked.name} unknown: its query has not been answered yet")
    if (fault := _fault(state.answer)) is not None:
        return verdict.unknown(f"{asked.name} unknown: {fault}")
    if now - state.at > asked.stale:
        # Also with onMissing Breach: it was not asked, which is no missing value.
        return verdict.unknown(
            f"{asked.name} unknown: its query was last answered more than {verdict.duration(asked.stale)} ago"
        )
    lasts = asked.for_ <= (0.0 if state.since is None else now - state.since)
    if (lacking := _lack(state.answer)) is not None:
        return _missing(asked, lacking, lasts=lasts)
    (value,) = state.answer.values
    said = f"{asked.name} {value:g} is"
    if state.since is None:
        other = "below" if asked.side == "above" else "above"
        because = f"{said} {other} {asked.threshold:g}"
        return verdict.Judgement(verdict.Verdict.OK, value, asked.threshold, 1, because)
    said = f"{said} {'at' if value == asked.threshold else asked.side} {asked.threshold:g}"
    if not lasts:
        because = f"{said}, and breached once that has lasted {verdict.duration(asked.for_)}"
        return verdict.Judgement(verdict.Verdict.OK, value, asked.threshold, 1, because)
    because = f"{said} for at least {verdict.duration(asked.for_)}" if asked.for_ else said
    return verdict.Judgement(verdict.Verdict.BREACHED, value, asked.threshold, 1, because)


def is_news(asked: Asked, before: State | None, after: State) -> bool:
    """Whether the later answer says something else, so that somebody should look."""
    if before is None or before.of != after.of:
        return True
    was, is_ = before.answer, after.answer
    if (before.since is None) is not (after.since is None) or was.error != is_.error:
        return True
    if (
        len(was.values) != 1
        or len(is_.values) != 1
        or not (math.isfinite(was.values[0]) and math.isfinite(is_.values[0]))
    ):
        return was.values != is_.values and repr(was.values) != repr(is_.values)
    return not is_close(asked.threshold, was.values[0], is_.values[0])


def turns_at(asked: Asked, state: State | None) -> tuple[float, ...]:
    """When the verdict changes by time alone: it has lasted, or the last answer is too old."""
    if state is None or state.of != asked.identity:
        return ()
    late = state.at + asked.stale
    return (late,) if state.since is None else (late, state.since + asked.for_)


def is_close(threshold: float, before: float, after: float) -> bool:
    """Whether two numbers are about as far from the threshold: within a factor of two. Any scale has such numbers, and a
    rate that trembles is no news."""
    was, is_ = abs(before - threshold), abs(after - threshold)
    return (before >= threshold) == (after >= threshold) and was <= 2 * is_ <= 4 * was


def _missing(asked: Asked, lacking: str, *, lasts: bool) -> verdict.Judgement:
    if asked.on_missing is OnMissing.HOLD:
        return verdict.unknown(f"{asked.name} unknown: {lacking}")
    if not lasts:
        return verdict.unknown(
            f"{asked.name} unknown: {lacking}, and counts as breached once that has lasted {verdict.duration(asked.for_)}"
        )
    because = f"{asked.name} counts as breached (onMissing): {lacking}"
    return verdict.Judgement(verdict.Verdict.BREACHED, None, asked.threshold, 0, because)


def _fault(answer: Answer) -> str | None:
    """What is wrong with the query itself, and never the model's fault."""
    if answer.error is not None:
        return answer.error
    if len(answer.values) > 1:
        return "the query has more than one series, and one is needed: aggregate them, for example with sum"
    return None


def _lack(answer: Answer) -> str | None:
    """What is missing; of an answer without a fault."""
    if not answer.values:
        return "the query has no result"
    if not math.isfinite(answer.values[0]):
        return f"the query gives {answer.values[0]}, which is no number to compare"
    return None
