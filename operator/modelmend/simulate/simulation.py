"""One simulation from its options to its outcome. Called by `modelmend simulate` and by tests."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import threadpoolctl

from modelmend.api import fields, resources
from modelmend.decide import plan
from modelmend.runtime.errors import DataError, SentenceError
from modelmend.simulate import clock as clocks
from modelmend.simulate import control, first, jobs, journal, policy, replayed, table, traffic, world
from modelmend.simulate.models import Models
from modelmend.simulate.outcome import Outcome
from modelmend.simulate.places import Places
from modelmend.simulate.timeline import Moment

SETUP: Final = timedelta(minutes=5)
"""Before the first request: the first version is installed by then."""


@dataclass(frozen=True)
class Options:
    """What a person asks for."""

    file: Path
    data: Path
    label: str
    time: str
    model: str | None = None
    """URI of an artifact; None: the first part of the data trains one."""
    train_until: np.datetime64 | None = None
    until: np.datetime64 | None = None
    label_delay: timedelta = timedelta(days=1)
    training_time: timedelta = timedelta(minutes=10)
    dropped: tuple[str, ...] = ()
    seed: int = 0
    trusted: tuple[str, ...] = ()
    eager: bool = False
    """Look at every poll, as the operator does; the story is the same, and it takes longer."""


@dataclass(frozen=True)
class Listener:
    """Who wants to know how far it has come."""

    doing: Callable[[str], None] = lambda what: None
    begun: Callable[[datetime, datetime], None] = lambda begin, end: None
    heard: Callable[[Moment], None] = lambda moment: None
    passed: Callable[[datetime], None] = lambda now: None


@dataclass
class _Parts:
    """What a simulation consists of."""

    deployment: resources.ModelDeployment
    table: table.Table
    first: first.First
    requests: replayed.Requests
    places: Places
    folder: Path
    warnings: list[str] = field(default_factory=list)


def run(options: Options, listener: Listener | None = None) -> Outcome:
    """Simulate. Raises SentenceError for everything that is wrong with the options, the policy or the data."""
    tell = listener or Listener()
    with tempfile.TemporaryDirectory(prefix="modelmend-simulate-") as folder:
        parts = _prepare(options, Path(folder), tell)
        with (
            # One core is left to the weekly refits: threads that wait for each other are slower than one.
            threadpoolctl.threadpool_limits(max(len(os.sched_getaffinity(0)) - 1, 1)),
            control.beside(_control(parts, options)) as weekly,
        ):
            return _run(parts, options, tell, weekly)


def _prepare(options: Options, folder: Path, tell: Listener) -> _Parts:
    deployment = policy.read(options.file)
    asked = deployment.spec.retraining.trainer.pipeline
    deployment, uri = policy.with_artifact(deployment)
    tell.doing(f"reading {options.data}")
    rows = table.read(options.data, options.label, options.time, options.dropped)
    _refuse_moments(options, rows)
    packed = (folder / "first").as_uri()
    if options.model is not None:
        tell.doing(f"loading {options.model}")
        found = first.load(rows, options.model, options.train_until, options.trusted)
    else:
        tell.doing("training the first model")
        name = deployment.metadata.name
        found = first.train(rows, options.train_until, packed, name, options.seed, asked)
    delay = options.label_delay.total_seconds()
    requests = replayed.of(rows, found.model, found.begin, options.until, delay)
    places = Places(uri, found.uri, deployment.spec.storage.uri, (folder / "storage").as_uri())
    return _Parts(deployment, rows, found, requests, places, folder, [*found.warnings, *requests.warnings])


def _refuse_moments(options: Options, rows: table.Table) -> None:
    for option, moment in (("--train-until", options.train_until), ("--until", options.until)):
        if moment is not None and not rows.time[0] < moment <= rows.time[-1]:
            raise DataError(
                f"{option} {table.written(moment)} is outside of {rows.place}, whose rows are from "
                f"{table.written(rows.time[0])} to {table.written(rows.time[-1])}: give a "
                "moment in between"
            )
    if options.train_until is not None and options.until is not None and options.train_until >= options.until:
        raise DataError(
            f"--until {table.written(options.until)} is not after --train-until {table.written(options.train_until)}: give a later one"
        )


def _control(parts: _Parts, options: Options) -> control.Task:
    data = parts.deployment.spec.retraining.data
    window = data.log.window if data.log is not None else data.dataset.window if data.dataset else None
    return control.Task(
        requests=parts.requests,
        history=_history(parts),
        uri=parts.first.uri,
        digest=parts.first.model.digest,
        window=None if window is None else window.total_seconds(),
        training=options.training_time.total_seconds(),
        seed=options.seed,
        trusted=options.trusted,
    )


def _history(parts: _Parts) -> replayed.Requests:
    """Labelled rows from before the replay; none when there are none that a server would take."""
    nothing = np.zeros(len(parts.requests), dtype=bool)
    empty = replace(
        parts.requests,
        columns={name: values[nothing] for name, values in parts.requests.columns.items()},
        seconds=parts.requests.seconds[nothing],
        labels=parts.requests.labels[nothing],
    )
    before = parts.table.take((parts.table.time < parts.first.begin) & parts.table.labelled)
    if not len(before):
        return empty
    try:
        return replayed.of(before, parts.first.model, before.time[0], None, parts.requests.delay)
    except SentenceError:
        return empty


def _run(parts: _Parts, options: Options, tell: Listener, weekly: Callable[[], control.Weekly]) -> Outcome:
    models = Models(parts.requests, options.trusted)
    flow = traffic.Traffic(parts.requests, models, options.seed)
    storage = parts.folder / "storage"
    log = journal.PredictionLog(storage / "log", flow, parts.first.model.manifest.features)
    workshop = jobs.Workshop(
        parts.places, parts.table, log, parts.folder, parts.requests.delay, options.seed, options.trusted
    )
    begin = datetime.fromtimestamp(float(parts.requests.seconds[0]), UTC)
    end = datetime.fromtimestamp(max(flow.last_label(), float(parts.requests.seconds[-1])), UTC)
    there = world.World(
        parts.deployment, begin - SETUP, flow, models, workshop, parts.places, options.training_time
    )

    def before_job(action: plan.Action) -> None:
        tell.doing("retraining")

    clock = clocks.Clock(
        there, end, heard=tell.heard, passed=tell.passed, before_job=before_job, eager=options.eager
    )
    tell.begun(begin, end)
    timeline = clock.run()
    flow.send_everything()
    tell.doing("the model that is refitted every week")
    refitted = weekly()
    return Outcome(
        deployment=there.deployment,
        place=parts.table.place,
        requests=parts.requests,
        answered=flow.answered,
        frozen=control.frozen(parts.requests, parts.first.model),
        weekly=refitted,
        timeline=timeline,
        versions=there.versions(),
        end=end,
        warnings=tuple(parts.warnings),
        options=_shown(options),
        polls=clock.polls,
        looks=clock.looks,
    )


def _shown(options: Options) -> dict[str, str]:
    shown = {
        "-f": options.file.name,
        "--data": options.data.name,
        "--label": options.label,
        "--time": options.time,
        # By name: a report tells nobody where this machine keeps its files.
        "--model": None if options.model is None else options.model.rstrip("/").rpartition("/")[2],
        "--train-until": _written(options.train_until),
        "--until": _written(options.until),
        "--label-delay": fields.format_duration(options.label_delay),
        "--training-time": fields.format_duration(options.training_time),
        **({"--drop": " --drop ".join(options.dropped)} if options.dropped else {}),
        "--seed": options.seed,
    }
    return {name: str(value) for name, value in shown.items() if value is not None}


def _written(moment: np.datetime64 | None) -> str | None:
    return None if moment is None else table.written(moment)
