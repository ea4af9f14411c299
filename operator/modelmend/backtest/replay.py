"""All lives of a model over a stretch of history, pulse by pulse. Called by `modelmend backtest` and by tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from modelmend.api import fields, resources
from modelmend.api.spec import SignalAction
from modelmend.api.status import Trigger, Verdict
from modelmend.backtest import lane, records
from modelmend.backtest.records import Unreplayable
from modelmend.contract.manifest import Task
from modelmend.contract.metrics import CLASSES_MAX
from modelmend.decide import sentences, terms
from modelmend.observe import answers, history, prometheus

NAMED: Final = 5
"""How many others are named when what was asked for is not there."""
POINTS: Final = 2000
"""Of a signal that are kept: a picture shows no more."""
NO_DIGEST: Final = "sha256:" + "0" * 64
"""Of a version of which only counters are known: nothing here asks for its artifact."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asks for."""

    file: Path
    source: prometheus.Source
    begin: datetime
    end: datetime
    step: timedelta | None = None
    """Between two pulses; None: monitoring.interval."""
    namespace: str | None = None
    versions: tuple[str, ...] = ()
    """Judge these alone; empty: whatever served."""
    records: Path | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """Who wants to know how far it has come."""

    begun: Callable[[int], None] = lambda pulses: None
    passed: Callable[[int], None] = lambda pulse: None
    heard: Callable[[lane.Moment], None] = lambda moment: None


@dataclass(frozen=True, slots=True)
class Stretch:
    """How long a verdict held, in one piece."""

    version: str
    signal: str
    verdict: Verdict
    begin: datetime
    end: datetime
    because: str

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the policy would have said."""

    policy: resources.ModelDeployment
    begin: datetime
    end: datetime
    step: timedelta
    lanes: tuple[lane.Lane, ...]
    queries: int
    warnings: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Versions in the history that never served alone: candidates, which are judged in pairs."""

    @property
    def moments(self) -> list[lane.Moment]:
        return sorted(
            (moment for each in self.lanes for moment in each.moments), key=lambda moment: moment.at
        )

    @property
    def alarms(self) -> list[lane.Moment]:
        return [moment for moment in self.moments if moment.is_alarm]

    @property
    def requests(self) -> list[lane.Request]:
        """When the signals, by `retraining.when`, would have asked for a retraining."""
        return sorted((asked for each in self.lanes for asked in each.requests), key=lambda asked: asked.at)

    @property
    def healing(self) -> frozenset[str]:
        """Signals whose alarm asks for a retraining, alone or together with others."""
        signals = self.policy.spec.monitoring.signals
        return frozenset(signal.name for signal in signals if signal.action is SignalAction.RETRAIN)

    @property
    def stretches(self) -> list[Stretch]:
        return [
            Stretch(each.name, name, moment.signal.verdict, moment.at, until, moment.signal.because)
            for each in self.lanes
            for name in each.points
            for moment, until in _until([m for m in each.moments if m.signal.name == name], each)
        ]

    def lasted(self, verdict: Verdict, signal: str) -> timedelta:
        """How long a signal said so, over all versions."""
        found = (each for each in self.stretches if each.signal == signal and each.verdict is verdict)
        return sum((each.length for each in found), timedelta(0))


@dataclass
class _Replay:
    """What a replay consists of."""

    options: Options
    policy: resources.ModelDeployment
    source: history.History
    known: dict[str, resources.ModelVersion]
    warnings: list[str] = field(default_factory=list)
    last: answers.Answer | None = None

    def lanes(self) -> tuple[list[tuple[history.Life, float]], tuple[str, ...]]:
        """The lives to judge, each with its end; and the versions that are left out."""
        lives = self.source.lives()
        if not lives:
            raise Unreplayable(self._nothing_there())
        chosen = self.options.versions
        strange = [name for name in chosen if name not in {life.version for life in lives}]
        if strange:
            there = ", ".join(dict.fromkeys(life.version for life in lives))
            raise Unreplayable(f"--version {strange[0]} is not in this history: it holds {there}")
        if chosen:
            wanted = [life for life in lives if life.version in chosen]
        else:
            # Where nobody tells who answered alone, all did.
            wanted = [life for life in lives if life.served] or lives
        left = tuple(dict.fromkeys(life.version for life in lives if life not in wanted))
        return [(life, self._end(life, wanted)) for life in wanted], () if chosen else left

    def begin(self, name: str, life: history.Life, at: float) -> lane.Lane:
        """A lane from this pulse on."""
        version = self.known.get(life.version) or self._unrecorded(life)
        made = lane.Lane.begun(name, life, self.policy, version, at, self.last)
        made.grain = (self.options.end - self.options.begin).total_seconds() / POINTS
        return made

    def _end(self, life: history.Life, lives: list[history.Life]) -> float:
        """Whoever is followed by nobody is judged until the end, and silence is Unknown."""
        followed = any(other.seen > life.seen for other in lives)
        return life.seen if followed else self.options.end.timestamp()

    def _unrecorded(self, life: history.Life) -> resources.ModelVersion:
        """A version of which only counters are known."""
        classes: tuple[str, ...] = ()
        if terms.need_classes(self.policy.spec):
            found = self.source.classes(life.rollout)
            classes = found if len(found) <= CLASSES_MAX else ()
            self.warnings.append(
                f"the classes of {life.version} are read from its labels ({', '.join(classes) or 'none'}): "
                "--records tells them"
            )
        tolerance = self.policy.spec.evaluation.tolerance
        # What was measured, was measured by the policy that is tried.
        graded = {} if tolerance is None else {"tolerance": sentences.figure(tolerance)}
        spec = resources.ModelVersionSpec(
            deployment=self.policy.metadata.name,
            number=1,
            uri="",
            digest=NO_DIGEST,
            trigger=Trigger.INSTALL,
            because="",
            created_at=self.options.begin,
            metrics={**records.metrics(self.options.metrics), **graded},
            task=Task.REGRESSION if graded else Task.CLASSIFICATION,
            classes=classes,
            image="",
        )
        metadata = resources.Metadata(
            name=life.version or "unknown", namespace=self.policy.metadata.namespace, uid=life.rollout
        )
        return resources.ModelVersion(metadata=metadata, spec=spec)

    def _nothing_there(self) -> str:
        own = "/".join(self.policy.key)
        begin, end = (fields.format_instant(each) for each in (self.options.begin, self.options.end))
        others = self.source.others()
        told = f"Prometheus at {self.options.source.host} knows nothing of {own} from {begin} to {end}"
        if not others:
            return f"{told}, nor of any other model: give another --from, or the Prometheus that scrapes its pods"
        named = ", ".join(others[:NAMED])
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        return f"{told}, but of {named}{more}: give their namespace with -n, their name in the file, or another --from"


