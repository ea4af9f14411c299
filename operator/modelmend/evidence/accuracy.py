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

from modelmend.evidence import bounds, counts, detector, quality, verdict

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
    run = 1 - state.run.share if state.run.n else None
    shown = _figures(labels.shown, bounds.anytime(labels.shown, bounds.SURE))
    return quality.judge(_asked(signal), state, quality.Seen(shown, run, labels.silence, labels.immature_for))


def judge_by_threshold(signal: Accuracy, labels: Labels) -> verdict.Judgement:
    """The simple verdict: Breached when Wilson's upper bound (4 standard errors) of the shown window is at or below
    the minimum. No memory, and no stated interval between false alarms; `signal.alarm` is not used."""
    shown = _figures(labels.shown, bounds.wilson(labels.shown, STRICT))
    seen = quality.Seen(shown, None, labels.silence, labels.immature_for)
    return quality.judge_by_threshold(_asked(signal), seen, "4 standard errors")


def _asked(signal: Accuracy) -> quality.Asked:
    return quality.Asked("accuracy", signal.minimum, signal.min_labels, signal.alarm)


def _figures(shown: counts.Tally, wrong: bounds.Interval) -> quality.Figures | None:
    return quality.Figures(shown.n, 1 - shown.share, 1 - wrong[1], 1 - wrong[0]) if shown.n else None
