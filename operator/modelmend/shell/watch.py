"""kopf as a watcher of objects, in a thread of its own.

Why a thread: kopf ends the whole operator on a watch's 5xx or 403, and at its end it cancels every task of its event
loop. In its own loop it cancels its own; the Lease, the poll and the queue go on, and kopf is started again.

Only `on.event` handlers: they write nothing on users' objects. `on.timer`, `on.create` and their like would write
finalizers and annotations, and an index or a limit of workers can stop everything (both measured).
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf

from modelmend.act import api, errors
from modelmend.api import names, resources
from modelmend.observe import cluster

_IDENTITY: Final[Any] = names.MANAGER

log = logging.getLogger(__name__)

DELAYS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
STEADY: Final = 60.0
"""Seconds after which a watch that ends counts as a new failure, not one more in a row."""
_NEVER: Final = timedelta(days=36_500)

Take = Callable[[str | None, dict[str, Any]], None]
"""Told (DELETED or another change, object) in the loop that made the Watch."""


@dataclass(slots=True)
class _Memo:
    """kopf gives every handler a copy of a memo; ours holds nothing."""


@dataclass(slots=True)
class Watch:
    """Watches until cancelled, whatever ends in between."""

    take: Take
    kinds: Callable[[], tuple[cluster.Kind, ...]]
    """Kinds that may be watched now; asked again and again, since CRDs and permissions come and go."""
    restarts: Callable[[], None]
    """Told when watching begins again: events were lost in between."""
    namespaces: Callable[[], tuple[str, ...]] = tuple
    """Where; none: everywhere. Asked as often: kopf ends when one of several is closed."""
    kubeconfig: str | None = None
    _home: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def run(self) -> None:
        """Watch, and begin again when it ends or when the kinds change."""
        failures = 0
        while True:
            begun = time.monotonic()
            reason = await self._until_ended(self.kinds(), self.namespaces())
            if reason is None:
                failures = 0
                self.restarts()
                continue
            failures = 1 if time.monotonic() - begun > STEADY else failures + 1
            # Once for a row of failures: an API server may be away for hours.
            level = logging.WARNING if failures == 1 else logging.DEBUG
            log.log(level, "watching ended (%s) and begins again", reason)
            await asyncio.sleep(DELAYS[min(failures, len(DELAYS)) - 1])
            self.restarts()

    async def _until_ended(self, kinds: tuple[cluster.Kind, ...], namespaces: tuple[str, ...]) -> str | None:
        """Why it ended; None when the kinds or the namespaces changed."""
        if not kinds:
            await asyncio.sleep(0.2)
            return None
        running = _Running(self, kinds, namespaces)
        task = asyncio.create_task(asyncio.to_thread(running.main))
        try:
            while True:
                done, _ = await asyncio.wait([task], timeout=1.0)
                if done:
                    error = task.exception()
                    return "no reason given" if error is None else f"{type(error).__name__}: {error}"[:300]
                if (self.kinds(), self.namespaces()) != (kinds, namespaces):
                    return None
        finally:
            running.stop()
            # A thread cannot be cancelled; kopf's own last resort ends one that hangs.
            await asyncio.shield(asyncio.wait([task], timeout=20.0))


class _Running:
    """One run of kopf in its thread."""

    def __init__(self, watch: Watch, kinds: tuple[cluster.Kind, ...], namespaces: tuple[str, ...]) -> None:
        self._watch, self._kinds, self._namespaces = watch, kinds, namespaces
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stopped = False

    def main(self) -> None:
        """The thread."""
        asyncio.run(self._operate())

    def stop(self) -> None:
        """From the other thread: end soon."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _operate(self) -> None:
        self._loop = asyncio.get_running_loop()
        # What goes wrong inside of kopf's end is told once, as the reason of that end.
        self._loop.set_exception_handler(lambda _, context: log.debug("%s", context))
        if self._stopped:
            return
        await kopf.operator(
            registry=self._registry(),
            settings=settings(self._kinds),
            memo=_Memo(),
            standalone=True,
            # Left out, kopf asks for the user's name, and a numeric user of a pod has none.
            identity=_IDENTITY,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(_Login(self._watch.kubeconfig).give)
        for kind in self._kinds:
            group, _, version = kind.api_version.rpartition("/")
            listen = kopf.on.event(
                group=group, version=version, kind=kind.name, id=kind.name, registry=registry
            )
            listen(self._handler(kind))
        return registry

    def _handler(self, kind: cluster.Kind) -> Callable[..., Any]:
        watch, begun = self._watch, time.monotonic()

        async def handle(event: Any, **_: Any) -> None:
            if watch._home.is_closed():
                return
            live = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
            watch._home.call_soon_threadsafe(watch.take, event["type"], live)
            if event["type"] is None and time.monotonic() - begun > STEADY:
                # kopf lists again after a 410 by itself, and tells nobody what has gone meanwhile.
                watch._home.call_soon_threadsafe(watch.restarts)

        return handle


@dataclass(slots=True)
class _Login:
    """Gives kopf credentials, as often as it asks: at its start, and after every 401.

    kopf takes none again that equal what was refused once, and ends instead. But the same may be good a moment later
    (an API server whose authentication webhook is away says 401 to everybody), so no two of ours are equal.
    """

    kubeconfig: str | None
    _asked: int = 0
    _at: float = 0.0

    async def give(self, **_: Any) -> kopf.ConnectionInfo:
        """A handler for on.login; kopf would take an object with an async `__call__` for a synchronous one."""
        now = time.monotonic()
        self._asked = 1 if now - self._at > STEADY else self._asked + 1
        if self._asked > 1:
            await asyncio.sleep(DELAYS[min(self._asked - 1, len(DELAYS)) - 1])
        self._at = time.monotonic()
        try:
            found = await credentials(self.kubeconfig)
        except errors.ApiError as error:
            log.warning("watching cannot begin: %s", error)
            raise kopf.TemporaryError(str(error), delay=0) from error
        return dataclasses.replace(found, expiration=datetime.now(UTC) + _NEVER)


def settings(kinds: tuple[cluster.Kind, ...]) -> kopf.OperatorSettings:
    """Every setting that is not kopf's own default, with its reason."""
    wanted = kopf.OperatorSettings()
    # Our Lease decides; a peering object of equal priority would pause everybody.
    wanted.peering.standalone = True
    # Our own recorder posts, with aggregation.
    wanted.posting.enabled = False
    # Unused by on.event handlers; but never kopf's names on users' objects.
    wanted.persistence.finalizer = f"{resources.GROUP}/unused"
    wanted.persistence.progress_storage = kopf.StatusProgressStorage(name="unused", field="status.unused")
    wanted.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=resources.GROUP, key="unused"
    )
    # A task for each recently seen object: let it go soon.
    wanted.queueing.idle_timeout = 1.0
    wanted.queueing.error_delays = DELAYS
    # Fail fast, begin again.
    wanted.networking.request_timeout = 30.0
    wanted.networking.connect_timeout = 10.0
    wanted.networking.error_backoffs = (1, 1, 2, 3, 5)
    wanted.watching.connect_timeout = 10.0
    wanted.watching.chunk_size = api.PAGE
    for kind in kinds:
        if kind.selector is not None:
            wanted.watching.label_selectors[_is(kind)] = kind.selector
    # It would ask for all namespaces and all CRDs. Which kinds exist is found by our own LISTs.
    wanted.scanning.disabled = True
    # Below the pod's grace period. It ends the process, which is what is left when a thread hangs.
    wanted.process.ultimate_exiting_timeout = 20.0
    return wanted


def _is(kind: cluster.Kind) -> Callable[[Any], bool]:
    def matches(resource: Any) -> bool:
        group, _, version = kind.api_version.rpartition("/")
        return bool((resource.group, resource.version, resource.kind) == (group, version, kind.name))

    return matches


async def credentials(kubeconfig: str | None) -> kopf.ConnectionInfo:
    """The same credentials as everything else uses, as kopf wants them."""
    found = await api.configuration(kubeconfig)
    token = await found.get_api_key_with_prefix("BearerToken", "authorization")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        ca_data=found.ca_cert_data,
        insecure=not found.verify_ssl,
        scheme="Bearer" if token else None,
        token=token.split(" ", 1)[-1].strip() if token else None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
    )
