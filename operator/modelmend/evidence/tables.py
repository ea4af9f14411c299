"""Labels by predicted and actual class among the counters of a rollout: only what its signals ask for.

Called by ledger at every poll, around `counts.absorb`. A server counts every pair of classes; a checkpoint has no room
for them all, so each process's cells are narrowed first (`confusion.narrowed`). Tables of two kinds do not add: when
the signals come to ask for others, cells begin anew, and what a process had counted by then is where they begin.

    poll                1       2       3
    signals ask for     -       yes     yes
    right, wrong        90 10   95 11   97 11       counted without a break: accuracy needs no cells
    (yes, yes) of it    40      43      44          begins at 43: 1 is new at poll 3
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from modelmend.contract import metrics
from modelmend.evidence import confusion, counts, family

_Number = TypeVar("_Number", bound=float)


def narrowed(reading: counts.Reading, signals: Collection[family.Signal]) -> counts.Reading:
    """The reading with only those cells that these signals need; every other result as it is."""
    wanted = family.narrowing(signals) is not None
    return {process: _narrowed(results, signals if wanted else ()) for process, results in reading.items()}


def begun_anew(checkpoint: counts.Checkpoint) -> counts.Checkpoint:
    """The checkpoint without any cell."""
    live = {process: _without_cells(values) for process, values in checkpoint.live.items()}
    return replace(checkpoint, totals=_without_cells(checkpoint.totals), live=live)


def joined(checkpoint: counts.Checkpoint, reading: counts.Reading) -> counts.Checkpoint:
    """The checkpoint with the cells, as they stand in the reading, of processes whose labels were counted without: a
    label that was counted before is not new."""
    live = {
        process: {**values, **{name: int(rows) for name, rows in _cells(reading.get(process, {})).items()}}
        if _labels(values) and not _cells(values)
        else values
        for process, values in checkpoint.live.items()
    }
    return replace(checkpoint, live=live)


def lack_classes(checkpoint: counts.Checkpoint) -> bool:
    """Labels are counted, and no process tells their classes: their servers are older than the question."""
    counted = [values for values in checkpoint.live.values() if _labels(values)]
    return bool(counted) and not any(_cells(values) for values in counted)


def _narrowed(results: Mapping[str, float], signals: Collection[family.Signal]) -> Mapping[str, float]:
    cells = _cells(results)
    if not cells:
        return results
    rest = _without_cells(results)
    if not signals:
        return rest
    sound = {name: int(rows) for name, rows in cells.items() if math.isfinite(rows) and rows >= 0}
    table = family.narrowed(signals, confusion.Confusion.from_results(sound))
    return {**rest, **{confusion.result_name(*cell): rows for cell, rows in table.cells.items()}}


def _cells(results: Mapping[str, _Number]) -> dict[str, _Number]:
    return {name: rows for name, rows in results.items() if confusion.is_cell(name)}


def _without_cells(results: Mapping[str, _Number]) -> dict[str, _Number]:
    return {name: rows for name, rows in results.items() if not confusion.is_cell(name)}


def _labels(values: Mapping[str, float]) -> float:
    return sum(values.get(result, 0) for result in metrics.Evidence)
