"""Why a model is in its stage, what it waits for, what would change its mind, and what a person could do.

Called by `modelmend explain`. The reason is the operator's own sentence; numbers are those of the last checkpoints, and
forecasts carry them on at the rates seen so far.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from modelmend.advise import candidates, signals
from modelmend.advise.story import Story
from modelmend.advise.ways import Way, ways
from modelmend.api.spec import When
from modelmend.api.status import ConditionStatus, Stage, Verdict
from modelmend.decide import combined, outcomes, schedule, sentences
from modelmend.decide.reasons import DIRECT


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences without a full stop."""

    namespace: str
    name: str
    stage: str
    because: str
    waits: tuple[str, ...]
    turns: tuple[str, ...]
    ways: tuple[Way, ...]
    notes: tuple[str, ...]


def explain(story: Story) -> Explanation:
    """Total: every stage has an answer, also for a status that another release wrote."""
    metadata, status = story.deployment.metadata, story.status
    waits, turns = UNSEEN if status.stage is None else ANSWERS[status.stage]
    return Explanation(
        namespace=metadata.namespace,
        name=metadata.name,
        stage="none yet" if status.stage is None else status.stage.value,
        because=status.because or "the operator has not looked at it yet",
        waits=tuple(waits(story)),
        turns=tuple(turns(story)),
        ways=tuple(ways(story)) if status.stage is not None else (),
        notes=tuple(_notes(story)),
    )


def _unseen(story: Story) -> Iterator[str]:
    yield (
        "the operator: see that it runs, and that it serves this namespace (kubectl get pods -A | grep modelmend)"
    )


def _no_turns(story: Story) -> Iterator[str]:
    yield from ()


def _installing(story: Story) -> Iterator[str]:
    yield from _reading(story)
    yield from _retraining(story)
    until = story.status.retraining.cooldown_until
    if until is not None:
        yield f"the next attempt to train a first version {story.until(until)}, or a change of spec"
    if story.status.candidate is not None:
        yield from _coming_up(story)


def _install_turns(story: Story) -> Iterator[str]:
    sender = "Service" if story.spec.serving.gateway is None else "Gateway"
    yield f"it serves as soon as the first version has its pods and the {sender} sends requests to them"
    if story.spec.model.uri is not None:
        yield "it is Stalled when the artifact cannot be used"
        return
    gate = story.spec.evaluation
    yield (
        "the Job makes an artifact: it must be better than always answering the same, on the holdout "
        f"(alpha {gate.alpha:g})"
    )
    yield f"the Job fails, or what it makes is not better: it costs one attempt, and then a rest ({_budget(story)})"


def _serving(story: Story) -> Iterator[str]:
    if story.spec.model.pin is not None:
        yield f"nothing: spec.model.pin names {story.spec.model.pin}"
        return
    yield from signals.waits(story)
    yield from _next_tick(story)
    if not any(signal.verdict is not Verdict.OK for signal in story.status.signals):
        yield "nothing: it watches, and no signal is breached"


def _serving_turns(story: Story) -> Iterator[str]:
    if story.spec.model.pin is not None:
        yield "the pin's removal; until then no verdict begins anything"
    yield from signals.turns(story)


def _awaiting(story: Story) -> Iterator[str]:
    pending, candidate = story.status.retraining.pending, story.status.candidate
    if candidate is not None:
        yield f"a person's approval of {candidate.version}, since {story.since(candidate.since)}; there is no deadline"
        yield from candidates.waits(story)
    elif pending is not None:
        yield f"a person's approval of {pending.token}, since {story.since(pending.since)}; there is no deadline"


def _awaiting_turns(story: Story) -> Iterator[str]:
    if story.status.candidate is not None:
        yield from candidates.turns(story)
        return
    over = "no signal is" if story.spec.retraining.when is When.ANY else "one of its signals is not"
    yield f"its request is withdrawn when {over} breached any more, if a breach made it"
    yield from signals.turns(story)


def _retraining(story: Story) -> Iterator[str]:
    running = story.status.retraining.running
    if running is not None:
        end = running.started_at + story.spec.retraining.trainer.deadline + outcomes.GRACE
        yield f"the Job {running.job}, begun {story.since(running.started_at)}"
        yield f"at the latest, its deadline {story.until(end)}"


def _retraining_turns(story: Story) -> Iterator[str]:
    gate = story.spec.evaluation
    yield f"the Job makes an artifact: it must be {gate.require.value} on the holdout (alpha {gate.alpha:g}){_slices(story)}"
    yield f"the Job fails: it costs one attempt, and then a rest ({_budget(story)})"


def _evaluating(story: Story) -> Iterator[str]:
    yield from _reading(story)
    candidate = story.status.candidate
    if candidate is not None:
        yield f"the record of {candidate.version}, and the gate on the rows that its Job has compared: no new labels"


def _evaluating_turns(story: Story) -> Iterator[str]:
    gate = story.spec.evaluation
    yield (
        f"it goes to shadow when the gate lets it pass: a retrained candidate must be {gate.require.value} "
        f"(alpha {gate.alpha:g}), a person's artifact not proven worse{_slices(story)}"
    )
    yield "it is rejected, and the champion serves on, when it does not pass or cannot be used"


def _slices(story: Story) -> str:
    """What the gate asks besides."""
    named = ", ".join(
        f"{part.column} = {part.value} ({part.margin:g})" for part in story.spec.evaluation.slices
    )
    return f", and on no slice worse by more than its margin: {named}" if named else ""


def _compared(story: Story) -> Iterator[str]:
    if story.status.candidate is not None:
        yield from candidates.waits(story)


def _compared_turns(story: Story) -> Iterator[str]:
    if story.status.candidate is not None:
        yield from candidates.turns(story)


