"""The first version of a model: trained on a dataset where nobody packed one. Called by `modelmend train` without a
parent.

1. Read the dataset's columns as they are, in order of time. 2. Hold out the latest part. 3. Fit the pipeline that spec
names on the rest. 4. Compare it on the holdout with always answering the same: the most frequent class of the rows that
it was fitted on, or the mean of their labels. 5. Publish and report, as the trainer does.

A model that is no better than that answer is published too: the operator judges by the counts, and says so.
"""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from modelmend.contract import environment, result
from modelmend.contract.manifest import Task as Kind
from modelmend.contract.manifest import Window
from modelmend.contract.pipelines import Pipeline
from modelmend.runtime import (
    dataset,
    frames,
    holdout,
    instants,
    loaded,
    packing,
    pipelines,
    scoring,
    store,
    trainer,
)
from modelmend.runtime.dataset import Rows
from modelmend.runtime.errors import DataError, SettingsError
from modelmend.runtime.job import Task
from modelmend.runtime.targets import Classes, Labels, Target

ROWS_PER_CLASS: Final = 10
"""With fewer on average, labels are measurements, names or mistakes."""
SKEW: Final = timedelta(days=1)
"""How far ahead of this machine's clock a row may be: a time without a zone may be anybody's."""


def train(task: Task, asked: Pipeline) -> result.Succeeded:
    """Fits, compares and publishes a first version. Raises SentenceError."""
    if task.output_uri is None:
        raise SettingsError(
            f"{environment.OUTPUT_URI} is not set: the trainer needs a staging folder to write to"
        )
    found = dataset.read_new(task.data, asked.features, task.grading)
    rows, target = found.rows, found.target
    trainer.progress(40, "read %s rows", f"{len(rows):,}")
    _refuse_the_future(rows, task.data.time)
    _refuse_many(target, len(rows), task.data.label)
    split = holdout.split(rows, task.holdout, instants.instant(rows.time[0]))
    trainer.refuse_bad_rows(split, found.schema.features, target)
    schema, left_out = _without_the_empty(found.schema, split.fit)
    schema = frames.refreshed(schema, split.fit.columns)
    fitted, complaints = trainer.fit_pipeline(
        trainer.seeded(pipelines.build(asked, _task(target), schema.features), task.seed),
        schema.frame(split.fit.columns),
        target.fitted_on(split.fit.labels),
        task.seed,
        "the pipeline of spec.retraining.trainer.pipeline",
        "correct its parameters, or name other columns in its features",
    )
    trainer.progress(70, "fitted on %s rows, %s are held out", f"{len(split.fit):,}", f"{len(split.held):,}")

    actual = split.held.labels
    predicted, probabilities = trainer.predict_with(fitted, schema.frame(split.held.columns))
    constant = np.full(len(actual), _constant(target, split.fit.labels))
    measured = target.metrics(actual, predicted)
    story = packing.Story(
        model=task.model,
        version=task.version,
        rows=len(split.fit),
        window=Window(start=instants.instant(split.fit.time[0]), end=split.cut),
        metrics=measured,
    )
    told = packing.Fitted(
        fitted,
        schema,
        split.fit.columns,
        predicted,
        probabilities,
        times=split.fit.time,
        predicted_times=split.held.time,
        errors=None if isinstance(target, Classes) else scoring.errors(actual, predicted),
    )
    draft = packing.assemble(told, story)
    uri = trainer.publish(draft, task.output_uri, task.storage_uri, task.trusted)
    trainer.progress(100, "published at %s, fitted on %s rows", store.shown(uri), f"{len(split.fit):,}")
    return result.Succeeded(
        digest=draft.digest,
        uri=uri,
        rows=story.rows,
        metrics={**measured, "constant_accuracy": target.accuracy(actual, constant)},
        task=_task(target),
        classes=loaded.counted(target.keys) if isinstance(target, Classes) else (),
        window=story.window,
        evaluation=target.paired(actual, constant, predicted, split.held.parts),
        warnings=(*left_out, *complaints),
    )


def _task(target: Target) -> Kind:
    return Kind.CLASSIFICATION if isinstance(target, Classes) else Kind.REGRESSION


def _constant(target: Target, found: Labels) -> float:
    """What somebody answers who looks at no column: the index of the most frequent class, or the mean."""
    if isinstance(target, Classes):
        return int(np.bincount(target.codes(found)).argmax())
    return float(found.mean())


def _without_the_empty(schema: frames.Schema, fit: Rows) -> tuple[frames.Schema, list[str]]:
    """Columns without any value teach nothing, and not every estimator takes them."""
    kept = tuple(feature for feature in schema.features if not pd.isna(fit.columns[feature.name]).all())
    empty = [feature.name for feature in schema.features if feature not in kept]
    if not kept:
        raise DataError(
            f"all columns to learn from are empty in the {len(fit):,} rows to fit on: name others in "
            "spec.retraining.trainer.pipeline.features"
        )
    said = [f"empty columns are left out: {', '.join(map(repr, empty[:5]))} ({len(empty)})"] if empty else []
    dtypes = {feature.name: schema.dtypes[feature.name] for feature in kept}
    return dataclasses.replace(schema, features=kept, dtypes=dtypes), said


def _refuse_the_future(rows: Rows, column: str | None) -> None:
    """The holdout is the latest part: a wrong year would make it up."""
    ahead = rows.time > instants.moment(datetime.now(UTC) + SKEW)
    if ahead.any():
        raise DataError(
            f"time column {column!r} lies in the future in {int(ahead.sum()):,} of {len(rows):,} rows, up to "
            f"{instants.instant(rows.time.max()):%Y-%m-%d}: correct these rows, or name another column in "
            "spec.retraining.data.dataset.time"
        )


def _refuse_many(target: Target, rows: int, label: str | None) -> None:
    """A number that somebody measured is no class."""
    if isinstance(target, Classes) and len(target.keys) > max(rows // ROWS_PER_CLASS, 2):
        raise DataError(
            f"label {label!r} has {len(target.keys):,} different values in {rows:,} rows, and a class needs {ROWS_PER_CLASS} rows or "
            "more: name a column of classes in spec.retraining.data.dataset.label, or set spec.evaluation.tolerance to "
            "predict numbers"
        )
