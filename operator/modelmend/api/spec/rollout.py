"""How a candidate takes over."""

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field

from modelmend.api.fields import Duration, Strict, between, cel_durations
from modelmend.api.rules import Rule
from modelmend.api.spec.numbers import Alpha, Count, Fraction, Percent
from modelmend.api.spec.retraining import Approval
from modelmend.api.spec.signals import Block


class Shadow(Strict):
    """Before it answers anybody, a candidate is scored beside the champion."""

    traffic: Percent = 20
    """Percent of requests that reach the candidate's pods, which answer with the champion's prediction."""


class Step(Strict):
    """One canary step."""

    weight: Percent
    """Percent of requests that the candidate answers."""


class Inconclusive(StrEnum):
    """What to do at the deadline when the evidence says neither."""

    ROLLBACK = "Rollback"
    PROMOTE = "Promote"


class Analysis(Strict):
    """The paired tests that run through shadow and canary."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.block) || "
            + cel_durations(
                "duration(self.deadline) > duration(self.block == '1d' ? '24h' : '1h')", "self.deadline"
            ),
            sentence="deadline must be longer than block: a block has one vote, cast at its end",
            holds=lambda self: self.block is None or self.deadline > self.block.length,
            field=".deadline",
        ),
    )

    alpha: Alpha = 0.05
    """Probability of a false rollback, and of a wrong promotion, per rollout."""
    margin: Annotated[float, Field(ge=0, lt=0.5, strict=True)] = 0.01
    """A candidate that is worse by this much must not be promoted."""
    min_labels: Count = 300
    """New labelled pairs that each canary step needs; with serving.template, new labels of the candidate."""
    block: Block | None = None
    """Where errors come in bursts: all pairs of an hour or a day have one vote together. A promotion then takes many
    blocks: at alpha 0.05 more than 3 / margin of them for a candidate that is as good as the champion."""
    deadline: Annotated[Duration, between("1s")] = timedelta(hours=24)
    """Time for the whole rollout, from its first expected label."""
    on_inconclusive: Inconclusive = Inconclusive.ROLLBACK
    """What happens at the deadline."""


class Guards(Strict):
    """Limits that the candidate's answers must keep, whatever its accuracy."""

    error_rate: Fraction = 0.01
    """Share of requests that may fail."""
    p99_latency: Annotated[Annotated[Duration, between("1ms", "10s")] | None, Field(alias="p99Latency")] = (
        None
    )
    """At most one request in a hundred may take longer. Judged at the first histogram bound not below it."""


class Rollout(Strict):
    """How a candidate takes over."""

    shadow: Shadow = Shadow()
    """Before it answers anybody, a candidate is scored beside the champion. Not with serving.template: there the canary
    comes first."""
    steps: Annotated[
        tuple[Step, ...],
        Field(min_length=1, max_length=20),
        Rule(
            cel="self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
            sentence="steps: weights must rise from each step to the next",
            holds=lambda steps: all(a.weight < b.weight for a, b in pairwise(steps)),
        ),
    ] = (Step(weight=10), Step(weight=50))
    """Canary weights, rising."""
    analysis: Analysis = Analysis()
    """The paired tests that run through shadow and canary: when a step passes, and when the candidate goes."""
    guards: Guards = Guards()
    """Limits that the candidate's answers must keep, whatever its accuracy."""
    approval: Approval = Approval.AUTO
    """Manual: a person approves the promotion."""
    bake: Duration = timedelta(minutes=10)
    """How long after a promotion the old champion stays ready, one retarget away, and the paired test stays live."""
