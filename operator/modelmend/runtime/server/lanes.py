"""Requests to batches: a lane is one model on one arm, with a thread of its own.

A model's call costs milliseconds however few rows it gets, so requests that arrive while a call runs share the next
one. An idle lane starts at once, with whatever arrived in the same turn of the event loop.

    event loop   submit submit │ submit submit submit │      │ submit         each submit is a future
    thread                     └ score(2) ── score(3) ┘      └ score(1)       one batch at a time

Clients that were answered together come back together, within a moment. Had the first of them its own call, the rest
would wait for that one: 32 clients would settle at two calls a round, (8, 24) or (1, 31), for ever. So after a batch of
several requests the lane waits for as many, for at most a quarter of what the call took; later arrivals wait for nobody.

Who may break what:
1. A request that makes the model raise fails alone: the batch is scored again, one request at a time.
2. A call that does not return fails its batch and everything queued after `patience` seconds, and new requests at
   once until it returns. Each arm's models have lanes of their own, so a hanging candidate delays no champion.
3. `afterwards` (bins, log) runs behind the answers, in the same thread; what it raises is logged and harms nobody.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from modelmend.contract.manifest import Feature
from modelmend.runtime.server.batches import Batch, Columns, Job, Scored, merged, parted, scored
from modelmend.runtime.server.logs import Throttle
from modelmend.runtime.server.settings import Batching
from modelmend.runtime.server.tensors import Rows

_log = logging.getLogger(__name__)
_MOMENT_MAX: Final = 0.005
"""Seconds that a request waits for company at most."""


class OverdueError(Exception):
    """The model did not answer in time."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name} has not come back for {seconds:g} s")
        self.seconds = seconds
        """For how long it has not come back."""


class ClosedError(Exception):
    """The lane was closed before it came to this request."""


