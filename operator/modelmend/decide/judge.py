"""Observed to judgements: everything that decide asks of the evidence room stands in this file.

Counts move with every label; a status must not. So a judgement that says the same as the one in the status, with
figures close to it, is replaced by that one, sentence and all (`settled`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.api.spec import Requirement, Signal, SignalEvidence, SignalType
from modelmend.api.status import Candidate, PairedEvidence, Phase, SignalStatus, Trigger, Verdict
from modelmend.decide import moving, sentences, terms
from modelmend.decide.change import change
from modelmend.decide.observed import Observed
from modelmend.evidence import accuracy, detector, guards, ledger, offline, paired, verdict

Comparison = paired.Comparison
Outcome = paired.Finding
Gate = offline.Gate

CLOSE = 0.01
"""Shares that differ by less are not worth a write."""
COMPARED = (Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING, Phase.BAKING)


@dataclass(frozen=True, slots=True)
class Guarded:
    """The verdict of one guard on the candidate."""

    name: str
    verdict: verdict.Verdict
    because: str


@dataclass(frozen=True, slots=True)
class Judgements:
    """What the numbers say at this moment."""

    fresh: bool
    """Prometheus answered lately: otherwise nothing new may be concluded."""
    signals: tuple[SignalStatus, ...]
    """Of the stable version, in the order of spec."""
    pairs: int
    """Labelled pairs of the candidate's rollout, exactly."""
    comparison: Comparison
    """Candidate against champion."""
    guards: tuple[Guarded, ...]
    """Of the candidate."""


def stale_after(observed: Observed) -> timedelta:
    """Age of the last successful poll beyond which nothing is known."""
    return max(observed.settings.stale_after, 3 * observed.deployment.spec.monitoring.interval)


def is_fresh(observed: Observed) -> bool:
    """Prometheus answered lately."""
    return observed.poll.at is not None and observed.now - observed.poll.at < stale_after(observed)


def judge(observed: Observed) -> Judgements:
    """All judgements about the stable version and the candidate."""
    candidate = observed.deployment.status.candidate
    counted = ledger.Ledger("", 0.0)
    if candidate is not None:
        counted = observed.ledgers.get(candidate.rollout, counted)
    analysis = observed.deployment.spec.rollout.analysis
    return Judgements(
        fresh=is_fresh(observed),
        signals=_signals(observed),
        pairs=counted.pairs.n,
        comparison=paired.compare(counted.pairs, analysis.margin, analysis.alpha),
        guards=() if candidate is None else _guards(observed, candidate, counted),
    )


def evidence(candidate: Candidate, observed: Observed, comparison: Comparison) -> PairedEvidence:
    """The comparison for the status: rounded, and the present one while it says about the same."""
    counted = observed.ledgers.get(candidate.rollout)
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
        _close(held.pairs, found.pairs)
        and _close(held.candidate_only_wrong, found.candidate_only_wrong)
        and _close(held.champion_only_wrong, found.champion_only_wrong)
        and (held.expected_pairs is None or _close(held.expected_pairs, found.expected_pairs or 0))
    )
    return held if same and close else found


def score(evidence: PairedEvidence) -> str:
    """The figures of the status as part of a sentence."""
    if not evidence.pairs:
        return "no pair of candidate and champion has a label yet"
    pairs = f"{evidence.pairs:,}"
    if evidence.expected_pairs is not None and evidence.expected_pairs > evidence.pairs:
        pairs = f"{pairs} of about {evidence.expected_pairs:,}"
    return (
        f"the candidate was right alone {evidence.champion_only_wrong:,} times against "
        f"{evidence.candidate_only_wrong:,} in {pairs} pairs"
    )


def gate(deployment: ModelDeployment, version: ModelVersion) -> Gate:
    """Does a candidate pass on the holdout? A person's artifact passes unless it is proven worse."""
    wanted, found = deployment.spec.evaluation, version.spec.evaluation
    pairs = paired.Paired(0, 0, 0) if found is None else paired.Paired(found.a, found.b, found.c)
    if version.spec.trigger is Trigger.SPEC:
        worse = paired.is_worse(pairs, wanted.alpha)
        if not pairs.n:
            return Gate(True, "it was compared on no holdout, so live traffic alone decides")
        finding = "is worse than the champion" if worse else "is not proven worse than the champion"
        figures = f"right alone {pairs.b:,} against {pairs.a:,} times on the holdout of {pairs.n:,}"
        return Gate(not worse, f"the candidate {finding}: {figures} (alpha {wanted.alpha:g})")
    if wanted.require is Requirement.BETTER:
        return offline.better(pairs, wanted.alpha)
    return offline.not_worse(pairs, wanted.margin, wanted.alpha)


