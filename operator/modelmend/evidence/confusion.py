"""Counted labels by predicted and actual class, and what each measure of quality asks of them.

Called by family. A table adds over pods and over time like everything here; ratios are taken last.

    measure               rows that vote                  a bad one                         the measure
    accuracy              all                             predicted is not actual           1 - share
    precision of p        predicted p                     actual is not p                   1 - share
    recall of p           actual p                        predicted is not p                1 - share
    f1 of p               predicted or actual p           predicted is not actual           2 (1 - share) / (2 - share)
    balanced accuracy     all, by actual class            predicted is not actual           1 - mean of the classes' shares
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from modelmend.evidence import counts

REST = "__rest__"
ELSE = "__else__"
_OPENING = "["


@dataclass(frozen=True, slots=True)
class Confusion:
    """(predicted, actual) -> rows. Raises ValueError for a negative count."""

    cells: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (predicted, actual), rows in self.cells.items():
            if rows < 0:
                raise ValueError(
                    f"{rows} rows of {actual!r} predicted as {predicted!r}: rows cannot be negative"
                )

    def __add__(self, other: "Confusion") -> "Confusion":
        keys = {**self.cells, **other.cells}
        return Confusion({key: self.cells.get(key, 0) + other.cells.get(key, 0) for key in keys})

    @property
    def n(self) -> int:
        return sum(self.cells.values())

    def __sub__(self, before: "Confusion") -> "Confusion":
        """What was counted since `before`."""
        return Confusion({key: rows - before.cells.get(key, 0) for key, rows in self.cells.items()})

    @classmethod
    def of_labels(cls, labels: counts.Tally) -> Self:
        """Rows of which it is known only whether they were right: enough for accuracy."""
        return cls({(REST, REST): labels.n - int(labels.bad), (ELSE, REST): int(labels.bad)})

    @classmethod
    def from_results(cls, results: Mapping[str, int]) -> Self:
        """From counted results (`counts.absorb`): those whose name `result_name` gave, whatever else is there."""
        cells = {}
        for name, rows in results.items():
            if is_cell(name):
                predicted, actual = json.loads(name)
                cells[predicted, actual] = rows
        return cls(cells)


def result_name(predicted: str, actual: str) -> str:
    """The name under which `counts` keeps a cell: a JSON list, since classes may hold any character."""
    return json.dumps([predicted, actual])


def is_cell(name: str) -> bool:
    """Whether a counted result is a cell of a table; no other result is a JSON list."""
    return name.startswith(_OPENING)


def narrowed(table: Confusion, positives: Collection[str], *, by_class: bool) -> Confusion:
    """The same table with only the cells that matter: a checkpoint has no room for 30 x 30 of each process.

    Measures of the classes in `positives` stay as they are, and accuracy too; recalls of all others only if `by_class`.
    Classes that need no cell of their own become REST, wrong predictions of them ELSE.
    """
    cells: dict[tuple[str, str], int] = {}
    for (predicted, actual), rows in table.cells.items():
        truth = actual if by_class or actual in positives else REST
        else_ = truth if predicted == actual else ELSE
        said = predicted if predicted in positives else else_
        cells[said, truth] = cells.get((said, truth), 0) + rows
    return Confusion(cells)


def wrong(table: Confusion) -> counts.Tally:
    """All rows, wrong ones as bad."""
    return _tally(table, lambda predicted, actual: True)


def false_positives(table: Confusion, positive: str) -> counts.Tally:
    """Rows predicted `positive`, those that are not as bad: 1 - share is the precision."""
    return _tally(table, lambda predicted, actual: predicted == positive)


def false_negatives(table: Confusion, positive: str) -> counts.Tally:
    """Rows that are `positive`, those predicted otherwise as bad: 1 - share is the recall."""
    return _tally(table, lambda predicted, actual: actual == positive)


def missed_overlap(table: Confusion, positive: str) -> counts.Tally:
    """Rows predicted or actually `positive`, those that are not both as bad: `f1` of the share is the f1."""
    return _tally(table, lambda predicted, actual: positive in (predicted, actual))


def misses(table: Confusion, classes: tuple[str, ...]) -> dict[str, counts.Tally]:
    """Per class: the rows that are of it, those predicted otherwise as bad."""
    return {each: false_negatives(table, each) for each in classes}


def f1(share: float) -> float:
    """The f1 for a share s of bad rows among those predicted or actually positive: 2 (1 - s) / (2 - s).

    2 TP / (2 TP + E) with TP = (1 - s) n and E = s n. It falls in s, so bounds of s are bounds of f1.
    """
    return 2 * (1 - share) / (2 - share)


def share_of_f1(value: float) -> float:
    """The inverse of `f1`: (2 - 2 f) / (2 - f)."""
    return (2 - 2 * value) / (2 - value)


def _tally(table: Confusion, votes: Callable[[str, str], bool]) -> counts.Tally:
    n = bad = 0
    for (predicted, actual), rows in table.cells.items():
        if votes(predicted, actual):
            n += rows
            bad += rows * (predicted != actual)
    return counts.Tally(n, bad)
