"""The built-in trainer: the champion's own pipeline, fitted again on newer rows. Called by `modelmend train`.

1. Load the champion, verified. 2. Read the labelled rows of the window. 3. Hold out the latest part by time.
4. Fit `sklearn.base.clone(champion)` on the rest. 5. Score both on the same holdout. 6. Write the artifact to the
staging folder of this very pod, read it back, publish it below `artifacts/`, and report.

The artifact is the very model that was compared, not one fitted again on everything: what passed the gate is what
gets deployed, and its holdout stays unseen. Each failure is one sentence, and the champion goes on serving.

Reproducible: the same rows and seed give a model with the same predictions, whatever parts the log lies in. The seed
goes to every `random_state` that is None and to numpy's global generator; a `random_state` that somebody chose is
kept. The digest differs, since an artifact holds its time of creation.
"""

import logging
import re
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import sklearn.base

from modelmend.contract import environment, manifest, result, storage
from modelmend.contract.manifest import Feature, Window
from modelmend.runtime import (
    artifact,
    dataset,
    frames,
    holdout,
    instants,
    packing,
    scoring,
    store,
    targets,
)
from modelmend.runtime.dataset import Rows
from modelmend.runtime.errors import DataError, SentenceError, SettingsError
from modelmend.runtime.job import Task
from modelmend.runtime.loaded import LoadedModel, Predictor
from modelmend.runtime.targets import Target

_log = logging.getLogger(__name__)

MINIMUM_ROWS: Final = 100
"""Labelled rows before the holdout: with fewer, any pipeline learns noise."""
WARNINGS: Final = 5


def train(task: Task) -> result.Succeeded:
    """Fits, compares and publishes a candidate. Raises SentenceError."""
    if task.parent is None:
        raise SettingsError(
            f"{environment.PARENT_URI} is not set: the trainer refits a champion; pack a first version with `modelmend pack`"
        )
    if task.output_uri is None:
        raise SettingsError(
            f"{environment.OUTPUT_URI} is not set: the trainer needs a staging folder to write to"
        )
    champion = artifact.load(task.parent.uri, task.parent.digest, task.trusted)
    progress(10, "loaded the champion %s", champion.manifest.version)
    target = targets.of(champion, task.grading)
    rows = dataset.read(task.data, champion.manifest.features, target)
    progress(40, "read %s labelled rows", f"{len(rows):,}")
    window = champion.manifest.window
    split = holdout.split(rows, task.holdout, None if window is None else window.end)
    refuse_bad_rows(split, champion.manifest.features, target)
    fitted, complaints = _fit(champion, target, split.fit, task.seed)
    progress(70, "fitted on %s rows, %s are held out", f"{len(split.fit):,}", f"{len(split.held):,}")

    actual = split.held.labels
    schema = frames.refreshed(champion.schema, split.fit.columns)
    predicted, probabilities = predict_with(fitted, schema.frame(split.held.columns))
    champion_predicted = holdout.predicted(champion, split.held)
    measured = target.metrics(actual, predicted)
    story = packing.Story(
        model=task.model,
        version=task.version,
        rows=len(split.fit),
        parent=champion.digest,
        window=Window(start=instants.instant(split.fit.time[0]), end=split.cut) if rows.timed else None,
        metrics=measured,
        label_delay=rows.delay or champion.manifest.label_delay,
        holdout=target.holdout(actual, predicted, probabilities),
    )
    errors = scoring.errors(actual, predicted) if champion.is_regressor else None
    told = packing.Fitted(
        fitted,
        schema,
        split.fit.columns,
        predicted,
        probabilities,
        times=split.fit.time if rows.timed else None,
        predicted_times=split.held.time if rows.timed else None,
        errors=errors,
    )
    draft = packing.assemble(told, story)
    uri = publish(draft, task.output_uri, task.storage_uri, task.trusted)
    progress(100, "published at %s, fitted on %s rows", store.shown(uri), f"{len(split.fit):,}")
    return result.Succeeded(
        digest=draft.digest,
        uri=uri,
        rows=story.rows,
        metrics={**measured, "champion_accuracy": target.accuracy(actual, champion_predicted)},
        task=champion.manifest.task,
        classes=champion.counted_classes,
        parent=champion.digest,
        window=story.window,
        label_delay=story.label_delay,
        holdout=story.holdout,
        evaluation=target.paired(actual, champion_predicted, predicted, split.held.parts),
        warnings=(*split.warnings, *rows.warnings, *complaints),
    )


