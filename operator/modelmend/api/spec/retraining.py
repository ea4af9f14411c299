"""When and how a candidate is made, and from what."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from modelmend.api.fields import Duration, Strict, between, cel_durations
from modelmend.api.quantities import Cpu, Memory
from modelmend.api.rules import Rule, quoted
from modelmend.api.schedule import Schedule
from modelmend.api.spec.template import Template
from modelmend.api.uris import ReadableUri
from modelmend.contract.pipelines import FEATURES_MAX, PARAMETERS, PARAMETERS_MAX, Estimator


class Approval(StrEnum):
    """Who decides."""

    AUTO = "Auto"
    MANUAL = "Manual"


class When(StrEnum):
    """Which of several breaches heal."""

    ANY = "Any"
    ALL = "All"


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


def _takes(estimator: Estimator) -> Rule:
    names = PARAMETERS[estimator]
    return Rule(
        cel=f"self.estimator != {quoted(estimator)} || !has(self.parameters) || "
        f"self.parameters.all(p, p in {list(names)})",
        sentence=f"parameters of {estimator} are {', '.join(names)}",
        holds=lambda self: self.estimator is not estimator or self.parameters.keys() <= set(names),
        field=".parameters",
    )


class Pipeline(Strict):
    """What the first version is trained with. Text is encoded, missing values and new categories are taken."""

    RULES: ClassVar[tuple[Rule, ...]] = tuple(_takes(estimator) for estimator in Estimator)

    estimator: Estimator = Estimator.HIST_GRADIENT_BOOSTING
    """HistGradientBoosting, RandomForest or Linear (logistic regression; ridge regression for numbers), all of
    scikit-learn."""
    parameters: Annotated[
        dict[str, Annotated[float, Field(strict=True)]], Field(max_length=PARAMETERS_MAX)
    ] = {}
    """Numbers by the name that scikit-learn has for them, e.g. max_iter: 200; its own defaults when left out."""
    features: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(max_length=FEATURES_MAX)
    ] = ()
    """Columns of the dataset to learn from; all but label and time when left out. Name them where the dataset holds
    what nobody knows yet at the time of a prediction."""


class Trainer(Strict):
    """The Job that makes a candidate: it refits a clone of the champion's pipeline, makes the first version, or is of an
    image of your own."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.pipeline) && has(self.template))",
            sentence="pipeline is for the built-in trainer: a trainer of your own, in template, makes the first version too",
            holds=lambda self: self.pipeline is None or self.template is None,
            field=".pipeline",
        ),
    )

    cpu: Cpu = "500m"
    """CPU request of the Job."""
    memory: Memory = "1Gi"
    """Memory request and limit of the Job."""
    deadline: Annotated[Duration, between("1s")] = timedelta(hours=1)
    """After this the Job has failed."""
    pipeline: Pipeline | None = None
    """Where model.uri is left out: what the first version is trained with; HistGradientBoosting when left out. Later
    versions are clones of what serves, fitted again."""
    template: Template | None = None
    """A trainer of your own in place of the built-in one: it reads Modelmend's environment variables, writes an
    artifact below MODELMEND_OUTPUT_URI and one line of JSON on its termination message (docs/own-images.md)."""


class Retraining(Strict):
    """When and how a candidate is made."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.data) || !has(self.data.dataset) || !has(self.trainer) || !has(self.trainer.pipeline) || "
            "!has(self.trainer.pipeline.features) || !(self.data.dataset.label in self.trainer.pipeline.features || "
            "self.data.dataset.time in self.trainer.pipeline.features)",
            sentence="trainer.pipeline.features must not hold the label or the time of data.dataset",
            holds=lambda self: (
                self.data.dataset is None
                or self.trainer.pipeline is None
                or not {self.data.dataset.label, self.data.dataset.time} & set(self.trainer.pipeline.features)
            ),
            field=".trainer.pipeline.features",
        ),
    )

    schedule: Schedule | None = None
    """Five-field cron line in UTC, in addition to breaches."""
    when: When = When.ANY
    """Of several signals with action Retrain: Any heals as soon as one is breached, All only while all of them are at
    once. A signal that is Unknown is neither: under All it holds the healing back. Alerts come for each by itself."""
    cooldown: Duration = timedelta(hours=6)
    """Rest after every end of a healing, success included."""
    budget: Budget = Budget()
    """How many failed attempts are tolerated before a person is needed."""
    approval: Approval = Approval.AUTO
    """Manual: a person approves each retraining before its Job starts."""
    data: Data = Data()
    """What a retraining learns from: one of log and dataset; the log when both are left out."""
    trainer: Trainer = Trainer()
    """The Job that makes a candidate: it refits a clone of the champion's pipeline, makes the first version, or is of an
    image of your own."""
