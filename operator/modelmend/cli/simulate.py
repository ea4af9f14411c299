"""`modelmend simulate`: a policy tried on a data set, with no cluster, no root and no network."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console

from modelmend.cli import durations
from modelmend.runtime.errors import SentenceError, SettingsError
from modelmend.simulate import outcome, report, simulation, view

BAD_INPUT = 2


def simulate(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML file of the ModelDeployment to try.")],
    data: Annotated[Path, typer.Option(help="Parquet or CSV file: one row is one request.")],
    label: Annotated[str, typer.Option(help="Column with the truth; empty where it never becomes known.")],
    time: Annotated[str, typer.Option(help="Column with the time of each request.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or URI of an artifact to begin with; left out, the first part of the data trains one."
        ),
    ] = None,
    train_until: Annotated[
        str | None,
        typer.Option(
            help="Where the replay begins, e.g. 2013-02-15: rows before it train the first model. Left out: the first fifth."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Where the replay ends; left out: with the data.")] = None,
    label_delay: Annotated[
        str, typer.Option(help="From a request to its label, e.g. 30m, 12h or 7d.")
    ] = "1d",
    training_time: Annotated[str, typer.Option(help="How long a retraining Job takes.")] = "10m",
    drop: Annotated[
        list[str] | None, typer.Option(help="A column that is no feature (an id, a leak); repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.md, timeline.json and picture.png.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same story, to the last byte of --out.")
    ] = 0,
    trust_type: Annotated[
        list[str] | None, typer.Option(help="A further type that skops may build from --model; repeatable.")
    ] = None,
    every_poll: Annotated[
        bool,
        typer.Option(
            "--every-poll", help="Decide at every poll, as the operator does: the same story, slower."
        ),
    ] = False,
) -> None:
    """Try a policy on a data set: the operator's own rules and a real trainer, in simulated time, without a cluster.

    Exit code 0 when it ran, 2 when the policy, the data or an option is of no use.
    """
    try:
        options = simulation.Options(
            file=file,
            data=data,
            label=label,
            time=time,
            model=None if model is None else _as_uri(model),
            train_until=_moment("--train-until", train_until),
            until=_moment("--until", until),
            label_delay=_duration("--label-delay", label_delay),
            training_time=_duration("--training-time", training_time),
            dropped=tuple(drop or ()),
            seed=seed,
            trusted=tuple(trust_type or ()),
            eager=every_poll,
        )
        if out is not None and out.exists() and not out.is_dir():
            raise SettingsError(f"--out {out} is a file: name a folder")
        with view.View() as shown:
            found = simulation.run(options, shown.listener)
        view.summary(found, Console())
        if out is not None:
            _write(found, out)
    except SentenceError as problem:
        typer.echo(f"modelmend simulate: {problem}", err=True)
        raise typer.Exit(BAD_INPUT) from None


def _write(found: outcome.Outcome, out: Path) -> None:
    try:
        written = report.write(found, out)
    except OSError as problem:
        raise SettingsError(
            f"--out {out} cannot be written ({problem.strerror}): name another folder"
        ) from None
    typer.echo(f"written: {', '.join(str(path) for path in written)}")


def _as_uri(place: str) -> str:
    """A path of this machine as a file:// URI; URIs as they are."""
    return place if "://" in place else Path(place).resolve().as_uri()


def _moment(option: str, text: str | None) -> np.datetime64 | None:
    if text is None:
        return None
    try:
        found = pd.Timestamp(text)
    except ValueError:
        found = pd.NaT
    if pd.isna(found):
        raise SettingsError(f"{option} {text!r} is no moment: write e.g. 2013-02-15 or 2013-02-15T06:00:00Z")
    utc = found.tz_convert("UTC").tz_localize(None) if found.tzinfo is not None else found
    return np.datetime64(utc.to_pydatetime(), "us")


def _duration(option: str, text: str) -> timedelta:
    try:
        return durations.parse(option, text)
    except ValueError as problem:
        raise SettingsError(str(problem)) from None
