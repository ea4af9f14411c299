"""Observed to judgements: what the numbers say of the stable version's signals, and of the candidate.

Counts move with every label; a status must not. So a judgement that says the same as the one in the status, with
figures close to it, is replaced by that one, sentence and all (`settled`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelmend.api.resources import ModelVersion
from modelmend.api.spec import (
    Signal,
    SignalEvidence,
    SignalType,
)
from modelmend.api.status import (
    Candidate,
    ClassShare,
    SignalStatus,
    Verdict,
)
from modelmend.decide import compared, guarantees, moving, scores, sentences, terms, told
from modelmend.decide.change import change
from modelmend.decide.observed import Observed
from modelmend.evidence import (
    divided,
    guards,
    ledger,
    measures,
    quality,
    query,
    verdict,
    voting,
    watch,
)

CLOSE = 0.01
"""Shares that differ by less are not worth a write."""
SOON = timedelta(seconds=1)
"""A length of time is over when it lasted longer."""


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
    """Labelled pairs of the candidate's rollout, exactly; where there are none, labels of the candidate."""
    comparison: compared.Comparison
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
    spec = observed.deployment.spec
    return Judgements(
        fresh=is_fresh(observed),
        signals=_signals(observed),
        pairs=counted.pairs.n if spec.serving.pairs else (counted.split or divided.State()).candidate.n,
        comparison=compared.compare(
            counted, spec, None if candidate is None else observed.version(candidate.version)
        ),
        guards=() if candidate is None else _guards(observed, candidate, counted),
    )


def shown(observed: Observed) -> dict[str, quality.Figures]:
    """What each signal of the stable version shows of its window, exactly: for metrics, where writes cost nothing."""
    if observed.deployment.status.stable is None:
        return {}
    version, counted = _stable(observed)
    found: dict[str, quality.Figures] = {}
    for signal in observed.deployment.spec.monitoring.signals:
        if not signal.type.is_measured:
            continue  # Its status says it as exactly as anybody needs.
        asked = terms.asked(observed.deployment, signal, version)
        if counted is not None and not isinstance(asked, str):
            figures = measures.figures(asked, counted.shown(signal.name, asked))
            found |= {} if figures is None else {signal.name: figures}
    return found


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
    yield told.instant(mature_at)
    last = max(mature_at, 0.0 if counted is None else counted.labels_at or 0.0)
    for signal in observed.deployment.spec.monitoring.signals:
        if signal.type is SignalType.QUERY:
            state = None if counted is None else counted.queries.get(signal.name)
            wanted = terms.of_query(observed.deployment, signal)
            yield from (told.instant(moment) + SOON for moment in query.turns_at(wanted, state))
        if not signal.type.is_measured:
            continue  # Windows end at polls.
        # Silence is too long when it lasts longer, so a little after.
        yield told.instant(last) + tolerated_silence(observed, signal, version) + SOON


def _signals(observed: Observed) -> tuple[SignalStatus, ...]:
    status = observed.deployment.status
    if status.stable is None:
        return ()
    held = {signal.name: signal for signal in status.signals}
    return tuple(
        _settled(held.get(signal.name), change(_signal(observed, signal), guarantee=guarantees.of(signal)))
        for signal in observed.deployment.spec.monitoring.signals
    )


def _settled(held: SignalStatus | None, found: SignalStatus) -> SignalStatus:
    """The judgement held in the status, unless the new one says something else."""
    if held is None or held.verdict is not found.verdict:
        return found
    # How strongly errors cluster moves with every label; that they do is the news.
    warned = (held.warning is None) == (found.warning is None)
    same = held.bound == found.bound and held.drifted == found.drifted and warned
    same = same and held.guarantee == found.guarantee and _shares_are_close(held.shares, found.shares)
    if same and _says_the_same(held, found):
        return held
    return change(found, since=held.since)


def _says_the_same(held: SignalStatus, found: SignalStatus) -> bool:
    if held.value is None or found.value is None:
        return held.because == found.because
    # Shares differ by hundredths; errors have a unit, of which only the limit gives an idea.
    close = CLOSE * (held.bound or 1.0) if held.type.is_error else CLOSE
    if found.type is SignalType.QUERY:
        # Its number has any scale: how far it is from its threshold counts, and what the sentence says beside it.
        return query.is_close(found.bound or 0.0, held.value, found.value) and _beside(held) == _beside(found)
    return abs(held.value - found.value) < close and sentences.are_close(held.n, found.n)


def _shares_are_close(held: tuple[ClassShare, ...], found: tuple[ClassShare, ...]) -> bool:
    names = [share.name for share in held] == [share.name for share in found]
    return names and all(
        abs(one.now - other.now) < CLOSE and one.before == other.before
        for one, other in zip(held, found, strict=True)
    )


def _beside(signal: SignalStatus) -> str:
    """The sentence of a query without its number."""
    return signal.because.removeprefix(f"{signal.name} ").partition(" ")[2]


def _signal(observed: Observed, signal: Signal) -> SignalStatus:
    if signal.type.is_windowed:
        return _windowed(observed, signal)
    if signal.type is SignalType.QUERY:
        return _query(observed, signal)
    version, counted = _stable(observed)
    asked = terms.asked(observed.deployment, signal, version)
    found = _judged(observed, signal, asked)
    bound, warning = None, None
    if not isinstance(asked, str):
        bound = sentences.share(measures.asked(asked).limit)
        warning = None if counted is None else _warning(observed, signal, asked, counted)
    return SignalStatus(
        name=signal.name,
        type=signal.type,
        verdict=Verdict(found.verdict.value),
        value=sentences.share(found.value),
        bound=bound,
        n=sentences.count(found.n),
        since=observed.now,
        because=found.because,
        warning=warning,
    )


