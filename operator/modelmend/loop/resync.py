"""A LIST of everything now and then.

A watch that was down (410, then a new list) never reports what was deleted meanwhile; comparing with a whole LIST
does. The first one runs before anything is decided. A kind that may not be listed, or does not exist, is a sentence
that every ModelDeployment of that namespace shows, not a crash (of HTTPRoutes, every one that names a gateway); when it
can be listed, watching it begins. One of several namespaces that is closed (its Role goes with it when it is deleted) disturbs no other.

It also tells when watching is silent. Everything would still be done, at the pace of the lists, and nobody would know.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from modelmend.act import api, errors
from modelmend.observe import cluster, gather

log = logging.getLogger(__name__)

EVERY: Final = 300.0
MISSING: Final = 30.0
"""Seconds between two lists while a kind cannot be listed."""
SETTLED: Final = 10.0
"""Seconds in which watches that begin have made their own lists: this one must come after."""
SILENT: Final = 2
"""Lists in a row with news, and no word from any watch, after which that is said."""
RETRIES: Final = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Resync:
    """Keeps the registry true."""

    observer: gather.Observer
    server: api.Api
    namespaces: tuple[str, ...]
    """Namespaces that are served; none: all."""
    add: Callable[[cluster.Key], None]
    every: float = EVERY
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Everything has been listed once."""
    watchable: tuple[cluster.Kind, ...] = ()
    """Kinds that could be listed the last time."""
    open: tuple[str, ...] = ()
    """Of the namespaces that are served, those in which all of these could be: one that is closed ends every watch."""
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    events: int = 0
    """Events that watches have told so far."""
    _complained: bool = False
    _known: int | None = None
    """Events told before the last list."""
    _silent: int = 0
    """Lists in a row that brought news while no watch told anything."""

    async def run(self) -> None:
        """List for ever."""
        failures = 0
        while True:
            if await self.once():
                failures = 0
                self.listed.set()
                # Not all replicas at the same moment. Sooner while something is missing.
                pause = min(MISSING, self.every) if self.observer.lacks_something() else self.every
                await self._rest(pause * random.uniform(0.9, 1.1))  # noqa: S311
            else:
                await asyncio.sleep(RETRIES[min(failures, len(RETRIES) - 1)])
                failures += 1

    def soon(self) -> None:
        """Watches begin anew: what was deleted while there were none is only missing from a LIST."""
        self._hurry.set()

    async def _rest(self, seconds: float) -> None:
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
                await asyncio.sleep(SETTLED)

    async def once(self) -> bool:
        """List every kind. Whether the API server answered for all of them, be it with a refusal."""
        unreadable, news = dict[tuple[str | None, str], str](), 0
        places: tuple[str | None, ...] = self.namespaces or (None,)
        for kind in cluster.WATCHED:
            for namespace in places:
                try:
                    news += await self._list(kind, namespace)
                except errors.Missing:
                    unreadable[namespace, kind.name] = (
                        f"the API server does not know {kind.name} ({kind.api_version}): install its CustomResourceDefinition"
                    )
                except errors.Refused as refused:
                    unreadable[namespace, kind.name] = str(refused)
                except errors.ApiError as error:
                    log.log(logging.DEBUG if self._complained else logging.WARNING, "%s", error)
                    self._complained = True
                    return False
        self._complained = False
        self._notice(unreadable)
        self._notice_silence(news)
        self._open(places, unreadable)
        return True

    async def _list(self, kind: cluster.Kind, namespace: str | None) -> int:
        """For how many keys it was news."""
        listing = await self.server.list(kind.api_version, kind.name, namespace, kind.selector)
        changed = self.observer.seen.resync(kind, listing, namespace)
        for key in changed:
            self.add(key)
        return len(changed)

    def _open(self, places: tuple[str | None, ...], unreadable: Collection[tuple[str | None, str]]) -> None:
        """What may be watched, and where."""
        watchable = tuple(
            kind for kind in cluster.WATCHED if any((place, kind.name) not in unreadable for place in places)
        )
        self.open = tuple(
            place
            for place in self.namespaces
            if not any((place, kind.name) in unreadable for kind in watchable)
        )
        self.watchable = watchable if self.open or not self.namespaces else ()

    def _notice_silence(self, news: int) -> None:
        """Two lists in a row: the first may have overtaken a watch that is about to begin, or to tell."""
        if self._known is not None:
            self._silent = self._silent + 1 if news and self.events == self._known else 0
            if self._silent == SILENT:
                log.warning("lists of everything bring news that no watch has told: watching is silent")
        self._known = self.events

    def _notice(self, unreadable: dict[tuple[str | None, str], str]) -> None:
        if unreadable == self.observer.unreadable:
            return
        for sentence in dict.fromkeys(unreadable.values()):
            log.warning("%s", sentence)
        self.observer.unreadable = unreadable
        for key in self.observer.seen.keys():  # noqa: SIM118
            self.add(key)
