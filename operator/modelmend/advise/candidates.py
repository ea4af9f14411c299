"""What a candidate waits for beside its champion, and what would send it on or back."""

import math
from collections.abc import Iterator

from modelmend.advise.story import Story, lasting
from modelmend.api.spec import Approval, Inconclusive
from modelmend.api.status import Phase
from modelmend.decide import rollout, terms
from modelmend.evidence import paired


def waits(story: Story) -> Iterator[str]:
    """For its pods, and for pairs; by when."""
    yield from _pods(story)
    if story.case.in_phase(Phase.SHADOW):
        yield _shadow(story)
    if story.case.in_phase(Phase.CANARY):
        yield _canary(story)
        if not story.spec.serving.pairs:
            yield f"its evidence: {story.case.judgements.comparison.because}"
    if story.case.in_phase(Phase.SHADOW, Phase.CANARY):
        end = story.spec.rollout.analysis.on_inconclusive
        then = "it is rolled back" if end is Inconclusive.ROLLBACK else "it is promoted all the same"
        yield f"at the latest, the deadline {story.until(story.case.deadline)}: undecided by then, {then}"
    if story.case.in_phase(Phase.PROMOTING):
        replicas = story.spec.serving.replicas
        yield f"{replicas} ready pods of {story.case.candidate.version}, and {story.way_in}"
    if story.case.in_phase(Phase.BAKING):
        champion, end_of_bake = story.case.candidate.champion, rollout.bake_end(story.case)
        yield f"the end of the bake: {champion} stands by until {story.until(end_of_bake)}"


def turns(story: Story) -> Iterator[str]:
    """What sends it on, and what sends it back."""
    analysis, pairs = story.spec.rollout.analysis, story.pairs
    if story.case.in_phase(Phase.SHADOW):
        claim = f"not worse by {analysis.margin:g} or more"
        proof = _evidence(paired.log_e_not_worse(pairs, analysis.margin), analysis.alpha)
        enough = max(paired.DISCORDANT_NEEDED - pairs.discordant, 0)
        differ = f", and {enough} more pairs in which only one of the two errs" if enough else ""
        yield f"it goes to canary when it is proven {claim}: {proof}{differ}"
    if story.case.in_phase(Phase.CANARY) and not story.spec.serving.pairs:
        yield f"the last step passes when it is proven not worse by {analysis.margin:g} or more, each label counted by itself"
    if story.case.in_phase(Phase.CANARY):
        last = story.case.candidate.step + 1 >= len(story.spec.rollout.steps)
        after = "to the next step"
        if last:
            manual = story.spec.rollout.approval is Approval.MANUAL
            after = "before a person, who approves" if manual else "to its promotion"
        yield f"it goes {after} with enough new {_unit(story)}, quiet guards and ready pods"
    log_e = paired.log_e_worse(pairs) if story.spec.serving.pairs else story.split.against.log_e
    proof = _evidence(log_e, analysis.alpha)
    yield f"it goes back at once when it is proven worse: {proof}"
    for guard in terms.of_guards(story.deployment).values():
        yield f"or when its {guard.name} is proven above {guard.limit.share:g}, and worse than the champion's"


def _shadow(story: Story) -> str:
    analysis, pairs = story.spec.rollout.analysis, story.pairs
    if not pairs.n:
        rate = (
            ""
            if story.pair_rate is None
            else f", some {story.pair_rate * 86_400:,.0f} a day are to be expected"
        )
        return f"the first labelled pair: a request that both answered and whose label has come{rate}"
    whole = paired.expected_pairs(pairs, analysis.margin, analysis.alpha)
    if whole is None:
        return f"pairs: {pairs.n:,} say neither, and at the observed rates no number would; only the deadline ends it"
    if whole <= pairs.n:
        return f"the operator's next look: {pairs.n:,} pairs are enough, if {story.agree} agree"
    return f"pairs: {pairs.n:,} so far, {lasting(whole - pairs.n, story.pair_rate, 'pairs for a decision')}"


def _canary(story: Story) -> str:
    candidate, needed = story.case.candidate, story.spec.rollout.analysis.min_labels
    counted = story.pairs.n if story.spec.serving.pairs else story.split.candidate.n
    new = max(counted - candidate.pairs_at_step, 0)
    unit = _unit(story)
    step = f"step {candidate.step + 1} of {len(story.spec.rollout.steps)}"
    if new >= needed:
        return f"the operator's next look: {step} has its {needed:,} {unit}, if {story.agree} agree"
    return (
        f"{unit}: {step} has {new:,} of {needed:,} new ones, {lasting(needed - new, story.pair_rate, unit)}"
    )


def _unit(story: Story) -> str:
    return "pairs" if story.spec.serving.pairs else "labels"


def _pods(story: Story) -> Iterator[str]:
    candidate = story.case.candidate
    if candidate.unready_since is not None:
        limit = story.case.observed.settings.unready_limit
        yield (
            f"pods of {candidate.version}, which are not ready since {story.since(candidate.unready_since)}: "
            f"after {limit.total_seconds():g} s without them it goes back"
        )


def _evidence(log_e: float, alpha: float) -> str:
    """The e-value, beside what it must reach."""
    return f"evidence {math.exp(min(log_e, 300.0)):.3g} of {1 / alpha:g}"