def _promoting(story: Story) -> Iterator[str]:
    if story.case.candidate_is_direct:
        yield from _coming_up(story)
    else:
        yield from _compared(story)


def _promoting_turns(story: Story) -> Iterator[str]:
    if story.case.candidate_is_direct:
        yield "it goes back when its pods are not ready in time; no numbers are asked for, a person has decided"
    else:
        yield from _compared_turns(story)


def _rolling_back(story: Story) -> Iterator[str]:
    candidate = story.status.candidate
    version = "the candidate" if candidate is None else candidate.version
    yield f"the route to send everything to the champion, then the pods of {version} to end: seconds to minutes"
    if candidate is not None and candidate.failure is not None:
        yield f"it goes back because {candidate.failure}"


def _rolling_back_turns(story: Story) -> Iterator[str]:
    yield "nothing: a rollback is carried through; the same artifact does not return by itself"


def _cooling(story: Story) -> Iterator[str]:
    until = story.status.retraining.cooldown_until
    if until is not None:
        yield f"the end of its rest, {story.until(until)}"
    yield from signals.waits(story)


def _cooling_turns(story: Story) -> Iterator[str]:
    if combined.breach(story.spec, story.status.signals) is not None:
        healing = combined.healed(story.spec, story.status.signals)
        breached = tuple(signal.name for signal in healing if signal.verdict is Verdict.BREACHED)
        is_or_are = "is" if len(breached) == 1 else "are"
        rest = f"it retrains as soon as the rest is over ({_budget(story)})"
        yield f"{sentences.listed(breached)} {is_or_are} breached: {rest}"
    yield from signals.turns(story)


def _stalled(story: Story) -> Iterator[str]:
    yield "a person: nothing is tried again by itself"
    if story.status.stable is not None:
        yield f"meanwhile {story.status.stable.version} serves on"


def _stalled_turns(story: Story) -> Iterator[str]:
    yield "any change of spec, or the annotation reset; then the budget is whole again"
    refusal = story.status.refusal
    if refusal is not None and refusal.message != story.status.because:
        yield f"what was refused: {refusal.message}"


def _suspended(story: Story) -> Iterator[str]:
    yield "the end of the suspension: spec.suspend is true, and nothing is begun"


def _suspended_turns(story: Story) -> Iterator[str]:
    yield "spec.suspend: false; then what is true at that moment decides"
    yield from signals.turns(story)


Sentences = Callable[[Story], Iterator[str]]

ANSWERS: Final[dict[Stage, tuple[Sentences, Sentences]]] = {
    Stage.INSTALLING: (_installing, _install_turns),
    Stage.SERVING: (_serving, _serving_turns),
    Stage.AWAITING_APPROVAL: (_awaiting, _awaiting_turns),
    Stage.RETRAINING: (_retraining, _retraining_turns),
    Stage.EVALUATING: (_evaluating, _evaluating_turns),
    Stage.SHADOW: (_compared, _compared_turns),
    Stage.CANARY: (_compared, _compared_turns),
    Stage.PROMOTING: (_promoting, _promoting_turns),
    Stage.ROLLING_BACK: (_rolling_back, _rolling_back_turns),
    Stage.COOLING_DOWN: (_cooling, _cooling_turns),
    Stage.STALLED: (_stalled, _stalled_turns),
    Stage.SUSPENDED: (_suspended, _suspended_turns),
}
"""What it waits for, and what would change its mind."""
UNSEEN: Final[tuple[Sentences, Sentences]] = (_unseen, _no_turns)


def _reading(story: Story) -> Iterator[str]:
    resolving = story.status.resolving
    if resolving is not None:
        end = resolving.started_at + story.spec.retraining.trainer.deadline + outcomes.GRACE
        yield f"the Job {resolving.job}, which reads {resolving.uri} since {story.since(resolving.started_at)}"
        yield f"at the latest, its deadline {story.until(end)}"


def _coming_up(story: Story) -> Iterator[str]:
    replicas, candidate = story.spec.serving.replicas, story.case.candidate
    yield f"{replicas} ready pods of {candidate.version}, and {story.way_in}"
    if candidate.trigger not in DIRECT or candidate.unready_since is None:
        return
    yield f"its pods are not ready since {story.since(candidate.unready_since)}"


def _next_tick(story: Story) -> Iterator[str]:
    line, acted = story.spec.retraining.schedule, story.status.retraining.scheduled
    due = None if line is None or acted is None else schedule.following(line, acted)
    if due is not None:
        yield f"its schedule {line}, due at {story.until(due)}"


def _budget(story: Story) -> str:
    budget, begin = story.spec.retraining.budget, story.now - story.spec.retraining.budget.per
    spent = sum(attempt > begin for attempt in story.status.retraining.attempts)
    hours = budget.per.total_seconds() / 3600
    return f"{spent} of {budget.attempts} failed attempts within {hours:g} h are spent"


def _notes(story: Story) -> Iterator[str]:
    """What else is worth knowing."""
    metadata, status = story.deployment.metadata, story.status
    if status.stage is not None and status.observed_generation < metadata.generation:
        yield "the operator has not seen the latest spec yet"
    for condition in status.conditions:
        stalled = condition.type == "Stalled" and condition.status is ConditionStatus.TRUE
        if stalled and condition.message != status.because:
            yield f"a person must put right: {condition.message}"
    if status.split is not None and status.split.warning is not None:
        yield status.split.warning
    counted = story.counted
    if status.stable is not None and counted is None:
        yield f"{status.stable.version} has no checkpoint yet: labels and rates are not known"
    elif counted is not None and counted.polled_at is not None:
        age = story.now.timestamp() - counted.polled_at
        yield f"numbers are from the checkpoint of {max(age, 0.0) / 60:.0f} min ago"