def tolerated_silence(observed: Observed, signal: Signal, version: ModelVersion | None) -> timedelta:
    """How long no label may come before the accuracy is out of date: the window, three polls, or the slowest labels."""
    slowest = timedelta(seconds=terms.label_delay(version, p99=True))
    return max(signal.window, 3 * observed.deployment.spec.monitoring.interval, slowest)


def moments(observed: Observed) -> Iterator[datetime]:
    """When a verdict changes by time alone: polls grow stale, labels become mature, labels stay away."""
    if observed.poll.at is not None:
        yield observed.poll.at + stale_after(observed)
    stable = observed.deployment.status.stable
    if stable is None:
        return
    version, counted = observed.version(stable.version), observed.ledgers.get(stable.rollout)
    mature_at = terms.of(observed.deployment, version, stable.rollout).mature_at
    yield _instant(mature_at)
    last = max(mature_at, 0.0 if counted is None else counted.labels_at or 0.0)
    for signal in observed.deployment.spec.monitoring.signals:
        if signal.type is not SignalType.ACCURACY:
            continue  # Its windows end at polls.
        # Silence is too long when it lasts longer, so a little after.
        yield _instant(last) + tolerated_silence(observed, signal, version) + timedelta(seconds=1)


def _signals(observed: Observed) -> tuple[SignalStatus, ...]:
    status = observed.deployment.status
    if status.stable is None:
        return ()
    held = {signal.name: signal for signal in status.signals}
    return tuple(
        _settled(held.get(signal.name), _signal(observed, signal))
        for signal in observed.deployment.spec.monitoring.signals
    )


def _settled(held: SignalStatus | None, found: SignalStatus) -> SignalStatus:
    """The judgement held in the status, unless the new one says something else."""
    if held is None or held.verdict is not found.verdict:
        return found
    if held.bound == found.bound and held.drifted == found.drifted and _says_the_same(held, found):
        return held
    return change(found, since=held.since)


def _says_the_same(held: SignalStatus, found: SignalStatus) -> bool:
    if held.value is None or found.value is None:
        return held.because == found.because
    return abs(held.value - found.value) < CLOSE and _close(held.n, found.n)


def _close(held: int, found: int) -> bool:
    """Within a tenth."""
    return abs(held - found) * 10 <= held


def _signal(observed: Observed, signal: Signal) -> SignalStatus:
    stable = observed.deployment.status.stable
    assert stable is not None
    if signal.type is not SignalType.ACCURACY:
        return _drift(observed, signal)
    version = observed.version(stable.version)
    asked = terms.asked(observed.deployment, signal, version)
    found = _judged(observed, signal, version, asked)
    return SignalStatus(
        name=signal.name,
        type=signal.type,
        verdict=Verdict(found.verdict.value),
        value=sentences.share(found.value),
        bound=None if asked is None else sentences.share(asked.minimum),
        n=sentences.count(found.n),
        since=observed.now,
        because=found.because,
    )


def _drift(observed: Observed, signal: Signal) -> SignalStatus:
    stable = observed.deployment.status.stable
    assert stable is not None
    counted = observed.ledgers.get(stable.rollout)
    wanted = terms.of_drift(signal, (stable.evidence_since or stable.since).timestamp())
    state = None if counted is None else counted.drift.get(signal.name)
    found, drifted = moving.judged(wanted, state)
    if not is_fresh(observed):
        found, drifted = _unknown(f"{moving.what(wanted)} unknown: {silence_of_prometheus(observed)}"), ()
    return SignalStatus(
        name=signal.name,
        type=signal.type,
        verdict=Verdict(found.verdict.value),
        value=sentences.share(found.value),
        bound=sentences.share(found.bound),
        n=sentences.count(found.n),
        drifted=drifted,
        since=observed.now,
        because=found.because,
    )


def _judged(
    observed: Observed, signal: Signal, version: ModelVersion | None, asked: accuracy.Accuracy | None
) -> verdict.Judgement:
    stable = observed.deployment.status.stable
    assert stable is not None
    counted = observed.ledgers.get(stable.rollout)
    if not is_fresh(observed):
        return _unknown(f"accuracy unknown: {silence_of_prometheus(observed)}")
    if asked is None:
        return _unknown(
            f"accuracy not judged: {stable.version} has no accuracy on a holdout for maxDrop to start from, give minimum"
        )
    if counted is None:
        return _unknown("accuracy unknown: nothing has been counted yet")
    found = _by_labels(observed, signal, asked, counted)
    if found.verdict is verdict.Verdict.UNKNOWN and observed.poll.problem is not None:
        # Labels may well arrive: it is Prometheus that does not tell.
        return replace(found, because=f"{found.because}; {silence_of_prometheus(observed)}")
    return found


