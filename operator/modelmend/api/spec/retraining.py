"""When and how a candidate is made, and from what."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from modelmend.api.fields import Duration, Strict, between, cel_durations
from modelmend.api.quantities import Cpu, Memory
from modelmend.api.rules import Rule
from modelmend.api.schedule import Schedule
from modelmend.api.spec.template import Template
from modelmend.api.uris import ReadableUri


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


class Trainer(Strict):
    """The Job that makes a candidate: it refits a clone of the champion's pipeline, or is of an image of your own."""

    cpu: Cpu = "500m"
    """CPU request of the Job."""
    memory: Memory = "1Gi"
    """Memory request and limit of the Job."""
    deadline: Annotated[Duration, between("1s")] = timedelta(hours=1)
    """After this the Job has failed."""
    template: Template | None = None
    """A trainer of your own in place of the built-in one: it reads Modelmend's environment variables, writes an
    artifact below MODELMEND_OUTPUT_URI and one line of JSON on its termination message (docs/own-images.md)."""


class Retraining(Strict):
    """When and how a candidate is made."""

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
    """The Job that makes a candidate: it refits a clone of the champion's pipeline, or is of an image of your own."""
