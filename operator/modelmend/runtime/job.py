"""The frame of every Job: settings from the environment in, one result on the termination message out.

Called by `commands`. A SentenceError becomes the result's `error`; anything else is a bug of ours and says so in
one sentence, with its traceback in the log only.
"""

import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Final, Self

from modelmend.contract import environment, result, slices, storage
from modelmend.contract.pipelines import Pipeline
from modelmend.contract.slices import Slice
from modelmend.runtime import artifact
from modelmend.runtime.errors import SentenceError, SettingsError
from modelmend.runtime.grading import Grading

_log = logging.getLogger(__name__)

DEFAULT_HOLDOUT: Final = 0.2


@dataclass(frozen=True)
class Origin:
    """An artifact by its place and, when it is known, its digest."""

    uri: str
    digest: str | None = None


@dataclass(frozen=True)
class Data:
    """Where labelled rows come from: a dataset, or else the prediction log."""

    uri: str | None = None
    label: str | None = None
    time: str | None = None
    log_uri: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    """Rows with start <= time < end; None is no bound."""
    window: timedelta | None = None
    """Of a dataset: so far back from its latest row."""
    slices: tuple[Slice, ...] = ()
    """Parts of the rows that are told apart."""


@dataclass(frozen=True)
class Chores:
    """What a trainer tidies up besides."""

    retention: timedelta | None = None
    unreferenced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """The environment of a Job, read once."""

    model: str
    version: str
    data: Data
    parent: Origin | None = None
    output_uri: str | None = None
    storage_uri: str | None = None
    sequence: int | None = None
    holdout: float = DEFAULT_HOLDOUT
    seed: int = 0
    trusted: tuple[str, ...] = ()
    opaque: bool = False
    """The artifact may be any file or folder, for a server of the user's own."""
    grading: Grading | None = None
    """Set for a model that predicts numbers."""
    chores: Chores = Chores()
    pipeline: Pipeline | None = None
    """Set where there is no parent: what a first version is trained with."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingsError that names the variable."""
        value = _Reader(environ)
        parent_uri, storage_uri = value.text(environment.PARENT_URI), value.text(environment.STORAGE_URI)
        log_uri = value.text(environment.LOG_URI)
        if log_uri is None and storage_uri is not None:
            log_uri = storage.join(storage_uri, storage.LOG)
        data = Data(
            uri=value.text(environment.DATA_URI),
            label=value.text(environment.DATA_LABEL),
            time=value.text(environment.DATA_TIME),
            log_uri=log_uri,
            start=value.instant(environment.DATA_FROM),
            end=value.instant(environment.DATA_TO),
            window=value.seconds(environment.DATA_WINDOW_SECONDS),
            slices=value.slices(environment.SLICES),
        )
        if data.uri is not None and data.label is None:
            raise SettingsError(
                f"{environment.DATA_URI} is set without {environment.DATA_LABEL}: name the label column in "
                "spec.retraining.data.dataset.label"
            )
        if data.start is not None and data.end is not None and data.start >= data.end:
            raise SettingsError(
                f"{environment.DATA_FROM} is not before {environment.DATA_TO}: the window is empty"
            )
        holdout = value.number(environment.HOLDOUT)
        if holdout is not None and not 0 < holdout < 1:
            raise SettingsError(f"{environment.HOLDOUT} is {holdout:g}: give a fraction between 0 and 1")
        sequence = value.number(environment.SEQUENCE)
        return cls(
            model=value.text(environment.MODEL) or "model",
            version=value.text(environment.VERSION) or "candidate",
            data=data,
            parent=None if parent_uri is None else Origin(parent_uri, value.text(environment.PARENT_DIGEST)),
            output_uri=value.text(environment.OUTPUT_URI),
            storage_uri=storage_uri,
            sequence=None if sequence is None else int(sequence),
            holdout=DEFAULT_HOLDOUT if holdout is None else holdout,
            # numpy's global generator takes 32 bits.
            seed=int(value.number(environment.SEED) or 0) % 2**32,
            trusted=artifact.trusted_types(environ),
            pipeline=value.pipeline(environment.PIPELINE),
            opaque=value.text(environment.OPAQUE) == "true",
            grading=Grading.from_environment(environ),
            chores=Chores(
                value.seconds(environment.LOG_RETENTION_SECONDS),
                tuple(filter(None, (value.text(environment.UNREFERENCED) or "").replace(" ", "").split(","))),
            ),
        )


