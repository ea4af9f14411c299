"""The prediction log, never in a request's way: rows go to a bounded buffer, a thread turns them into parts.

    lanes ── add_predictions ──┐              ┌─ predictions-<process>-<number>.parquet
                               ├─ buffer ── thread ── store.write (whole files only)
    feedback ── add_labels ────┘              └─ labels-<process>-<number>.parquet

A part is cut when enough bytes wait or the oldest row has waited long enough. A part that cannot be written is
kept and tried again, and still counts as buffered: when the buffer is full, new rows are dropped and counted. The
first failure is logged and the recovery too; what lies between is a number in the metrics.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from modelmend.contract import arms, log, storage
from modelmend.runtime import errors, store
from modelmend.runtime.server import parts
from modelmend.runtime.server.parts import LabelRow, Predictions
from modelmend.runtime.server.settings import Life, Logging
from modelmend.runtime.server.tally import Ledger, Logged

__all__ = ["Journal", "LabelRow", "Predictions"]

_log = logging.getLogger(__name__)
_ROW_BYTES: Final = 100
"""Estimate of what a row costs beside its features, and of a label row."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0


@dataclass(slots=True)
class _Chunk:
    """Rows that came together."""

    kind: str
    logged: Logged
    rows: int
    size: int
    since: float
    day: str
    content: Predictions | Sequence[LabelRow]


@dataclass(slots=True)
class _Part:
    """Chunks that become one file."""

    day: str
    name: str
    chunks: list[_Chunk]
    encoded: bytes | None = None

    @property
    def size(self) -> int:
        return sum(chunk.size for chunk in self.chunks)


@dataclass(slots=True)
class _Buffer:
    chunks: list[_Chunk] = field(default_factory=list)
    waiting: int = 0
    """Bytes of `chunks`."""
    held: int = 0
    """Bytes of `chunks`, and of parts that are not written yet."""
    closing: bool = False
    deadline: float = 0.0


