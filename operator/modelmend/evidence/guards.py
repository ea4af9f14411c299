"""Must a candidate be stopped because it errs or is slow, and is it the candidate's own fault?

Called by decide at every poll of shadow, canary and bake, once per guard: errors among requests, or requests slower
than the limit (their healthy share is then 0.01 for a p99).

    the candidate's own rate     the champion                        verdict
    not proven above             -                                   OK
    proven above the limit       proven better at the same time      Breached
    proven above the limit       not proven better                   Unknown: a common outage, or too early to tell
    so proven while alone too    not seen above the limit            Breached: nobody to compare with (the bake)
    no request, or none lately   -                                   Unknown

"Proven above" is the detector against the limit; "proven better" is the split-traffic e-process at alpha. Both must
agree, so that an outage of what both depend on does not stop a candidate, and neither does being worse than an
excellent champion while well within the limit. While both answer in every poll, a wrong stop is at most
as likely as alpha.
A candidate that always fails is found within a dozen errors, as soon as the champion has answered about seven requests.

Alone are the polls in which the champion answers nothing: the e-process stands still there, and a second detector, fed
by these polls only, decides. What the champion does answer then excuses the candidate only if it fails too: in thin
traffic some polls are alone by chance, during a common outage as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from modelmend.evidence import bounds, counts, detector, evalue, split, verdict


@dataclass(frozen=True, slots=True)
class Guard:
    """name: what is bad, as in the sentence ("error rate", "share of requests over 200ms").
    limit: highest healthy share, and polls between false alarms (about the rollout's polls / alpha).
    alpha: probability that a candidate no worse than the champion is ever found worse.
    """

    name: str
    limit: detector.Limit
    alpha: float


@dataclass(frozen=True, slots=True)
class State:
    """What a guard remembers of one rollout; JSON-friendly.

    own: the candidate's requests against the limit. against: candidate against champion, since the rollout began.
    alone: the requests of `own.run` in polls without champion requests, against the limit.
    beside: the champion's requests since `own.run` began.
    """

    own: detector.State = field(default_factory=detector.State)
    alone: detector.State = field(default_factory=detector.State)
    against: split.State = field(default_factory=split.State)
    beside: counts.Tally = field(default_factory=counts.Tally)

    def to_json(self) -> dict[str, Any]:
        return {
            "own": self.own.to_json(),
            "alone": self.alone.to_json(),
            "against": self.against.to_json(),
            "beside": self.beside.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError or ValueError when `saved` is not of its making."""
        return cls(
            own=detector.State.from_json(saved["own"]),
            alone=detector.State.from_json(saved["alone"]),
            against=split.State.from_json(saved["against"]),
            beside=counts.Tally.from_json(saved["beside"]),
        )


def step(guard: Guard, state: State, candidate: counts.Tally, champion: counts.Tally) -> State:
    """The state after one poll's new requests of both arms, counted over the same time."""
    own = detector.step(state.own, candidate, guard.limit)
    against = split.step(state.against, candidate, champion)
    if not own.run.n:  # nothing to hold against the candidate any more, hence nothing that needs an excuse
        return State(own=own, against=against)
    alone = detector.step(state.alone, counts.Tally() if champion.n else candidate, guard.limit)
    return State(own, alone, against, beside=state.beside + champion)


def judge(guard: Guard, state: State, silence: verdict.Silence) -> verdict.Judgement:
    """The verdict on the candidate; `silence` is since its last request. A breach outlives silence."""
    if not state.own.breached:
        if silence.is_too_long or not state.own.seen.n:
            because = f"{guard.name} unknown: the candidate has had no request for {verdict.duration(silence.lasted)}"
            return verdict.Judgement(verdict.Verdict.UNKNOWN, None, None, state.own.seen.n, because)
        return _within(guard, state.own.seen)
    if evalue.fires(state.against.log_e, guard.alpha):
        return _above(guard, state.own.run, verdict.Verdict.BREACHED, f"and worse than {_champion(state)}")
    if state.alone.breached and not _champion_is_seen_above(guard, state):
        return _above(
            guard,
            state.own.run,
            verdict.Verdict.BREACHED,
            "and the champion answered too little to compare with",
        )
    return _above(
        guard, state.own.run, verdict.Verdict.UNKNOWN, f"but not proven worse than {_champion(state)}"
    )


def _champion_is_seen_above(guard: Guard, state: State) -> bool:
    return state.beside.bad > state.beside.n * guard.limit.share


def _champion(state: State) -> str:
    if not state.beside.n:
        return "the champion, which had no request"
    return f"the champion's {verdict.figures(state.beside.share)[0]} over {state.beside.n:,}"


def _within(guard: Guard, seen: counts.Tally) -> verdict.Judgement:
    at_least, at_most = bounds.anytime(seen, bounds.SURE)
    if seen.share <= guard.limit.share:
        bound, finding, side = at_most, "is within", "at most"
    elif at_least < guard.limit.share:
        bound, finding, side = at_least, "is not proven above", "at least"
    else:
        bound, finding, side = at_least, "is short of an alarm, though above", "at least"
    value, faced, limit = verdict.figures(seen.share, bound, guard.limit.share)
    because = f"{guard.name} {value} over {seen.n:,} requests {finding} the limit {limit} (99.9% sure {side} {faced})"
    return verdict.Judgement(verdict.Verdict.OK, seen.share, bound, seen.n, because)


def _above(guard: Guard, run: counts.Tally, finding: verdict.Verdict, compared: str) -> verdict.Judgement:
    value, limit = verdict.figures(run.share, guard.limit.share)
    above = "is" if run.share > guard.limit.share else "has been"
    because = (
        f"{guard.name} {value} over the last {run.n:,} requests {above} above the limit {limit}, {compared}"
    )
    return verdict.Judgement(finding, run.share, bounds.anytime(run, bounds.SURE)[0], run.n, because)
