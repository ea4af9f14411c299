"""`modelmend backtest`: a policy replayed over what a Prometheus remembers. It writes nothing but its picture."""

import enum
import importlib
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from modelmend.api import fields
from modelmend.backtest import lane, replay, told
from modelmend.backtest.records import Unreplayable
from modelmend.cli import durations
from modelmend.observe import prometheus

UNANSWERED: Final = 1
BAD_INPUT: Final = 2
CREDENTIALS: Final = ": give a token with --bearer-token-file, or other credentials with --header-file"
EVERY: Final = 50
"""Pulses between two moves of the bar."""
PATIENCE: Final = 15.0
"""Seconds between two lines of progress where there is no terminal."""


class Output(enum.StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


def backtest(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML file of the ModelDeployment to try.")],
    prometheus_url: Annotated[
        str,
        typer.Option(
            "--prometheus",
            envvar="MODELMEND_PROMETHEUS_URL",
            help="Where the Prometheus with the history answers.",
        ),
    ],
    begin: Annotated[
        str,
        typer.Option(
            "--from", help="Where it begins: 2026-01-31, 2026-01-31T06:00:00Z, or 30d for 30 days ago."
        ),
    ],
    end: Annotated[str, typer.Option("--to", help="Where it ends; the same.")] = "now",
    step: Annotated[
        str | None,
        typer.Option(help="Between two looks; left out: monitoring.interval. Longer is quicker and coarser."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Of the series; left out: that of the file, or default."),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(help="Judge this version alone; repeatable. Left out: all that served."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            help="What `kubectl get modelversions -o yaml` prints: holdouts, classes, delays of labels."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE on the holdout, for maxDrop, e.g. accuracy=0.91; repeatable."),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    picture: Annotated[Path | None, typer.Option(help="PNG to draw the signals in.")] = None,
    bearer_token_file: Annotated[
        Path | None, typer.Option(help="File with a bearer token for Prometheus; read again when it changes.")
    ] = None,
    header_file: Annotated[Path | None, typer.Option(help="Lines `Name: value` sent to Prometheus.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificate authority of Prometheus.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one query.")] = 60.0,
) -> None:
    """Say when a policy would have alarmed, and by which evidence, from the history in a Prometheus.

    The operator's own queries, ledgers and rules, look by look. Exit code 0 when it ran, 1 when Prometheus does not
    answer, 2 when the policy, an option or the history is of no use.
    """
    try:
        now = datetime.now(UTC)
        options = replay.Options(
            file=file,
            source=prometheus.Source(
                prometheus_url, header_file, ca_file, timeout, token_file=bearer_token_file
            ),
            begin=_moment("--from", begin, now),
            end=_moment("--to", end, now),
            step=None if step is None else _duration("--step", step),
            namespace=namespace,
            versions=tuple(version or ()),
            records=records,
            metrics=tuple(metric or ()),
        )
        _check(options)
        found = _run(options)
        typer.echo(told.as_json(found) if output is Output.JSON else told.text(found))
        if picture is not None:
            _draw(found, picture)
    except prometheus.Unanswered as problem:
        hint = CREDENTIALS if any(f"Code {code} " in str(problem) for code in (401, 403)) else ""
        typer.echo(f"modelmend backtest: {problem}{hint}", err=True)
        raise typer.Exit(UNANSWERED) from None
    except Unreplayable as problem:
        typer.echo(f"modelmend backtest: {problem}", err=True)
        raise typer.Exit(BAD_INPUT) from None


def _run(options: replay.Options) -> replay.Outcome:
    """Replay, with progress on standard error."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(f"asking {options.source.host}", total=None)
    pulses, told_at = 0, time.monotonic()

    def begun(total: int) -> None:
        nonlocal pulses
        pulses = total
        bar.update(task, total=total, description="replaying")

    def passed(pulse: int) -> None:
        nonlocal told_at
        if pulse % EVERY == 0:
            bar.update(task, completed=pulse)
        if not console.is_terminal and time.monotonic() - told_at >= PATIENCE:
            told_at = time.monotonic()
            typer.echo(f"{pulse:,} of {pulses:,} pulses", err=True)

    def heard(moment: lane.Moment) -> None:
        if moment.is_alarm:
            bar.console.print(Text(told.line(moment)))

    with bar:
        return replay.run(
            options, replay.Listener(begun, passed, heard if console.is_terminal else lambda _: None)
        )


def _check(options: replay.Options) -> None:
    """What can be refused without asking anybody."""
    if options.begin >= options.end:
        raise Unreplayable(
            f"--from {fields.format_instant(options.begin)} is not before --to {fields.format_instant(options.end)}: "
            "give an earlier one"
        )
    url = urlsplit(options.source.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Unreplayable(
            f"--prometheus {options.source.url!r} is no address: write e.g. http://prometheus.monitoring:9090"
        )
    source = options.source
    for option, path in (
        ("--bearer-token-file", source.token_file),
        ("--header-file", source.headers_file),
        ("--ca-file", source.ca_file),
    ):
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            raise Unreplayable(f"{option} {path} cannot be read: give a file that you may read")


def _draw(found: replay.Outcome, path: Path) -> None:
    """Drawn only for those who ask: matplotlib is large."""
    try:
        drawing = importlib.import_module("modelmend.backtest.picture")
    except ModuleNotFoundError as problem:
        raise Unreplayable(
            f"--picture needs {problem.name}: install modelmend[backtest], or leave it out"
        ) from None
    try:
        drawing.draw(found, path)
    except OSError as problem:
        raise Unreplayable(
            f"--picture {path} cannot be written ({problem.strerror}): name another file"
        ) from None
    typer.echo(f"written: {path}", err=True)


def _moment(option: str, text: str, now: datetime) -> datetime:
    """A day, a moment (UTC unless it says otherwise), `now`, or how long ago: 30d."""
    if text == "now":
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    try:
        return now - durations.parse(option, text.removesuffix(" ago"))
    except ValueError:
        raise Unreplayable(
            f"{option} {text!r} is no moment: write 2026-01-31, 2026-01-31T06:00:00Z, now, or how long ago, such as 30d"
        ) from None


def _duration(option: str, text: str) -> timedelta:
    try:
        found = durations.parse(option, text)
    except ValueError as problem:
        raise Unreplayable(str(problem)) from None
    if found <= timedelta(0):
        raise Unreplayable(f"{option} {text!r} is no time at all: give a longer one")
    return found
