"""All evidence about one rollout: what was counted so far, and how far each detector has come.

observe advances a ledger at every poll and keeps it in memory; decide judges from it; at most every few minutes
it goes to the ModelVersion's checkpoint as JSON. After a restart the ledger goes on from its checkpoint and takes
everything since as one batch, which is still valid: the detectors are functions of counts.

    version serves |-- label delay p90 --|  mature_at: detectors take labels from here
    reset/promotion ............ evidence_since: detectors begin afresh at the next poll, with what comes after it
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeVar

from modelmend.contract import metrics
from modelmend.evidence import (
    confusion,
    counts,
    detector,
    divided,
    family,
    guards,
    measures,
    pairblocks,
    paired,
    query,
    regression,
    tables,
    voting,
    watch,
)

ERRORS: Final = "errors"
"""Name of the guard on the error rate."""
SLOW: Final = "slow"
"""Name of the guard on latency."""

# Results that observe derives from series whose own labels are finer. No result of another family has these names.
ANSWERED: Final = "answered"
"""Requests with any other code than 5xx."""
FAILED: Final = "failed"
"""Requests with a code of 5xx."""
TIMED: Final = "timed"
"""Requests in the latency histogram."""
FAST: Final = "fast"
"""Requests in the bucket of the latency guard (`contract.metrics.bucket_for`)."""

_Kind = TypeVar("_Kind", confusion.Confusion, regression.Errors)

SNAPSHOTS: Final = 24
"""Snapshots kept per signal: its window is known to a twentieth of its length."""


@dataclass(frozen=True, slots=True)
class SignalTerms:
    """asked: None while it cannot be judged (maxDrop of a version without a holdout, a class that there is not).
    window: seconds shown."""

    name: str
    asked: measures.Signal | None
    window: float


@dataclass(frozen=True, slots=True)
class Pairing:
    """Pairs vote by blocks of so many seconds; margin: what "not worse" tolerates."""

    margin: float
    block: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What the detectors of one rollout are asked; times are seconds since the epoch."""

    evidence_since: float
    """Detectors restart when this moves: a promotion, a rejection, a reset."""
    mature_at: float
    """Labels that arrive before are counted but not judged: the first to arrive are not typical."""
    signals: tuple[SignalTerms, ...] = ()
    guarded: Mapping[str, guards.Guard] = field(default_factory=dict)
    """By name (ERRORS, SLOW); empty unless this rollout is a candidate's."""
    drift: tuple[watch.Terms, ...] = ()
    """Of signals that look at windows."""
    pairing: Pairing | None = None
    """None unless this rollout is a candidate's and its pairs vote by blocks."""
    divides: bool = False
    """This rollout is a candidate's without pairs: its labels are set beside the champion's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of one rollout. counters: every family in one mapping. at: seconds since the epoch."""

    at: float
    counters: counts.Reading


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Labels counted up to a moment: those cells, or sums of errors, that their signal needs."""

    at: float
    labels: measures.Table


@dataclass(frozen=True, slots=True)
class Ledger:
    """Frozen, comparable, JSON both ways.

    rollout: which life of a version. evidence_since: when its detectors began.
    polled_at: last poll that succeeded. labels_at, requests_at: last poll with new labels, with new requests.
    detectors: by signal. history: by signal, oldest first. guarded: by guard. drift: windows by signal.
    queries: last answers by signal.
    asked: by signal, what its detector and history are of (`measures.identity`); accuracy where there is none.
    narrowing: which cells are counted (`family.narrowing`).
    blocks: pairs that vote by blocks of block_length seconds; None unless they do.
    split: labels set beside the champion's, where there are no pairs.
    """

    rollout: str
    evidence_since: float
    counted: counts.Checkpoint = field(default_factory=counts.Checkpoint)
    polled_at: float | None = None
    labels_at: float | None = None
    requests_at: float | None = None
    detectors: Mapping[str, voting.State] = field(default_factory=dict)
    history: Mapping[str, tuple[Snapshot, ...]] = field(default_factory=dict)
    guarded: Mapping[str, guards.State] = field(default_factory=dict)
    drift: Mapping[str, watch.State] = field(default_factory=dict)
    queries: Mapping[str, query.State] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    narrowing: str | None = None
    blocks: pairblocks.State | None = None
    block_length: float | None = None
    split: divided.State | None = None

    @property
    def labels(self) -> counts.Tally:
        """Labels counted as evidence so far, wrong ones as bad."""
        return measures.labels(self.counted.totals)

    @property
    def pairs(self) -> paired.Paired:
        """Labelled requests that candidate and champion both answered; of a candidate's rollout."""
        return _pairs(self.counted.totals)

    @property
    def requests(self) -> counts.Tally:
        """Requests so far, failed ones as bad."""
        return _requests(self.counted.totals)

    @property
    def lacks_classes(self) -> bool:
        """Labels are counted, but nobody tells their classes."""
        return tables.lack_classes(self.counted)

    def votes(self, signal: str, asked: measures.Signal) -> voting.State:
        """How far the signal's detector has come; at its beginning when it was asked something else until now."""
        state = self.detectors.get(signal, voting.State())
        return state if self._is_of(signal, asked) else voting.State()

    def shown(self, signal: str, asked: measures.Signal) -> measures.Table:
        """Labels of the signal's window up to the last poll; all of them until the window is full."""
        if not self._is_of(signal, asked):
            return measures.table(asked, {})
        snapshots = self.history.get(signal, ())
        now = measures.table(asked, self.counted.totals)
        return measures.since(now, snapshots[0].labels) if snapshots else now

    def _is_of(self, signal: str, asked: measures.Signal) -> bool:
        return self.asked.get(signal, family.Metric.ACCURACY.value) == measures.identity(asked)

    def to_json(self) -> dict[str, Any]:
        return {
            "rollout": self.rollout,
            "evidenceSince": self.evidence_since,
            "counted": self.counted.to_json(),
            "polledAt": self.polled_at,
            "labelsAt": self.labels_at,
            "requestsAt": self.requests_at,
            "detectors": {name: state.to_json() for name, state in self.detectors.items()},
            "history": {name: _to_json(snapshots) for name, snapshots in self.history.items()},
            "guards": {name: state.to_json() for name, state in self.guarded.items()},
            "drift": {name: state.to_json() for name, state in self.drift.items()},
            "queries": {name: state.to_json() for name, state in self.queries.items()},
            "asked": dict(self.asked),
            "narrowing": self.narrowing,
            "blocks": None if self.blocks is None else self.blocks.to_json(),
            "blockLength": self.block_length,
            "split": None if self.split is None else self.split.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, also of one from before there were other signals than accuracy; KeyError, TypeError
        or ValueError when `saved` is not of its making."""
        return cls(
            rollout=str(saved["rollout"]),
            evidence_since=float(saved["evidenceSince"]),
            counted=counts.Checkpoint.from_json(saved["counted"]),
            polled_at=_optional(saved.get("polledAt")),
            labels_at=_optional(saved.get("labelsAt")),
            requests_at=_optional(saved.get("requestsAt")),
            detectors={name: _votes(state) for name, state in _map(saved, "detectors").items()},
            history={name: _snapshots(kept) for name, kept in _map(saved, "history").items()},
            guarded={name: guards.State.from_json(state) for name, state in _map(saved, "guards").items()},
            drift={name: watch.State.from_json(state) for name, state in (saved.get("drift") or {}).items()},
            queries={
                name: query.State.from_json(state) for name, state in (saved.get("queries") or {}).items()
            },
            asked={name: str(asked) for name, asked in (saved.get("asked") or {}).items()},
            narrowing=saved.get("narrowing"),
            blocks=None if saved.get("blocks") is None else pairblocks.State.from_json(saved["blocks"]),
            block_length=_optional(saved.get("blockLength")),
            split=None if saved.get("split") is None else divided.State.from_json(saved["split"]),
        )


def advance(
    ledger: Ledger,
    reading: Reading,
    terms: Terms,
    beside: Mapping[str, int] | None = None,
    champion: counts.Tally | None = None,
) -> tuple[Ledger, Mapping[str, int]]:
    """The ledger after one poll, and what was new (result -> count).

    beside: what was new in the champion's rollout at the same poll; only a candidate's guards use it.
    champion: all labels of the champion's rollout up to the same poll; only a candidate without pairs uses it.
    A reading that is not newer than the last one changes nothing.
    """
    if ledger.polled_at is not None and reading.at <= ledger.polled_at:
        return ledger, {}
    asked = {signal.name: signal.asked for signal in terms.signals if signal.asked is not None}
    of_classes = measures.of_classes(asked.values())
    counters = tables.narrowed(reading.counters, of_classes)
    narrowing = family.narrowing(of_classes)
    before = ledger.counted if narrowing == ledger.narrowing else tables.begun_anew(ledger.counted)
    counted, new = counts.absorb(tables.joined(before, counters), counters)
    labels, requests = measures.labels(new), _requests(new)
    restarted = terms.evidence_since > ledger.evidence_since
    # The poll at which they restart holds labels from before, after a downtime hours of them: the evidence that was
    # to be forgotten.
    judged = reading.at >= terms.mature_at and not restarted
    voters = new if judged else {}
    after = replace(
        ledger,
        counted=counted,
        evidence_since=max(terms.evidence_since, ledger.evidence_since),
        polled_at=reading.at,
        labels_at=reading.at if labels.n else ledger.labels_at,
        requests_at=reading.at if requests.n else ledger.requests_at,
        detectors={
            name: measures.step(
                signal,
                voting.State() if restarted else ledger.votes(name, signal),
                voters,
                reading.at,
            )
            for name, signal in asked.items()
        },
        asked={name: measures.identity(signal) for name, signal in asked.items()},
        narrowing=narrowing,
        guarded={
            name: guards.step(
                guard,
                ledger.guarded.get(name, guards.State()),
                _guarded(name, new),
                _guarded(name, beside or {}),
            )
            for name, guard in terms.guarded.items()
        },
        split=_split(ledger, measures.labels(voters), champion) if terms.divides and judged else ledger.split,
    )
    history = {
        signal.name: _remember(
            _kept(ledger, signal.name, signal.asked, narrowing),
            measures.table(signal.asked, before.totals),
            reading.at,
            signal.window,
        )
        for signal in terms.signals
        if signal.asked is not None
    }
    return _paired(replace(after, history=history), new, terms.pairing, reading.at), new


def _split(ledger: Ledger, new: counts.Tally, champion: counts.Tally | None) -> divided.State:
    return divided.step(ledger.split or divided.State(), new, champion or counts.Tally())


def _paired(ledger: Ledger, new: Mapping[str, int], pairing: Pairing | None, at: float) -> Ledger:
    """Pairs from before block mode was on have no vote; blocks of another length begin at this poll."""
    if pairing is None:
        return replace(ledger, blocks=None, block_length=None)
    state = ledger.blocks or pairblocks.State()
    if ledger.block_length != pairing.block:
        state = replace(state, block=None)
    state = pairblocks.step(state, _pairs(new), pairing.margin, at, pairing.block)
    return replace(ledger, blocks=state, block_length=pairing.block)


def _kept(ledger: Ledger, name: str, asked: measures.Signal, narrowing: str | None) -> tuple[Snapshot, ...]:
    """Its snapshots, unless the totals that they are set against are others now."""
    same = not measures.needs_classes(asked) or narrowing == ledger.narrowing
    return ledger.history.get(name, ()) if same and ledger._is_of(name, asked) else ()


def _remember(
    snapshots: tuple[Snapshot, ...], labels: measures.Table, at: float, window: float
) -> tuple[Snapshot, ...]:
    """Snapshots with one from before this poll added, and those older than the window dropped but for the last.

    `labels` is what was counted before this poll, so that the first snapshot of a rollout is zero.
    """
    if not snapshots or at - snapshots[-1].at >= window / (SNAPSHOTS - 4):
        snapshots = (*snapshots, Snapshot(at, _told(labels)))
    begin = max((place for place, snapshot in enumerate(snapshots) if snapshot.at <= at - window), default=0)
    return snapshots[begin:][-SNAPSHOTS:]


def _pairs(results: Mapping[str, int]) -> paired.Paired:
    return paired.Paired(
        a=results.get(metrics.Paired.CANDIDATE_ONLY_WRONG, 0),
        b=results.get(metrics.Paired.CHAMPION_ONLY_WRONG, 0),
        c=results.get(metrics.Paired.BOTH_RIGHT, 0) + results.get(metrics.Paired.BOTH_WRONG, 0),
    )


def _told(table: measures.Table) -> measures.Table:
    """Without empty cells: a checkpoint tells no other."""
    if isinstance(table, regression.Errors):
        return table
    return confusion.Confusion({cell: rows for cell, rows in table.cells.items() if rows})


def _votes(saved: Mapping[str, Any]) -> voting.State:
    """Accuracy was all there was when a detector was saved by itself."""
    if "detected" in saved:
        return voting.State.from_json(saved)
    return voting.State(detected=detector.State.from_json(saved))


def _to_json(snapshots: tuple[Snapshot, ...]) -> dict[str, Any]:
    """The cells once, and of each snapshot their rows; or its sums of errors."""
    of_errors = [[at, *sums.to_json()] for at, sums in _pairs_of(snapshots, regression.Errors)]
    if of_errors:
        return {"errors": of_errors}
    tables = _pairs_of(snapshots, confusion.Confusion)
    cells = sorted({cell for _, table in tables for cell in table.cells})
    rows = [[at, *(table.cells.get(cell, 0) for cell in cells)] for at, table in tables]
    return {"cells": [list(cell) for cell in cells], "rows": rows}


def _pairs_of(snapshots: tuple[Snapshot, ...], kind: type[_Kind]) -> list[tuple[float, _Kind]]:
    return [(each.at, each.labels) for each in snapshots if isinstance(each.labels, kind)]


def _snapshots(saved: Any) -> tuple[Snapshot, ...]:
    if not isinstance(saved, Mapping):
        tallies = ((float(at), counts.Tally(int(n), int(bad))) for at, n, bad in saved or ())
        return tuple(Snapshot(at, _told(confusion.Confusion.of_labels(tally))) for at, tally in tallies)
    if "errors" in saved:
        return tuple(Snapshot(float(at), regression.Errors.from_json(sums)) for at, *sums in saved["errors"])
    cells = [(str(predicted), str(actual)) for predicted, actual in saved["cells"] or ()]
    return tuple(
        Snapshot(
            float(at),
            _told(confusion.Confusion({cell: int(n) for cell, n in zip(cells, rows, strict=True)})),
        )
        for at, *rows in saved["rows"] or ()
    )


def _requests(results: Mapping[str, int]) -> counts.Tally:
    failed = results.get(FAILED, 0)
    return counts.Tally(results.get(ANSWERED, 0) + failed, failed)


def _guarded(guard: str, results: Mapping[str, int]) -> counts.Tally:
    if guard == ERRORS:
        return _requests(results)
    timed = results.get(TIMED, 0)
    # The two series of a histogram are scraped together, but a look-back may hold one poll's worth of only one.
    return counts.Tally(timed, min(max(timed - results.get(FAST, 0), 0), timed))


def _map(saved: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A map, or an empty one: API servers turn an empty map that was applied into null."""
    found: Mapping[str, Any] = saved[name] or {}
    return found


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)
