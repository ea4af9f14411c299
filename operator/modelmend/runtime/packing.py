"""Turns a fitted pipeline and its training rows into the files of an artifact, in memory.

Called by `artifact.pack` for people and by the trainer for candidates; writing is `artifact.write`'s.
"""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn
import sklearn.base
import sklearn.utils.validation
import skops
import skops.io
from sklearn.exceptions import NotFittedError

from modelmend.contract import log, manifest
from modelmend.contract.manifest import Datatype, Holdout, LabelDelay, Manifest, Task, Window
from modelmend.runtime import frames, instants, reference, scoring
from modelmend.runtime.errors import ArtifactError, DataError
from modelmend.runtime.loaded import Predictor
from modelmend.runtime.targets import Classes, Numbers, Target

UNSEEN: Final = "__never_seen__"


@dataclass(frozen=True)
class Training:
    """The rows that a pipeline was fitted on: a table of n rows, n classes or numbers, n instants if they are known."""

    table: Any
    target: Any
    time: Any = None


@dataclass(frozen=True)
class Options:
    """What `pack` may be told besides; the defaults suit a person at a notebook."""

    holdout: float = 0.2
    """Fraction of the rows that measures the accuracy of a clone; 0 measures nothing."""
    metrics: dict[str, float] | None = None
    """Measured elsewhere: nothing is refitted then."""
    parent: str | None = None
    label_delay: LabelDelay | None = None
    names: tuple[str, ...] | None = None
    """Feature names of a plain array."""
    trusted: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Draft:
    """An artifact in memory."""

    manifest: Manifest
    files: dict[str, bytes] = field(repr=False)
    manifest_bytes: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The digest that the folder will have."""
        return manifest.digest_of(self.manifest_bytes)


@dataclass(frozen=True)
class Story:
    """What the manifest says about the making of a model."""

    model: str
    version: str
    rows: int
    parent: str | None = None
    window: Window | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    label_delay: LabelDelay | None = None
    holdout: Holdout | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, the columns that it learnt from, and its predictions for rows that it did not see."""

    pipeline: Any
    schema: frames.Schema
    columns: dict[str, npt.NDArray[Any]]
    predicted: npt.NDArray[Any]
    """Class indices, or numbers."""
    probabilities: npt.NDArray[np.float64] | None
    times: npt.NDArray[np.datetime64] | None = None
    """Of the rows in `columns`, where they are known."""
    predicted_times: npt.NDArray[np.datetime64] | None = None
    """Of the rows that were predicted."""
    errors: npt.NDArray[np.float64] | None = None
    """Of a regressor, where these rows' truth is known."""


def libraries() -> dict[str, str]:
    """The versions that decide whether a model can be read back."""
    return {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "skops": skops.__version__}


def check_model(pipeline: Any, name: str) -> Task:
    """What it predicts. Raises ArtifactError unless it is a fitted regressor, or a fitted classifier of one target with
    two classes or more."""
    if sklearn.base.is_regressor(pipeline):
        try:
            sklearn.utils.validation.check_is_fitted(pipeline)
        except NotFittedError:
            raise ArtifactError(f"{name} is not fitted: call fit before packing") from None
        return Task.REGRESSION
    _check_classifier(pipeline, name)
    return Task.CLASSIFICATION


def _check_classifier(pipeline: Any, name: str) -> None:
    if not sklearn.base.is_classifier(pipeline):
        raise ArtifactError(
            f"{name} is neither a classifier nor a regressor: pack one of scikit-learn, or a pipeline that ends in one"
        )
    try:
        classes = pipeline.classes_
        sklearn.utils.validation.check_is_fitted(pipeline)
    except (AttributeError, NotFittedError):
        raise ArtifactError(f"{name} is not fitted: call fit before packing") from None
    if isinstance(classes, list) or np.asarray(classes).ndim != 1:
        raise ArtifactError(f"{name} predicts several targets at once: pack one model for each target")
    if len(classes) < 2:
        raise ArtifactError(f"{name} knows one class only: fit it on rows of two classes or more")
    values = np.asarray(classes).tolist()
    if not all(isinstance(value, bool | int | float | str) for value in values):
        raise ArtifactError(
            f"{name} has classes that are no booleans, numbers or text: fit it on such labels"
        )
    if len({log.class_key(value) for value in values}) < len(values):
        raise ArtifactError(
            f"{name} has classes that read the same in logs (such as 1 and '1'): fit it on distinct labels"
        )


