"""Candidate against champion: on the holdout before any traffic, then on live requests. Called by judge and the rollout.

gate       counts of the Job, on all rows and on each slice
compare    pairs of live requests, or blocks of them; labels of each arm where requests are divided
evidence   the same for the status, written anew only when it says something else
score      the status's figures as part of a sentence
"""

from typing import Final

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.api.spec import InconclusiveSlice, ModelDeploymentSpec, Requirement
from modelmend.api.status import Candidate, PairedEvidence, Phase, SplitEvidence, Trigger
from modelmend.contract.manifest import Task
from modelmend.decide import sentences
from modelmend.decide.observed import Observed
from modelmend.evidence import divided, ledger, margin, offline, pairblocks, paired, slices

Comparison = paired.Comparison
Outcome = paired.Finding
Gate = offline.Gate

COMPARED: Final = (Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING, Phase.BAKING)


def compare(counted: ledger.Ledger, spec: ModelDeploymentSpec, version: ModelVersion | None) -> Comparison:
    """Candidate against champion: each pair has a vote, or each block of them; without pairs, each label."""
    analysis = spec.rollout.analysis
    if not spec.serving.pairs:
        state = counted.split or divided.State()
        return margin.compare(state.against, state.candidate, state.champion, analysis.margin, analysis.alpha)
    if analysis.block is None:
        return paired.compare(counted.pairs, analysis.margin, analysis.alpha, _won(version))
    blocks = counted.blocks or pairblocks.State()
    return pairblocks.compare(blocks, counted.pairs, analysis.margin, analysis.alpha, _won(version))


def evidence(candidate: Candidate, observed: Observed, comparison: Comparison) -> PairedEvidence:
    """The comparison for the status: rounded, and the present one while it says about the same."""
    counted = observed.ledgers.get(candidate.rollout)
    if not observed.deployment.spec.serving.pairs:
        return _split_evidence(candidate.evidence, counted, comparison)
    pairs = paired.Paired(0, 0, 0) if counted is None else counted.pairs
    found = PairedEvidence(
        pairs=sentences.count(pairs.n),
        candidate_only_wrong=sentences.count(pairs.a),
        champion_only_wrong=sentences.count(pairs.b),
        expected_pairs=None if comparison.expected is None else sentences.count(comparison.expected),
        verdict=comparison.finding.value,
    )
    held = candidate.evidence
    same = held.verdict == found.verdict and (held.expected_pairs is None) == (found.expected_pairs is None)
    close = (
        sentences.are_close(held.pairs, found.pairs)
        and sentences.are_close(held.candidate_only_wrong, found.candidate_only_wrong)
        and sentences.are_close(held.champion_only_wrong, found.champion_only_wrong)
        and (
            held.expected_pairs is None or sentences.are_close(held.expected_pairs, found.expected_pairs or 0)
        )
    )
    return held if same and close else found


def _split_evidence(
    held: PairedEvidence, counted: ledger.Ledger | None, comparison: Comparison
) -> PairedEvidence:
    """The same where requests are divided: labels of each."""
    state = divided.State() if counted is None or counted.split is None else counted.split
    found = SplitEvidence(
        candidate_labels=sentences.count(state.candidate.n),
        candidate_wrong=sentences.count(int(state.candidate.bad)),
        champion_labels=sentences.count(state.champion.n),
        champion_wrong=sentences.count(int(state.champion.bad)),
        expected_labels=None if comparison.expected is None else sentences.count(comparison.expected),
    )
    verdict = comparison.finding.value
    if held.split is not None and held.verdict == verdict and _about_the_same(held.split, found):
        return held
    return PairedEvidence(split=found, verdict=verdict)


def _about_the_same(held: SplitEvidence, found: SplitEvidence) -> bool:
    figures = ((name, getattr(held, name), getattr(found, name)) for name in SplitEvidence.model_fields)
    return all(
        old == new if old is None or new is None else sentences.are_close(old, new) for _, old, new in figures
    )