def run(options: Options, listener: Listener | None = None) -> Outcome:
    """Replay. Raises Unreplayable, or prometheus.Unanswered when Prometheus does not answer."""
    tell = listener or Listener()
    policy = records.policy(options.file, options.namespace)
    step = _step(options, policy)
    policy = _looking_every(step, policy)
    known = records.versions(options.records, policy)
    records.metrics(options.metrics)
    source = history.History(
        options.source,
        policy.key,
        options.begin.timestamp(),
        options.end.timestamp(),
        step.total_seconds(),
    )
    try:
        return _run(_Replay(options, policy, source, known), step, tell)
    finally:
        source.close()


def _run(replay: _Replay, step: timedelta, tell: Listener) -> Outcome:
    source, policy = replay.source, replay.policy
    wanted, left = replay.lanes()
    by_class = terms.need_classes(policy.spec)
    replay.last = source.before(by_class=by_class)
    lanes: dict[str, lane.Lane] = {}
    names = _names([life for life, _ in wanted])
    tell.begun(source.pulses)
    for number in range(source.pulses):
        now, answer = source.moment(number), source.pulse(number, by_class=by_class)
        for life, end in wanted:
            if not life.begun <= now <= end:
                continue
            if life.rollout not in lanes:
                lanes[life.rollout] = replay.begin(names[life.rollout], life, now)
            for moment in lanes[life.rollout].take(answer, source.window, source.value):
                tell.heard(moment)
        replay.last = answer
        tell.passed(number + 1)
    if not replay.known and any(signal.max_drop is not None for signal in policy.spec.monitoring.signals):
        replay.warnings += _without_holdout(replay.options)
    return Outcome(
        policy=policy,
        begin=replay.options.begin,
        end=replay.options.end,
        step=step,
        lanes=tuple(lanes.values()),
        queries=source.asked,
        warnings=tuple(dict.fromkeys(replay.warnings)),
        skipped=left,
    )


def _without_holdout(options: Options) -> list[str]:
    if options.metrics:
        return []
    return [
        "maxDrop starts from the value on a version's holdout, which Prometheus does not know: give --records, "
        "or --metric accuracy=0.91"
    ]


def _step(options: Options, policy: resources.ModelDeployment) -> timedelta:
    interval = policy.spec.monitoring.interval
    step = interval if options.step is None else options.step
    if step < interval:
        raise Unreplayable(
            f"--step {fields.format_duration(step)} is shorter than monitoring.interval "
            f"({fields.format_duration(interval)}): the operator would not have looked more often"
        )
    for signal in policy.spec.monitoring.signals:
        if signal.false_alarm_every <= step:
            raise Unreplayable(
                f"--step {fields.format_duration(step)} is not shorter than falseAlarmEvery of {signal.name} "
                f"({fields.format_duration(signal.false_alarm_every)}): nothing can be rarer than once in less than one "
                "look"
            )
        if signal.type.is_windowed and step > signal.window:
            raise Unreplayable(
                f"--step {fields.format_duration(step)} is longer than the window of {signal.name} "
                f"({fields.format_duration(signal.window)}), which would end unseen: give a shorter one"
            )
    if options.end - options.begin < step:
        raise Unreplayable(
            f"from {fields.format_instant(options.begin)} to {fields.format_instant(options.end)} there is no pulse "
            f"of {fields.format_duration(step)}: give a --to that is later"
        )
    return step


def _looking_every(step: timedelta, policy: resources.ModelDeployment) -> resources.ModelDeployment:
    """falseAlarmEvery is kept in looks: whoever looks less often has fewer looks between two false alarms."""
    monitoring = policy.spec.monitoring.model_copy(update={"interval": step})
    return policy.model_copy(update={"spec": policy.spec.model_copy(update={"monitoring": monitoring})})


def _names(lives: list[history.Life]) -> dict[str, str]:
    """By rollout: the version, with the rollout where a version lived more than once."""
    often = [life.version for life in lives]
    return {
        life.rollout: life.version if often.count(life.version) == 1 else f"{life.version} ({life.rollout})"
        for life in lives
    }


def _until(moments: list[lane.Moment], of: lane.Lane) -> list[tuple[lane.Moment, datetime]]:
    ends = [*(moment.at for moment in moments[1:]), lane.instant(of.ended)]
    return list(zip(moments, ends, strict=True)) if moments else []