def prepare(
    pipeline: Any, training: Training, model: str, version: str, options: Options
) -> tuple[Draft, tuple[str, ...]]:
    """The artifact of a fitted pipeline in memory, and warnings. Raises DataError and ArtifactError."""
    name = f"the pipeline ({type(pipeline).__name__})"
    target = target_of(pipeline, check_model(pipeline, name))
    table, schema = _table_and_schema(pipeline, training.table, options.names)
    found = target.read(training.target, "y")
    if len(found) != len(table):
        raise DataError(
            f"y has {len(found):,} labels and X has {len(table):,} rows: give one label for each row"
        )
    if training.time is not None and len(training.time) != len(table):
        raise DataError(
            f"there are {len(training.time):,} times for {len(table):,} rows: give one for each row"
        )
    target.refuse_unknown(found)
    columns = frames.columns_of(table, schema)
    target.refuse_leaks(columns, schema.features, found)

    refuse_odd_metrics(options.metrics or {})
    times = None if training.time is None else instants.column(training.time, "time")
    errors, holdout = None, None
    if options.metrics is not None or options.holdout <= 0:
        predicted, probabilities = _predicted(pipeline, table, name)
        measured, predicted_times = dict(options.metrics or {}), times
    else:
        kept, held = _split(len(table), times, options)
        predicted_times = None if times is None else times[held]
        clone = sklearn.base.clone(pipeline)
        if isinstance(target, Classes) and len(np.unique(found[kept])) < len(target.keys):
            raise DataError(
                "a class has no row outside of the holdout, so the accuracy cannot be measured: give more rows, or the "
                "metrics that were measured elsewhere"
            )
        clone.fit(_rows(table, kept), target.fitted_on(found[kept]))
        predicted, probabilities = _predicted(clone, _rows(table, held), name)
        measured = target.metrics(found[held], predicted)
        errors = None if isinstance(target, Classes) else scoring.errors(found[held], predicted)
        holdout = target.holdout(found[held], predicted, probabilities)
    story = Story(
        model, version, len(table), options.parent, _window(times), measured, options.label_delay, holdout
    )
    fitted = Fitted(pipeline, schema, columns, predicted, probabilities, times, predicted_times, errors)
    draft = assemble(fitted, story)
    return draft, tuple(_unseen_category_warnings(pipeline, schema, table))


def target_of(pipeline: Any, task: Task) -> Target:
    """What a fitted pipeline predicts."""
    if task is Task.REGRESSION:
        return Numbers()
    values = tuple(np.asarray(pipeline.classes_).tolist())
    return Classes(values, tuple(log.class_key(value) for value in values))


