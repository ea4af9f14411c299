"""`spec` of a ModelDeployment: what a person asks for.

Attribute docstrings become `kubectl explain` texts and the API reference. Rules that span fields stand in the
model they guard (`RULES`), in CEL and in Python side by side.

What is one of several (`log` or `dataset`, `minimum` or `maxDrop`) never has a default in the stored object:
a default that nobody applied is owned by nobody, would stay when a person later chooses the other one, and the
API server would refuse the pair. For the same reason `signals` is atomic: its default must go as a whole.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from modelmend.api.fields import (
    SET,
    DnsName,
    Duration,
    Hostname,
    ObjectName,
    Strict,
    VersionName,
    between,
    cel_durations,
)
from modelmend.api.quantities import Cpu, Memory
from modelmend.api.rules import Rule
from modelmend.api.schedule import Schedule
from modelmend.api.uris import ReadableUri, WritableUri

Fraction = Annotated[float, Field(gt=0, lt=1, strict=True)]
Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Percent = Annotated[int, Field(ge=1, le=100, strict=True)]
Alpha = Annotated[float, Field(ge=0.0001, le=0.5, strict=True)]


class Model(Strict):
    """Which artifact to begin with, or to move to."""

    uri: ReadableUri
    """Folder of a Modelmend artifact: pvc://claim/path, s3://, gs://, abfs:// or https://. A change starts a rollout
    of that artifact through the same gate, shadow and canary."""
    pin: VersionName | None = None
    """A person's override: serve exactly this version of this ModelDeployment, and heal nothing, until it is removed."""


class SecretRef(Strict):
    """A Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret. Its keys become environment variables of Modelmend's pods (for example AWS_ACCESS_KEY_ID)."""


class Storage(Strict):
    """Where new artifacts, the prediction log and staging live."""

    uri: WritableUri
    """Folder that Modelmend may write: pvc://claim/path (ReadWriteMany when there is more than one node), s3://, gs://, abfs://."""
    credentials_secret_ref: SecretRef | None = None
    """Credentials for object storage, given to Modelmend's pods as environment variables and never read by the operator."""


class ParentRef(Strict):
    """A Gateway to attach to."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: DnsName | None = None
    """Namespace of the Gateway; this ModelDeployment's own when left out. The operator's configuration may limit it."""
    section_name: ObjectName | None = None
    """One listener of the Gateway; all of them when left out."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """What the API server makes sure of by itself: the list is a set."""
    if len(set(names)) < len(names):
        raise ValueError("each may stand once")
    return names


class Gateway(Strict):
    """How the world reaches the model. Modelmend owns the HTTPRoute and its weights."""

    parent_ref: ParentRef
    """The Gateway to attach to."""
    hostnames: Annotated[
        tuple[Hostname, ...],
        Field(min_length=1, max_length=16, json_schema_extra=SET),
        AfterValidator(_each_once),
    ]
    """Host names under which the model answers."""


class Resources(Strict):
    """CPU and memory of one server pod. A candidate's pod loads two models: its memory is doubled."""

    cpu: Cpu = "250m"
    """CPU request of a server pod. There is no CPU limit: throttling would look like a slow model."""
    memory: Memory = "512Mi"
    """Memory request and limit of a server pod."""


class Serving(Strict):
    """How the model is served."""

    replicas: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    """Pods of the champion. A candidate gets its share of them."""
    gateway: Gateway
    """How the world reaches the model. Modelmend owns the HTTPRoute and its weights."""
    resources: Resources = Resources()
    """CPU and memory of one server pod. A candidate's pod loads two models: its memory is doubled."""


class SignalType(StrEnum):
    """What a signal watches."""

    ACCURACY = "Accuracy"
    PRECISION = "Precision"
    RECALL = "Recall"
    F1 = "F1"
    BALANCED_ACCURACY = "BalancedAccuracy"
    FEATURE_DRIFT = "FeatureDrift"
    PREDICTION_DRIFT = "PredictionDrift"

    @property
    def is_drift(self) -> bool:
        """Whether it is about where inputs and predictions lie; all others measure labelled predictions."""
        return self in (SignalType.FEATURE_DRIFT, SignalType.PREDICTION_DRIFT)


OF_ONE_CLASS = (SignalType.PRECISION, SignalType.RECALL, SignalType.F1)


class SignalAction(StrEnum):
    """What a breach does."""

    RETRAIN = "Retrain"
    ALERT = "Alert"
    IGNORE = "Ignore"


