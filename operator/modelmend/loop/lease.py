"""Who leads: one Lease (coordination.k8s.io), and the fence that every write asks.

A Lease alone fences nothing: a leader that was frozen for a minute believes in it when it wakes. So what counts is
its age on a clock that also runs while the machine sleeps (CLOCK_BOOTTIME), taken from before the renewal was sent:

    |-- renewal sent ---------- two thirds (10 s): no write any more ---- DURATION (15 s): another may take it --|

The other's clock is its own too: it waits DURATION after it *saw* the Lease change for the last time, so clocks
that differ between machines do no harm.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from modelmend.act import api, errors

log = logging.getLogger(__name__)

DURATION: Final = 15.0
YOUNG: Final = 2 / 3
"""Share of the duration in which the Lease is surely ours."""
OFTEN: Final = 1 / 5
"""Share of the duration between two renewals."""
API_VERSION: Final = "coordination.k8s.io/v1"
KIND: Final = "Lease"


class Clock(Protocol):
    """Seconds that only grow, also while the machine sleeps."""

    def __call__(self) -> float:
        """Now."""


def boottime() -> float:
    """CLOCK_BOOTTIME; where there is none (not Linux), the monotonic clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(slots=True)
class Fence:
    """Open while the Lease is surely ours."""

    clock: Clock = boottime
    held_since: float | None = None
    """When the last successful renewal was sent."""
    duration: float = DURATION
    """Of the Lease, in seconds."""

    def check(self) -> None:
        """Raises errors.Fenced unless the Lease is ours and young."""
        if self.held_since is None:
            raise errors.Fenced("this replica does not lead")
        age = self.clock() - self.held_since
        if age >= self.duration * YOUNG:
            raise errors.Fenced(f"the lease was renewed {age:.1f} s ago: another replica may lead by now")

    @property
    def is_open(self) -> bool:
        """Whether a write may go out."""
        try:
            self.check()
        except errors.Fenced:
            return False
        return True


@dataclass(slots=True)
class Elector:
    """Takes the Lease, renews it, and tells when leading begins and ends."""

    server: api.Api
    namespace: str
    name: str
    identity: str
    fence: Fence
    began: Callable[[], Awaitable[None]]
    ended: Callable[[], Awaitable[None]]
    leads: bool = False
    _complained: bool = False
    _seen: tuple[str, str] | None = None
    """Holder and resourceVersion of the Lease as it was seen last."""
    _seen_at: float = field(default=0.0)

    async def run(self) -> None:
        """Campaign, lead, and campaign again, until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(self.fence.duration * OFTEN)

    async def step(self) -> None:
        """One try to take or to renew the Lease."""
        sent = self.fence.clock()
        try:
            # Half of the time in which it is young: a standby counts from before it asked, and may be slow as well.
            async with asyncio.timeout(self.fence.duration * YOUNG / 2):
                mine = await self._take(sent)
        except (errors.ApiError, TimeoutError) as error:
            why = str(error) or "no answer"
            level = logging.DEBUG if self._complained else logging.WARNING
            log.log(level, "the lease %s/%s could not be renewed: %s", self.namespace, self.name, why)
            self._complained = True
            mine = self.leads and self.fence.is_open
        else:
            if self._complained:
                log.info("the lease %s/%s answers again", self.namespace, self.name)
            self._complained = False
            if mine:
                self.fence.held_since = sent
        await self._turn(mine)

    async def release(self) -> None:
        """Give the Lease away at once, so that a standby need not wait for its end."""
        if not self.leads:
            return
        await self._turn(False)
        try:
            found = await self.server.get(API_VERSION, KIND, self.namespace, self.name)
            if found["spec"].get("holderIdentity") == self.identity:
                found["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro()}
                await self.server.replace(found)
        except errors.ApiError as error:
            log.warning("the lease %s/%s was not released: %s", self.namespace, self.name, error)

    async def _turn(self, mine: bool) -> None:
        if mine == self.leads:
            return
        self.leads = mine
        if mine:
            log.info("leading: the lease %s/%s is held by %s", self.namespace, self.name, self.identity)
            await self.began()
        else:
            log.info("not leading any more")
            self.fence.held_since = None
            await self.ended()

    async def _take(self, now: float) -> bool:
        """Whether the Lease is ours after this."""
        try:
            found = await self.server.get(API_VERSION, KIND, self.namespace, self.name)
        except errors.Missing:
            return await self._create()
        spec = found["spec"]
        holder = spec.get("holderIdentity") or ""
        state = holder, str(found["metadata"]["resourceVersion"])
        if state != self._seen:
            self._seen, self._seen_at = state, now
        duration = float(spec.get("leaseDurationSeconds") or self.fence.duration)
        if holder not in ("", self.identity) and now - self._seen_at < duration:
            return False
        if holder != self.identity:
            spec |= {"acquireTime": _micro(), "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self.fence.duration),
            "renewTime": _micro(),
        }
        try:
            await self.server.replace(found)
        except errors.Conflict:
            if self.leads:
                # Somebody touched it. Whose it is, the next try sees; until then the fence decides.
                raise
            return False
        return True

    async def _create(self) -> bool:
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self.fence.duration),
            "acquireTime": _micro(),
            "renewTime": _micro(),
            "leaseTransitions": 0,
        }
        metadata = {"name": self.name, "namespace": self.namespace}
        try:
            await self.server.create(
                {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
            )
        except errors.Exists:
            return False
        return True


def _micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