def _predicted(
    pipeline: Any, table: Any, name: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
    try:
        return Predictor(pipeline).predict(table)
    except ValueError as problem:
        if not sklearn.base.is_regressor(pipeline):
            raise
        raise ArtifactError(
            f"{name} cannot be served: {problem}; pack a regressor of one finite number a row"
        ) from problem


def refuse_odd_metrics(metrics: Mapping[str, float]) -> None:
    """Raises DataError for what JSON cannot carry to the operator, and for a measure that is no share."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise DataError(f"metric {name!r} is {value}: give a finite number, or leave the metric out")
        if name.partition("_of_")[0] in scoring.SHARES and not 0 <= value <= 1:
            raise DataError(f"metric {name!r} is {value:g}: give a share between 0 and 1, such as 0.91")


def assemble(fitted: Fitted, story: Story) -> Draft:
    """The files of an artifact. Raises ArtifactError when skops cannot store the pipeline."""
    task = Task.REGRESSION if sklearn.base.is_regressor(fitted.pipeline) else Task.CLASSIFICATION
    target = target_of(fitted.pipeline, task)
    classes = target.values if isinstance(target, Classes) else ()
    scores = None if fitted.probabilities is None else reference.scores(fitted.probabilities)
    predictions = reference.Predictions(fitted.predicted, scores, fitted.predicted_times, fitted.errors)
    described = reference.describe(fitted.schema, fitted.columns, classes, predictions, fitted.times)
    files = {
        manifest.MODEL_FILE: _dump(fitted.pipeline),
        manifest.REFERENCE_FILE: described.model_dump_json().encode(),
    }
    written = Manifest(
        model=story.model,
        version=story.version,
        parent=story.parent,
        created=datetime.now(UTC),
        files={name: manifest.digest_of(content) for name, content in files.items()},
        libraries=libraries(),
        features=fitted.schema.features,
        task=task,
        classes=classes,
        rows=story.rows,
        window=story.window,
        metrics=story.metrics,
        label_delay=story.label_delay,
        holdout=story.holdout,
    )
    return Draft(written, files, (written.model_dump_json(indent=2) + "\n").encode())


def _dump(pipeline: Any) -> bytes:
    try:
        # Most of a skops file is its JSON schema, which deflates to a tenth.
        return bytes(skops.io.dumps(pipeline, compression=zipfile.ZIP_DEFLATED))
    except Exception as problem:
        raise ArtifactError(
            f"the pipeline ({type(pipeline).__name__}) cannot be stored by skops ({type(problem).__name__}): use steps of "
            "scikit-learn, without lambdas or open files"
        ) from problem


def _table_and_schema(pipeline: Any, table: Any, names: tuple[str, ...] | None) -> tuple[Any, frames.Schema]:
    schema = frames.infer(table, names)
    fitted_on = getattr(pipeline, "feature_names_in_", None)
    own = [feature.name for feature in schema.features]
    if fitted_on is None and schema.layout is frames.Layout.FRAME:
        # Fitted on an array: the frame only brings the names.
        try:
            table = table.to_numpy(dtype=np.float64)
        except (ValueError, TypeError):
            raise DataError(
                "X has columns that are not numbers and the pipeline was fitted on an array: fit it on this DataFrame"
            ) from None
        schema = frames.infer(table, own)
    elif fitted_on is not None and list(fitted_on) != own:
        raise DataError(
            f"X has the columns {', '.join(own[:8])} and the pipeline was fitted on {', '.join(list(fitted_on)[:8])}: give the "
            "very DataFrame that it was fitted on"
        )
    expected = getattr(pipeline, "n_features_in_", len(own))
    if expected != len(own):
        raise DataError(
            f"X has {len(own)} columns and the pipeline was fitted on {expected}: give the table that it was fitted on"
        )
    return table, schema


def _split(
    rows: int, time: npt.NDArray[np.datetime64] | None, options: Options
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row numbers before and in the holdout: the latest rows when there are times, else random ones."""
    order = (
        np.random.default_rng(options.seed).permutation(rows)
        if time is None
        else np.argsort(time, kind="stable")
    )
    cut = rows - max(1, round(rows * options.holdout))
    return order[:cut], order[cut:]


def _rows(table: Any, numbers: npt.NDArray[np.intp]) -> Any:
    return table.iloc[numbers] if isinstance(table, pd.DataFrame) else table[numbers]


def _window(found: npt.NDArray[np.datetime64] | None) -> Window | None:
    if found is None:
        return None
    # The end is exclusive, and the last row is inside.
    return Window(
        start=instants.instant(found.min()), end=instants.instant(found.max()) + timedelta(microseconds=1)
    )


def _unseen_category_warnings(pipeline: Any, schema: frames.Schema, table: Any) -> list[str]:
    """A category never seen comes sooner or later; a pipeline that dies of it should be known before."""
    warnings = []
    for feature in schema.features:
        if feature.datatype is Datatype.BYTES and schema.dtypes[feature.name] != frames.CATEGORY:
            row = table.iloc[:1].copy()
            row[feature.name] = pd.array([UNSEEN], dtype=schema.dtypes[feature.name])
            try:
                pipeline.predict(row)
            except ValueError:
                warnings.append(
                    f"requests with a value of {feature.name!r} that was not in the training data will be refused: set "
                    "handle_unknown on its encoder"
                )
    return warnings
