"""Keeps storage small: compacts the log, deletes what is too old or no longer referenced. Called after training.

Nothing here may lose a row or an artifact in use, however often it is killed:

1. Compaction (`compaction.py`) deletes a part only when another one holds its rows.
2. Retention deletes whole days by the name of their folder.
3. An artifact is deleted only below `artifacts/`, only when the operator listed its digest, its manifest first.
4. A staging folder is deleted when it holds no manifest and an earlier Job left it a day ago, or when its artifact
   has been published or is listed. Another trainer's finished artifact in staging may be serving.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from modelmend.contract import manifest, storage
from modelmend.runtime import compaction, predictionlog, store
from modelmend.runtime.errors import SentenceError
from modelmend.runtime.job import Task

_log = logging.getLogger(__name__)

STALE: Final = timedelta(days=1)
"""Age at which an unfinished staging folder of an earlier Job is abandoned; deadlines are shorter."""
BUDGET_SECONDS: Final = 120.0
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class _OverBudgetError(Exception):
    """The time is up; the next Job goes on."""


def tidy(task: Task, now: datetime | None = None, budget: float = BUDGET_SECONDS) -> None:
    """Does every chore that the task allows, for at most about `budget` seconds. Failures are logged."""
    moment = now or datetime.now(UTC)
    deadline = time.monotonic() + budget

    def check() -> None:
        if time.monotonic() > deadline:
            raise _OverBudgetError

    chores: list[tuple[str, Callable[[], object]]] = []
    log_uri, storage_uri = task.data.log_uri, task.storage_uri
    if log_uri is not None:
        if (retention := task.chores.retention) is not None:
            chores.append(("retention", lambda: expire(log_uri, retention, moment)))
        chores.append(("compaction", lambda: compaction.compact(log_uri, moment, check)))
    if storage_uri is not None:
        chores.append(("artifacts", lambda: delete_unreferenced(storage_uri, task.chores.unreferenced)))
        chores.append(("staging", lambda: delete_stale_staging(storage_uri, task, moment)))
    for name, chore in chores:
        try:
            chore()
        except SentenceError as problem:
            _log.warning("%s: %s", name, problem)
        except _OverBudgetError:
            _log.info("%s is not done after %g s: the next Job goes on", name, budget)
            return


def expire(log_uri: str, retention: timedelta, now: datetime) -> int:
    """Deletes every part whose whole day is older than the retention. Returns how many."""
    last = (now.astimezone(UTC) - retention).date()
    expired = [part for part in predictionlog.parts(log_uri) if part.day < last]
    for part in expired:
        store.delete(storage.join(log_uri, part.name))
    if expired:
        _log.info("deleted %d parts of the log, older than %s", len(expired), last)
    return len(expired)


def delete_unreferenced(storage_uri: str, digests: Sequence[str]) -> int:
    """Deletes the listed artifacts below `artifacts/`, and nothing else whatever the list says. Returns how many."""
    deleted = 0
    for digest in digests:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            _log.warning("%r is no digest: nothing was deleted for it", digest[:80])
            continue
        folder = storage.join(storage_uri, storage.ARTIFACTS, match[1])
        if store.listing(folder):
            store.delete_folder(folder, first=(manifest.MANIFEST_FILE,))
            _log.info("deleted the unreferenced artifact %s", digest[:19])
            deleted += 1
    return deleted


def delete_stale_staging(storage_uri: str, task: Task, now: datetime) -> int:
    """Deletes the staging folders that nobody can need (rule 4 above). Returns how many."""
    staging = storage.join(storage_uri, storage.STAGING)
    folders: dict[str, list[store.Entry]] = {}
    for entry in store.listing(staging):
        sequence, slash, rest = entry.name.partition("/")
        pod = rest.partition("/")[0]
        if slash and "/" in rest and sequence.isdigit():
            folders.setdefault(f"{sequence}/{pod}", []).append(entry)
    deleted = 0
    for folder, entries in folders.items():
        uri = storage.join(staging, folder)
        earlier = task.sequence is not None and int(folder.partition("/")[0]) < task.sequence
        finished = any(entry.name == f"{folder}/{manifest.MANIFEST_FILE}" for entry in entries)
        if finished:
            digest = manifest.digest_of(store.read(storage.join(uri, manifest.MANIFEST_FILE)))
            copy = storage.join(
                storage_uri, storage.ARTIFACTS, digest.removeprefix("sha256:"), manifest.MANIFEST_FILE
            )
            # Publishing copies the manifest last, so a published manifest is a whole artifact, and that copy is
            # the one that was reported.
            needless = earlier and (digest in task.chores.unreferenced or store.exists(copy))
        else:
            ages = [now - entry.modified for entry in entries if entry.modified is not None]
            needless = earlier and bool(ages) and min(ages) > STALE
        if needless:
            store.delete_folder(uri, first=(manifest.MANIFEST_FILE,))
            _log.info("deleted the stale staging folder %s", folder)
            deleted += 1
    return deleted
