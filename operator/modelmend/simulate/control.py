"""What would have happened without Modelmend: the first model left alone, and one that is refitted every week.

The weekly one is what many teams run: each week a refit of the same pipeline on the same window of data, all of it
(no holdout), put into service without a gate. It may use rows from before the replay, which the operator's log lacks.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sklearn.base
import threadpoolctl

from modelmend.runtime import artifact, frames, trainer
from modelmend.runtime.loaded import LoadedModel, Predictor
from modelmend.simulate.models import Models
from modelmend.simulate.replayed import NO_LABEL, Requests

WEEK: Final = 7 * 86400.0
ALONE: Final = "first"
APART: Final = 20_000
"""Requests from which the refits are worth a process of their own, beside the simulation."""


@dataclass(frozen=True)
class Weekly:
    """The answers of the weekly model: codes of shape (n,), and how often it was refitted."""

    answered: npt.NDArray[np.int16]
    refits: int
    skipped: int
    """Weeks in which nothing could be fitted: too few rows, or one class."""


@dataclass(frozen=True)
class Task:
    """All that refits need; small enough to send to another process."""

    requests: Requests
    history: Requests
    """Labelled rows from before the replay."""
    uri: str
    digest: str
    window: float | None
    """Seconds of data that a refit looks back on; None: everything."""
    training: float
    """Seconds from the week's end until the refitted model answers."""
    seed: int
    trusted: tuple[str, ...] = ()


def frozen(requests: Requests, model: LoadedModel) -> npt.NDArray[np.int16]:
    """What the first model answers to everything; shape (n,)."""
    alone = Models(requests)
    alone.add(ALONE, model)
    return alone.codes(ALONE, 0, len(requests))


@contextmanager
def beside(task: Task) -> Iterator[Callable[[], Weekly]]:
    """What waits for the weekly model: refitted in a process of its own meanwhile, where there is enough to do."""
    if len(task.requests) < APART:
        yield lambda: weekly(task)
        return
    # Spawned, since a fork of a process with OpenMP threads may hang.
    context = get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_apart, args=(send, task), daemon=True)
    process.start()
    send.close()

    def result() -> Weekly:
        try:
            found: Weekly = receive.recv()
        except EOFError:
            # It died, perhaps for want of memory: here it can say why.
            return weekly(task)
        return found

    try:
        yield result
    finally:
        # After an error, or Ctrl-C, nobody waits for it.
        process.terminate()
        process.join()


def _apart(send: Connection, task: Task) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    send.send(weekly(task))


def weekly(task: Task) -> Weekly:
    """Refit each week on what is known by then."""
    requests = task.requests
    champion = artifact.load(task.uri, task.digest, task.trusted)
    answered = np.zeros(len(requests), np.int16)
    classes = [requests.classes.index(key) for key in champion.class_keys]
    code = np.array(classes, np.int16)
    known = _Known.of(task)
    present: tuple[Any, frames.Schema] = champion.estimator, champion.schema
    refits = skipped = begin = 0
    week = float(requests.seconds[0]) + WEEK
    with threadpoolctl.threadpool_limits(1):
        while begin < len(requests):
            end = requests.row_at(week + task.training)
            if end > begin:
                answered[begin:end] = code[_predict(present, requests, begin, end)]
            begin = end
            if begin < len(requests):
                fitted = _fit(champion, known.rows(week, task), task)
                refits, skipped = refits + (fitted is not None), skipped + (fitted is None)
                present = fitted or present
            week += WEEK
    return Weekly(answered, refits, skipped)


@dataclass(frozen=True)
class _Known:
    """History and requests in one, in order of time."""

    columns: dict[str, npt.NDArray[Any]]
    seconds: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int16]

    @classmethod
    def of(cls, task: Task) -> "_Known":
        parts = (task.history, task.requests)
        return cls(
            {name: np.concatenate([part.columns[name] for part in parts]) for name in task.requests.columns},
            np.concatenate([part.seconds for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )

    def rows(self, now: float, task: Task) -> "_Known":
        """Labelled by `now`, and within the window."""
        chosen = (self.labels != NO_LABEL) & (self.seconds + task.requests.delay <= now)
        if task.window is not None:
            chosen &= self.seconds >= now - task.window
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return _Known(columns, self.seconds[chosen], self.labels[chosen])


def _fit(champion: LoadedModel, rows: _Known, task: Task) -> tuple[Any, frames.Schema] | None:
    if len(rows.labels) < trainer.MINIMUM_ROWS or len(np.unique(rows.labels)) < len(champion.class_keys):
        return None
    schema = frames.refreshed(champion.schema, rows.columns)
    estimator = trainer.seeded(sklearn.base.clone(champion.estimator), task.seed)
    order = {task.requests.classes.index(key): place for place, key in enumerate(champion.class_keys)}
    target = np.asarray(champion.manifest.classes)[[order[label] for label in rows.labels.tolist()]]
    np.random.seed(task.seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(schema.frame(rows.columns), target)
    except ValueError:
        return None
    return estimator, schema


def _predict(
    model: tuple[Any, frames.Schema], requests: Requests, begin: int, end: int
) -> npt.NDArray[np.intp]:
    estimator, schema = model
    columns = {name: values[begin:end] for name, values in requests.columns.items()}
    found, _ = Predictor(estimator).predict(schema.frame(columns))
    return found
