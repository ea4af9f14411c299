"""What was counted, by rollout: in memory, restored from checkpoints, and due to be written back.

A checkpoint stands in the ModelVersion's status and belongs to one rollout. It is due when numbers moved and at
most every five minutes, at a moment of its own for each object, so that a fleet does not write all at once.
"""

import contextlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from modelmend.api import resources
from modelmend.api.spec import SignalType
from modelmend.contract import metrics
from modelmend.decide import terms
from modelmend.evidence import counts, ledger, query, watch
from modelmend.observe import answers, promql, questions

EVERY: Final = 300.0
"""Seconds between two checkpoints of one rollout."""
RETRY: Final = 60.0
"""Seconds after which a checkpoint that was refused is tried again."""
STEP: Final = 5.0
"""Seconds by which a clock that is kept in time may go back."""

FLIPPED: Final = 30.0
"""Seconds within which a checkpoint is due when the number of a query has begun or ceased to be beyond its threshold:
one that `for` is counted from must outlive a restart."""

_LABELS: Final = frozenset({*metrics.Evidence, *metrics.Paired})


@dataclass(slots=True)
class _Book:
    """One rollout's ledger, the version it belongs to, and what of it is safe."""

    version: str
    kept: ledger.Ledger
    moved: bool = False
    """Something is to be saved."""
    in_rollout: bool = False
    """It is a candidate's, or a champion's beside one: guards set their requests beside each other."""
    not_before: float = float("-inf")
    """When its next checkpoint may be written."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one signal of type Query asks. text: filled in; None when it cannot be asked, and `error` says why."""

    key: answers.Key
    rollout: str
    asked: query.Asked
    text: str | None = None
    error: str | None = None


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

    _books: dict[answers.Key, dict[str, _Book]] = field(default_factory=dict)
    """By rollout."""

    def of(self, owner: resources.ModelDeployment) -> dict[str, ledger.Ledger]:
        """Ledgers of the rollouts that the status names."""
        books = self._books.get(owner.key, {})
        return {rollout: books[rollout].kept for rollout in _rollouts(owner) if rollout in books}

    def open(self, owner: resources.ModelDeployment, versions: tuple[resources.ModelVersion, ...]) -> None:
        """Have a ledger for every rollout that the status names: from its checkpoint, or a new one.

        None for a version that has not been seen: its checkpoint has not either, and beginning at zero would count
        everything again, as if it were new.
        """
        books = self._books.get(owner.key, {})
        for rollout, name in _rollouts(owner).items():
            version = next((version for version in versions if version.metadata.name == name), None)
            if rollout in books or version is None:
                continue
            begun = terms.of(owner, version, rollout).evidence_since
            book = _Book(name, ledger.Ledger(rollout=rollout, evidence_since=begun))
            checkpoint = version.status.checkpoint
            if checkpoint is not None and checkpoint.rollout == rollout:
                # One of another making is left: counting begins anew, which proves nothing falsely.
                with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                    book.kept = ledger.Ledger.from_json(checkpoint.ledger)
                    book.not_before = checkpoint.at.timestamp() + EVERY - _jitter(rollout)
            self._books.setdefault(owner.key, {})[rollout] = book

    def oldest(self, keys: Iterable[answers.Key]) -> float | None:
        """When that ledger of these ModelDeployments was polled which was polled longest ago; None when none was."""
        polled = (
            book.kept.polled_at
            for key in keys
            for book in self._books.get(key, {}).values()
            if book.kept.polled_at is not None
        )
        return min(polled, default=None)

    def advance(
        self,
        owner: resources.ModelDeployment,
        versions: tuple[resources.ModelVersion, ...],
        answer: answers.Answer,
    ) -> bool:
        """Take one poll. Returns whether anything new was counted that a verdict may depend on."""
        self.open(owner, versions)
        # Also where nobody looks at it: a replica that does not lead counts too.
        self.forget(owner.key, keep=owner)
        guard = owner.spec.rollout.guards.p99_latency
        bound = None if guard is None else metrics.bucket_for(guard.total_seconds())
        champion: Mapping[str, int] = {}
        labels: counts.Tally | None = None
        moved = False
        # The champion first: what was new there is set beside its candidate.
        for rollout, name in _rollouts(owner).items():
            book = self._books.get(owner.key, {}).get(rollout)
            if book is None:
                continue
            version = next((version for version in versions if version.metadata.name == name), None)
            reading = ledger.Reading(at=answer.at, counters=_counters(answer, (*owner.key, rollout), bound))
            beside, total = (champion, labels) if _is_candidate(owner, rollout) else (None, None)
            before = _set_back(book.kept, answer.at)
            wanted = terms.of(owner, version, rollout)
            book.kept, new = ledger.advance(before, reading, wanted, beside, total)
            if answer.moment and owner.key in answer.scraped:
                # Before its pods are scraped a window would have no begin.
                drift = watch.opened(book.kept.drift, wanted.drift, float(answer.moment))
                moved = moved or drift != book.kept.drift
                book.kept = replace(book.kept, drift=drift)
            book.in_rollout = owner.status.candidate is not None
            book.moved = book.moved or _differ(before, book)
            judged = _is_candidate(owner, rollout) or not _LABELS.isdisjoint(new)
            moved = moved or (judged and bool(new)) or _voted(before, book.kept)
            if not _is_candidate(owner, rollout):
                champion, labels = new, book.kept.labels
        return moved

    def ended(self, keys: Iterable[answers.Key], clock: float, most: int) -> questions.Question | None:
        """The window to read next, of at most so many rollouts: of those of these ModelDeployments that have ended,
        the one that ended first. `clock` is Prometheus's."""
        found: dict[tuple[float, float, watch.Kind], set[answers.Place]] = {}
        for key in keys:
            for rollout, book in self._books.get(key, {}).items():
                for state in book.kept.drift.values():
                    if (end := watch.ending(state, clock)) is not None:
                        window = (end, state.begun_at, state.terms.kind)
                        found.setdefault(window, set()).add((*key, rollout))
        if not found:
            return None
        (end, begin, kind), places = min(found.items(), key=lambda each: each[0])
        return questions.Question(begin, end, kind, frozenset(sorted(places)[:most]))

    def judge(
        self, question: questions.Question, windows: Mapping[answers.Place, watch.Window]
    ) -> set[answers.Key]:
        """Take what a window counted. Returns of whom something new is known."""
        found = set()
        for place in question.places & windows.keys():
            namespace, name, rollout = place
            if (book := self._books.get((namespace, name), {}).get(rollout)) is None:
                continue
            drift = {
                signal: watch.judged(state, windows[place], question.end)
                if (state.begun_at, state.terms.kind) == (question.begin, question.kind)
                else state
                for signal, state in book.kept.drift.items()
            }
            book.kept, book.moved = replace(book.kept, drift=drift), True
            found.add((namespace, name))
        return found

    def questions(self, owner: resources.ModelDeployment) -> list[Question]:
        """What the queries of the version that serves ask; what nobody asks any more is forgotten."""
        stable = owner.status.stable
        if stable is None or stable.rollout not in self._books.get(owner.key, {}):
            return []
        namespace, name = owner.key
        variables = {"name": name, "namespace": namespace, "version": stable.version}
        found = []
        for signal in owner.spec.monitoring.signals:
            if signal.type is not SignalType.QUERY:
                continue
            asked = terms.of_query(owner, signal)
            try:
                question = Question(
                    owner.key, stable.rollout, asked, text=promql.filled(asked.text, variables)
                )
            except promql.Unfit as error:
                question = Question(
                    owner.key, stable.rollout, asked, error=f"its query cannot be asked: {error}"
                )
            found.append(question)
        names = {question.asked.name for question in found}
        book = self._books[owner.key][stable.rollout]
        if book.kept.queries.keys() - names:
            kept = {name: state for name, state in book.kept.queries.items() if name in names}
            book.kept = replace(book.kept, queries=kept)
        return found

    def answered(self, question: Question, answer: query.Answer, at: float) -> bool:
        """Take the answer to a query. Returns whether it says something new."""
        book = self._books.get(question.key, {}).get(question.rollout)
        if book is None:
            return False
        asked, before = question.asked, book.kept.queries.get(question.asked.name)
        after = query.step(asked, before, answer, at)
        kept = {**book.kept.queries, asked.name: after}
        book.kept = replace(book.kept, queries=kept)
        flipped = (before is not None and before.since is not None) is not (after.since is not None)
        if asked.for_ and (flipped or after.since is not None):
            book.moved = True
        if asked.for_ and flipped:
            book.not_before = min(book.not_before, at + FLIPPED)
        return query.is_news(asked, before, after)

    def due(self, now: float, *, everything: bool = False) -> list[Due]:
        """Checkpoints to be written now; `everything`: all that moved, whatever their time."""
        return [
            Due(key, book.version, book.kept)
            for key, books in self._books.items()
            for book in books.values()
            # A time that is too far ahead is of a clock that has been set back.
            if book.moved and (everything or not now < book.not_before < now + EVERY)
        ]

    def saved(self, due: Due, now: float) -> None:
        """A checkpoint was written."""
        if (book := self._books.get(due.key, {}).get(due.kept.rollout)) is not None:
            book.not_before = now + EVERY - _jitter(due.kept.rollout)
            book.moved = _differ(due.kept, book)

    def refused(self, due: Due, now: float) -> None:
        """A checkpoint was not written: not again at once, and again and again."""
        if (book := self._books.get(due.key, {}).get(due.kept.rollout)) is not None:
            book.not_before = now + RETRY

    def forget(self, key: answers.Key, keep: resources.ModelDeployment | None = None) -> None:
        """Drop the ledgers of a ModelDeployment, but those that its status still names."""
        wanted = {} if keep is None else _rollouts(keep)
        books = self._books.get(key, {})
        for rollout in books.keys() - wanted.keys():
            del books[rollout]
        if not books:
            self._books.pop(key, None)


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