class SignalEvidence(StrEnum):
    """How a breach is proven."""

    LIFELONG = "Lifelong"
    THRESHOLD = "Threshold"


class Block(StrEnum):
    """How long errors are counted together as one vote."""

    HOUR = "1h"
    DAY = "1d"

    @property
    def length(self) -> timedelta:
        """The same as a length of time."""
        return timedelta(hours=1) if self is Block.HOUR else timedelta(days=1)


_DRIFT_TYPES = "['FeatureDrift', 'PredictionDrift']"
_IS_DRIFT = f"(has(self.type) && self.type in {_DRIFT_TYPES})"
"""The type is missing while the API server tries the default of `signals`."""


class Signal(Strict):
    """One thing to watch, and what to do when it breaches."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"{_IS_DRIFT} || has(self.minimum) != has(self.maxDrop)",
            sentence="a signal of this type needs exactly one of minimum and maxDrop",
            holds=lambda self: self.type.is_drift or (self.minimum is None) != (self.max_drop is None),
        ),
        Rule(
            cel=f"!{_IS_DRIFT} || !(has(self.minimum) || has(self.maxDrop) || has(self.minLabels) || "
            "has(self.evidence) || has(self.block))",
            sentence="minimum, maxDrop, minLabels, evidence and block are not for FeatureDrift and PredictionDrift: "
            "drift needs no label, give effect, or nothing",
            holds=lambda self: (
                not self.type.is_drift
                or (self.minimum, self.max_drop, self.min_labels, self.evidence, self.block) == (None,) * 5
            ),
        ),
        Rule(
            cel=f"{_IS_DRIFT} || !has(self.effect)",
            sentence="effect is for types FeatureDrift and PredictionDrift: give minimum or maxDrop for the others",
            holds=lambda self: self.type.is_drift or self.effect is None,
        ),
        Rule(
            cel=f"!{_IS_DRIFT} || "
            + cel_durations(
                "duration(self.falseAlarmEvery) >= duration(self.window) + duration(self.window)",
                "self.falseAlarmEvery",
                "self.window",
            ),
            sentence="falseAlarmEvery must be at least twice the window: drift is judged once a window",
            holds=lambda self: not self.type.is_drift or self.false_alarm_every >= 2 * self.window,
            field=".falseAlarmEvery",
        ),
        Rule(
            cel="!has(self.positiveClass) || !has(self.type) || self.type in ['Precision', 'Recall', 'F1']",
            sentence="positiveClass is for Precision, Recall and F1: all other types are about all classes",
            holds=lambda self: self.positive_class is None or self.type in OF_ONE_CLASS,
            field=".positiveClass",
        ),
        Rule(
            cel="!has(self.block) || !has(self.evidence) || self.evidence == 'Lifelong'",
            sentence="block is for evidence Lifelong: Threshold looks at its window as a whole",
            holds=lambda self: self.block is None or self.evidence is not SignalEvidence.THRESHOLD,
            field=".block",
        ),
        Rule(
            cel="!has(self.block) || "
            + cel_durations(
                "duration(self.falseAlarmEvery) > duration(self.block == '1d' ? '24h' : '1h')",
                "self.falseAlarmEvery",
            ),
            sentence="falseAlarmEvery must be longer than block: a block has one vote",
            holds=lambda self: self.block is None or self.false_alarm_every > self.block.length,
            field=".falseAlarmEvery",
        ),
    )

    name: DnsName
    """Name of the signal, unique in this ModelDeployment."""
    type: SignalType = SignalType.ACCURACY
    """What is watched. Over labelled predictions: Accuracy, the share that was right. Precision, the share of those
    predicted `positiveClass` that are. Recall, the share of those that are `positiveClass` that were predicted so. F1,
    the harmonic mean of both. BalancedAccuracy, the mean recall of all classes. Without labels, FeatureDrift and
    PredictionDrift: whether the inputs (the first 50 features), or the score and the predicted class, are spread
    otherwise than in the rows that the model was fitted on."""
    positive_class: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """For Precision, Recall and F1: the class in question, written as a text (\"true\", \"1\"). May be left out for a
    model of two classes, and is then the second in their order."""
    minimum: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    """Not for drift: the value that must be exceeded; reaching it is a breach too."""
    max_drop: Fraction | None = None
    """Not for drift: how far the value may fall below the version's own on its holdout."""
    min_labels: Count | None = None
    """Not for drift: labels needed before there is any verdict but Unknown; 200 when left out. For Precision, Recall
    and F1 only those count that the measure is about."""
    effect: Annotated[float, Field(ge=0, le=10, strict=True)] | None = None
    """Drift: population stability index beyond what chance gives that matters; 0.1 when left out. A feature has drifted
    when its index is beyond this, and beyond chance too."""
    false_alarm_every: Annotated[Duration, between("1s")] = timedelta(hours=720)
    """Mean time between false alarms that is acceptable while the value is exactly at the limit, or while nothing
    drifts (over all features together)."""
    evidence: SignalEvidence | None = None
    """Not for drift. Lifelong: a sequential test that may be looked at for ever; so when left out. Threshold: the
    Wilson bound (z = 4) of `window`."""
    block: Block | None = None
    """Where errors come in bursts: all labels of an hour or a day have one vote together, so that a burst is not taken
    for a fall. A verdict then comes at the end of a block. For evidence Lifelong."""
    window: Annotated[Duration, between("1s")] = timedelta(hours=6)
    """What the shown value is computed over; Threshold also judges it. Drift: windows do not overlap, and
    each is judged once; with too few rows (20 a bin) it lasts up to four times as long."""
    action: SignalAction | None = None
    """Retrain heals; Alert only tells; Ignore shows the numbers and judges nothing unhealthy. When left out, Alert
    for drift and Retrain for all else: inputs that move are no harm by themselves."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_type_has_it(cls, value: Any) -> Any:
        """What is left out and depends on the type. Never a default in the stored object: see above."""
        if not isinstance(value, Mapping):
            return value
        named = {_camel.get(name, name): said for name, said in value.items() if said is not None}
        return {**_LEFT_OUT.get(str(named.get("type", SignalType.ACCURACY)), {}), **named}


_camel = {name: field.alias or name for name, field in Signal.model_fields.items()}
_DRIFT: Mapping[str, Any] = {"effect": 0.1, "action": SignalAction.ALERT}
_MEASURED: Mapping[str, Any] = {
    "minLabels": 200,
    "evidence": SignalEvidence.LIFELONG,
    "action": SignalAction.RETRAIN,
}
_LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    kind.value: _DRIFT if kind.is_drift else _MEASURED for kind in SignalType
}


class Monitoring(Strict):
    """What is watched."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.signals) || self.signals.all(s, "
            + cel_durations(
                "duration(s.falseAlarmEvery) > duration(self.interval)", "s.falseAlarmEvery", "self.interval"
            )
            + ")",
            sentence="signals: falseAlarmEvery must be longer than monitoring.interval: "
            "nothing can be rarer than once in less than one look",
            holds=lambda self: all(signal.false_alarm_every > self.interval for signal in self.signals),
            field=".signals",
        ),
        Rule(
            cel=f"!has(self.signals) || self.signals.all(s, !has(s.type) || !(s.type in {_DRIFT_TYPES}) || "
            + cel_durations("duration(s.window) >= duration(self.interval)", "s.window", "self.interval")
            + ")",
            sentence="signals: the window of a drift signal must not be shorter than monitoring.interval: "
            "it would end unseen",
            holds=lambda self: all(
                not signal.type.is_drift or signal.window >= self.interval for signal in self.signals
            ),
            field=".signals",
        ),
    )

    interval: Annotated[Duration, between("1s", "1h")] = timedelta(seconds=30)
    """Time between two looks at Prometheus."""
    signals: Annotated[
        tuple[Signal, ...],
        Field(min_length=1, max_length=16),
        Rule(
            cel="self.all(s, self.exists_one(t, t.name == s.name))",
            sentence="signals: each name may stand once",
            holds=lambda signals: len({signal.name for signal in signals}) == len(signals),
        ),
    ] = (Signal(name="accuracy", max_drop=0.05),)
    """The signals. Left out: accuracy may fall by at most 0.05 below the version's holdout."""


