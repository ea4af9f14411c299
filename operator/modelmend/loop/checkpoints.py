"""Writes what was counted to the ModelVersions, so that a restart counts nothing twice and forgets nothing.

A field manager of its own: the story of a version (state, because) is written by another hand, and neither takes
the other's fields away.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Final

from modelmend.act import api, errors
from modelmend.observe import cluster, gather, ledgers

log = logging.getLogger(__name__)

MANAGER: Final = "modelmend-checkpoint"


@dataclass(slots=True)
class Checkpoints:
    """Writes the ones that are due."""

    observer: gather.Observer
    server: api.Api
    _complained: bool = field(default=False)

    async def write(self, *, everything: bool = False) -> None:
        """Write what is due now; `everything`: all that moved since it was last written."""
        now = time.time()
        for due in self.observer.books.due(now, everything=everything):
            live = self.observer.seen.live(cluster.VERSION.name, due.key[0], due.version)
            if live is None:
                continue
            try:
                self.observer.seen.put(
                    await self.server.apply(_written(live, due), manager=MANAGER, status=True)
                )
            except errors.Fenced:
                return
            except errors.ApiError as error:
                # Once: what stands in the way of one stands in the way of a fleet, and may stay for days.
                log.log(
                    logging.DEBUG if self._complained else logging.WARNING,
                    "a checkpoint was not written, and is tried again: %s",
                    error,
                )
                self._complained = True
                if isinstance(error, errors.Unavailable):
                    return
                self.observer.books.refused(due, now)
            else:
                self._complained = False
                self.observer.books.saved(due, now)


def _written(live: api.Object, due: ledgers.Due) -> api.Object:
    return {
        "apiVersion": cluster.VERSION.api_version,
        "kind": cluster.VERSION.name,
        "metadata": {name: live["metadata"][name] for name in ("name", "namespace", "uid")},
        "status": {"checkpoint": due.checkpoint.to_object()},
    }
