"""The beat: polls Prometheus for the fleet, and says at whom to look.

One poll answers for everybody, so it runs at the shortest interval that anybody asked for; but each ModelDeployment
takes only the polls of its own interval, because its detectors count polls (falseAlarmEvery / interval). Ticks lie
on a grid, so that all intervals of 30 s share one poll. Windows of drift that have ended are read after it, those of
a few models at a time.

Looked at: whose labels moved (or, in a rollout, whose requests), and who became stale or fresh again. A poll that
fails moves nobody; that nothing is known any more becomes true by time.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from modelmend.contract import metrics
from modelmend.decide import observed, terms
from modelmend.loop import telemetry
from modelmend.observe import answers, cluster, gather, mapped, prometheus

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")

IDLE: Final = 1.0
"""Seconds between two looks for models that are due; below the shortest interval there may be."""
BEAT: Final = 5.0
"""Seconds between two beats while Prometheus is waited for."""
MARGIN: Final = 60.0
"""Seconds that a look-back reaches further than it must: the clocks of both sides differ, and scrapes take time."""
AT_ONCE: Final = 8
"""Models whose windows are read at one poll: hundreds of series each, even when their pods are summed."""
REST: Final = 60.0
"""Seconds between two tries to read a window that was refused: it may cost Prometheus a lot."""
SHRINKS: Final = 8
"""How often a look-back is cut to a quarter: from the longest there is to less than the shortest."""


def nobody(_: Sequence[cluster.Key]) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Pulse:
    """Polls for ever. `add` is told every key that needs a look."""

    observer: gather.Observer
    source: prometheus.Prometheus
    add: Callable[[cluster.Key], None]
    figures: telemetry.Telemetry
    polled: Callable[[Sequence[cluster.Key]], None] = nobody
    """Told of whom Prometheus has just answered."""
    beat: float = field(default_factory=time.monotonic)
    """When this was last seen to run: what liveness asks. A slow Prometheus is no reason to end the process."""
    _due: dict[cluster.Key, float] = field(default_factory=dict)
    _stale: dict[cluster.Key, bool] = field(default_factory=dict)
    _uncounted: dict[cluster.Key, str] = field(default_factory=dict)
    """Why, of those of which the last poll could not be counted."""
    _warned: str | None = None
    _shrink: int = 0
    """Answers in a row that were too much for Prometheus or for us: the next one looks back less far."""
    _at_once: int = AT_ONCE
    """Models whose windows are read together."""
    _rests_until: float = 0.0
    """No window is read before."""

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await self.tick()
            await asyncio.sleep(IDLE - time.monotonic() % IDLE)

    async def tick(self) -> None:
        """Poll if anybody is due."""
        due = self._take_due(time.monotonic())
        if due:
            await self.poll(due)
        self.beat = time.monotonic()

    async def poll(self, keys: list[cluster.Key]) -> None:
        """Poll now, for these."""
        begun, now = time.monotonic(), datetime.now(UTC)
        answer: answers.Answer | None = None
        try:
            answer = await self._beating(
                self.source.poll(
                    self._lookback(now, keys),
                    self._bounds(keys),
                    by_class=self._by_class(keys),
                    own=self._mapped(keys),
                )
            )
        except prometheus.Unanswered as error:
            if self.observer.poll.problem is None:
                log.warning("%s", error)
            self.observer.poll = observed.Poll(at=self.observer.poll.at, problem=str(error))
            self.observer.poll_of_mapped = observed.Poll(
                at=self.observer.poll_of_mapped.at, problem=str(error)
            )
            self._shrink = min(self._shrink + error.was_too_much, SHRINKS)
        else:
            if self.observer.poll.problem is not None:
                log.info("Prometheus answers again")
            self.observer.poll = observed.Poll(at=now)
            unread = answer.unread
            self.observer.poll_of_mapped = observed.Poll(
                at=now if unread is None else self.observer.poll_of_mapped.at, problem=unread
            )
            self._shrink = 0
            self._warn(answer)
        self.figures.polled(time.monotonic() - begun, self.observer.poll.problem, now.timestamp())
        for place, key in enumerate(keys):
            self._take(key, answer)
            if place % 100 == 99:
                await asyncio.sleep(0)  # Ten thousand models must not hold up a lease.
        if answer is not None:
            self.polled(keys)
        if answer is not None and answer.moment and time.monotonic() >= self._rests_until:
            await self._read_windows(keys, float(answer.moment))

    async def _beating(self, asking: Coroutine[Any, Any, _Found]) -> _Found:
        """What it brings; while it is waited for, the beat goes on."""
        asked = asyncio.ensure_future(asking)
        try:
            while not (await asyncio.wait({asked}, timeout=BEAT))[0]:
                self.beat = time.monotonic()
            return asked.result()
        finally:
            asked.cancel()

    async def _read_windows(self, keys: list[cluster.Key], clock: float) -> None:
        """Read one window of a few models, if any has ended. Later is soon enough for the others: a window is the
        same whenever it is read."""
        question = self.observer.books.ended(keys, clock, self._at_once)
        if question is None:
            return
        try:
            found = await self._beating(self.source.windows(question))
        except prometheus.Unanswered as error:
            log.warning("a window of drift was not read, and is tried again: %s", error)
            self._rests_until = time.monotonic() + REST
            if error.was_too_much:
                self._at_once = max(self._at_once // 2, 1)
            return
        self._at_once = min(self._at_once * 2, AT_ONCE)
        for key in self.observer.books.judge(question, found):
            self.add(key)

    def _warn(self, answer: answers.Answer) -> None:
        """Say once that an answer is not quite what it should be; it is counted all the same."""
        parts = [*answer.warnings[:3]]
        if answer.unread is not None:
            parts.append(answer.unread)
        if answer.dropped:
            parts.append(
                "some samples are no sensible numbers, lack labels, or come twice, and are not counted"
            )
        warning = "; ".join(parts) or None
        if warning not in (None, self._warned):
            log.warning("Prometheus answers, but: %s", warning)
        self._warned = warning

    def _take(self, key: cluster.Key, answer: answers.Answer | None) -> None:
        try:
            owner = self.observer.seen.model(key)
            if owner is None:
                return
            is_unread = answer is not None and answer.unread is not None and not owner.spec.serving.pairs
            moved = answer is not None and not is_unread and self.observer.advance(key, answer)
            stale = self.observer.is_stale(owner, datetime.now(UTC))
        except Exception as error:  # One object that cannot be counted must not stop the others.
            why = f"{type(error).__name__}: {error}"
            if self._uncounted.get(key) != why:
                fields = {"namespace": key[0], "name": key[1]}
                log.exception("a poll could not be counted", extra={"fields": fields})
            self._uncounted[key] = why
            return
        self._uncounted.pop(key, None)
        # Whoever was looked at before its first poll was taken for stale.
        if moved or stale != self._stale.get(key, True):
            self.add(key)
        self._stale[key] = stale

    def _take_due(self, now: float) -> list[cluster.Key]:
        """Keys whose interval has passed; each goes on to the next point of its grid."""
        due, present = [], dict.fromkeys(self.observer.seen.keys())
        for key in present:
            if self._due.get(key, 0.0) > now:
                continue
            try:
                owner = self.observer.seen.model(key)
            except ValidationError:
                continue
            assert owner is not None
            interval = max(owner.spec.monitoring.interval.total_seconds(), IDLE)
            self._due[key] = (math.floor(now / interval) + 1) * interval
            due.append(key)
        for key in self._due.keys() - present.keys():
            self._forget(key)
        return due

    def _forget(self, key: cluster.Key) -> None:
        """Here too: where nobody looks, since another replica leads, nobody else forgets."""
        del self._due[key]
        self._stale.pop(key, None)
        self._uncounted.pop(key, None)
        self.observer.forget(key)

    def _lookback(self, now: datetime, keys: list[cluster.Key]) -> float:
        """Back to the last poll that all of these have taken; less when that was too much to ask."""
        oldest = self.observer.counted_until([key for key in keys if key not in self._uncounted])
        missed = 0.0 if oldest is None else max(now.timestamp() - oldest, 0.0) + MARGIN
        return max(min(missed, prometheus.LONGEST_LOOKBACK) / 4.0**self._shrink, prometheus.LOOKBACK)

    def _by_class(self, keys: list[cluster.Key]) -> bool:
        owners = (self.observer.seen.model(key) for key in keys)
        # Servers of users' own are asked in a query of their own (`mapped`).
        return any(
            owner is not None and owner.spec.serving.pairs and terms.need_classes(owner.spec)
            for owner in owners
        )

    def _mapped(self, keys: list[cluster.Key]) -> dict[cluster.Key, mapped.Wanted]:
        owners = ((key, self.observer.seen.model(key)) for key in keys)
        return {
            key: wanted
            for key, owner in owners
            if owner is not None and (wanted := mapped.Wanted.of(owner.spec)) is not None
        }

    def _bounds(self, keys: list[cluster.Key]) -> set[float]:
        found = set()
        for key in keys:
            owner = self.observer.seen.model(key)
            if owner is None or not owner.spec.serving.pairs:
                continue  # Where its histogram has bounds, nobody knows before it has been read.
            if (guard := owner.spec.rollout.guards.p99_latency) is not None:
                found.add(metrics.bucket_for(guard.total_seconds()))
        return found
