"""What a person could do now: annotations and edits, each as a line to type."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelmend.advise.story import Story
from modelmend.api import names
from modelmend.api.status import Phase, Stage
from modelmend.decide import commands
from modelmend.decide.reasons import DIRECT


@dataclass(frozen=True, slots=True)
class Way:
    """what: the effect. how: a command, or a field of spec and its value."""

    what: str
    how: str


def ways(story: Story) -> Iterator[Way]:
    """In the order in which most people will want them."""
    status, spec = story.status, story.spec
    if spec.suspend:
        yield Way("let it go on", "set spec.suspend: false")
        return
    yield from _approvals(story)
    if status.stage is Stage.STALLED:
        yield Way("begin anew, with a whole budget", _annotate(story, names.RESET, '"$(date -Is)"'))
    if (tokens := commands.abortable(story.case)) and spec.model.pin is None:
        yield Way(f"stop {tokens[0]}", _annotate(story, names.ABORT, tokens[0]))
    yield from _rollout(story)
    if spec.model.pin is not None:
        yield Way("let it heal again", "remove spec.model.pin")
        return
    if status.stable is None:
        if status.retraining.cooldown_until is not None:
            yield Way("train now", _annotate(story, names.RETRAIN, '"$(date -Is)"'))
        yield Way("try another artifact", "set spec.model.uri")
        return
    if status.stage in (Stage.SERVING, Stage.COOLING_DOWN):
        yield Way("retrain now", _annotate(story, names.RETRAIN, '"$(date -Is)"'))
    if status.candidate is None and (earlier := _earlier(story)) is not None:
        yield Way(f"go back to {earlier}", _annotate(story, names.ROLLBACK_TO, earlier))
    yield Way(
        f"keep {status.stable.version} and heal nothing", f"set spec.model.pin: {status.stable.version}"
    )
    yield Way("only observe", "set spec.suspend: true")


def _approvals(story: Story) -> Iterator[Way]:
    candidate, pending = story.status.candidate, story.status.retraining.pending
    if candidate is not None and candidate.phase is Phase.AWAITING_APPROVAL:
        how = _annotate(story, names.APPROVE, candidate.digest)
        yield Way(f"promote {candidate.version}", how)
    elif pending is not None:
        yield Way(f"approve {pending.token}", _annotate(story, names.APPROVE, pending.token))


def _rollout(story: Story) -> Iterator[Way]:
    candidate, analysis = story.status.candidate, story.spec.rollout.analysis
    if (
        candidate is None
        or candidate.trigger in DIRECT
        or not story.case.in_phase(Phase.SHADOW, Phase.CANARY)
    ):
        return
    hours = 2 * analysis.deadline.total_seconds() / 3600
    yield Way("give it more time", f"set spec.rollout.analysis.deadline: {hours:.0f}h or more")
    if candidate.phase is Phase.SHADOW:
        yield Way("need fewer pairs", f"set spec.rollout.analysis.margin above {analysis.margin:g}")
        traffic = story.spec.rollout.shadow.traffic
        most = 50 if story.spec.serving.gateway is None else 100
        if traffic < most:
            yield Way("get pairs sooner", f"set spec.rollout.shadow.traffic above {traffic}")
    else:
        needed = analysis.min_labels
        unit = "pairs" if story.spec.serving.pairs else "labels"
        yield Way(f"need fewer {unit} a step", f"set spec.rollout.analysis.minLabels below {needed}")


def _earlier(story: Story) -> str | None:
    """The newest version that has served before and does not serve now."""
    served = [
        version.metadata.name
        for version in story.case.observed.versions
        if version.status.state in ("Retired", "Standby")
    ]
    return served[-1] if served else None


def _annotate(story: Story, annotation: str, value: str) -> str:
    metadata = story.deployment.metadata
    return f"kubectl -n {metadata.namespace} annotate mend {metadata.name} {annotation}={value} --overwrite"
