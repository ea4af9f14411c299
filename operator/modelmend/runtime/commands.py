"""The commands that run in Jobs and on people's machines: `pack`, `resolve`, `train`. Mounted by the command line."""

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pandas as pd
import typer

from modelmend.contract import environment
from modelmend.runtime import artifact, first, housekeeping, job, packing, store, trainer, trust
from modelmend.runtime import resolve as resolving
from modelmend.runtime.errors import DataError, SentenceError, SettingsError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def resolve(
    uri: Annotated[str | None, typer.Argument(help="The artifact; MODELMEND_URI when left out.")] = None,
) -> None:
    """Verify an artifact where it lies and report its digest, or one sentence that says what is wrong with it."""

    def work(task: job.Task) -> Any:
        found = uri or os.environ.get(environment.URI)
        if not found:
            raise SettingsError(f"name the artifact as an argument, or in {environment.URI}")
        return resolving.resolve(task, job.Origin(_as_uri(found), os.environ.get(environment.DIGEST) or None))

    raise typer.Exit(job.run(work))


@app.command()
def train() -> None:
    """Fit the champion's pipeline again on newer rows, or a first one; compare, publish the artifact, tidy the storage."""

    def work(task: job.Task) -> Any:
        if task.parent is None and task.pipeline is not None:
            return first.train(task, task.pipeline)
        return trainer.train(task)

    raise typer.Exit(job.run(work, housekeeping.tidy))


@app.command()
def pack(
    source: Annotated[
        str,
        typer.Argument(
            help="`script.py:function` or `module:function` that returns (pipeline, X, y) or (pipeline, X, y, time); or a .skops file with --data."
        ),
    ],
    to: Annotated[
        str, typer.Option(help="Folder of the artifact: a path or URI that holds no other artifact.")
    ],
    model: Annotated[str, typer.Option(help="Name of the ModelDeployment.")],
    version: Annotated[str, typer.Option(help="Name of this version.")] = "v0",
    data: Annotated[
        str | None, typer.Option(help="With a .skops file: the Parquet or CSV training frame.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column of --data.")] = None,
    time: Annotated[str | None, typer.Option(help="Time column of --data; it is no feature.")] = None,
    holdout: Annotated[
        float, typer.Option(help="Fraction of rows that measures the accuracy of a clone.", min=0, max=0.9)
    ] = 0.2,
    metric: Annotated[
        list[str] | None, typer.Option(help="name=value measured elsewhere; nothing is fitted then.")
    ] = None,
    trust_type: Annotated[list[str] | None, typer.Option(help="A further type that skops may build.")] = None,
) -> None:
    """Turn a fitted scikit-learn pipeline and its training frame into an artifact."""
    try:
        options = packing.Options(
            holdout=holdout, metrics=_metrics(metric) if metric else None, trusted=tuple(trust_type or ())
        )
        if source.endswith(".skops"):
            pipeline, table, target, times = _from_file(source, data, label, time, options.trusted)
        else:
            pipeline, table, target, times = _from_function(source)
        loaded, warnings = artifact.pack(
            pipeline,
            table,
            target,
            uri=_as_uri(to),
            model=model,
            version=version,
            time=times,
            options=options,
        )
    except SentenceError as problem:
        _fail(str(problem))
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    measured = (
        ", ".join(
            f"{name} {value:.4g}" for name, value in loaded.manifest.metrics.items() if "_of_" not in name
        )
        or "nothing measured"
    )
    typer.echo(f"{loaded.digest}  {store.shown(_as_uri(to))}  {loaded.manifest.rows:,} rows, {measured}")


def _from_function(source: str) -> tuple[Any, Any, Any, Any]:
    """What the user's own function returns. Its code runs here, with the user's own rights."""
    place, colon, name = source.rpartition(":")
    if not colon or not place:
        _fail(
            f"{source!r} is no source: give script.py:function, module:function, or a .skops file with --data"
        )
    if place.endswith(".py"):
        path = Path(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            _fail(f"{place} does not exist: give the path of a Python script")
        module = importlib.util.module_from_spec(spec)
        # As if it had been started: it may import its neighbours, and dataclasses look their module up.
        sys.path.insert(0, str(path.parent.resolve()))
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as problem:
            _fail(
                f"module {problem.name!r} does not exist: run this in the folder that holds it, or install it"
            )
    function = getattr(module, name, None)
    if not callable(function) or inspect.isclass(function):
        _fail(
            f"{place} has no function {name!r}: define one that returns (pipeline, X, y) or (pipeline, X, y, time)"
        )
    returned = function()
    if not isinstance(returned, tuple) or len(returned) not in (3, 4):
        _fail(
            f"{source} returned a {type(returned).__name__}: return (pipeline, X, y) or (pipeline, X, y, time)"
        )
    return (*returned, None) if len(returned) == 3 else returned


def _from_file(
    source: str, data: str | None, label: str | None, time: str | None, trusted: tuple[str, ...]
) -> tuple[Any, Any, Any, Any]:
    if data is None or label is None:
        raise SettingsError(
            "a .skops file needs --data and --label: the frame that it was fitted on and its label column"
        )
    pipeline = trust.build(store.read(_as_uri(source)), source, trusted)
    system, path = store.filesystem(_as_uri(data))
    if not store.exists(_as_uri(data)):
        raise SettingsError(f"--data {data} does not exist: give a Parquet or CSV file")
    with system.open(path, "rb") as file:
        try:
            frame = pd.read_csv(file) if ".csv" in data else pd.read_parquet(file)
        except (ValueError, OSError) as problem:
            raise DataError(
                f"--data {data} cannot be read as a table ({type(problem).__name__}): give a Parquet or CSV file"
            ) from problem
    for column in filter(None, (label, time)):
        if column not in frame:
            raise DataError(
                f"column {column!r} is missing in {data}, which has {', '.join(map(str, frame.columns[:12]))}"
            )
    named = getattr(pipeline, "feature_names_in_", None)
    features = [name for name in frame.columns if name not in (label, time)] if named is None else list(named)
    missing = [name for name in features if name not in frame]
    if missing:
        raise DataError(
            f"column {missing[0]!r} is missing in {data}: the pipeline was fitted on {', '.join(features[:12])}"
        )
    return pipeline, frame[features], frame[label], None if time is None else frame[time]


def _metrics(given: list[str]) -> dict[str, float]:
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise SettingsError(f"--metric {item!r} is not name=value: write e.g. --metric accuracy=0.91")
    return found


def _as_uri(place: str) -> str:
    """A path of this machine as a file:// URI; URIs as they are."""
    return place if "://" in place else Path(place).resolve().as_uri()


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"modelmend: {sentence}", err=True)
    raise typer.Exit(1)
