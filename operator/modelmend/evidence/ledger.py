"""All evidence about one rollout: what was counted so far, and how far each detector has come.

observe advances a ledger at every poll and keeps it in memory; decide judges from it; at most every few minutes
it goes to the ModelVersion's checkpoint as JSON. After a restart the ledger goes on from its checkpoint and takes
everything since as one batch, which is still valid: the detectors are functions of counts.

    version serves |-- label delay p90 --|  mature_at: detectors take labels from here
    reset/promotion ............ evidence_since: detectors begin afresh at the next poll, with what comes after it
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from modelmend.contract import metrics
from modelmend.evidence import counts, detector, guards, paired, watch

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

SNAPSHOTS: Final = 24
"""Snapshots kept per signal: its window is known to a twentieth of its length."""


@dataclass(frozen=True, slots=True)
class SignalTerms:
    """limit: None while the limit is not known (maxDrop of a version without a holdout). window: seconds shown."""

    name: str
    limit: detector.Limit | None
    window: float


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


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of one rollout. counters: every family in one mapping. at: seconds since the epoch."""

    at: float
    counters: counts.Reading


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Labels counted up to a moment."""

    at: float
    labels: counts.Tally


@dataclass(frozen=True, slots=True)
class Ledger:
    """Frozen, comparable, JSON both ways.

    rollout: which life of a version. evidence_since: when its detectors began.
    polled_at: last poll that succeeded. labels_at, requests_at: last poll with new labels, with new requests.
    detectors: by signal. history: by signal, oldest first. guarded: by guard. drift: windows by signal.
    """

    rollout: str
    evidence_since: float
    counted: counts.Checkpoint = field(default_factory=counts.Checkpoint)
    polled_at: float | None = None
    labels_at: float | None = None
    requests_at: float | None = None
    detectors: Mapping[str, detector.State] = field(default_factory=dict)
    history: Mapping[str, tuple[Snapshot, ...]] = field(default_factory=dict)
    guarded: Mapping[str, guards.State] = field(default_factory=dict)
    drift: Mapping[str, watch.State] = field(default_factory=dict)

    @property
    def labels(self) -> counts.Tally:
        """Labels counted as evidence so far, wrong ones as bad."""
        return _labels(self.counted.totals)

    @property
    def pairs(self) -> paired.Paired:
        """Labelled requests that candidate and champion both answered; of a candidate's rollout."""
        totals = self.counted.totals
        return paired.Paired(
            a=totals.get(metrics.Paired.CANDIDATE_ONLY_WRONG, 0),
            b=totals.get(metrics.Paired.CHAMPION_ONLY_WRONG, 0),
            c=totals.get(metrics.Paired.BOTH_RIGHT, 0) + totals.get(metrics.Paired.BOTH_WRONG, 0),
        )

    @property
    def requests(self) -> counts.Tally:
        """Requests so far, failed ones as bad."""
        return _requests(self.counted.totals)

    def shown(self, signal: str) -> counts.Tally:
        """Labels of the signal's window up to the last poll; all of them until the window is full."""
        snapshots = self.history.get(signal, ())
        if not snapshots:
            return self.labels
        begin = snapshots[0].labels
        return counts.Tally(self.labels.n - begin.n, self.labels.bad - begin.bad)

    def to_json(self) -> dict[str, Any]:
        return {
            "rollout": self.rollout,
            "evidenceSince": self.evidence_since,
            "counted": self.counted.to_json(),
            "polledAt": self.polled_at,
            "labelsAt": self.labels_at,
            "requestsAt": self.requests_at,
            "detectors": {name: state.to_json() for name, state in self.detectors.items()},
            "history": {
                name: [[snapshot.at, snapshot.labels.n, snapshot.labels.bad] for snapshot in snapshots]
                for name, snapshots in self.history.items()
            },
            "guards": {name: state.to_json() for name, state in self.guarded.items()},
            "drift": {name: state.to_json() for name, state in self.drift.items()},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError when `saved` is not of its making."""
        return cls(
            rollout=str(saved["rollout"]),
            evidence_since=float(saved["evidenceSince"]),
            counted=counts.Checkpoint.from_json(saved["counted"]),
            polled_at=_optional(saved.get("polledAt")),
            labels_at=_optional(saved.get("labelsAt")),
            requests_at=_optional(saved.get("requestsAt")),
            detectors={
                name: detector.State.from_json(state) for name, state in _map(saved, "detectors").items()
            },
            history={
                name: tuple(Snapshot(float(at), counts.Tally(int(n), int(bad))) for at, n, bad in snapshots)
                for name, snapshots in _map(saved, "history").items()
            },
            guarded={name: guards.State.from_json(state) for name, state in _map(saved, "guards").items()},
            drift={name: watch.State.from_json(state) for name, state in (saved.get("drift") or {}).items()},
        )


def advance(
    ledger: Ledger, reading: Reading, terms: Terms, beside: Mapping[str, int] | None = None
) -> tuple[Ledger, Mapping[str, int]]:
    """The ledger after one poll, and what was new (result -> count).

    beside: what was new in the champion's rollout at the same poll; only a candidate's guards use it.
    A reading that is not newer than the last one changes nothing.
    """
    if ledger.polled_at is not None and reading.at <= ledger.polled_at:
        return ledger, {}
    counted, new = counts.absorb(ledger.counted, reading.counters)
    labels, requests = _labels(new), _requests(new)
    restarted = terms.evidence_since > ledger.evidence_since
    before = {} if restarted else ledger.detectors
    # The poll at which they restart holds labels from before, after a downtime hours of them: the evidence that was
    # to be forgotten.
    judged = reading.at >= terms.mature_at and not restarted
    mature = labels if judged else counts.Tally()
    after = replace(
        ledger,
        counted=counted,
        evidence_since=max(terms.evidence_since, ledger.evidence_since),
        polled_at=reading.at,
        labels_at=reading.at if labels.n else ledger.labels_at,
        requests_at=reading.at if requests.n else ledger.requests_at,
        detectors={
            signal.name: detector.step(before.get(signal.name, detector.State()), mature, signal.limit)
            for signal in terms.signals
            if signal.limit is not None
        },
        guarded={
            name: guards.step(
                guard,
                ledger.guarded.get(name, guards.State()),
                _guarded(name, new),
                _guarded(name, beside or {}),
            )
            for name, guard in terms.guarded.items()
        },
    )
    history = {
        signal.name: _remember(ledger.history.get(signal.name, ()), ledger.labels, reading.at, signal.window)
        for signal in terms.signals
    }
    return replace(after, history=history), new


def _remember(
    snapshots: tuple[Snapshot, ...], labels: counts.Tally, at: float, window: float
) -> tuple[Snapshot, ...]:
    """Snapshots with one from before this poll added, and those older than the window dropped but for the last.

    `labels` is what was counted before this poll, so that the first snapshot of a rollout is zero.
    """
    if not snapshots or at - snapshots[-1].at >= window / (SNAPSHOTS - 4):
        snapshots = (*snapshots, Snapshot(at, labels))
    begin = max((place for place, snapshot in enumerate(snapshots) if snapshot.at <= at - window), default=0)
    return snapshots[begin:][-SNAPSHOTS:]


def _labels(results: Mapping[str, int]) -> counts.Tally:
    wrong = results.get(metrics.Evidence.WRONG, 0)
    return counts.Tally(results.get(metrics.Evidence.RIGHT, 0) + wrong, wrong)


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
