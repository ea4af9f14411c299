"""What each signal waits for, and what would turn its verdict."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeGuard

from modelmend.advise import detection
from modelmend.advise.story import Story, lasting
from modelmend.api.spec import Approval, Signal, SignalAction, SignalEvidence, SignalType, When
from modelmend.api.status import SignalStatus, Verdict
from modelmend.decide import combined, judge, scores, sentences, terms
from modelmend.evidence import detector, family, measures, query, verdict, voting, watch

EXAMPLE = 0.05
"""A fall below the limit, or a health above it, that forecasts are made for where nothing else is known."""
ANSWERS = {
    SignalAction.RETRAIN: "it retrains, after any rest",
    SignalAction.ALERT: "it only tells: action is Alert",
    SignalAction.IGNORE: "nothing follows: action is Ignore",
}

_BEYOND = "moves beyond chance and by more than effect {effect:g}"
MOVES = {
    watch.Kind.INPUTS: ("a feature", _BEYOND),
    watch.Kind.PREDICTIONS: ("the score or the predicted class", _BEYOND),
    watch.Kind.CLASSES: ("the share of a class", _BEYOND),
    watch.Kind.SCORES: ("the estimate", "is surely at or below its limit"),
    watch.Kind.LABELS: (
        "the accuracy of labels",
        "is below its estimate beyond chance and by more than effect {effect:g}",
    ),
}
"""What breaches a window, and how."""


def waits(story: Story) -> Iterator[str]:
    """Signals that have no verdict yet."""
    for signal, shown, asked in _each(story):
        if isinstance(asked, str) or (shown is not None and shown.verdict is not Verdict.UNKNOWN):
            continue
        if isinstance(asked, watch.Terms):
            yield f"{signal.name}: {_window_end(story, asked)}, then the rows counted in it"
            continue
        if isinstance(asked, query.Asked):
            why = "" if shown is None else f" ({shown.because})"
            yield f"{signal.name}: one number as the answer to its query{why}"
            continue
        mature = _mature_at(story)
        if mature > story.now:
            yield f"{signal.name}: its first typical labels, from {story.until(mature)} on"
        missing = asked.min_labels - _state(story, signal).seen.n
        if missing > 0:
            yield f"{signal.name}: {lasting(missing, story.label_rate, 'labels until a verdict')}"
        elif shown is not None:
            yield f"{signal.name}: labels, and an answer of Prometheus ({shown.because})"


def turns(story: Story) -> Iterator[str]:
    """What would turn each verdict, with the labels that it takes."""
    yield from _together(story)
    for signal, shown, asked in _each(story):
        if isinstance(asked, str):
            yield f"{signal.name}: nothing: {asked}"
        elif isinstance(asked, watch.Terms):
            yield f"{signal.name}: {_moved(story, signal, shown, asked)}"
        elif isinstance(asked, query.Asked):
            yield f"{signal.name}: {_crossed(story, signal, shown, asked)}"
        elif signal.evidence is SignalEvidence.THRESHOLD:
            words = measures.asked(asked)
            yield (
                f"{signal.name}: breached when the {'lower' if words.rising else 'upper'} bound (4 standard errors) of its "
                f"window is at or {words.side} {words.limit:.4g}; then {_answer(story, signal)}"
            )
        else:
            yield f"{signal.name}: {_turn(story, signal, shown, asked)}"


def _together(story: Story) -> Iterator[str]:
    """Which of several breaches retrain, and how far they are from it."""
    healed = combined.healed(story.spec, story.status.signals)
    if len(healed) < 2:
        return
    which = "any" if story.spec.retraining.when is When.ANY else "all"
    said = sentences.listed(tuple(f"{signal.name} is {signal.verdict.value}" for signal in healed))
    yield f"a retraining begins when {which} of {len(healed)} signals are breached (retraining.when): {said}"


def _turn(story: Story, signal: Signal, shown: SignalStatus | None, asked: measures.Signal) -> str:
    if not _is_foreseen(asked):
        return _unforeseen(story, signal, shown, asked)
    state, rate = _state(story, signal), story.label_rate
    per_poll = max(round((rate or 0.0) * story.spec.monitoring.interval.total_seconds()), 1)

    def needed(right: float) -> str:
        labels = detection.expected(state, asked.limit, 1 - right, per_poll)
        return "more labels than can be foreseen" if labels is None else lasting(labels, rate, "labels")

    if shown is not None and shown.verdict is Verdict.BREACHED:
        right = min(asked.minimum + EXAMPLE, 1.0)
        return f"its breach ends after {needed(right)}, if the accuracy is {right:.4g} from now on"
    follows = f"then {_answer(story, signal)}"
    if shown is not None and shown.value is not None and shown.value < asked.minimum:
        return f"at the present {shown.value:.4g} a breach is proven after {needed(shown.value)}; {follows}"
    fallen = asked.minimum - min(EXAMPLE, asked.minimum / 2)
    return f"if the accuracy fell to {fallen:.4g}, a breach would be proven after {needed(fallen)}; {follows}"


def _is_foreseen(asked: measures.Signal) -> TypeGuard[family.Signal]:
    """Whether each label is one vote: only then do labels a day say how long it takes."""
    return isinstance(asked, family.Signal) and asked.metric is family.Metric.ACCURACY and asked.block is None


def _unforeseen(story: Story, signal: Signal, shown: SignalStatus | None, asked: measures.Signal) -> str:
    words = measures.asked(asked)
    each = "polls with labels" if words.rising else "rows that vote on it"
    votes = each if asked.block is None else "blocks that vote"
    if shown is not None and shown.verdict is Verdict.BREACHED:
        healthy = "below" if words.rising else "above"
        return (
            f"its breach ends after enough {votes}, once {words.metric} is {healthy} {words.limit:.4g} again"
        )
    return (
        f"if {words.metric} {words.moved} {words.limit:.4g}, a breach would be proven after enough {votes}; "
        f"then {_answer(story, signal)}"
    )


def _moved(story: Story, signal: Signal, shown: SignalStatus | None, asked: watch.Terms) -> str:
    """A window is judged once, as a whole: when is known, and what it will hold is not."""
    what, does = MOVES[asked.kind]
    does = does.format(effect=signal.effect or 0.0)
    next_one = f"looked at again after {_window_end(story, asked)}"
    if shown is not None and shown.verdict is Verdict.BREACHED:
        none = "nothing" if asked.kind.is_binned else f"{what} no longer"
        return f"its breach ends with the first window in which {none} {does}; {next_one}"
    return f"breached by a window in which {what} {does}; {next_one}; then {_answer(story, signal)}"


def _crossed(story: Story, signal: Signal, shown: SignalStatus | None, asked: query.Asked) -> str:
    """When a number crosses its threshold nobody knows; since when it has, its checkpoint does."""
    if shown is not None and shown.verdict is Verdict.BREACHED:
        return f"its breach ends with the first number that is not at or {asked.side} {asked.threshold:g}"
    lasts = f" for {verdict.duration(asked.for_)}" if asked.for_ else ""
    state = None if story.counted is None else story.counted.queries.get(signal.name)
    begun = None if state is None or state.of != asked.identity else state.since
    since = (
        "" if begun is None else f", as it has been since {story.since(datetime.fromtimestamp(begun, UTC))}"
    )
    return f"breached once its number is at or {asked.side} {asked.threshold:g}{lasts}{since}; then {_answer(story, signal)}"


def _window_end(story: Story, asked: watch.Terms) -> str:
    counted = story.counted
    state = None if counted is None else counted.drift.get(asked.name)
    if state is None or state.terms != asked:
        return f"the end of its first window, {verdict.duration(asked.length)} after the next poll that finds its pods"
    end = datetime.fromtimestamp(state.asked_at + asked.length, UTC)
    return f"the end of its window, {story.until(end)}"


def _answer(story: Story, signal: Signal) -> str:
    healed = {each.name: each.verdict for each in combined.healed(story.spec, story.status.signals)}
    if signal.action is not SignalAction.RETRAIN:
        return ANSWERS[signal.action or SignalAction.ALERT]
    is_manual = story.spec.retraining.approval is Approval.MANUAL
    answer = "it asks a person to approve a retraining" if is_manual else ANSWERS[signal.action]
    lacking = tuple(
        name for name, held in healed.items() if name != signal.name and held is not Verdict.BREACHED
    )
    if story.spec.retraining.when is When.ANY or not lacking:
        return answer
    are = "is" if len(lacking) == 1 else "are"
    return f"{answer}, once {sentences.listed(lacking)} {are} breached too: retraining.when is All"


def _each(
    story: Story,
) -> Iterator[tuple[Signal, SignalStatus | None, measures.Signal | watch.Terms | query.Asked | str]]:
    stable = story.status.stable
    if stable is None:
        return
    version = story.case.observed.version(stable.version)
    shown = {signal.name: signal for signal in story.status.signals}
    for signal in story.spec.monitoring.signals:
        if signal.type.is_windowed:
            window = judge.window(story.case.observed, signal)
            refused = scores.refusal(window.kind, version) if signal.type.is_by_scores else None
            yield signal, shown.get(signal.name), refused or window
        elif signal.type is SignalType.QUERY:
            yield signal, shown.get(signal.name), terms.of_query(story.deployment, signal)
        else:
            yield signal, shown.get(signal.name), terms.asked(story.deployment, signal, version)


def _state(story: Story, signal: Signal) -> detector.State:
    counted = story.counted
    known = None if counted is None else counted.detectors.get(signal.name)
    return (voting.State() if known is None else known).detected


def _mature_at(story: Story) -> datetime:
    stable = story.case.stable
    wanted = terms.of(story.deployment, story.case.observed.version(stable.version), stable.rollout)
    return datetime.fromtimestamp(wanted.mature_at, UTC)
