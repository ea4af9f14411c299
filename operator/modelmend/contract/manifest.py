"""The manifest of an artifact: an immutable folder that holds one trained model.

    <uri>/manifest.json     this file; its sha256 is the artifact's digest
    <uri>/model.skops       the fitted pipeline
    <uri>/reference.json    what the training data looked like (bins and counts), and one example row

The manifest is written last: a folder without one is an artifact that is still being written, or never was.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

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


MATRIX_MAX: Final = 20
"""Classes whose confusion is kept: the square of their number has to fit a Job's report."""
Rows = Annotated[int, Field(ge=0, le=2**53)]


class Holdout(_Frozen):
    """A model on rows that its fit had not seen: what its scores promised beside what came true, and what it took for
    what. So much must be known of it to judge it without labels."""

    rows: Rows
    right: Rows
    """Rows that were predicted rightly."""
    expected: Annotated[FiniteFloat, Field(ge=0)] | None = None
    """Sum of the largest probability of each row; None for a model without probabilities."""
    confusion: tuple[tuple[Rows, ...], ...] = ()
    """Row i, column j: how often class i was predicted where j was true. None for more than MATRIX_MAX classes."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.right > self.rows or (self.expected or 0.0) > self.rows * (1 + 1e-9):
            raise ValueError("right and expected must not be above rows")
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("confusion must have as many columns as rows")
        if len(self.confusion) > MATRIX_MAX or sum(map(sum, self.confusion)) > self.rows:
            raise ValueError(f"confusion must be of at most {MATRIX_MAX} classes and the holdout's rows")
        return self


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
    holdout: Holdout | None = None
    """None where nothing was held out."""
