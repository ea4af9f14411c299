"""What is watched, and how a breach is proven."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from modelmend.api.fields import DnsName, Duration, Strict, between, cel_durations, format_duration
from modelmend.api.rules import Rule
from modelmend.api.spec.mapped import Metrics
from modelmend.api.spec.numbers import Count, Fraction


class SignalType(StrEnum):
    """What a signal watches."""

    ACCURACY = "Accuracy"
    PRECISION = "Precision"
    RECALL = "Recall"
    F1 = "F1"
    BALANCED_ACCURACY = "BalancedAccuracy"
    MAE = "MAE"
    RMSE = "RMSE"
    FEATURE_DRIFT = "FeatureDrift"
    PREDICTION_DRIFT = "PredictionDrift"
    LABEL_SHIFT = "LabelShift"
    ESTIMATED_ACCURACY = "EstimatedAccuracy"
    CONCEPT_DRIFT = "ConceptDrift"
    QUERY = "Query"

    @property
    def is_error(self) -> bool:
        """Whether it measures how far predicted numbers are from the truth: a larger value is a worse one."""
        return self in (SignalType.MAE, SignalType.RMSE)

    @property
    def is_drift(self) -> bool:
        """Whether it is about where inputs and predictions lie: data drift, judged from bins."""
        return self in (SignalType.FEATURE_DRIFT, SignalType.PREDICTION_DRIFT)

    @property
    def is_by_scores(self) -> bool:
        """Whether it rests on what the model's scores and predictions are worth, as its holdout shows it."""
        return self in BY_SCORES

    @property
    def is_measured(self) -> bool:
        """Whether it measures labelled predictions, at every poll."""
        return not self.is_windowed and self is not SignalType.QUERY

    @property
    def is_windowed(self) -> bool:
        """Whether it is judged once a window."""
        return self.is_drift or self.is_by_scores


BY_SCORES = (SignalType.LABEL_SHIFT, SignalType.ESTIMATED_ACCURACY, SignalType.CONCEPT_DRIFT)
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


class OnMissing(StrEnum):
    """What a query without a value says."""

    HOLD = "Hold"
    BREACH = "Breach"


class Block(StrEnum):
    """How long errors are counted together as one vote."""

    HOUR = "1h"
    DAY = "1d"

    @property
    def length(self) -> timedelta:
        """The same as a length of time."""
        return timedelta(hours=1) if self is Block.HOUR else timedelta(days=1)


_WINDOWED_TYPES = "['FeatureDrift', 'PredictionDrift', 'LabelShift', 'EstimatedAccuracy', 'ConceptDrift']"


def _is(*types: SignalType) -> str:
    """CEL: the signal is of one of these types. The type is missing while the API server tries the default of
    `signals`."""
    return f"(has(self.type) && self.type in {[kind.value for kind in types]})"


_DRIFT_TYPES = (SignalType.FEATURE_DRIFT, SignalType.PREDICTION_DRIFT)
_IS_DRIFT = _is(*_DRIFT_TYPES)
_UNLIMITED = (*_DRIFT_TYPES, SignalType.LABEL_SHIFT, SignalType.CONCEPT_DRIFT)
"""Types that are judged by `effect`, and not by a limit."""
_IS_QUERY = _is(SignalType.QUERY)
_ERRORS = (SignalType.MAE, SignalType.RMSE)
_IS_ERROR = _is(*_ERRORS)
_WINDOW, _FALSE_ALARM_EVERY = timedelta(hours=6), timedelta(hours=720)


