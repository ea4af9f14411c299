"""The beat: polls Prometheus for the fleet, and says at whom to look.

One poll answers for everybody, so it runs at the shortest interval that anybody asked for; but each ModelDeployment
takes only the polls of its own interval, because its detectors count polls (falseAlarmEvery / interval). Ticks lie
on a grid, so that all intervals of 30 s share one poll.

Looked at: whose labels moved (or, in a rollout, whose requests), and who became stale or fresh again. A poll that
fails moves nobody; that nothing is known any more becomes true by time.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from modelmend.contract import metrics
from modelmend.decide import observed
from modelmend.loop import telemetry
from modelmend.observe import answers, cluster, gather, prometheus

log = logging.getLogger(__name__)

IDLE: Final = 1.0
"""Seconds between two looks for models that are due; below the shortest interval there may be."""


@dataclass(slots=True)
class Pulse:
    """Polls for ever. `add` is told every key that needs a look."""

    observer: gather.Observer
    source: prometheus.Prometheus
    add: Callable[[cluster.Key], None]
    figures: telemetry.Telemetry
    beat: float = field(default_factory=time.monotonic)
    """When the last tick ended: what liveness asks."""
    _due: dict[cluster.Key, float] = field(default_factory=dict)
    _stale: dict[cluster.Key, bool] = field(default_factory=dict)
    _shrink: int = 0
    """Answers in a row that were too much for Prometheus or for us: the next one looks back less far."""

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
            answer = await self.source.poll(self._lookback(now), self._bounds(keys))
        except prometheus.Unanswered as error:
            if self.observer.poll.problem is None:
                log.warning("%s", error)
            self.observer.poll = observed.Poll(at=self.observer.poll.at, problem=str(error))
            self._shrink += error.was_too_much
        else:
            if self.observer.poll.problem is not None:
                log.info("Prometheus answers again")
            self.observer.poll = observed.Poll(at=now)
            self._shrink = 0
        self.figures.polled(time.monotonic() - begun, self.observer.poll.problem, now.timestamp())
        for place, key in enumerate(keys):
            self._take(key, answer)
            if place % 100 == 99:
                await asyncio.sleep(0)  # Ten thousand models must not hold up a lease.

    def _take(self, key: cluster.Key, answer: answers.Answer | None) -> None:
        try:
            moved = answer is not None and self.observer.advance(key, answer)
            owner = self.observer.seen.model(key)
            if owner is None:
                return
            stale = self.observer.is_stale(owner, datetime.now(UTC))
        except Exception:  # One object that cannot be counted must not stop the others.
            log.exception(
                "a poll could not be counted", extra={"fields": {"namespace": key[0], "name": key[1]}}
            )
            return
        # Whoever was looked at before its first poll was taken for stale.
        if moved or stale != self._stale.get(key, True):
            self.add(key)
        self._stale[key] = stale

    def _take_due(self, now: float) -> list[cluster.Key]:
        """Keys whose interval has passed; each goes on to the next point of its grid."""
        due, present = [], self.observer.seen.keys()
        for key in present:
            if self._due.get(key, 0.0) > now:
                continue
            try:
                owner = self.observer.seen.model(key)
            except ValidationError:
                continue
            if owner is None:
                continue
            interval = max(owner.spec.monitoring.interval.total_seconds(), IDLE)
            self._due[key] = (math.floor(now / interval) + 1) * interval
            due.append(key)
        if len(self._due) > len(present):
            gone = self._due.keys() - set(present)
            for key in gone:
                del self._due[key]
                self._stale.pop(key, None)
        return due

    def _lookback(self, now: datetime) -> float:
        """Back to the oldest ledger; less when that was too much to ask."""
        oldest = self.observer.books.oldest()
        missed: float = 0.0 if oldest is None else max(now.timestamp() - oldest, 0.0)
        if missed < 2 * prometheus.LOOKBACK:
            missed = 0.0
        return max(min(missed, prometheus.LONGEST_LOOKBACK) / 4.0**self._shrink, prometheus.LOOKBACK)

    def _bounds(self, keys: list[cluster.Key]) -> set[float]:
        found = set()
        for key in keys:
            owner = self.observer.seen.model(key)
            if owner is not None and (guard := owner.spec.rollout.guards.p99_latency) is not None:
                found.add(metrics.bucket_for(guard.total_seconds()))
        return found
