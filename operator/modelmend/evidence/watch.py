"""Windows of one drift signal: where they begin and end, and what the last one said.

Called by observe: `opened` at every poll, `ending` to learn whether a window has ended, `judged` with what was counted
in it. Times are seconds on the clock of whoever keeps the counters (Prometheus), so that what is asked about one
moment twice is the same: the end of a window is the begin of the next, and no row lies in two.

    begun_at |---- length ----| end: enough rows: judged, and the next begins here
                              | too few: the end is one length later, at most STRETCH lengths in all

Nothing of a window is kept while it lasts but its begin, and the same window asked for again gives the same numbers.
So a restart loses nothing. A window that nobody could read in time, or whose begin the keeper of the counters no
longer knows, is dropped: then nothing is known until the next one ends. Windows begin on a grid of an eighth of
their length, so that those of a fleet end together and are read together.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from modelmend.evidence import drift, verdict
from modelmend.evidence.windows import STRETCH

GRID: Final = 8
"""Begins of windows in one length."""
SETTLED: Final = 15.0
"""Seconds after its end from which a window is read: a scrape takes time."""
NAMED: Final = 20
"""Drifted features that are kept by name."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one signal asks. of_predictions: of the score and the class, or else of the inputs. length: seconds of a
    window. since: what came before was to be forgotten (a promotion, a rejection, a reset)."""

    name: str
    of_predictions: bool
    length: float
    effect: float
    alpha: float
    since: float

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ofPredictions": self.of_predictions,
            "length": self.length,
            "effect": self.effect,
            "alpha": self.alpha,
            "since": self.since,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        figures = (float(saved[name]) for name in ("length", "effect", "alpha", "since"))
        return cls(str(saved["name"]), bool(saved["ofPredictions"]), *figures)


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
class State:
    """One signal's windows. asked_at: the last end that was read and had too few rows; begun_at before the first.
    said: None until a window was judged. lost: why the one before the present was dropped."""

    terms: Terms
    begun_at: float
    asked_at: float
    said: Said | None = None
    lost: Lost | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "terms": self.terms.to_json(),
            "begunAt": self.begun_at,
            "askedAt": self.asked_at,
            "said": None if self.said is None else self.said.to_json(),
            "lost": None if self.lost is None else self.lost.value,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError when `saved` is not of its making."""
        said, lost = saved.get("said"), saved.get("lost")
        return cls(
            Terms.from_json(saved["terms"]),
            float(saved["begunAt"]),
            float(saved["askedAt"]),
            None if said is None else Said.from_json(said),
            None if lost is None else Lost(lost),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted from begin to end. is_whole: the counters at its begin are known."""

    is_whole: bool
    features: tuple[drift.Feature, ...]


def opened(states: Mapping[str, State], asked: Sequence[Terms], clock: float) -> Mapping[str, State]:
    """The states of these signals at a poll: a new one for whoever asks something else than before, and one whose
    window was not read in time begins the next."""
    after = {}
    for terms in asked:
        state = states.get(terms.name)
        if state is None or state.terms != terms:
            after[terms.name] = _begun(terms, clock)
        elif clock - SETTLED >= _too_late(state) or clock < state.begun_at - terms.length:
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
    rows = max((sum(feature.live.values()) for feature in window.features), default=0)
    is_last = end >= state.begun_at + STRETCH * terms.length
    if rows < drift.rows_needed(window.features) and not is_last:
        return replace(state, asked_at=end)
    what = "predictions" if terms.of_predictions else "features"
    report = drift.judge(drift.Asked(terms.effect, terms.alpha, what), window.features)
    said = Said(state.begun_at, end, report.judgement, report.drifted[:NAMED])
    return State(terms, end, end, said)


def _too_late(state: State) -> float:
    return state.begun_at + (STRETCH + 1) * state.terms.length


def _begun(terms: Terms, clock: float) -> State:
    step = terms.length / GRID
    begun_at = math.ceil(clock / step) * step
    return State(terms, begun_at, begun_at)
