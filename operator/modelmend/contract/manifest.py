"""The manifest of an artifact: an immutable folder that holds one trained model.

    <uri>/manifest.json     this file; its sha256 is the artifact's digest
    <uri>/model.skops       the fitted pipeline
    <uri>/reference.json    what the training data looked like (bins and counts), and one example row

The manifest is written last: a folder without one is an artifact that is still being written, or never was.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

MANIFEST_FILE: Final = "manifest.json"
MODEL_FILE: Final = "model.skops"
REFERENCE_FILE: Final = "reference.json"
FORMAT: Final = 1

Seconds = Annotated[FiniteFloat, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


def digest_of(content: bytes) -> str:
    """The digest of some bytes as Modelmend writes it: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(StrEnum):
    """What a model answers."""

    CLASSIFICATION = "Classification"
    """One of its classes."""
    REGRESSION = "Regression"
    """A number."""


class Datatype(StrEnum):
    """Datatypes of the Open Inference Protocol that a feature may have."""

    BOOL = "BOOL"
    INT64 = "INT64"
    FP64 = "FP64"
    BYTES = "BYTES"


class Feature(_Frozen):
    """One input column."""

    name: str
    datatype: Datatype
    categories: tuple[str, ...] | None = None
    """Known categories of a BYTES feature; a category never seen is allowed and counted as `__other__`."""
    missing: bool = False
    """Whether the training data had missing values here, so that NaN or null is accepted."""


class Window(_Frozen):
    """Rows with start <= time < end."""

    start: datetime
    end: datetime


class LabelDelay(_Frozen):
    """Quantiles of the time from a prediction to its label, in seconds."""

    p50: Seconds
    p90: Seconds
    p99: Seconds


class Manifest(_Frozen):
    """What an artifact says about itself."""

    format: Literal[1] = FORMAT
    model: str
    version: str
    parent: Sha256 | None = None
    created: datetime
    files: dict[str, Sha256]
    """Every other file of the folder and its hash."""
    libraries: dict[str, str]
    """Exact versions of scikit-learn, numpy and skops at training time."""
    features: tuple[Feature, ...]
    task: Task = Task.CLASSIFICATION
    classes: tuple[bool | int | float | str, ...] = ()
    """Labels in the order of the estimator's `classes_`; two or more, and none of a regressor."""
    rows: int
    """Rows that were fitted on."""
    window: Window | None = None
    metrics: dict[str, float] = {}
    """Measured on the holdout, e.g. `accuracy`, or `mae`."""
    label_delay: LabelDelay | None = None