class Approval(StrEnum):
    """Who decides."""

    AUTO = "Auto"
    MANUAL = "Manual"


class Budget(Strict):
    """How often healing may be tried."""

    attempts: Annotated[int, Field(ge=1, le=100, strict=True)] = 3
    """Failed attempts within `per` before a person is needed (stage Stalled)."""
    per: Annotated[Duration, between("1s")] = timedelta(hours=24)
    """Length of the sliding window."""


class LogData(Strict):
    """Learn from the servers' own prediction log, joined with the labels that feedback brought."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=cel_durations(
                "duration(self.retention) >= duration(self.window)", "self.retention", "self.window"
            ),
            sentence="retention must not be shorter than window: a retraining would look for rows that are deleted",
            holds=lambda self: self.retention >= self.window,
            field=".retention",
        ),
    )

    window: Annotated[Duration, between("1s")] = timedelta(hours=720)
    """How far back a retraining looks."""
    retention: Annotated[Duration, between("1s")] = timedelta(hours=2160)
    """How long the log is kept."""


class Dataset(Strict):
    """Learn from a dataset that somebody else maintains."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.label != self.time",
            sentence="label and time must be different columns",
            holds=lambda self: self.label != self.time,
            field=".time",
        ),
    )

    uri: ReadableUri
    """A Parquet or CSV file, or a folder of Parquet files."""
    label: Annotated[str, Field(min_length=1, max_length=253)]
    """Column with the truth."""
    time: Annotated[str, Field(min_length=1, max_length=253)]
    """Column with the time of each row: the holdout is the latest part."""
    window: Annotated[Duration, between("1s")] | None = None
    """How far back from the latest row a retraining looks; everything when left out."""


