"""What happened, as a person would have heard it: the operator's own Events with the numbers behind each."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelmend.api import fields, resources
from modelmend.api.status import Stage
from modelmend.decide import observed, plan

Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class Moment:
    """One Event."""

    at: datetime
    event: str
    """Its reason: a stage, SignalBreached, SignalRecovered, Rejected, CanaryStep, Promoted, Approved, …"""
    because: str
    """The operator's sentence; digests are written as the names of their versions."""
    serves: str | None
    """The stable version after it."""
    candidate: str | None = None
    figures: Figures = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "at": fields.format_instant(self.at),
            "event": self.event,
            "because": self.because,
            "serves": self.serves,
            "candidate": self.candidate,
            "figures": self.figures,
        }


@dataclass(frozen=True)
class Span:
    """A stretch of one stage."""

    stage: str
    begin: datetime
    end: datetime


@dataclass
class Timeline:
    """Grows while the simulation runs."""

    moments: list[Moment] = field(default_factory=list)
    stages: list[tuple[datetime, str]] = field(default_factory=list)
    """Since when each stage was shown."""
    retrainings: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def tell(self, seen: observed.Observed, made: plan.Plan) -> list[Moment]:
        """What one decision has to say; returns what is new."""
        before, after = seen.deployment.status, made.status
        self.retrainings += sum(isinstance(action, plan.LaunchRetraining) for action in made.actions)
        for holder in (after.stable, after.candidate):
            if holder is not None:
                self._names[holder.digest] = holder.version
        if after.stage is not None and (not self.stages or self.stages[-1][1] != after.stage.value):
            self.stages.append((seen.now, after.stage.value))
        candidate = after.candidate or before.candidate
        new = [
            Moment(
                seen.now,
                action.reason,
                self._named(action.message),
                None if after.stable is None else after.stable.version,
                None if candidate is None else candidate.version,
                _figures(action.reason, seen),
            )
            for action in _in_order(made)
        ]
        self.moments += new
        return new

    def approve(self, seen: observed.Observed, token: str) -> Moment:
        """A person approved, at once."""
        stable, candidate = seen.deployment.status.stable, seen.deployment.status.candidate
        moment = Moment(
            seen.now,
            "Approved",
            f"{self._named(token)} is approved at once: the simulation stands in for the person",
            None if stable is None else stable.version,
            None if candidate is None else candidate.version,
        )
        self.moments.append(moment)
        return moment

    def spans(self, end: datetime) -> list[Span]:
        """The stages one after another."""
        ends = [*(at for at, _ in self.stages[1:]), end]
        return [Span(stage, at, until) for (at, stage), until in zip(self.stages, ends, strict=True)]

    def _named(self, sentence: str) -> str:
        return re.sub(
            r"sha256:[0-9a-f]{64}", lambda found: self._names.get(found[0], found[0][:15] + "…"), sentence
        )


def _in_order(made: plan.Plan) -> list[plan.Notify]:
    """The cause before its effect: a breach before the retraining that it asks for."""
    told = [action for action in made.actions if isinstance(action, plan.Notify)]
    causes = ("SignalBreached", "SignalRecovered")
    return sorted(
        told,
        key=lambda action: not (action.reason in causes or action.reason.endswith(("Detected", "Ended"))),
    )


def _figures(reason: str, seen: observed.Observed) -> Figures:
    status = seen.deployment.status
    if reason in ("SignalBreached", "SignalRecovered"):
        return _labels(seen)
    if status.candidate is None:
        return {}
    if reason in (Stage.SHADOW.value, "Rejected"):
        return _holdout(seen.version(status.candidate.version))
    counted = seen.ledgers.get(status.candidate.rollout)
    if counted is None or not counted.pairs.n:
        return {}
    pairs = counted.pairs
    return {"pairs": pairs.n, "candidateOnlyWrong": pairs.a, "championOnlyWrong": pairs.b}


def _labels(seen: observed.Observed) -> Figures:
    stable = seen.deployment.status.stable
    counted = None if stable is None else seen.ledgers.get(stable.rollout)
    if counted is None:
        return {}
    found: Figures = {"labels": counted.labels.n, "wrong": counted.labels.bad}
    runs = [state.detected.run for state in counted.detectors.values() if state.detected.breached]
    if runs and runs[0].n:
        # Means of blocks, or of classes, are no whole numbers.
        found |= {"labelsSinceFall": runs[0].n, "wrongSinceFall": round(runs[0].bad, 1)}
    return found


def _holdout(version: resources.ModelVersion | None) -> Figures:
    if version is None or version.spec.evaluation is None:
        return {}
    counts = version.spec.evaluation
    return {
        "holdout": counts.a + counts.b + counts.c,
        "candidateOnlyWrong": counts.a,
        "championOnlyWrong": counts.b,
        "fittedOn": version.spec.rows,
    }
