"""A queue of keys: level-triggered, one worker per key, duplicates folded, failures spread out in time.

add(key) while it waits          one look
add(key) while it is looked at   one more look afterwards
a look that raised               again after 1, 2, 5, 10, 30, 30, … s, or when something happens to it
… with a `retry_after`           not before that, whatever happens: a server asked for patience
"""

import asyncio
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

DELAYS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
VOID: Final = 1000
"""Void entries that the heap may hold beside as many as there are keys."""


class Queue(Generic[K]):
    """Runs `look(key)` for keys that were added. `look` returns in how many seconds to look again, or None."""

    def __init__(self, look: Callable[[K], Awaitable[float | None]], workers: int = 16) -> None:
        self._look = look
        self._workers = workers
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        """The one moment at which each delayed key is due; older entries of the heap are void."""
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Look at this key as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
            return
        if (
            key in self._not_before
            and (wait := self._not_before[key] - asyncio.get_running_loop().time()) > 0
        ):
            self.add_after(key, wait)
            return
        self._ready[key] = None
        self._due.pop(key, None)
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Look at this key then, unless something brings an earlier look."""
        at = asyncio.get_running_loop().time() + max(seconds, 0.0)
        if self._due.get(key, float("inf")) <= at:
            return
        self._due[key] = at
        heapq.heappush(self._later, (at, next(self._order), key))
        if len(self._later) > 2 * len(self._due) + VOID:
            # Void entries would stay until their time, and a cron line may be a month away.
            self._later = [entry for entry in self._later if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._later)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. Looks that run are cancelled with it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._move_due()
                while self._ready and len(self._running) < self._workers:
                    key, _ = self._ready.popitem(last=False)
                    self._running.add(key)
                    group.create_task(self._one(key))
                await self._wait()

    async def _one(self, key: K) -> None:
        try:
            again = await self._look(key)
        except Exception as error:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            asked = getattr(error, "retry_after", None) or 0.0
            if asked:
                self._not_before[key] = asyncio.get_running_loop().time() + asked
            self.add_after(key, max(DELAYS[min(failures, len(DELAYS) - 1)], asked))
        else:
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
            if again is not None:
                self.add_after(key, again)
        finally:
            self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                # What failed a moment ago waits its time out, or an object that changes often would never rest.
                if key not in self._failures:
                    self.add(key)
            self._wake.set()

    def _move_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            at, _, key = heapq.heappop(self._later)
            if self._due.get(key) == at:
                del self._due[key]
                self.add(key)

    async def _wait(self) -> None:
        self._wake.clear()
        until = self._later[0][0] if self._later else None
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            pass