class Data(Strict):
    """What a retraining learns from: one of log and dataset; the log when both are left out."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.log) && has(self.dataset))",
            sentence="data is either log or dataset, not both",
            holds=lambda self: self.log is None or self.dataset is None,
        ),
    )

    log: LogData | None = None
    """The servers' own prediction log, joined with the labels that feedback brought."""
    dataset: Dataset | None = None
    """A dataset that somebody else maintains."""

    @model_validator(mode="before")
    @classmethod
    def _log_unless_said(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("log") is None and value.get("dataset") is None:
            return {**value, "log": {}}
        return value


class Trainer(Strict):
    """The Job that refits a clone of the champion's pipeline."""

    cpu: Cpu = "500m"
    """CPU request of the Job."""
    memory: Memory = "1Gi"
    """Memory request and limit of the Job."""
    deadline: Annotated[Duration, between("1s")] = timedelta(hours=1)
    """After this the Job has failed."""


class Retraining(Strict):
    """When and how a candidate is made."""

    schedule: Schedule | None = None
    """Five-field cron line in UTC, in addition to breaches."""
    cooldown: Duration = timedelta(hours=6)
    """Rest after every end of a healing, success included."""
    budget: Budget = Budget()
    """How many failed attempts are tolerated before a person is needed."""
    approval: Approval = Approval.AUTO
    """Manual: a person approves each retraining before its Job starts."""
    data: Data = Data()
    """What a retraining learns from: one of log and dataset; the log when both are left out."""
    trainer: Trainer = Trainer()
    """The Job that refits a clone of the champion's pipeline."""


class Requirement(StrEnum):
    """What the offline gate asks of a retrained candidate."""

    BETTER = "Better"
    NOT_WORSE = "NotWorse"


class Evaluation(Strict):
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen."""

    holdout: Annotated[float, Field(ge=0.05, le=0.5, strict=True)] = 0.2
    """Share of the window, the latest by time, that is held out."""
    require: Requirement = Requirement.BETTER
    """Better than the champion, or not worse by `margin`."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """For NotWorse: how much worse is tolerated."""
    alpha: Alpha = 0.05
    """Probability of a wrong pass."""


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
    """New labelled pairs that each canary step needs."""
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
    """Before it answers anybody, a candidate is scored beside the champion."""
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


class History(Strict):
    """How much of the past is kept."""

    limit: Annotated[int, Field(ge=2, le=100, strict=True)] = 10
    """ModelVersions to keep; a version that serves, or may be rolled back to, is never pruned."""


class ModelDeploymentSpec(Strict):
    """A model that is served, watched and healed."""

    model: Model
    """The artifact to begin with, or to move to."""
    storage: Storage
    """Where new artifacts, the prediction log and staging live."""
    serving: Serving
    """How the model is served, and how the world reaches it."""
    monitoring: Monitoring = Monitoring()
    """What is watched, how often, and what a breach does."""
    retraining: Retraining = Retraining()
    """When and how a candidate is made."""
    evaluation: Evaluation = Evaluation()
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen."""
    rollout: Rollout = Rollout()
    """How a candidate takes over: shadow, canary, promotion and bake, or rollback."""
    history: History = History()
    """How much of the past is kept."""
    suspend: Annotated[bool, Field(strict=True)] = False
    """Observe only: no retraining, no rollout. A rollout in flight first gives its traffic back to the champion."""
