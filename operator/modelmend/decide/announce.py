"""Events: one for each change of stage, verdict, canary step and trouble, with the sentence of the status."""

from collections.abc import Iterator
from typing import Final

from modelmend.api.status import Condition, ConditionStatus, ModelDeploymentStatus, Phase, Stage, Verdict
from modelmend.decide import meanings
from modelmend.decide.plan import Notify, Tone

BAD: Final = frozenset({Stage.ROLLING_BACK, Stage.STALLED})
"""Stages that are a warning to arrive at."""


def news(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[Notify, ...]:
    """What a person should hear of."""
    found = (
        *_trouble(before, after),
        *_split(before, after),
        *_stage(before, after),
        *_candidate(before, after),
        *_signals(before, after),
    )
    return tuple(dict.fromkeys(found))


def _stage(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Notify]:
    if after.stage is None or before.stage is after.stage or after.stage is Stage.STALLED:
        return
    tone = Tone.WARNING if after.stage in BAD else Tone.NORMAL
    yield Notify(tone, after.stage.value, after.because or "")


def _candidate(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Notify]:
    old, new = before.candidate, after.candidate
    if old is None or new is None or old.version != new.version:
        return
    if new.phase is Phase.BAKING and old.phase is not Phase.BAKING:
        yield Notify(Tone.NORMAL, "Promoted", after.because or "")
    if new.phase is Phase.CANARY and old.phase is Phase.CANARY and new.step != old.step:
        yield Notify(Tone.NORMAL, "CanaryStep", after.because or "")
    if new.phase is Phase.EVALUATING and new.failure is not None and old.failure is None:
        yield Notify(Tone.WARNING, "Rejected", new.failure)


def _trouble(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Notify]:
    old, new = _condition(before, "Stalled"), _condition(after, "Stalled")
    if new is not None and (old is None or old.message != new.message):
        yield Notify(Tone.WARNING, new.reason, new.message)


def _split(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Notify]:
    """Shares that pods alone cannot make: before a rollout, while there is time to mend it."""
    old, new = (status.split.warning if status.split else None for status in (before, after))
    if new is not None and new != old:
        yield Notify(Tone.WARNING, "ShareOutOfReach", new)


def _signals(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Notify]:
    """A breach and its end, by what it means; not knowing only when it lasts, by the condition."""
    verdicts = {signal.name: signal.verdict for signal in before.signals}
    for signal in after.signals:
        old, sentence = verdicts.get(signal.name), f"{signal.name}: {signal.because}"
        meaning = meanings.of(signal.type)
        if signal.verdict is Verdict.BREACHED and old is not Verdict.BREACHED:
            yield Notify(Tone.WARNING, meaning.began, sentence)
        if signal.verdict is Verdict.OK and old is Verdict.BREACHED:
            yield Notify(Tone.NORMAL, meaning.ended, sentence)
    was, now = _condition(before, "Healthy"), _condition(after, "Healthy")
    if was is None or now is None or now.status is not ConditionStatus.UNKNOWN or was.reason == now.reason:
        return
    if was.status is not ConditionStatus.UNKNOWN or now.reason == "PrometheusSilent":
        yield Notify(Tone.WARNING, "HealthUnknown", now.message)


def _condition(status: ModelDeploymentStatus, kind: str) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)
