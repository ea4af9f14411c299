"""Windows of one signal that is judged once a window: where they begin and end, and what the last one said.

Called by observe: `opened` at every poll, `ending` to learn whether a window has ended, `judged` with what was counted
in it. Bins are too many to keep, so drift is judged there and then; of all else the sums are kept, and decide judges
them beside what the version's holdout says. Times are seconds on the clock of whoever keeps the counters (Prometheus), so that what is asked about one
moment twice is the same: the end of a window is the begin of the next, and no row lies in two.

    begun_at |---- length ----| end: enough rows: judged, and the next begins here
                              | too few: the end is one length later, at most STRETCH lengths in all

Nothing of a window is kept while it lasts but its begin, and the same window asked for again gives the same numbers.
Windows that overlap
would test the same rows again and again, and the false alarms promised per window would come per poll.
A restart loses nothing. A window that nobody could read in time, or whose begin the keeper of the counters no
longer knows, is dropped: then nothing is known until the next one ends. Windows begin on a grid of an eighth of
their length, so that those of a fleet end together and are read together.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from modelmend.evidence import drift, verdict

STRETCH: Final = 4
"""Lengths after which a window ends even with too few rows: Unknown must be said at some time."""
GRID: Final = 8
"""Begins of windows in one length."""
SETTLED: Final = 15.0
"""Seconds after its end from which a window is read: a scrape takes time."""
NAMED: Final = 20
"""Drifted features that are kept by name."""


class Kind(enum.StrEnum):
    """What is counted in a window. Of the first two bins, of the others sums."""

    INPUTS = "Inputs"
    PREDICTIONS = "Predictions"
    """The score and the class."""
    CLASSES = "Classes"
    """Predicted rows by class."""
    SCORES = "Scores"
    """ROWS predicted, SCORED of them, and the sum of their scores EXPECTED."""
    LABELS = "Labels"
    """ROWS labelled whose prediction had a score, RIGHT of them, and the sum of their scores EXPECTED."""

    @property
    def is_binned(self) -> bool:
        """Whether it is about bins."""
        return self in (Kind.INPUTS, Kind.PREDICTIONS)


ROWS: Final = "rows"
SCORED: Final = "scored"
RIGHT: Final = "right"
EXPECTED: Final = "expected"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one signal asks. length: seconds of a window. since: what came before was to be forgotten (a promotion, a
    rejection, a reset). effect, alpha: of drift. needed: rows with which a window of sums may be judged. not_before:
    no window begins earlier, since what comes first is not typical."""

    name: str
    kind: Kind
    length: float
    since: float
    effect: float = 0.0
    alpha: float = 0.0
    needed: int = 0
    not_before: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind.value,
            "length": self.length,
            "since": self.since,
            "effect": self.effect,
            "alpha": self.alpha,
            "needed": self.needed,
            "notBefore": self.not_before,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        length, since, effect, alpha = (float(saved[name]) for name in ("length", "since", "effect", "alpha"))
        return cls(
            str(saved["name"]),
            Kind(saved["kind"]),
            length,
            since,
            effect,
            alpha,
            int(saved["needed"]),
            float(saved["notBefore"]),
        )