def _set_back(kept: ledger.Ledger, at: float) -> ledger.Ledger:
    """The ledger without moments after `at`: one of a clock that has been set back would count nothing until that
    clock has caught up."""
    if kept.polled_at is None or kept.polled_at <= at + STEP:
        return kept
    return replace(
        kept,
        polled_at=None,
        labels_at=None if kept.labels_at is None else min(kept.labels_at, at),
        requests_at=None if kept.requests_at is None else min(kept.requests_at, at),
        detectors={signal: replace(state, block=None) for signal, state in kept.detectors.items()},
        blocks=None if kept.blocks is None else replace(kept.blocks, block=None),
        history={
            signal: tuple(replace(snapshot, at=min(snapshot.at, at)) for snapshot in snapshots)
            for signal, snapshots in kept.history.items()
        },
    )


def _voted(before: ledger.Ledger, after: ledger.Ledger) -> bool:
    """Whether a block has ended and voted, which needs no new label."""
    votes = (0 if kept.blocks is None else kept.blocks.votes for kept in (before, after))
    if next(votes) < next(votes):
        return True
    return any(
        signal in before.detectors and state.detected.seen != before.detectors[signal].detected.seen
        for signal, state in after.detectors.items()
    )


def _differ(before: ledger.Ledger, book: _Book) -> bool:
    """Whether there is something to save. All else follows from the counts, or moves in a silent world too.

    Requests without labels prove nothing outside of a rollout: a model that is asked all day and never told the truth
    costs no write. After a restart their counts go on from the servers' own.
    """
    after = book.kept
    if before.drift != after.drift or _lasting(before) != _lasting(after):
        return True
    if book.in_rollout:
        return before.counted != after.counted
    return (before.labels, before.pairs) != (after.labels, after.pairs)


def _lasting(kept: ledger.Ledger) -> dict[str, tuple[str, float | None, float | None]]:
    """Queries whose numbers are beyond their thresholds: since when, and until when that is known. Others write nothing."""
    return {
        name: (state.of, state.since, state.known)
        for name, state in kept.queries.items()
        if state.since is not None
    }


def _jitter(rollout: str) -> float:
    """Up to a minute, always the same for one rollout."""
    return zlib.crc32(rollout.encode()) % 60
