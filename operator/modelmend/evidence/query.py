"""The verdict on a number that somebody asks Prometheus for: above or below a threshold, for some time.

Called by decide for signals of type Query. The threshold itself is a breach (`above: 12` breaches at 12). No
statistics: the query is the user's, and so is the number of its false alarms; `for` is what they have against
single spikes.

    answer                              verdict
    one number, within                  OK
    one number, beyond, not yet `for`   OK, and says since when
    one number, beyond, all of `for`    Breached
    none, NaN, infinite, or too old     Unknown (onMissing: Hold), or Breached (onMissing: Breach)
    several series                      Unknown, always: the query does not say which one is meant
    an error of Prometheus              Unknown, always: the error is not the model's

An answer that is missing for one look does not forget how long the number was beyond: it stops the clock only if it
stays away longer than an answer may be old. Otherwise one lost scrape in ten minutes would keep `for: 10m` from
ever being reached.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from modelmend.evidence import verdict


class OnMissing(enum.StrEnum):
    HOLD = "Hold"
    BREACH = "Breach"


@dataclass(frozen=True, slots=True)
class Asked:
    """name: of the signal. above, below: exactly one is given; ValueError otherwise. for_: seconds it must last.
    stale: seconds after which an answer is too old."""

    name: str
    above: float | None = None
    below: float | None = None
    for_: float = 0.0
    on_missing: OnMissing = OnMissing.HOLD
    stale: float = 300.0

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"signal {self.name} needs exactly one of above and below")

    @property
    def threshold(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    @property
    def side(self) -> str:
        return "above" if self.above is not None else "below"

    def is_beyond(self, value: float) -> bool:
        return value >= self.threshold if self.above is not None else value <= self.threshold


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said at one look. values: of all series, as (value, time in seconds). error: its sentence, or
    None."""

    values: tuple[tuple[float, float], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """since: when the number was first beyond, and has been at every answer since. known: time of the last usable
    answer. value: that answer. Seconds; JSON-friendly."""

    since: float | None = None
    known: float | None = None
    value: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"since": self.since, "known": self.known, "value": self.value}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            *(None if saved[name] is None else float(saved[name]) for name in ("since", "known", "value"))
        )


def step(asked: Asked, state: State, answer: Answer, now: float) -> State:
    """The state after one look at `now` (seconds)."""
    if _problem(asked, answer, now) is None:
        value, at = answer.values[0]
        since = (at if state.since is None else state.since) if asked.is_beyond(value) else None
        return State(since, at, value)
    if state.known is not None and now - state.known <= asked.stale:
        return state
    return State(None, state.known, state.value)


def judge(asked: Asked, state: State, answer: Answer, now: float) -> verdict.Judgement:
    """The verdict at `now`; `state` has already taken this answer."""
    problem = _problem(asked, answer, now)
    if problem is not None:
        theirs = answer.error is not None or len(answer.values) > 1
        if asked.on_missing is OnMissing.BREACH and not theirs:
            because = f"{asked.name} counts as breached: {problem}"
            return verdict.Judgement(verdict.Verdict.BREACHED, None, asked.threshold, 0, because)
        return verdict.unknown(f"{asked.name} unknown: {problem}")
    value = answer.values[0][0]
    said = f"{asked.name} {value:g} is"
    if state.since is None:
        other = "below" if asked.side == "above" else "above"
        return verdict.Judgement(
            verdict.Verdict.OK, value, asked.threshold, 1, f"{said} {other} {asked.threshold:g}"
        )
    lasted = max(now - state.since, 0.0)
    reached = "at" if value == asked.threshold else asked.side
    if lasted < asked.for_:
        because = f"{said} {reached} {asked.threshold:g}, for {verdict.duration(lasted)} of {verdict.duration(asked.for_)}"
        return verdict.Judgement(verdict.Verdict.OK, value, asked.threshold, 1, because)
    held = f" for {verdict.duration(lasted)}" if asked.for_ else ""
    because = f"{said} {reached} {asked.threshold:g}{held}"
    return verdict.Judgement(verdict.Verdict.BREACHED, value, asked.threshold, 1, because)


def _problem(asked: Asked, answer: Answer, now: float) -> str | None:
    if answer.error is not None:
        return answer.error
    if not answer.values:
        return "the query has no result"
    if len(answer.values) > 1:
        return f"the query has {len(answer.values):,} series, and one is needed: aggregate them, for example with sum"
    value, at = answer.values[0]
    if not math.isfinite(value):
        return f"the query gives {value}, which is no number to compare"
    if now - at > asked.stale:
        return f"the query's last value is {verdict.duration(now - at)} old"
    return None