class Journal:
    """The prediction log of one process. `add_…` may be called from any thread."""

    def __init__(
        self,
        settings: Logging,
        process: str,
        ledger: Ledger,
        write: Callable[[str, bytes], None] = store.write,
    ) -> None:
        self._settings = settings
        self._process = process
        self._ledger = ledger
        self._write = write
        self._buffer = _Buffer()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._number = 0
        self._failing = False

    @property
    def is_on(self) -> bool:
        """Whether there is anywhere to write to."""
        return self._settings.uri is not None

    def add_predictions(self, logged: Logged, content: Predictions) -> None:
        """Rows of one batch, in the folder of the day of the last: readers look into later folders, not earlier ones."""
        rows = len(content.answers)
        size = rows * (_ROW_BYTES + 8 * len(content.features))
        now = time.monotonic()
        self._add(_Chunk(log.PREDICTIONS, logged, rows, size, now, parts.day(content.times[-1]), content))

    def add_labels(self, life: Life, arm: arms.Arm, rows: Sequence[LabelRow], now: float) -> None:
        """Labels of one prediction; they lie under the day on which they came, as parts expire by folder."""
        if not self.is_on:
            return
        tally = self._ledger.tally(life, arm)
        tally.logged = tally.logged or Logged()
        size = _ROW_BYTES * len(rows)
        self._add(_Chunk(log.LABELS, tally.logged, len(rows), size, time.monotonic(), parts.day(now), rows))

    def close(self, seconds: float) -> None:
        """Writes what is buffered; what cannot be written in this time is dropped and counted."""
        with self._changed:
            self._buffer.closing = True
            self._buffer.deadline = time.monotonic() + seconds
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _add(self, chunk: _Chunk) -> None:
        if not self.is_on:
            return
        buffer = self._buffer
        with self._changed:
            if buffer.closing or buffer.held + chunk.size > self._settings.buffer_bytes:
                chunk.logged.dropped[chunk.kind] += chunk.rows
                return
            buffer.chunks.append(chunk)
            buffer.waiting += chunk.size
            buffer.held += chunk.size
            if self._thread is None:
                # A daemon, so that a store that hangs cannot keep the process from exiting.
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()
            elif len(buffer.chunks) == 1 or buffer.waiting >= self._settings.part_bytes:
                self._changed.notify()

    def _run(self) -> None:
        """The thread."""
        unwritten: list[_Part] = []
        pause, again_at = _FIRST_PAUSE, 0.0
        while True:
            chunks, closing = self._next(again_at if unwritten else None)
            unwritten += self._cut(chunks)
            if not unwritten and closing:
                return
            if time.monotonic() < again_at and not closing:
                continue
            unwritten = self._written(unwritten)
            if not unwritten:
                pause = _FIRST_PAUSE
                continue
            again_at = time.monotonic() + pause
            pause = min(2 * pause, _LONGEST_PAUSE)
            if closing and not self._may_try_again():
                self._drop(unwritten)
                return

    def _next(self, again_at: float | None) -> tuple[list[_Chunk], bool]:
        """Waits until a part is due, a failed one may be tried again, or the end; takes what is buffered then."""
        buffer = self._buffer
        with self._changed:
            while not buffer.closing:
                now = time.monotonic()
                due = buffer.chunks[0].since + self._settings.part_seconds if buffer.chunks else None
                if again_at is not None and now >= again_at:
                    return [], False
                if buffer.waiting >= self._settings.part_bytes or (due is not None and now >= due):
                    break
                wakes = [at - now for at in (due, again_at) if at is not None]
                self._changed.wait(min(wakes) if wakes else None)
            chunks, buffer.chunks, buffer.waiting = buffer.chunks, [], 0
            return chunks, buffer.closing

    def _may_try_again(self) -> bool:
        left = self._buffer.deadline - time.monotonic()
        if left > 0.5:
            time.sleep(0.25)
        return left > 0.5

    def _cut(self, chunks: list[_Chunk]) -> list[_Part]:
        """One part for each day and kind, and for each list of features: two models may have different ones."""
        groups: dict[tuple[object, ...], list[_Chunk]] = {}
        for chunk in chunks:
            features = chunk.content.features if isinstance(chunk.content, Predictions) else ()
            groups.setdefault((chunk.day, chunk.kind, features), []).append(chunk)
        cut = []
        for group in groups.values():
            self._number += 1
            name = f"{group[0].kind}-{self._process}-{self._number:06d}.parquet"
            cut.append(_Part(group[0].day, name, group))
        return cut

    def _written(self, waiting: list[_Part]) -> list[_Part]:
        """Writes the parts in order; those that are left after the first failure come back."""
        assert self._settings.uri is not None
        for at, part in enumerate(waiting):
            try:
                if part.encoded is None:
                    part.encoded = _encoded(part)
                self._write(storage.join(self._settings.uri, part.day, part.name), part.encoded)
            except errors.SentenceError as error:
                self._failed(part, str(error))
                return waiting[at:]
            except Exception as error:
                _log.exception("a part of the prediction log could not be made")
                self._failed(part, type(error).__name__)
                if part.encoded is None:  # rows that Parquet refuses today it refuses tomorrow
                    self._drop([part])
                    return waiting[at + 1 :]
                return waiting[at:]
            with self._changed:
                self._buffer.held -= part.size
                for chunk in part.chunks:
                    chunk.logged.written[chunk.kind] += chunk.rows
        if self._failing and waiting:
            self._failing = False
            _log.info("the prediction log is written again")
        return []

    def _failed(self, part: _Part, reason: str) -> None:
        part.chunks[0].logged.failures += 1
        if not self._failing:
            self._failing = True
            _log.error("the prediction log cannot be written: %s; rows wait in memory", reason)

    def _drop(self, lost: list[_Part]) -> None:
        with self._changed:
            for part in lost:
                self._buffer.held -= part.size
                for chunk in part.chunks:
                    chunk.logged.dropped[chunk.kind] += chunk.rows
        _log.error(
            "%d rows of the prediction log are lost", sum(c.rows for part in lost for c in part.chunks)
        )


def _encoded(part: _Part) -> bytes:
    content = [chunk.content for chunk in part.chunks]
    batches = [each for each in content if isinstance(each, Predictions)]
    if batches:
        return parts.predictions(batches)
    return parts.labels([row for each in content if not isinstance(each, Predictions) for row in each])