class Model(Protocol):
    """What a lane needs of `artifact.LoadedModel`."""

    def frame(self, columns: Columns) -> Any:
        """The table for `predict`."""

    def predict(self, table: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
        """Class indices (or numbers) and probabilities."""


@dataclass(slots=True)
class _State:
    queue: deque[Job] = field(default_factory=deque)
    running: list[Job] | None = None
    expected: int = 0
    """Requests that the last call answered or left waiting: so many may be back in a moment."""
    moment: asyncio.TimerHandle | None = None
    overdue_since: float | None = None
    scheduled: bool = False
    closed: bool = False


class Lane:
    """One model on one arm. All methods are called on the event loop."""

    def __init__(
        self,
        name: str,
        features: Sequence[Feature],
        model: Callable[[], Model],
        afterwards: Callable[[Batch], None],
        *,
        batching: Batching,
        patience: float,
    ) -> None:
        """`features` are those of the rows that come in; `model` may raise, as any call of it may."""
        self.name = name
        self._features = features
        self._model = model
        self._afterwards = afterwards
        self._batching = batching
        self._patience = patience
        self._state = _State()
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._throttle = Throttle(_log)

    def submit(self, rows: Rows, identifier: bytes, now: float) -> asyncio.Future[Scored]:
        """The scored rows, soon; or OverdueError, ClosedError, or what the model raised."""
        future: asyncio.Future[Scored] = self._loop.create_future()
        state = self._state
        if state.closed:
            future.set_exception(ClosedError(f"{self.name} is closed"))
        elif state.overdue_since is not None:
            future.set_exception(OverdueError(self.name, self._patience + self.stuck_seconds))
        else:
            state.queue.append(Job(rows, identifier, now, future))
            self._schedule()
        return future

    @property
    def stuck_seconds(self) -> float:
        """How long ago the running call should have come back; 0 when none is overdue."""
        since = self._state.overdue_since
        return time.monotonic() - since if since is not None else 0.0

    async def close(self, seconds: float) -> None:
        """Lets the running batch end and its thread with it; gives up after this many seconds."""
        self._state.closed = True
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join, seconds)

    def _schedule(self) -> None:
        state = self._state
        if state.scheduled or state.running is not None:
            return
        if state.moment is not None:
            if len(state.queue) < min(state.expected, self._batching.requests):
                return
            state.moment.cancel()
            state.moment = None
        # Not started here and now: the other requests of this turn of the loop come along.
        state.scheduled = True
        self._loop.call_soon(self._start)

    def _wait_a_moment(self, answered: int, seconds: float) -> None:
        state = self._state
        state.expected = answered + len(state.queue)
        if state.expected > 1 and self._batching.requests > 1:
            state.moment = self._loop.call_later(min(seconds / 4, _MOMENT_MAX), self._moment_is_over)

    def _moment_is_over(self) -> None:
        self._state.moment = None
        if self._state.queue:
            self._schedule()

    def _start(self) -> None:
        state = self._state
        state.scheduled = False
        batch: list[Job] = []
        rows = 0
        while state.queue and len(batch) < self._batching.requests:
            rows += state.queue[0].rows.count
            if batch and rows > self._batching.rows:
                break
            job = state.queue.popleft()
            if not job.future.done():
                batch.append(job)
        if not batch:
            return
        if self._thread is None:
            # A daemon, so that a model that never returns cannot keep the process from exiting.
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        state.running = batch
        self._watchdog = self._loop.call_later(self._patience, self._overdue)
        self._inbox.put(batch)

    def _overdue(self) -> None:
        state = self._state
        state.overdue_since = time.monotonic()
        waiting = [*(state.running or ()), *state.queue]
        state.queue.clear()
        for job in waiting:
            job.abandoned = True
            _fail(job, OverdueError(self.name, self._patience))
        self._throttle.warning("%s has not come back for %g s", self.name, self._patience)

    def _deliver(self, jobs: list[Job], results: list[Scored | Exception], seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        state = self._state
        state.running, state.overdue_since = None, None
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                _fail(job, result)
            elif not job.future.done():
                job.future.set_result(result)
        self._wait_a_moment(len(jobs), seconds)
        if state.queue:
            self._schedule()

    def _work(self) -> None:
        """The thread."""
        import threadpoolctl  # slow to import, and the event loop has no use for it

        with threadpoolctl.threadpool_limits(self._batching.threads):
            while (jobs := self._inbox.get()) is not None:
                began = time.perf_counter()
                batches, failures = self._score(jobs)
                seconds = time.perf_counter() - began
                results = parted(jobs, batches, failures)
                try:
                    self._loop.call_soon_threadsafe(self._deliver, jobs, results, seconds)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return
                if not jobs[0].abandoned:
                    self._follow_up(batches)

    def _follow_up(self, batches: list[Batch]) -> None:
        for batch in batches:
            try:
                self._afterwards(batch)
            except Exception:
                self._throttle.exception("%s could not count or log a batch", self.name)

    def _score(self, jobs: list[Job]) -> tuple[list[Batch], dict[Job, Exception]]:
        try:
            return [self._call(jobs)], {}
        except Exception as error:
            self._throttle.exception("%s could not score %d request(s)", self.name, len(jobs))
            if len(jobs) == 1:
                return [], {jobs[0]: error}
        batches, failures = [], {}
        for job in jobs:
            try:
                batches.append(self._call([job]))
            except Exception as error:
                failures[job] = error
        return batches, failures

    def _call(self, jobs: list[Job]) -> Batch:
        columns = merged(self._features, [job.rows for job in jobs])
        model = self._model()
        answers, probabilities = model.predict(model.frame(columns))
        rows = sum(job.rows.count for job in jobs)
        if len(answers) != rows:
            raise ValueError(f"{self.name} predicted {len(answers)} rows of {rows}")
        return Batch(jobs, columns, scored(answers, probabilities))


def _fail(job: Job, error: Exception) -> None:
    if not job.future.done():
        job.future.set_exception(error)
        # Whoever waited may be gone (a client that hung up): an unread failure is no news then.
        job.future.exception()