def score(evidence: PairedEvidence, version: ModelVersion | None) -> str:
    """The figures of the status as part of a sentence; `version` is the candidate's."""
    if evidence.split is not None:
        return _split_score(evidence.split)
    if not evidence.pairs:
        return "no pair of candidate and champion has a label yet"
    pairs = f"{evidence.pairs:,}"
    if evidence.expected_pairs is not None and evidence.expected_pairs > evidence.pairs:
        pairs = f"{pairs} of about {evidence.expected_pairs:,}"
    return (
        f"the candidate was {_won(version)} {evidence.champion_only_wrong:,} times against "
        f"{evidence.candidate_only_wrong:,} in {pairs} pairs"
    )


def _split_score(split: SplitEvidence) -> str:
    """Which labels there are, and which are missing."""
    said = (
        f"the candidate was wrong {split.candidate_wrong:,} times in {split.candidate_labels:,} labels, the champion "
        f"{split.champion_wrong:,} times in {split.champion_labels:,}"
    )
    if min(split.candidate_labels, split.champion_labels) < margin.LABELS_NEEDED:
        return f"{said}, where at least {margin.LABELS_NEEDED} labels of each are needed"
    seen = split.candidate_labels + split.champion_labels
    if split.expected_labels is not None and split.expected_labels > seen:
        return f"{said}, where about {split.expected_labels:,} labels in all are needed"
    return said


def gate(deployment: ModelDeployment, version: ModelVersion) -> Gate:
    """Does a candidate pass on the holdout, and on every slice of it that spec names? The first version has no champion
    to be worse than on a slice."""
    whole, wanted = _whole(deployment, version), deployment.spec.evaluation
    if not whole.passed or not wanted.slices or version.spec.trigger is Trigger.FIRST:
        return whole
    counted = (
        {}
        if version.spec.evaluation is None
        else {each.name: each for each in version.spec.evaluation.slices}
    )
    parts = []
    for part in wanted.slices:
        # Of a slice that was named after the Job began nothing was counted.
        found = counted.get(part.asked.name)
        pairs = paired.Paired(0, 0, 0) if found is None else paired.Paired(found.a, found.b, found.c)
        parts.append(slices.Slice(f"{part.column} = {part.value}", pairs, part.margin))
    strict = (
        wanted.on_inconclusive_slice is InconclusiveSlice.REJECT and version.spec.trigger is not Trigger.SPEC
    )
    require = slices.Require.PROVEN_NOT_WORSE if strict else slices.Require.NOT_PROVEN_WORSE
    each = slices.gate(parts, wanted.alpha, require, _won(version))
    return Gate(each.passed, sentences.joined(whole.because, each.because) if each.passed else each.because)


def _whole(deployment: ModelDeployment, version: ModelVersion) -> Gate:
    """On all rows. A person's artifact passes unless it is proven worse."""
    wanted, found = deployment.spec.evaluation, version.spec.evaluation
    pairs = paired.Paired(0, 0, 0) if found is None else paired.Paired(found.a, found.b, found.c)
    if version.spec.trigger is Trigger.FIRST:
        constant = "the most frequent class" if wanted.tolerance is None else "the mean"
        return offline.first(pairs, constant, wanted.alpha, _won(version))
    if version.spec.trigger is Trigger.SPEC:
        worse = paired.is_worse(pairs, wanted.alpha)
        if not pairs.n:
            return Gate(True, "it was compared on no holdout, so live traffic alone decides")
        finding = "is worse than the champion" if worse else "is not proven worse than the champion"
        figures = f"{_won(version)} {pairs.b:,} against {pairs.a:,} times on the holdout of {pairs.n:,}"
        return Gate(not worse, f"the candidate {finding}: {figures} (alpha {wanted.alpha:g})")
    if wanted.require is Requirement.BETTER:
        return offline.better(pairs, wanted.alpha, _won(version))
    return offline.not_worse(pairs, wanted.margin, wanted.alpha, _won(version))


def _won(version: ModelVersion | None) -> str:
    """What it is to win a pair."""
    is_regression = version is not None and version.spec.task is Task.REGRESSION
    return paired.CLOSER if is_regression else paired.RIGHT_ALONE