def silence_of_prometheus(observed: Observed) -> str:
    """Since when Prometheus has not answered; without its error, which may differ at every try."""
    if observed.poll.at is None:
        return "Prometheus has not answered yet"
    return f"Prometheus has not answered since {sentences.moment(observed.poll.at)}"


def _by_labels(
    observed: Observed, signal: Signal, asked: accuracy.Accuracy, counted: ledger.Ledger
) -> verdict.Judgement:
    stable = observed.deployment.status.stable
    assert stable is not None
    version = observed.version(stable.version)
    wanted = terms.of(observed.deployment, version, stable.rollout)
    last = max(counted.labels_at or 0.0, wanted.mature_at)
    tolerated = tolerated_silence(observed, signal, version).total_seconds()
    lasted = max(observed.now.timestamp() - last, 0.0)
    labels = accuracy.Labels(
        shown=counted.shown(signal.name),
        silence=verdict.Silence(lasted, tolerated),
        immature_for=max(wanted.mature_at - observed.now.timestamp(), 0.0),
    )
    state = _state(signal, asked, counted, wanted)
    if signal.evidence is SignalEvidence.THRESHOLD:
        found, seen = accuracy.judge_by_threshold(asked, labels), labels.shown.n
    else:
        found, seen = accuracy.judge(asked, state, labels), state.seen.n
    return _said_without_lengths_of_time(found, labels, seen, asked, last, wanted.mature_at)


def _state(
    signal: Signal, asked: accuracy.Accuracy, counted: ledger.Ledger, wanted: ledger.Terms
) -> detector.State:
    """The detector's state; a fresh one when it is about to restart at the next poll."""
    state = counted.detectors.get(signal.name, detector.State())
    restarts = counted.evidence_since < wanted.evidence_since or state.share != asked.limit.share
    return detector.State() if restarts else state


def _said_without_lengths_of_time(
    found: verdict.Judgement,
    labels: accuracy.Labels,
    seen: int,
    asked: accuracy.Accuracy,
    last: float,
    mature_at: float,
) -> verdict.Judgement:
    """The same judgement; where its sentence would hold a running length of time, a moment instead."""
    since = sentences.moment(_instant(last))
    needed = sentences.progress(seen, max(asked.min_labels, 1))
    if found.verdict is verdict.Verdict.BREACHED and not labels.shown.n:
        limit = verdict.figures(asked.minimum)[0]
        return replace(
            found, because=f"accuracy fell below the limit {limit}, and no label since {since} says otherwise"
        )
    if found.verdict is not verdict.Verdict.UNKNOWN:
        return found
    if labels.immature_for > 0:
        until = sentences.moment(_instant(mature_at))
        return _unknown(
            f"accuracy not judged before {until}: the labels that arrive first are not typical", seen
        )
    if seen < max(asked.min_labels, 1):
        silent = f" and none since {since}" if labels.silence.is_too_long else ""
        return _unknown(f"accuracy unknown: {needed} labels needed for a verdict{silent}", seen)
    return _unknown(f"accuracy unknown: no label since {since}", seen)


def _unknown(because: str, counted: int = 0) -> verdict.Judgement:
    return verdict.Judgement(verdict.Verdict.UNKNOWN, None, None, counted, because)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _guards(observed: Observed, candidate: Candidate, counted: ledger.Ledger) -> tuple[Guarded, ...]:
    return tuple(
        _guard(observed, candidate, counted.guarded.get(name, guards.State()), guard)
        for name, guard in terms.of_guards(observed.deployment).items()
    )


def _guard(observed: Observed, candidate: Candidate, state: guards.State, guard: guards.Guard) -> Guarded:
    """A rollout's requests count for its whole length: a quiet hour does not make them unknown again."""
    deadline = observed.deployment.spec.rollout.analysis.deadline
    found = guards.judge(guard, state, verdict.Silence(0.0, deadline.total_seconds()))
    because = found.because
    if found.verdict is verdict.Verdict.UNKNOWN:
        # Its figures move with every request, and it only holds: no sentence is worth a write at each poll.
        above = state.own.breached
        because = (
            f"{guard.name} is above its limit, but not proven worse than the champion's"
            if above
            else f"{guard.name} unknown: the candidate has had no request since {sentences.moment(candidate.started)}"
        )
    return Guarded(guard.name, found.verdict, because)
