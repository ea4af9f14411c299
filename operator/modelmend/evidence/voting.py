"""From new rows to the detector: one vote a row, or one bounded vote a poll or block.

Called by family and regression at every poll.

    one vote a row      accuracy, precision, recall, f1, without a block: rows follow each other independently
    one vote a poll     balanced accuracy, MAE, RMSE: single rows are not votes on these, only a mean of many is
    one vote a block    anything, with `block`: errors come in bursts, and whole hours or days are independent

    block      |    14:00    |    15:00    |    16:00    |
    polls      | 20  18   0  |      (none) | 31  ..
    votes                    1                            (a block without rows has none; one that lacks a class
                                                           goes on into the next)

The guarantee in blocks: while the expected share of bad rows in each block, given the blocks before, is within the
limit, at least c blocks with rows lie between two false alarms on average. A verdict is then at most a block late.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from modelmend.evidence import bursts, counts, detector

Rows = Mapping[str, counts.Tally]
"""New rows by class, every class, if only with 0 rows; a single one named ONLY where there is nothing to divide by."""

ONLY = ""


@dataclass(frozen=True, slots=True)
class State:
    """The detector's state, and rows that wait for their vote; JSON-friendly.

    detected: what judges read. gathered: rows without a vote yet. block: number of the block they came in.
    clustered: whether errors are seen to come in bursts; followed only without blocks.
    """

    detected: detector.State = field(default_factory=detector.State)
    gathered: Rows = field(default_factory=dict)
    block: int | None = None
    clustered: bursts.State = field(default_factory=bursts.State)

    def to_json(self) -> dict[str, Any]:
        return {
            "detected": self.detected.to_json(),
            "gathered": {name: tally.to_json() for name, tally in self.gathered.items()},
            "block": self.block,
            "clustered": self.clustered.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError or ValueError when `saved` is not of its making. An API server may have
        turned an empty map into null."""
        return cls(
            detected=detector.State.from_json(saved["detected"]),
            gathered={
                name: counts.Tally.from_json(tally) for name, tally in (saved["gathered"] or {}).items()
            },
            block=None if saved["block"] is None else int(saved["block"]),
            clustered=bursts.State.from_json(saved["clustered"]),
        )


def by_row(state: State, new: counts.Tally, limit: detector.Limit) -> State:
    """One vote a row. Bursts are not sought during a breach: a fall is no burst."""
    breached = state.detected.breached
    return replace(
        state,
        detected=detector.step(state.detected, new, limit),
        clustered=state.clustered if breached else bursts.step(state.clustered, new),
    )


def by_poll(state: State, new: Rows, limit: detector.Limit) -> State:
    """One vote as soon as there are rows of every class: the mean over classes of their shares of bad rows."""
    gathered = _added(state.gathered, new)
    if not _is_complete(gathered):
        return replace(state, gathered=gathered)
    new_vote = pooled(gathered)
    breached = state.detected.breached
    return replace(
        state,
        detected=detector.vote(state.detected, new_vote, limit),
        gathered={},
        clustered=state.clustered if breached else bursts.step(state.clustered, new_vote),
    )


def by_block(state: State, new: Rows, limit: detector.Limit, at: float, length: float) -> State:
    """One vote a block of `length` seconds, cast at the first poll after its end; `at` is the poll's time in seconds.

    Everything since a downtime counts in the block in which it is read.
    """
    number = math.floor(at / length)
    is_over = state.block is not None and number > state.block
    if is_over and _is_complete(state.gathered):
        state = replace(
            state, detected=detector.vote(state.detected, pooled(state.gathered), limit), gathered={}
        )
    return replace(state, gathered=_added(state.gathered, new), block=number)


def warning(state: State, block: float | None) -> str | None:
    """That errors come in bursts and block mode is off, as a clause; None otherwise."""
    return None if block is not None else bursts.warning(state.clustered)


def pooled(rows: Rows) -> counts.Tally:
    """All rows, as bad as the mean over classes of their shares. Each class needs a row (ZeroDivisionError)."""
    n = sum(tally.n for tally in rows.values())
    share = sum(tally.share for tally in rows.values()) / len(rows)
    return counts.Tally(n, min(share, 1.0) * n)


def _added(rows: Rows, more: Rows) -> Rows:
    return {
        name: rows.get(name, counts.Tally()) + more.get(name, counts.Tally()) for name in {**rows, **more}
    }


def _is_complete(rows: Rows) -> bool:
    return bool(rows) and all(tally.n for tally in rows.values())
