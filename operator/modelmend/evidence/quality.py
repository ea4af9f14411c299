"""One verdict and one sentence for any measure of quality, from accuracy to RMSE.

Called by family and regression, which say what is measured; the detector's state says whether the limit is
breached, the figures only say how it looks. So all measures are told in the same words.

    version still young, too few rows           Unknown
    detector breached                           Breached, also in silence: it was proven, and silence proves nothing
    silence too long, or nothing in the window  Unknown
    else                                        OK, with the bound that faces the limit
"""

from dataclasses import dataclass

from modelmend.evidence import detector, verdict

ANYTIME = "99.9% sure"
"""How sentences call the bounds that hold at every look (`bounds.SURE`)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A limit on a measure, and the words for it.

    metric: its name in sentences. limit: the worst healthy value, in the measure's own unit.
    min_labels: rows before a verdict. alarm: looks between false alarms (`detector.Limit.alarm`).
    rows: what is counted, in the plural. looks: what `alarm` counts. rising: a larger value is a worse one.
    """

    metric: str
    limit: float
    min_labels: int
    alarm: float
    rows: str = "labels"
    looks: str = "polls with labels"
    rising: bool = False

    def is_worse(self, value: float, than: float) -> bool:
        return value > than if self.rising else value < than

    @property
    def side(self) -> str:
        """Where the limit is breached."""
        return "above" if self.rising else "below"

    @property
    def moved(self) -> str:
        return "rose above" if self.rising else "fell below"


@dataclass(frozen=True, slots=True)
class Figures:
    """A measure over n rows, and between which values it surely lies."""

    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known besides the detector's state.

    shown: of the window that people see; None without a row in it (or without one of each class).
    run: the measure over `state.run`; None while that is empty.
    silence: since the last counted row. immature_for: seconds until the labels that arrive are typical, then 0.
    note: why rows are few, as a clause; may be empty.
    """

    shown: Figures | None
    run: float | None
    silence: verdict.Silence
    immature_for: float = 0.0
    note: str = ""


def judge(asked: Asked, state: detector.State, seen: Seen) -> verdict.Judgement:
    """The verdict by the detector; `state` has already taken the rows of this poll."""
    if unknown := not_yet_known(asked, seen, state.seen.n):
        return unknown
    if state.breached:
        return _breached(asked, state, seen)
    if seen.silence.is_too_long or seen.shown is None:
        if seen.note and not seen.silence.is_too_long:
            return verdict.unknown(f"{asked.metric} unknown of late: {seen.note}", state.seen.n)
        because = (
            f"no {asked.rows} for {verdict.duration(seen.silence.lasted)}: "
            f"the {asked.metric} over the {state.seen.n:,} {asked.rows} before is out of date"
        )
        return verdict.unknown(because, state.seen.n)
    return holds(asked, seen.shown, ANYTIME)


def judge_by_threshold(asked: Asked, seen: Seen, sure: str) -> verdict.Judgement:
    """The verdict of one look at one window: Breached when the whole interval of `seen.shown` is at or beyond the
    limit."""
    if unknown := not_yet_known(asked, seen, 0 if seen.shown is None else seen.shown.n):
        return unknown
    assert seen.shown is not None
    if seen.silence.is_too_long:
        return verdict.unknown(f"no {asked.rows} for {verdict.duration(seen.silence.lasted)}", seen.shown.n)
    best = seen.shown.low if asked.rising else seen.shown.high
    if asked.is_worse(asked.limit, best):
        return holds(asked, seen.shown, sure)
    return beyond(asked, seen.shown, sure)


def not_yet_known(asked: Asked, seen: Seen, counted: int) -> verdict.Judgement | None:
    """Unknown while the version is young or rows are few; else None."""
    if seen.immature_for > 0:
        return verdict.unknown(
            f"no verdict for another {verdict.duration(seen.immature_for)}: "
            "the labels that arrive first are not typical",
            counted,
        )
    if counted >= max(asked.min_labels, 1):
        return None
    needed = f"{counted:,} of {max(asked.min_labels, 1):,} needed{_clause(seen)}"
    if seen.silence.is_too_long:
        return verdict.unknown(
            f"no {asked.rows} since {verdict.duration(seen.silence.lasted)}: {needed}", counted
        )
    return verdict.unknown(f"too few {asked.rows} for a verdict: {needed}", counted)


def holds(asked: Asked, shown: Figures, sure: str) -> verdict.Judgement:
    """OK: the bound that faces the limit, so that the reader sees how much is proven. A window may lie beyond the
    limit for certain while the detector, which must not alarm by chance for weeks, is still gathering."""
    best, worst = (shown.low, shown.high) if asked.rising else (shown.high, shown.low)
    best_side, worst_side = ("at least", "at most") if asked.rising else ("at most", "at least")
    if not asked.is_worse(shown.value, asked.limit):
        bound, finding, side = worst, "is within", worst_side
    elif asked.is_worse(asked.limit, best):
        bound, finding, side = best, f"is not proven {asked.side}", best_side
    else:
        bound, finding, side = best, f"is short of an alarm, though {asked.side}", best_side
    value, faced, limit = verdict.figures(shown.value, bound, asked.limit)
    because = f"{asked.metric} {value} over {shown.n:,} {asked.rows} {finding} the limit {limit} ({sure} {side} {faced})"
    return verdict.Judgement(verdict.Verdict.OK, shown.value, bound, shown.n, because)


def beyond(asked: Asked, shown: Figures, sure: str) -> verdict.Judgement:
    """Breached, with a window that shows it by itself."""
    best, side = (shown.low, "at least") if asked.rising else (shown.high, "at most")
    value, bound, limit = verdict.figures(shown.value, best, asked.limit)
    because = f"{asked.metric} {value} over {shown.n:,} {asked.rows} is {asked.side} the limit {limit} ({sure} {side} {bound})"
    return verdict.Judgement(verdict.Verdict.BREACHED, shown.value, best, shown.n, because)


def _breached(asked: Asked, state: detector.State, seen: Seen) -> verdict.Judgement:
    """Breached, with the figures that show it best: the window's; else those of the run that raised the alarm."""
    if seen.shown is None:
        because = (
            f"{asked.metric} {asked.moved} the limit {verdict.figures(asked.limit)[0]}, "
            f"and no {asked.rows} for {verdict.duration(seen.silence.lasted)} say otherwise"
        )
        return verdict.Judgement(verdict.Verdict.BREACHED, None, None, 0, because)
    best = seen.shown.low if asked.rising else seen.shown.high
    if not asked.is_worse(asked.limit, best):
        return beyond(asked, seen.shown, ANYTIME)
    since = asked.limit if seen.run is None else seen.run
    value, run, limit = verdict.figures(seen.shown.value, since, asked.limit)
    because = f"{asked.metric} {value} over {seen.shown.n:,} {asked.rows}"
    if asked.is_worse(since, asked.limit):
        direction = "rise" if asked.rising else "fall"
        because += (
            f", but {run} over the {state.run.n:,} since it began to {direction}: {asked.side} the limit {limit} "
            f"by evidence that comes by chance at most once in {asked.alarm:,.0f} {asked.looks}"
        )
    else:
        direction = "rise above" if asked.rising else "fall below"
        because += f" does not yet outweigh the proven {direction} the limit {limit}"
    return verdict.Judgement(verdict.Verdict.BREACHED, seen.shown.value, best, seen.shown.n, because)


def _clause(seen: Seen) -> str:
    return f" ({seen.note})" if seen.note else ""
