"""Small models and a world that moves: what is served on trial, and the truth it is judged by.

before    the class is 1 where x > 0
after     the class is 1 where x < 0, for three rows in four (those with a `kind` other than "steady")

In a rare world class 1 is one row in ten; after its move, rows of the kind "north" with y > 0 are of it too, which is
another row in ten: a model of before misses every second row of the class and is still right nine times in ten.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import traffic
from modelmend.runtime import artifact

KINDS = ("steady", "north", "east", "west")
NOISE = 0.05
"""Share of rows whose class is drawn at random: no model is perfect."""


class World:
    """Where rows and their truths come from. `moved`, `kinds` and `centre` may change while traffic flows."""

    def __init__(self, seed: int = 1, *, rare: bool = False) -> None:
        self._random = random.Random(seed)  # noqa: S311  # rows, not secrets
        self.moved = False
        self.rare = rare
        self.kinds: tuple[str, ...] = KINDS
        """Kinds of the rows that are asked about."""
        self.centre = -1.3 if rare else 0.0
        """Of x: away from 0, one class is more frequent than the other."""

    def truth(self, x: float, kind: str, y: float = 0.0) -> int:
        if self._random.random() < NOISE:
            return self._random.randrange(2)
        if self.rare:
            return int(x > 0 or (self.moved and kind == "north" and y > 0))
        return int((x < 0) if self.moved and kind != "steady" else (x > 0))

    def questions(self, *, labelled: bool = True) -> Iterator[traffic.Question]:
        """Requests without end."""
        while True:
            x, y, kind = (
                self._random.gauss(self.centre, 1),
                self._random.gauss(0, 1),
                self._random.choice(self.kinds),
            )
            columns = {"x": ("FP64", x), "y": ("FP64", y), "kind": ("BYTES", kind)}
            yield traffic.Question(traffic.body(columns), self.truth(x, kind, y) if labelled else None)

    def frame(self, rows: int) -> tuple[pd.DataFrame, pd.Series]:
        """A training table of the present world."""
        generator = np.random.default_rng(self._random.randrange(2**32))
        table = pd.DataFrame(
            {
                "x": generator.normal(size=rows),
                "y": generator.normal(size=rows),
                "kind": generator.choice(KINDS, size=rows),
            }
        )
        truths = [self.truth(x, kind) for x, kind in zip(table["x"], table["kind"], strict=True)]
        return table, pd.Series(truths, name="label")


def pipeline() -> Any:
    """Unfitted, and quick to refit."""
    encode = ColumnTransformer(
        [("kind", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"])],
        remainder="passthrough",
    )
    return Pipeline([("encode", encode), ("classify", DecisionTreeClassifier(max_depth=5, random_state=0))])


def write_good(folder: Path, model: str, seed: int = 1) -> str:
    """An artifact that knows the world before it moved; returns its digest."""
    table, truths = World(seed).frame(4000)
    return _write(folder, model, table, truths)


def write_worse(
    folder: Path, model: str, *, wrong: float = 1.0, kinds: tuple[str, ...] = KINDS, seed: int = 2
) -> str:
    """An artifact that learnt the opposite for a share of the rows of these kinds; returns its digest."""
    table, truths = World(seed).frame(4000)
    flipped = (np.random.default_rng(3).random(len(truths)) < wrong) & table["kind"].isin(kinds)
    return _write(folder, model, table, truths.where(~flipped, 1 - truths))


def write_rows(file: Path, rows: int = 2000, seed: int = 4) -> None:
    """A dataset of the world before it moved: `label`, and `at`, a minute apart."""
    table, truths = World(seed).frame(rows)
    at = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="min")
    file.parent.mkdir(parents=True, exist_ok=True)
    table.assign(label=truths, at=at).to_parquet(file, index=False)


def _write(folder: Path, model: str, table: pd.DataFrame, truths: pd.Series) -> str:
    fitted = pipeline().fit(table, truths)
    loaded, _ = artifact.pack(fitted, table, truths, uri=f"file://{folder}", model=model, version=folder.name)
    return loaded.digest
