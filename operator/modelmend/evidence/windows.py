"""Disjoint windows of histogram counts: what was gathered is judged once, then forgotten.

Called at every poll, for signals that look at windows (estimated accuracy, label shift; drift has `watch`, which
keeps no counts). Windows that overlap would test the same rows again and again, and the false alarms promised
per window would come per poll.

    begun_at |------------ length ------------| enough rows: judge, begin the next
                                              | too few: go on, at most STRETCH lengths, then judge what there is

After a downtime everything since comes as one batch and falls into the window that is open: late, and still disjoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

STRETCH = 4
"""Lengths after which a window ends even with too few rows: Unknown must be said at some time."""

Histograms = Mapping[str, Mapping[str, int]]
"""feature -> bin -> rows."""


@dataclass(frozen=True, slots=True)
class State:
    """begun_at: seconds; None before the first poll. gathered: since then. JSON-friendly."""

    begun_at: float | None = None
    gathered: Histograms = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "begunAt": self.begun_at,
            "gathered": {feature: dict(bins) for feature, bins in self.gathered.items()},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. An API server may have turned an empty map into null."""
        begun = saved["begunAt"]
        return cls(
            begun_at=None if begun is None else float(begun),
            gathered={
                feature: {name: int(rows) for name, rows in (bins or {}).items()}
                for feature, bins in (saved["gathered"] or {}).items()
            },
        )


def gather(
    state: State, new: Histograms, at: float, length: float, needed: int
) -> tuple[State, Histograms | None]:
    """The state after one poll at `at` (seconds), and the histograms of the window if it ended.

    needed: rows with which it may be judged (`drift.rows_needed`); rows are those of the fullest feature.
    """
    gathered = added(state.gathered, new)
    if state.begun_at is None:
        return State(at, gathered), None
    lasted = at - state.begun_at
    rows = max((sum(bins.values()) for bins in gathered.values()), default=0)
    if lasted < length or (rows < needed and lasted < STRETCH * length):
        return State(state.begun_at, gathered), None
    return State(at), gathered


def added(some: Histograms, more: Histograms) -> Histograms:
    """Rows of both, by feature and bin."""
    total = {feature: dict(bins) for feature, bins in some.items()}
    for feature, bins in more.items():
        into = total.setdefault(feature, {})
        for name, rows in bins.items():
            into[name] = into.get(name, 0) + rows
    return total
