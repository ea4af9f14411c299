"""All of the loop, started and ended in order.

    start   list everything -> poll Prometheus once -> campaign -> (leading) look at every key
    end     stop looking -> write checkpoints -> post the last Events -> release the Lease

A standby lists, watches and polls as well: when it begins to lead, it knows everything.
"""

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelmend.act import api, events, execute
from modelmend.decide import observed
from modelmend.loop import asking, checkpoints, lease, pulse, queue, reconcile, record, resync, telemetry
from modelmend.observe import cluster, gather, prometheus, queries

log = logging.getLogger(__name__)

FIRST_POLL: Final = 15.0
LIVELY: Final = 180.0
"""Age of the last tick from which the process is taken for dead: several queries at their timeouts, and more."""
CHECKPOINTS_EVERY: Final = 5.0
GRACE: Final = 10.0
"""Seconds for an orderly end; the parts below are of it, so that the Lease is released whatever the rest takes."""
LAST_CHECKPOINTS: Final = 5.0
LAST_EVENTS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the flags of `modelmend run` say."""

    settings: observed.Settings
    children: execute.Configuration
    source: prometheus.Source
    namespaces: tuple[str, ...] = ()
    lease_namespace: str = "modelmend-system"
    lease_name: str = "modelmend"
    lease_duration: float = lease.DURATION
    record: Path | None = None
    resync: float = resync.EVERY
    workers: int = 16


@dataclass(slots=True)
class Engine:
    """The whole loop of one process."""

    configuration: Configuration
    figures: telemetry.Telemetry
    decide: reconcile.Decide
    observer: gather.Observer = field(init=False)
    waiting: queue.Queue[cluster.Key] = field(init=False)
    pulsing: pulse.Pulse = field(init=False)
    listing: resync.Resync = field(init=False)
    elector: lease.Elector = field(init=False)
    fence: lease.Fence = field(init=False)
    _checkpoints: checkpoints.Checkpoints = field(init=False)
    _recorder: events.Recorder = field(init=False)
    _tenants: prometheus.Prometheus | None = None
    _asking: asking.Asking | None = None
    """None where no queries are asked."""
    _tape: record.Tape | None = None
    _looking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.fence = lease.Fence(duration=self.configuration.lease_duration)

    def take(self, change: str | None, live: dict[str, Any]) -> None:
        """A watch event; `change` is DELETED, or anything else. Called by shell."""
        self.listing.events += 1
        key = self.observer.seen.drop(live) if change == "DELETED" else self.observer.seen.put(live)
        if key is not None:
            self.waiting.add(key)

    def is_alive(self) -> bool:
        """Whether the beat goes on; until everything has been listed once there is none."""
        if not self.listing.listed.is_set():
            return True
        works = self._looking is None or not self._looking.done()
        return works and time.monotonic() - self.pulsing.beat < LIVELY

    def is_ready(self) -> bool:
        """Whether everything has been listed."""
        return self.listing.listed.is_set()

    @contextlib.asynccontextmanager
    async def running(self, server: api.Api, fenced: api.Api) -> AsyncIterator[None]:
        """Run while the block runs. `fenced` is for writes; the Lease itself and all lists go through `server`.

        What can only fail by a bug of ours ends the block with its exception.
        """
        self._assemble(server, fenced)
        async with asyncio.TaskGroup() as group:
            background = group.create_task(self._background())
            telling = group.create_task(self._recorder.run())
            try:
                yield
            finally:
                background.cancel()
                await asyncio.wait([background])
                await self._end()
                telling.cancel()

    def _assemble(self, server: api.Api, fenced: api.Api) -> None:
        wanted = self.configuration
        identity = f"{os.uname().nodename}_{uuid.uuid4().hex[:8]}"
        self.observer = gather.Observer(wanted.settings)
        self._tape = None if wanted.record is None else record.Tape(wanted.record)
        self._recorder = events.Recorder(fenced, instance=identity)
        reconciler = reconcile.Reconciler(
            observer=self.observer,
            server=fenced,
            decide=self.decide,
            configuration=wanted.children,
            recorder=self._recorder,
            figures=self.figures,
            tape=self._tape,
            # Who lists everything more often than that does not want to wait longer for this either.
            patience=min(reconcile.BLOCKED, wanted.resync),
        )
        self.waiting = queue.Queue(reconciler.look, wanted.workers)
        self.pulsing = pulse.Pulse(
            self.observer, prometheus.Prometheus(wanted.source), self.waiting.add, self.figures
        )
        if wanted.settings.queries:
            self._tenants = prometheus.Prometheus(wanted.source, by_post=True)
            self._asking = asking.Asking(
                self.observer, queries.Queries(self._tenants.vector), self.waiting.add
            )
            self.pulsing.polled = self._asking.want
        self.listing = resync.Resync(
            self.observer, server, wanted.namespaces, self.waiting.add, wanted.resync
        )
        self.elector = lease.Elector(
            server=server,
            namespace=wanted.lease_namespace,
            name=wanted.lease_name,
            identity=identity,
            fence=self.fence,
            began=self._begin,
            ended=self._stop_looking,
        )
        self._checkpoints = checkpoints.Checkpoints(self.observer, fenced)

    async def _background(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.listing.run())
            await self.listing.listed.wait()
            self.pulsing.beat = time.monotonic()
            with contextlib.suppress(TimeoutError):
                # Without it the first look would find every verdict Unknown, and write that.
                async with asyncio.timeout(FIRST_POLL):
                    await self.pulsing.tick()
            group.create_task(self.pulsing.run())
            if self._asking is not None:
                group.create_task(self._asking.run())
            group.create_task(self.elector.run())
            group.create_task(self._write_checkpoints())

    async def _begin(self) -> None:
        self.figures.leads(True)
        self._looking = asyncio.create_task(self.waiting.run())
        for key in self.observer.seen.keys():  # noqa: SIM118
            self.waiting.add(key)

    async def _stop_looking(self) -> None:
        self.figures.leads(False)
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            # Not `await looking` with its cancellation suppressed: ours, at the end, would be suppressed with it.
            await asyncio.wait([looking])
            if not looking.cancelled():
                looking.result()

    async def _write_checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINTS_EVERY)
            if self.elector.leads:
                await self._checkpoints.write()

    async def _end(self) -> None:
        """Within a few seconds, whatever the API server does."""
        begun = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                if self.elector.leads:
                    await self._stop_looking()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LAST_CHECKPOINTS):
                            await self._checkpoints.write(everything=True)
                    await self._recorder.flush(LAST_EVENTS)
                await self.elector.release()
        for source in (self.pulsing.source, self._tenants):
            if source is not None:
                source.close()
        if self._tape is not None:
            self._tape.close()
        log.info("ended in %.1f s", time.monotonic() - begun)
