"""The first model: a person's artifact, or one that the first part of the data trains with a pipeline that suits any
table. And where the replay begins.

    data   ├── trains the first model ──┤├── is replayed as requests ────────┤
                                        ^ --train-until, else 20 % of the rows, or the end of the artifact's own window
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelmend.api.spec import Pipeline
from modelmend.contract import pipelines
from modelmend.contract.manifest import Task
from modelmend.runtime import artifact, frames, packing, trainer
from modelmend.runtime import pipelines as built
from modelmend.runtime.errors import DataError, SentenceError
from modelmend.runtime.loaded import LoadedModel
from modelmend.simulate.table import Table, written

SHARE: Final = 0.2
"""Of the rows, when nobody says when training ends."""
LEAST: Final = 100
"""Labelled rows that a first model needs."""


@dataclass(frozen=True)
class First:
    """The first model, and the first instant that is replayed."""

    model: LoadedModel
    uri: str
    begin: np.datetime64
    warnings: tuple[str, ...] = ()


def load(table: Table, uri: str, until: np.datetime64 | None, trusted: tuple[str, ...]) -> First:
    """A person's artifact. Raises ArtifactError, StoreError, DataError."""
    model = artifact.load(uri, None, trusted)
    model.smoke()
    if model.is_regressor:
        raise DataError(
            f"the model of --model, {uri}, predicts numbers, and a simulation knows classes alone: give a classifier"
        )
    missing = [feature.name for feature in model.manifest.features if feature.name not in table.frame.columns]
    if missing:
        raise DataError(
            f"{table.place} has no column {missing[0]!r}, which the model of --model needs: give the columns that it was "
            f"fitted on ({', '.join(feature.name for feature in model.manifest.features[:12])})"
        )
    known = set(model.class_keys) & set(table.labels[table.labelled].tolist())
    if not known:
        raise DataError(
            f"{table.place}: no label in {table.label!r} is a class of the model of --model ({', '.join(model.class_keys[:5])}): "
            "give labels as the model's classes"
        )
    window = model.manifest.window
    begin = until
    if begin is None and window is not None:
        begin = np.datetime64(window.end.replace(tzinfo=None), "us")
    if begin is None or (until is None and not (table.time >= begin).any()):
        begin = table.time[0]
    return First(model, uri, begin)


def train(
    table: Table, until: np.datetime64 | None, uri: str, name: str, seed: int, asked: Pipeline | None
) -> First:
    """Fits the pipeline that the policy asks for on the rows before `until` (else on the first fifth) and packs it at `uri`. Raises DataError."""
    begin = table.time[min(int(len(table) * SHARE), len(table) - 1)] if until is None else until
    part = table.take((table.time < begin) & table.labelled)
    cut = f"before {written(begin)}"
    which = cut if until is not None else f"of the first fifth ({cut})"
    if len(part) < LEAST:
        raise DataError(
            f"{table.place}: {len(part):,} labelled rows {which} are too few to train a first model, where {LEAST} are needed: "
            "give more rows, a later --train-until, or an artifact with --model"
        )
    found = sorted(set(part.labels.tolist()))
    if len(found) < 2:
        raise DataError(
            f"{table.place}: all labelled rows {which} are {found[0]!r}: give a later --train-until, or an artifact with --model"
        )
    empty = [name for name in part.features if part.frame[name].isna().all()]
    if empty:
        raise DataError(
            f"{table.place}: column {empty[0]!r} is empty in the rows {which}: leave it out with --drop {empty[0]}"
        )
    wanted = pipelines.Pipeline.model_validate((asked or Pipeline()).model_dump())
    missing = [name for name in wanted.features if name not in part.features]
    if missing:
        raise DataError(
            f"{table.place} has no column {missing[0]!r}, which spec.retraining.trainer.pipeline.features names: it has "
            f"{', '.join(part.features[:12])}"
        )
    rows, target = (
        part.frame[list(wanted.features or part.features)],
        np.array(part.frame[part.label].tolist()),
    )
    try:
        pipeline = trainer.seeded(built.build(wanted, Task.CLASSIFICATION, frames.infer(rows).features), seed)
        fitted = pipeline.fit(rows, target)
        model, warnings = artifact.pack(
            fitted,
            rows,
            target,
            uri=uri,
            model=name,
            version="v0",
            time=part.frame[part.time_column],
            options=packing.Options(seed=seed),
        )
    except SentenceError as problem:
        raise DataError(f"{table.place}: {problem}; or leave the column out with --drop") from None
    except ValueError as problem:
        line = str(problem).strip().partition("\n")[0][:160]
        raise DataError(
            f"{table.place}: the default pipeline cannot be fitted ({line}): leave columns out with --drop, or give an "
            "artifact with --model"
        ) from problem
    return First(model, uri, begin, warnings)
