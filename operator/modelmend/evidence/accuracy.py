"""The verdict on a model's live accuracy: proven below its limit, not so, or not known.

Called by decide for signals of type Accuracy. Two ways: `judge` composes the detector (the default), and
`judge_by_threshold` is the simple mode (`evidence: Threshold`), stateless, one look at one window.

What the counters can say about label delay. They count labels when these arrive, not when their prediction was made.
The labels that arrive first are the quick ones, and quick labels are not typical (a fraud is reported sooner than
no fraud). Once a version is older than the delay's p90, the arriving labels are the usual mixture again:

    version serves |---- p90 of the delay ----|  mature: count from here
    labels arrive     quick quick    quick      quick slow quick slow

So the caller absorbs immature labels into the checkpoint but does not give them to `detector.step`; then
`detector.State.seen` counts from the first mature label, and `minLabels` is compared with that.
"""

from dataclasses import dataclass

from modelmend.evidence import bounds, counts, detector, verdict

STRICT = 4.0
"""Standard errors of the simple mode: at two, looks at every poll would alarm by chance within days."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy signal: the lowest healthy accuracy in [0, 1], the labels needed before a verdict, and the
    polls with labels between false alarms (falseAlarmEvery / interval)."""

    minimum: float
    min_labels: int
    alarm: float

    @property
    def limit(self) -> detector.Limit:
        """For `detector.step`; ValueError when minimum or alarm is out of range."""
        return detector.Limit(share=1 - self.minimum, alarm=self.alarm)


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a version's labels besides the detector's state.

    shown: counted labels of the window that people see (or of the version's life), wrong ones as `bad`.
    immature_for: seconds until the version is as old as the label delay's p90; 0 once it is.
    silence: since the last counted label (or since maturity, without one).
    """

    shown: counts.Tally
    silence: verdict.Silence
    immature_for: float = 0.0


def minimum_after_drop(holdout: float, max_drop: float) -> float:
    """The limit that `maxDrop` sets: so far below the version's own accuracy on its holdout, and never below 0."""
    return max(holdout - max_drop, 0.0)


def judge(signal: Accuracy, state: detector.State, labels: Labels) -> verdict.Judgement:
    """The verdict by the detector; `state` has already taken the labels of this poll.

    A breach outlives silence: it was proven, and silence is no evidence to the contrary.
    """
    if unknown := _not_yet_known(signal, labels, state.seen.n):
        return unknown
    if state.breached:
        return _breached(signal, state, labels)
    if labels.silence.is_too_long or not labels.shown.n:
        return _unknown(
            f"no labels for {verdict.duration(labels.silence.lasted)}: "
            f"the accuracy over the {state.seen.n:,} labels before is out of date",
            state.seen.n,
        )
    return _holds(signal, labels.shown, bounds.anytime(labels.shown, bounds.SURE), "99.9% sure")


def judge_by_threshold(signal: Accuracy, labels: Labels) -> verdict.Judgement:
    """The simple verdict: Breached when Wilson's upper bound (4 standard errors) of the shown window is at or below
    the minimum. No memory, and no stated interval between false alarms; `signal.alarm` is not used."""
    if unknown := _not_yet_known(signal, labels, labels.shown.n):
        return unknown
    if labels.silence.is_too_long:
        return _unknown(f"no labels for {verdict.duration(labels.silence.lasted)}", labels.shown.n)
    interval = bounds.wilson(labels.shown, STRICT)
    if 1 - interval[0] > signal.minimum:
        return _holds(signal, labels.shown, interval, "4 standard errors")
    return _below(signal, labels.shown, interval, "4 standard errors")


def _not_yet_known(signal: Accuracy, labels: Labels, counted: int) -> verdict.Judgement | None:
    if labels.immature_for > 0:
        return _unknown(
            f"no verdict for another {verdict.duration(labels.immature_for)}: "
            "the labels that arrive first are not typical",
            counted,
        )
    if counted >= max(signal.min_labels, 1):
        return None
    needed = f"{counted:,} of {max(signal.min_labels, 1):,} needed"
    if labels.silence.is_too_long:
        return _unknown(f"no labels since {verdict.duration(labels.silence.lasted)}: {needed}", counted)
    return _unknown(f"too few labels for a verdict: {needed}", counted)


def _breached(signal: Accuracy, state: detector.State, labels: Labels) -> verdict.Judgement:
    """Breached, with the figures that show it best: the window's; else those of the run that raised the alarm."""
    if not labels.shown.n:
        because = (
            f"accuracy fell below the limit {verdict.figures(signal.minimum)[0]}, "
            f"and no labels for {verdict.duration(labels.silence.lasted)} say otherwise"
        )
        return verdict.Judgement(verdict.Verdict.BREACHED, None, None, 0, because)
    interval = bounds.anytime(labels.shown, bounds.SURE)
    if 1 - interval[0] <= signal.minimum:
        return _below(signal, labels.shown, interval, "99.9% sure")
    value, run, limit = verdict.figures(1 - labels.shown.share, 1 - state.run.share, signal.minimum)
    because = f"accuracy {value} over {labels.shown.n:,} labels"
    if state.run.share > 1 - signal.minimum:
        because += (
            f", but {run} over the {state.run.n:,} since it began to fall: below the limit {limit} "
            f"by evidence that comes by chance at most once in {signal.alarm:,.0f} polls with labels"
        )
    else:
        because += f" does not yet outweigh the proven fall below the limit {limit}"
    return verdict.Judgement(
        verdict.Verdict.BREACHED, 1 - labels.shown.share, 1 - interval[0], labels.shown.n, because
    )


def _below(signal: Accuracy, shown: counts.Tally, interval: bounds.Interval, sure: str) -> verdict.Judgement:
    accuracy, at_most = 1 - shown.share, 1 - interval[0]
    value, bound, limit = verdict.figures(accuracy, at_most, signal.minimum)
    because = f"accuracy {value} over {shown.n:,} labels is below the limit {limit} ({sure} at most {bound})"
    return verdict.Judgement(verdict.Verdict.BREACHED, accuracy, at_most, shown.n, because)


def _holds(signal: Accuracy, shown: counts.Tally, interval: bounds.Interval, sure: str) -> verdict.Judgement:
    """OK: the bound that faces the limit, so that the reader sees how much is proven. A window may lie below the limit
    for certain while the detector, which must not alarm by chance for weeks, is still gathering."""
    accuracy, at_most = 1 - shown.share, 1 - interval[0]
    if accuracy >= signal.minimum:
        bound, finding, side = 1 - interval[1], "is within", "at least"
    elif at_most > signal.minimum:
        bound, finding, side = at_most, "is not proven below", "at most"
    else:
        bound, finding, side = at_most, "is short of an alarm, though below", "at most"
    value, faced, limit = verdict.figures(accuracy, bound, signal.minimum)
    because = f"accuracy {value} over {shown.n:,} labels {finding} the limit {limit} ({sure} {side} {faced})"
    return verdict.Judgement(verdict.Verdict.OK, accuracy, bound, shown.n, because)


def _unknown(because: str, counted: int) -> verdict.Judgement:
    return verdict.Judgement(verdict.Verdict.UNKNOWN, None, None, counted, because)