class Lost(enum.StrEnum):
    """Why a window was dropped."""

    LATE = "Late"
    """It was not read in time: we were away, or nobody answered."""
    FORGOTTEN = "Forgotten"
    """The counters at its begin are not known (any more)."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the last window said. drifted: the worst names, at most NAMED."""

    begun_at: float
    ended_at: float
    judgement: verdict.Judgement
    drifted: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        found = self.judgement
        return {
            "begunAt": self.begun_at,
            "endedAt": self.ended_at,
            "verdict": found.verdict.value,
            "value": found.value,
            "bound": found.bound,
            "n": found.n,
            "because": found.because,
            "drifted": list(self.drifted),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        value, bound = saved.get("value"), saved.get("bound")
        judgement = verdict.Judgement(
            verdict.Verdict(saved["verdict"]),
            None if value is None else float(value),
            None if bound is None else float(bound),
            int(saved["n"]),
            str(saved["because"]),
        )
        drifted = tuple(str(name) for name in saved.get("drifted") or ())
        return cls(float(saved["begunAt"]), float(saved["endedAt"]), judgement, drifted)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the last window of sums counted. A name is missing where nobody counts it."""

    begun_at: float
    ended_at: float
    sums: Mapping[str, float]

    def rows(self, name: str) -> int:
        """A sum that is a number of rows; 0 where nobody counts it."""
        return round(self.sums.get(name, 0.0))

    def to_json(self) -> dict[str, Any]:
        return {"begunAt": self.begun_at, "endedAt": self.ended_at, "sums": dict(self.sums)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. An API server may have turned an empty map into null."""
        sums = {str(name): float(value) for name, value in (saved["sums"] or {}).items()}
        return cls(float(saved["begunAt"]), float(saved["endedAt"]), sums)


@dataclass(frozen=True, slots=True)
class State:
    """One signal's windows. asked_at: the last end that was read and had too few rows; begun_at before the first.
    said, or counted for sums: None until a window ended. lost: why the one before the present was dropped."""

    terms: Terms
    begun_at: float
    asked_at: float
    said: Said | None = None
    counted: Counted | None = None
    lost: Lost | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "terms": self.terms.to_json(),
            "begunAt": self.begun_at,
            "askedAt": self.asked_at,
            "said": None if self.said is None else self.said.to_json(),
            "counted": None if self.counted is None else self.counted.to_json(),
            "lost": None if self.lost is None else self.lost.value,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError when `saved` is not of its making."""
        said, counted, lost = saved.get("said"), saved.get("counted"), saved.get("lost")
        return cls(
            Terms.from_json(saved["terms"]),
            float(saved["begunAt"]),
            float(saved["askedAt"]),
            None if said is None else Said.from_json(said),
            None if counted is None else Counted.from_json(counted),
            None if lost is None else Lost(lost),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted from begin to end: bins or sums. is_whole: the counters at its begin are known."""

    is_whole: bool
    features: tuple[drift.Feature, ...] = ()
    sums: Mapping[str, float] = field(default_factory=dict)


def opened(states: Mapping[str, State], asked: Sequence[Terms], clock: float) -> Mapping[str, State]:
    """The states of these signals at a poll: a new one for whoever asks something else than before, and one whose
    window was not read in time begins the next."""
    after = {}
    for terms in asked:
        state = states.get(terms.name)
        if state is None or state.terms != terms:
            after[terms.name] = _begun(terms, clock)
        elif clock - SETTLED >= _too_late(state) or _begin(terms, clock) < state.begun_at - terms.length:
            # Also after a clock was set back: nothing would end until it has caught up.
            after[terms.name] = replace(_begun(terms, clock), lost=Lost.LATE)
        else:
            after[terms.name] = state
    return after


def ending(state: State, clock: float) -> float | None:
    """The end of the window if it has ended and was not read yet."""
    lengths = min(math.floor((clock - SETTLED - state.begun_at) / state.terms.length), STRETCH)
    end = state.begun_at + lengths * state.terms.length
    return end if lengths >= 1 and end > state.asked_at else None


def judged(state: State, window: Window, end: float) -> State:
    """The state after a window that ended at `end` was read."""
    terms = state.terms
    if not window.is_whole:
        return State(terms, end, end, lost=Lost.FORGOTTEN)
    if _rows(terms, window) < _needed(terms, window) and end < state.begun_at + STRETCH * terms.length:
        return replace(state, asked_at=end)
    if not terms.kind.is_binned:
        return State(terms, end, end, counted=Counted(state.begun_at, end, window.sums))
    what = "predictions" if terms.kind is Kind.PREDICTIONS else "features"
    report = drift.judge(drift.Asked(terms.effect, terms.alpha, what), window.features)
    said = Said(state.begun_at, end, report.judgement, report.drifted[:NAMED])
    return State(terms, end, end, said)


def _rows(terms: Terms, window: Window) -> float:
    if terms.kind.is_binned:
        return max((sum(feature.live.values()) for feature in window.features), default=0)
    return sum(window.sums.values()) if terms.kind is Kind.CLASSES else window.sums.get(ROWS, 0.0)


def _needed(terms: Terms, window: Window) -> int:
    return drift.rows_needed(window.features) if terms.kind.is_binned else terms.needed


def _too_late(state: State) -> float:
    return state.begun_at + (STRETCH + 1) * state.terms.length


def _begun(terms: Terms, clock: float) -> State:
    begin = _begin(terms, clock)
    return State(terms, begin, begin)


def _begin(terms: Terms, clock: float) -> float:
    step = terms.length / GRID
    return math.ceil(max(clock, terms.not_before) / step) * step