def publish(draft: packing.Draft, staging: str, storage_uri: str | None, trusted: Iterable[str]) -> str:
    """Writes the artifact to the staging folder, reads it back, copies it to `artifacts/<hex of the digest>` and
    empties staging. Returns where it lies: in staging when there is no storage to publish to.

    Two pods of one Job never meet: staging is each one's own, and a published folder is named after its content.
    """
    chosen = tuple(trusted)
    artifact.write(draft, staging)
    artifact.load(staging, draft.digest, chosen).smoke()
    if storage_uri is None:
        return staging
    published = artifact_uri(storage_uri, draft.digest)
    artifact.write(draft, published)
    artifact.load(published, draft.digest, chosen)
    try:
        # The manifest first: half a deletion must look like an artifact that never was.
        store.delete_folder(staging, first=(manifest.MANIFEST_FILE,))
    except SentenceError as problem:
        _log.warning("staging was left behind: %s", problem)
    return published


def artifact_uri(storage_uri: str, digest: str) -> str:
    """Folder of a published artifact: the digest's hex digits, since a colon is no good in a file name."""
    return storage.join(storage_uri, storage.ARTIFACTS, digest.removeprefix("sha256:"))


def seeded(pipeline: Any, seed: int) -> Any:
    """The pipeline with the seed in every `random_state` that is None."""
    unset = {
        name: seed
        for name, value in pipeline.get_params(deep=True).items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    return pipeline.set_params(**unset)


def refuse_bad_rows(split: holdout.Split, features: Sequence[Feature], target: Target) -> None:
    """Raises DataError when nothing can be learnt from these rows, or nothing said about what was."""
    fit, held = split.fit, split.held
    if len(fit) < MINIMUM_ROWS or len(held) < holdout.MINIMUM_ROWS:
        raise DataError(
            f"too few labelled rows: {len(fit):,} to fit on and {len(held):,} held out, where {MINIMUM_ROWS} and "
            f"{holdout.MINIMUM_ROWS} are needed; widen the window, or wait for more labels"
        )
    for part in (fit, held):
        target.refuse_unknown(part.labels)
    target.refuse_sameness(fit.labels)
    target.refuse_leaks(fit.columns, features, fit.labels)


def _fit(champion: LoadedModel, target: Target, rows: Rows, seed: int) -> tuple[Any, list[str]]:
    """The fitted clone and what scikit-learn complained of."""
    pipeline = seeded(sklearn.base.clone(champion.estimator), seed)
    schema = frames.refreshed(champion.schema, rows.columns)
    return fit_pipeline(
        pipeline,
        schema.frame(rows.columns),
        target.fitted_on(rows.labels),
        seed,
        "the champion's pipeline",
        "fix the data, or pack a pipeline that takes it",
    )


def fit_pipeline(
    pipeline: Any, table: Any, target: Any, seed: int, name: str, cure: str
) -> tuple[Any, list[str]]:
    """The pipeline fitted on n rows, and what scikit-learn complained of. Raises DataError."""
    # scikit-learn falls back to the global generator where no random_state reaches, e.g. in a splitter.
    np.random.seed(seed)
    began = time.monotonic()
    progress(45, "fitting %s on %s rows", type(pipeline).__name__, f"{len(target):,}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            pipeline.fit(table, target)
    except MemoryError:
        raise
    except Exception as problem:
        # The steps are scikit-learn's or the user's own: what they raise is about these rows, and no bug of ours.
        # Of a parameter it quotes the name, and nothing of a row.
        said = str(problem)[:160] if type(problem).__name__ == "InvalidParameterError" else _bare(problem)
        raise DataError(
            f"{name} cannot be fitted on the {len(target):,} rows ({type(problem).__name__}: {said}): {cure}"
        ) from problem
    _log.info("fitted in %.1f s", time.monotonic() - began)
    complaints = dict.fromkeys(f"{each.category.__name__}: {_bare(each.message)}" for each in caught)
    return pipeline, list(complaints)[:WARNINGS]


def predict_with(fitted: Any, table: Any) -> Any:
    """What a fitted candidate predicts, and its probabilities. Raises DataError."""
    try:
        return Predictor(fitted).predict(table)
    except MemoryError:
        raise
    except Exception as problem:
        raise DataError(
            f"the candidate cannot predict the holdout ({type(problem).__name__}: {_bare(problem)}): set handle_unknown on the "
            "pipeline's encoders"
        ) from problem


def _bare(problem: object) -> str:
    """The first line of a library's message without what it quotes: that may be a value of somebody's row."""
    line = str(problem).strip().partition("\n")[0]
    return re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]", "…", line)[:160]


def progress(percent: int, message: str, *args: object) -> None:
    """How far the training has come, for the log."""
    _log.info("%3d %%  " + message, percent, *args)