def _windowed(observed: Observed, signal: Signal) -> SignalStatus:
    """What the last window said, or what it counted says; Unknown while nothing new can be known."""
    version, counted = _stable(observed)
    wanted = window(observed, signal)
    state = None if counted is None else counted.drift.get(signal.name)
    drifted: tuple[str, ...] = ()
    if not is_fresh(observed):
        silent = f"{moving.WATCHED[wanted.kind]} unknown: {silence_of_prometheus(observed)}"
        found = scores.Found(told.unknown(silent))
    elif wanted.kind.is_binned:
        judgement, drifted = moving.judged(wanted, state)
        found = scores.Found(judgement, judgement.bound)
    else:
        found = scores.judged(signal, wanted, state, version)
    said = found.judgement
    return SignalStatus(
        name=signal.name,
        type=signal.type,
        verdict=Verdict(said.verdict.value),
        value=sentences.share(said.value),
        bound=sentences.share(found.bound),
        n=sentences.count(said.n),
        drifted=drifted,
        shares=found.shares,
        since=observed.now,
        because=said.because,
    )


def window(observed: Observed, signal: Signal) -> watch.Terms:
    """What a signal that is judged once a window asks of the stable version."""
    stable = observed.deployment.status.stable
    assert stable is not None
    version, _ = _stable(observed)
    since = (stable.evidence_since or stable.since).timestamp()
    return terms.of_window(signal, version, since, _wanted(observed).mature_at)


def _query(observed: Observed, signal: Signal) -> SignalStatus:
    _, counted = _stable(observed)
    asked = terms.of_query(observed.deployment, signal)
    state = None if counted is None else counted.queries.get(signal.name)
    if not observed.settings.queries:
        found = told.unknown(
            f"{signal.name} unknown: this operator asks no queries (queries.enabled of its chart is false): remove the "
            "signal, or ask whoever runs the operator"
        )
    elif not is_fresh(observed):
        found = told.unknown(f"{signal.name} unknown: {silence_of_prometheus(observed)}")
    else:
        found = query.judge(asked, state, observed.now.timestamp())
    return SignalStatus(
        name=signal.name,
        type=signal.type,
        verdict=Verdict(found.verdict.value),
        value=None if found.value is None else sentences.figure(found.value),
        bound=asked.threshold,
        n=found.n,
        since=observed.now,
        because=found.because,
    )


def _stable(observed: Observed) -> tuple[ModelVersion | None, ledger.Ledger | None]:
    """The record of the version that serves, and what was counted of it."""
    stable = observed.deployment.status.stable
    assert stable is not None
    return observed.version(stable.version), observed.ledgers.get(stable.rollout)


def _judged(observed: Observed, signal: Signal, asked: measures.Signal | str) -> verdict.Judgement:
    _, counted = _stable(observed)
    what = terms.name(signal) if isinstance(asked, str) else measures.title(asked)
    if not is_fresh(observed):
        return told.unknown(f"{what} unknown: {silence_of_prometheus(observed)}")
    if isinstance(asked, str):
        return told.unknown(asked)
    if counted is None:
        return told.unknown(f"{what} unknown: nothing has been counted yet")
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
    observed: Observed, signal: Signal, asked: measures.Signal, counted: ledger.Ledger
) -> verdict.Judgement:
    version, _ = _stable(observed)
    wanted = _wanted(observed)
    last = max(counted.labels_at or 0.0, wanted.mature_at)
    tolerated = tolerated_silence(observed, signal, version).total_seconds()
    lasted = max(observed.now.timestamp() - last, 0.0)
    labels = measures.Labels(
        shown=counted.shown(signal.name, asked),
        silence=verdict.Silence(lasted, tolerated),
        immature_for=max(wanted.mature_at - observed.now.timestamp(), 0.0),
    )
    if signal.evidence is SignalEvidence.THRESHOLD:
        found, seen = measures.judge_by_threshold(asked, labels)
    else:
        state = _state(signal, asked, counted, wanted)
        found, seen = measures.judge(asked, state, labels)
    if measures.needs_classes(asked) and counted.lacks_classes and not labels.immature_for:
        return told.unknown(
            f"{measures.title(asked)} unknown: the pods of this version count labels without their classes, as older "
            "runtime images do; those of the next version count them",
            seen,
        )
    return told.without_lengths_of_time(found, labels, seen, asked, last, wanted.mature_at)


def _wanted(observed: Observed) -> ledger.Terms:
    stable = observed.deployment.status.stable
    assert stable is not None
    return terms.of(observed.deployment, observed.version(stable.version), stable.rollout)


def _state(
    signal: Signal, asked: measures.Signal, counted: ledger.Ledger, wanted: ledger.Terms
) -> voting.State:
    """The detector's state; a fresh one when it is about to restart at the next poll."""
    state = counted.votes(signal.name, asked)
    restarts = counted.evidence_since < wanted.evidence_since or state.detected.share != asked.limit.share
    return voting.State() if restarts else state


def _warning(
    observed: Observed, signal: Signal, asked: measures.Signal, counted: ledger.Ledger
) -> str | None:
    """What is promised of time between false alarms holds for single labels only if errors do not come in bursts."""
    if signal.evidence is SignalEvidence.THRESHOLD:
        return None
    return voting.warning(_state(signal, asked, counted, _wanted(observed)), asked.block)


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
