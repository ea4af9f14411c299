"""What was counted, by rollout: in memory, restored from checkpoints, and due to be written back.

A checkpoint stands in the ModelVersion's status and belongs to one rollout. It is due when numbers moved and at
most every five minutes, at a moment of its own for each object, so that a fleet does not write all at once.
"""

import contextlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from modelmend.api import resources
from modelmend.contract import metrics
from modelmend.decide import terms
from modelmend.evidence import counts, ledger
from modelmend.observe import answers

EVERY: Final = 300.0
"""Seconds between two checkpoints of one rollout."""

_LABELS: Final = frozenset({*metrics.Evidence, *metrics.Paired})

Rollout = tuple[answers.Key, str]


@dataclass(slots=True)
class _Book:
    """One rollout's ledger, the version it belongs to, and what of it is safe."""

    version: str
    kept: ledger.Ledger
    moved: bool = False
    saved_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Due:
    """A checkpoint to be written."""

    key: answers.Key
    version: str
    kept: ledger.Ledger

    @property
    def checkpoint(self) -> resources.Checkpoint:
        """As it stands in the ModelVersion's status."""
        at = datetime.fromtimestamp(self.kept.polled_at or 0.0, UTC)
        return resources.Checkpoint(rollout=self.kept.rollout, at=at, ledger=self.kept.to_json())


@dataclass(slots=True)
class Ledgers:
    """All ledgers of the fleet. Times of `now` are seconds since the epoch."""

    _books: dict[Rollout, _Book] = field(default_factory=dict)

    def of(self, owner: resources.ModelDeployment) -> dict[str, ledger.Ledger]:
        """Ledgers of the rollouts that the status names."""
        found = {}
        for rollout in _rollouts(owner):
            if (book := self._books.get((owner.key, rollout))) is not None:
                found[rollout] = book.kept
        return found

    def open(self, owner: resources.ModelDeployment, versions: tuple[resources.ModelVersion, ...]) -> None:
        """Have a ledger for every rollout that the status names: from its checkpoint, or a new one."""
        wanted = _rollouts(owner)
        for rollout, name in wanted.items():
            if (owner.key, rollout) in self._books:
                continue
            version = next((version for version in versions if version.metadata.name == name), None)
            begun = terms.of(owner, version, rollout).evidence_since
            kept = ledger.Ledger(rollout=rollout, evidence_since=begun)
            checkpoint = None if version is None else version.status.checkpoint
            if checkpoint is not None and checkpoint.rollout == rollout:
                # One of another making is left: counting begins anew, which proves nothing falsely.
                with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                    kept = ledger.Ledger.from_json(checkpoint.ledger)
            self._books[owner.key, rollout] = _Book(name, kept)

    def oldest(self) -> float | None:
        """When the oldest ledger was last polled; None when none ever was."""
        polled = [book.kept.polled_at for book in self._books.values() if book.kept.polled_at is not None]
        return min(polled, default=None)

    def advance(
        self,
        owner: resources.ModelDeployment,
        versions: tuple[resources.ModelVersion, ...],
        answer: answers.Answer,
    ) -> bool:
        """Take one poll. Returns whether anything new was counted that a verdict may depend on."""
        self.open(owner, versions)
        guard = owner.spec.rollout.guards.p99_latency
        bound = None if guard is None else metrics.bucket_for(guard.total_seconds())
        champion: Mapping[str, int] = {}
        moved = False
        # The champion first: what was new there is set beside its candidate.
        for rollout, name in _rollouts(owner).items():
            book = self._books[owner.key, rollout]
            version = next((version for version in versions if version.metadata.name == name), None)
            reading = ledger.Reading(at=answer.at, counters=_counters(answer, (*owner.key, rollout), bound))
            beside = champion if _is_candidate(owner, rollout) else None
            before = book.kept
            book.kept, new = ledger.advance(before, reading, terms.of(owner, version, rollout), beside)
            book.moved = book.moved or _differ(before, book.kept)
            judged = _is_candidate(owner, rollout) or not _LABELS.isdisjoint(new)
            moved = moved or (judged and bool(new))
            if not _is_candidate(owner, rollout):
                champion = new
        return moved

    def due(self, now: float, *, everything: bool = False) -> list[Due]:
        """Checkpoints to be written now; `everything`: all that moved, whatever their time."""
        return [
            Due(key, book.version, book.kept)
            for (key, rollout), book in self._books.items()
            if book.moved and (everything or now - book.saved_at >= EVERY - _jitter(rollout))
        ]

    def saved(self, due: Due, now: float) -> None:
        """A checkpoint was written."""
        if (book := self._books.get((due.key, due.kept.rollout))) is not None:
            book.saved_at = now
            book.moved = _differ(due.kept, book.kept)

    def forget(self, key: answers.Key, keep: resources.ModelDeployment | None = None) -> None:
        """Drop the ledgers of a ModelDeployment, but those that its status still names."""
        wanted = {} if keep is None else _rollouts(keep)
        for place in [place for place in self._books if place[0] == key and place[1] not in wanted]:
            del self._books[place]


def _rollouts(owner: resources.ModelDeployment) -> dict[str, str]:
    """Rollout -> version of all that the status names: the champion before its candidate."""
    stable, candidate = owner.status.stable, owner.status.candidate
    found = {}
    if stable is not None and not (candidate is not None and candidate.rollout == stable.rollout):
        found[stable.rollout] = stable.version
    if candidate is not None:
        if candidate.champion_rollout and candidate.champion:
            found[candidate.champion_rollout] = candidate.champion
        found[candidate.rollout] = candidate.version
    return found


def _is_candidate(owner: resources.ModelDeployment, rollout: str) -> bool:
    return owner.status.candidate is not None and owner.status.candidate.rollout == rollout


def _counters(answer: answers.Answer, place: answers.Place, bound: float | None) -> counts.Reading:
    found = answer.counters.get(place, {})
    fast = {} if bound is None else answer.buckets.get(bound, {}).get(place, {})
    if not fast:
        return found
    return {
        process: {**results, **({ledger.FAST: fast[process]} if process in fast else {})}
        for process, results in found.items()
    }


def _differ(before: ledger.Ledger, after: ledger.Ledger) -> bool:
    """Whether there is something to save. All else follows from the counts, or moves in a silent world too."""
    return before.counted != after.counted


def _jitter(rollout: str) -> float:
    """Up to a minute, always the same for one rollout."""
    return zlib.crc32(rollout.encode()) % 60
