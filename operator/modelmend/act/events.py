"""Events (events.k8s.io/v1): what happened to a model, told to people and never waited for.

The same sentence again within ten minutes makes no second Event but a series: a count and a last time, written
at most every five minutes. What does not fit the queue is dropped and counted; an API server that refuses
Events costs a log line an hour.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from modelmend.act import api, errors
from modelmend.api import resources
from modelmend.decide import plan

log = logging.getLogger(__name__)

CONTROLLER: Final = "modelmend.dev/operator"
QUEUE: Final = 1000
REMEMBERED: Final = 5000
SERIES_WINDOW: Final = 600.0
SERIES_EVERY: Final = 300.0
NOTE_LIMIT: Final = 1024


@dataclass(slots=True)
class _Told:
    """One sentence that was told already. Times are monotonic seconds."""

    seen: float
    written: float
    count: int = 1
    event: api.Object | None = None


_Key = tuple[str, plan.Tone, str, str]
_Item = tuple[_Key, resources.Metadata, plan.Notify, datetime]


@dataclass(slots=True)
class Recorder:
    """Posts Events in the background. `instance` is this pod's name."""

    server: api.Api
    instance: str
    dropped: int = 0
    _queue: asyncio.Queue[_Item] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    _told: OrderedDict[_Key, _Told] = field(default_factory=OrderedDict)
    _complained: float = float("-inf")

    def post(self, regarding: resources.Metadata, event: plan.Notify) -> None:
        """Remember to post; never waits, never fails."""
        try:
            key = (regarding.uid, event.tone, event.reason, event.message)
            self._queue.put_nowait((key, regarding, event, datetime.now(UTC)))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post for ever."""
        while True:
            item = await self._queue.get()
            try:
                await self._tell(*item)
            except errors.Fenced:
                pass  # Whoever leads now tells.
            except errors.ApiError as error:
                self.dropped += 1
                if time.monotonic() - self._complained > 3600:
                    self._complained = time.monotonic()
                    log.warning("an Event was not posted: %s", error)
            finally:
                self._queue.task_done()

    async def flush(self, seconds: float) -> None:
        """Wait until everything is posted, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), seconds)

    async def _tell(self, key: _Key, regarding: resources.Metadata, event: plan.Notify, at: datetime) -> None:
        now = time.monotonic()
        told = self._told.get(key)
        if told is None or told.event is None or now - told.seen > SERIES_WINDOW:
            made = await self.server.create(self._manifest(regarding, event, at))
            self._told[key] = _Told(seen=now, written=now, event=made)
            self._told.move_to_end(key)
            while len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
            return
        told.seen = now
        told.count += 1
        if told.count > 2 and now - told.written < SERIES_EVERY:
            return
        told.written = now
        try:
            await self.server.apply(
                {
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": {name: told.event["metadata"][name] for name in ("name", "namespace", "uid")},
                    "series": {"count": told.count, "lastObservedTime": _micro(at)},
                }
            )
        except (errors.Conflict, errors.Missing):
            del self._told[key]  # Somebody deleted it: the next time makes another.
            raise

    def _manifest(self, regarding: resources.Metadata, event: plan.Notify, at: datetime) -> api.Object:
        unique = hashlib.sha256(f"{regarding.uid} {event.reason} {event.message} {at}".encode()).hexdigest()[
            :16
        ]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{regarding.name}.{unique}", "namespace": regarding.namespace},
            "eventTime": _micro(at),
            "reportingController": CONTROLLER,
            "reportingInstance": self.instance[:128],
            "action": "Heal",
            "reason": event.reason[:128],
            "type": event.tone.value,
            "regarding": {
                "apiVersion": resources.API_VERSION,
                "kind": resources.ModelDeployment.KIND,
                "name": regarding.name,
                "namespace": regarding.namespace,
                "uid": regarding.uid,
            },
            "note": _cut(event.message),
        }


def _micro(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(note: str) -> str:
    if len(note.encode()) <= NOTE_LIMIT:
        return note
    return note.encode()[: NOTE_LIMIT - 4].decode(errors="ignore") + "…"