def run(
    work: Callable[[Task], result.Succeeded],
    afterwards: Callable[[Task], None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Does the work, reports its result and returns the exit code: 0, or 1 after a sentence.

    `afterwards` runs when the result is safely reported, whatever it was; its failures are logged and change
    nothing, since a tidy log is not worth a lost model.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    previous = signal.signal(signal.SIGTERM, _stop)
    task: Task | None = None
    try:
        task = Task.from_environment(environ)
        outcome: result.Succeeded | result.Failed = work(task)
    except SentenceError as problem:
        outcome = result.Failed(error=str(problem))
    except _StoppedError:
        outcome = result.Failed(
            error="the Job was stopped before its end: raise its deadline, or see why its node went away"
        )
    except MemoryError:
        outcome = result.Failed(
            error="the Job ran out of memory: raise its memory limit or shorten the window of data"
        )
    except Exception as problem:
        _log.exception("this is a bug of Modelmend")
        outcome = result.Failed(
            error=f"{type(problem).__name__} in {_origin(problem)}, which is a bug of Modelmend: report it with the Job's log"
        )
    try:
        report(outcome, environ)
        if afterwards is not None and task is not None:
            afterwards(task)
    except _StoppedError:
        _log.warning("stopped while tidying up: the next Job goes on with it")
    except Exception:
        _log.exception("tidying up failed: the next Job tries again")
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0 if isinstance(outcome, result.Succeeded) else 1


def report(outcome: result.Succeeded | result.Failed, environ: Mapping[str, str]) -> None:
    """Writes the result to the termination message and to standard output."""
    line = result.encode(outcome)
    if isinstance(outcome, result.Failed):
        _log.error(outcome.error)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    path = Path(environ.get(environment.TERMINATION_LOG) or result.TERMINATION_PATH)
    try:
        # In place: the kubelet mounts this very file, a renamed one would not be seen.
        path.write_text(line + "\n")
    except OSError as problem:
        _log.warning("%s cannot be written (%s): outside of a pod that is normal", path, problem.strerror)


class _StoppedError(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way mistakes it for a fault of its own."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StoppedError


def _origin(problem: BaseException) -> str:
    """`module:line` of the deepest frame of ours."""
    found, trace = "?", problem.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("modelmend."):
            found = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


class _Reader:
    """Typed access to the environment; an empty variable is an unset one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def number(self, name: str) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise SettingsError(f"{name} is {text!r}: give a number")
        return number

    def slices(self, name: str) -> tuple[Slice, ...]:
        text = self.text(name)
        if text is None:
            return ()
        try:
            return slices.decode(text)
        except ValueError:
            raise SettingsError(
                f'{name} is {text[:80]!r}: give a list such as [{{"column": "carrier", "value": "HA"}}], at most '
                f"{slices.SLICES_MAX} long"
            ) from None

    def pipeline(self, name: str) -> Pipeline | None:
        text = self.text(name)
        try:
            return None if text is None else Pipeline.model_validate_json(text)
        except ValueError:
            raise SettingsError(
                f'{name} is {(text or "")[:80]!r}: give JSON such as {{"estimator": "HistGradientBoosting"}}'
            ) from None

    def seconds(self, name: str) -> timedelta | None:
        number = self.number(name)
        if number is None:
            return None
        if number <= 0:
            raise SettingsError(f"{name} is {number:g}: give a positive number of seconds")
        # 30 years are for ever, and fit every date.
        return timedelta(seconds=min(number, 1e9))

    def instant(self, name: str) -> datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            raise SettingsError(
                f"{name} is {text!r}: give an RFC 3339 instant such as 2025-01-31T00:00:00Z"
            ) from None
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