class Signal(Strict):
    """One thing to watch, and what to do when it breaches."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"{_is(*_UNLIMITED, *_ERRORS, SignalType.QUERY)} || has(self.minimum) != has(self.maxDrop)",
            sentence="a signal of this type needs exactly one of minimum and maxDrop",
            holds=lambda self: (
                self.type in (*_UNLIMITED, *_ERRORS, SignalType.QUERY)
                or (self.minimum is None) != (self.max_drop is None)
            ),
        ),
        Rule(
            cel=f"!{_IS_ERROR} || has(self.maximum) != has(self.maxRise)",
            sentence="a signal of type MAE or RMSE needs exactly one of maximum and maxRise",
            holds=lambda self: not self.type.is_error or (self.maximum is None) != (self.max_rise is None),
        ),
        Rule(
            cel=f"{_IS_ERROR} || !(has(self.maximum) || has(self.maxRise))",
            sentence="maximum and maxRise are for types MAE and RMSE: all others are worse the lower they are",
            holds=lambda self: self.type.is_error or (self.maximum, self.max_rise) == (None, None),
        ),
        Rule(
            cel=f"!{_IS_ERROR} || !(has(self.minimum) || has(self.maxDrop))",
            sentence="minimum and maxDrop are not for MAE and RMSE, which are worse the higher they are: give maximum or "
            "maxRise",
            holds=lambda self: not self.type.is_error or (self.minimum, self.max_drop) == (None, None),
        ),
        Rule(
            cel=f"!{_IS_QUERY} || (has(self.query) && has(self.above) != has(self.below))",
            sentence="a signal of type Query needs query, and exactly one of above and below",
            holds=lambda self: (
                self.type is not SignalType.QUERY
                or (self.query is not None and (self.above is None) != (self.below is None))
            ),
        ),
        Rule(
            cel=f"{_IS_QUERY} || !(has(self.query) || has(self.above) || has(self.below) || "
            "has(self.__for__) || has(self.onMissing))",
            sentence="query, above, below, for and onMissing are for type Query: write type: Query, or leave them out",
            holds=lambda self: (
                self.type is SignalType.QUERY
                or (self.query, self.above, self.below, self.for_, self.on_missing) == (None,) * 5
            ),
        ),
        Rule(
            cel=f"!{_IS_QUERY} || !(has(self.minimum) || has(self.maxDrop) || has(self.minLabels) || "
            "has(self.evidence) || has(self.block))",
            sentence="minimum, maxDrop, minLabels, evidence and block are not for Query, which counts no labels: "
            "give above or below",
            holds=lambda self: (
                self.type is not SignalType.QUERY
                or (self.minimum, self.max_drop, self.min_labels, self.evidence, self.block) == (None,) * 5
            ),
        ),
        Rule(
            cel=f"!{_IS_QUERY} || "
            + cel_durations(
                f"(duration(self.window) == duration('{format_duration(_WINDOW)}') && "
                f"duration(self.falseAlarmEvery) == duration('{format_duration(_FALSE_ALARM_EVERY)}'))",
                "self.window",
                "self.falseAlarmEvery",
            ),
            sentence="window and falseAlarmEvery are not for Query: write a range into the query itself, and `for` "
            "against single spikes",
            holds=lambda self: (
                self.type is not SignalType.QUERY
                or (self.window, self.false_alarm_every) == (_WINDOW, _FALSE_ALARM_EVERY)
            ),
        ),
        Rule(
            cel="!has(self.onMissing) || self.onMissing != 'Breach' || !has(self.action) || "
            "self.action == 'Alert'",
            sentence="onMissing Breach is for action Alert: a value that is missing may be told, but heals nothing",
            holds=lambda self: (
                self.on_missing is not OnMissing.BREACH or self.action in (None, SignalAction.ALERT)
            ),
            field=".onMissing",
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
            cel=f"!{_is(SignalType.LABEL_SHIFT)} || !(has(self.minimum) || has(self.maxDrop) || has(self.minLabels) || "
            "has(self.evidence) || has(self.block))",
            sentence="minimum, maxDrop, minLabels, evidence and block are not for LabelShift: it needs no label, give "
            "effect, or nothing",
            holds=lambda self: (
                self.type is not SignalType.LABEL_SHIFT
                or (self.minimum, self.max_drop, self.min_labels, self.evidence, self.block) == (None,) * 5
            ),
        ),
        Rule(
            cel=f"!{_is(SignalType.CONCEPT_DRIFT)} || !(has(self.minimum) || has(self.maxDrop) || has(self.evidence) || "
            "has(self.block))",
            sentence="minimum, maxDrop, evidence and block are not for ConceptDrift: it sets labels beside scores once a "
            "window, give effect, or nothing",
            holds=lambda self: (
                self.type is not SignalType.CONCEPT_DRIFT
                or (self.minimum, self.max_drop, self.evidence, self.block) == (None,) * 4
            ),
        ),
        Rule(
            cel=f"!{_is(SignalType.ESTIMATED_ACCURACY)} || !(has(self.minLabels) || has(self.evidence) || "
            "has(self.block))",
            sentence="minLabels, evidence and block are not for EstimatedAccuracy: it needs no label, give minRows",
            holds=lambda self: (
                self.type is not SignalType.ESTIMATED_ACCURACY
                or (self.min_labels, self.evidence, self.block) == (None,) * 3
            ),
        ),
        Rule(
            cel=f"{_is(SignalType.ESTIMATED_ACCURACY)} || !has(self.minRows)",
            sentence="minRows is for EstimatedAccuracy: give minLabels for types that count labels",
            holds=lambda self: self.type is SignalType.ESTIMATED_ACCURACY or self.min_rows is None,
            field=".minRows",
        ),
        Rule(
            cel=f"{_is(*_UNLIMITED)} || !has(self.effect)",
            sentence="effect is for types FeatureDrift, PredictionDrift, LabelShift and ConceptDrift: give minimum or "
            "maxDrop for the others",
            holds=lambda self: self.type in _UNLIMITED or self.effect is None,
        ),
        Rule(
            cel=f"!{_is(SignalType.LABEL_SHIFT, SignalType.CONCEPT_DRIFT)} || !has(self.effect) || self.effect < 1.0",
            sentence="effect must be below 1 for LabelShift and ConceptDrift: it is a share, such as 0.05",
            holds=lambda self: (
                self.type not in (SignalType.LABEL_SHIFT, SignalType.CONCEPT_DRIFT) or (self.effect or 0) < 1
            ),
            field=".effect",
        ),
        Rule(
            cel=f"!{_is(SignalType.LABEL_SHIFT, SignalType.ESTIMATED_ACCURACY)} || !has(self.action) || "
            "self.action != 'Retrain'",
            sentence="action Retrain is not for LabelShift and EstimatedAccuracy, which no label confirms: give Alert, and "
            "Retrain to a signal of labels",
            holds=lambda self: (
                self.type not in (SignalType.LABEL_SHIFT, SignalType.ESTIMATED_ACCURACY)
                or self.action is not SignalAction.RETRAIN
            ),
            field=".action",
        ),
        Rule(
            cel=f"!(has(self.type) && self.type in {_WINDOWED_TYPES}) || "
            + cel_durations(
                "duration(self.falseAlarmEvery) >= duration(self.window) + duration(self.window)",
                "self.falseAlarmEvery",
                "self.window",
            ),
            sentence="falseAlarmEvery must be at least twice the window: signals of this type are judged once a window",
            holds=lambda self: not self.type.is_windowed or self.false_alarm_every >= 2 * self.window,
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
    the harmonic mean of both. BalancedAccuracy, the mean recall of all classes. Of models that predict numbers: Accuracy,
    the share within evaluation.tolerance; MAE and RMSE, the mean error and the root of the mean squared one, each error
    counted up to evaluation.errorBound. Without labels, FeatureDrift and
    PredictionDrift: whether the inputs (the first 50 features), or the score and the predicted class, are spread
    otherwise than in the rows that the model was fitted on. LabelShift, which classes have become more or less frequent,
    judged from the predictions and from what the model took for what on its holdout. EstimatedAccuracy, the accuracy
    that the model's own probabilities promise, corrected by its holdout. ConceptDrift sets labels beside those
    probabilities: whether the rule from inputs to outcome has moved. Query: whether a number that Prometheus knows is
    above or below a threshold."""
    query: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """Query: PromQL whose result is one series. Within its texts (in quotes) $name, $namespace and $version stand for this
    ModelDeployment and the version that serves. Asked by the operator, in its own right: it reads whatever the operator's
    Prometheus holds. Whoever runs the operator may turn queries off."""
    above: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    """Query: at this number, and above it, is a breach."""
    below: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    """Query: at this number, and below it, is a breach."""
    for_: Annotated[Duration, between("1s")] | None = Field(default=None, alias="for")
    """Query: how long the number must be there at every look before that is a breach; at once when left out."""
    on_missing: OnMissing | None = None
    """Query: what a result without a value (no series, NaN, infinite) says. Hold, when left out: nothing, the verdict is
    Unknown. Breach, with action Alert only: a breach, once that has lasted `for`. Several series, and queries that
    Prometheus refuses, are always Unknown."""
    positive_class: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """For Precision, Recall and F1: the class in question, written as a text (\"true\", \"1\"). May be left out for a
    model of two classes, and is then the second in their order."""
    minimum: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    """The value that must be exceeded; reaching it is a breach too. For what is measured, or estimated."""
    max_drop: Fraction | None = None
    """How far the value may fall below the version's own on its holdout. For what is measured, or estimated."""
    maximum: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """For MAE and RMSE: the value below which it must stay, in the unit of the label; reaching it is a breach too."""
    max_rise: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """For MAE and RMSE: how far the value may rise above the version's own on its holdout, in the unit of the label."""
    min_labels: Count | None = None
    """Labels needed before there is any verdict but Unknown; 200 when left out. For Precision, Recall and F1 only those
    count that the measure is about; for ConceptDrift, those of a window. Not for what needs no label."""
    min_rows: Count | None = None
    """EstimatedAccuracy: predictions of a window needed before there is any verdict but Unknown; 200 when left out."""
    effect: Annotated[float, Field(ge=0, le=10, strict=True)] | None = None
    """What matters, beside being beyond chance. FeatureDrift and PredictionDrift: population stability index beyond what
    chance gives; 0.1 when left out. LabelShift: by how much the share of a class must have moved beyond what chance
    explains; 0.05 when left out. ConceptDrift: how far below its estimate the accuracy must be; 0.02 when left out."""
    false_alarm_every: Annotated[Duration, between("1s")] = _FALSE_ALARM_EVERY
    """Mean time between false alarms that is acceptable while the value is exactly at the limit, or while nothing
    drifts (over all features together). EstimatedAccuracy and ConceptDrift ask for 3 standard errors at least, which
    is once in 740 windows. Not for Query."""
    evidence: SignalEvidence | None = None
    """Of labelled predictions. Lifelong: a sequential test that may be looked at for ever; so when left out. Threshold: the
    Wilson bound (z = 4) of `window`."""
    block: Block | None = None
    """Where errors come in bursts: all labels of an hour or a day have one vote together, so that a burst is not taken
    for a fall. A verdict then comes at the end of a block. For evidence Lifelong."""
    window: Annotated[Duration, between("1s")] = _WINDOW
    """Not for Query. What the shown value is computed over; Threshold also judges it. Drift, LabelShift, EstimatedAccuracy and
    ConceptDrift: windows do not overlap, and each is judged once; with too few rows (20 a bin or class, minRows,
    minLabels) it lasts up to four times as long."""
    action: SignalAction | None = None
    """Retrain heals; Alert only tells; Ignore shows the numbers and judges nothing unhealthy. When left out, Retrain
    for measures of labelled predictions and Alert for all else: what moves is no harm by itself, an estimate is no
    label, and a query promises nothing."""

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
_QUERIED: Mapping[str, Any] = {"onMissing": OnMissing.HOLD, "action": SignalAction.ALERT}
_LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    **{kind.value: _DRIFT if kind.is_drift else _MEASURED for kind in SignalType},
    SignalType.LABEL_SHIFT: {"effect": 0.05, "action": SignalAction.ALERT},
    SignalType.ESTIMATED_ACCURACY: {"minRows": 200, "action": SignalAction.ALERT},
    SignalType.CONCEPT_DRIFT: {"effect": 0.02, "minLabels": 200, "action": SignalAction.ALERT},
    SignalType.QUERY: _QUERIED,
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
            cel=f"!has(self.signals) || self.signals.all(s, !has(s.type) || !(s.type in {_WINDOWED_TYPES}) || "
            + cel_durations("duration(s.window) >= duration(self.interval)", "s.window", "self.interval")
            + ")",
            sentence="signals: a window that is judged once must not be shorter than monitoring.interval: "
            "it would end unseen",
            holds=lambda self: all(
                not signal.type.is_windowed or signal.window >= self.interval for signal in self.signals
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
    metrics: Metrics | None = None
    """The counters of a server of your own (spec.serving.template)."""
