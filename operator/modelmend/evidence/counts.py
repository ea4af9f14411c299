"""Merge counter readings of many processes into totals that count every outcome once.

Called by observe at every poll, once per rollout. The last value of each counter is read per process
(a boot id) and compared with the last value seen of that same process; `increase()` would extrapolate, and a
sum over pods would fall whenever a pod leaves. All families of results of a rollout (evidence, paired, requests)
share one checkpoint, so their names must differ.

    poll            1     2     3     4     5        counted
    process A       5     9     -     9    11        5 + 4     + 0 + 2    away at 3, back at 4: not counted twice
    process B             2     6     6     6            2 + 4            dead from 4 on, still in the look-back
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Reading = Mapping[str, Mapping[str, float]]
"""Last value of each counter: process -> result -> value. Absent means not reported, never zero."""

VANISHED_KEPT = 64
"""Vanished processes whose last values are kept; more if more than this many are present."""

SETTLED_KEPT = 256
"""Settled processes whose names are kept, so that a late return is not counted again."""


@dataclass(frozen=True, slots=True)
class Tally:
    """`bad` outcomes among `n`: wrong among labelled rows, errors among requests.

    bad: whole where outcomes are counted; the sum of n votes within [0, 1] where each outcome is bad to a degree
        (an error of regression, the mean of a block).
    Raises ValueError unless 0 <= bad <= n.
    """

    n: int = 0
    bad: float = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.n:
            raise ValueError(
                f"a tally of {self.bad} bad outcomes among {self.n} is impossible; count both from one reading"
            )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.n + other.n, self.bad + other.bad)

    @property
    def share(self) -> float:
        """bad / n; an empty tally has none (ZeroDivisionError)."""
        return self.bad / self.n

    def to_json(self) -> dict[str, float]:
        return {"n": self.n, "bad": self.bad}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        bad = float(saved["bad"])
        return cls(int(saved["n"]), int(bad) if bad.is_integer() else bad)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is remembered of one rollout's counters between polls; small, and written in one piece.

    totals: result -> outcomes counted so far.
    live: process -> result -> highest value counted. Processes that are missing from the last reading come first,
        the longest missing ahead; the order is kept in JSON (a list), because API servers sort objects.
    settled: processes counted for good: their last values are forgotten, and they are never counted again.
    """

    totals: Mapping[str, int] = field(default_factory=dict)
    live: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    settled: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "totals": dict(self.totals),
            "live": [{"process": process, "values": dict(values)} for process, values in self.live.items()],
            "settled": list(self.settled),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError or ValueError when `saved` is not of its making. An API server may have
        turned what is empty into null."""
        return cls(
            totals=_whole(saved["totals"] or {}),
            live={str(entry["process"]): _whole(entry["values"] or {}) for entry in saved["live"] or ()},
            settled=tuple(str(process) for process in saved["settled"] or ()),
        )


def absorb(checkpoint: Checkpoint, reading: Reading) -> tuple[Checkpoint, Mapping[str, int]]:
    """The checkpoint after `reading`, and what is new: result -> outcomes (only those above 0).

    The same reading again changes nothing and gives an empty delta. An unknown process starts at 0.
    A value that is NaN, infinite or negative counts as not reported.

    A process that is missing keeps its last values, for it may return (a scrape failed, a look-back grew).
    Once more than VANISHED_KEPT are missing, and more than are present, the longest missing are settled.
    An empty reading settles nothing: it says that nothing is known.

    A value that fell: a boot id (or a container's, with a server of the user's own) never restarts, so the answer is merely older than the last one (two Prometheus
    replicas behind one address, one a scrape behind); nothing is counted until the old height is passed.
    Counting such a fall as a restart would add the whole history again at every other poll.
    """
    totals, delta = dict(checkpoint.totals), dict[str, int]()
    present: dict[str, dict[str, int]] = {}
    for process in sorted(reading):
        reported = {
            result: int(value)
            for result, value in reading[process].items()
            if math.isfinite(value) and value >= 0
        }
        if not reported or process in checkpoint.settled:
            continue
        values = dict(checkpoint.live.get(process, {}))
        for result, value in reported.items():
            before = values.get(result, 0)
            values[result] = max(value, before)
            if new := values[result] - before:
                totals[result] = totals.get(result, 0) + new
                delta[result] = delta.get(result, 0) + new
        present[process] = values

    missing = [process for process in checkpoint.live if process not in present]
    excess = max(len(missing) - max(VANISHED_KEPT, len(present)), 0) if present else 0
    live = {process: checkpoint.live[process] for process in missing[excess:]} | present
    return Checkpoint(totals, live, _settle(checkpoint.settled, missing[:excess], reading)), delta


def _settle(settled: tuple[str, ...], folded: list[str], reading: Reading) -> tuple[str, ...]:
    """Settled names, the most recently seen last, so that one still reported is never dropped before one long gone."""
    gone = [process for process in settled if process not in reading]
    seen = [process for process in settled if process in reading]
    return tuple([*gone, *folded, *seen][-SETTLED_KEPT:])


def _whole(saved: Mapping[str, Any]) -> dict[str, int]:
    return {str(result): int(value) for result, value in saved.items()}
