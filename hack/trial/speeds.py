"""Real flights as a world for a model of numbers: how fast over ground will this one be, in miles per hour?

before    flights of 8 to 14 February, the week after those that the model learnt from
after     flights of September, when the jet stream is weak: what winter knows is then wrong by twice as much
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from demo import flights
from sklearn.ensemble import HistGradientBoostingRegressor

import traffic
from modelmend.runtime import artifact

TOLERANCE = 40.0
LEARNT_UNTIL = pd.Timestamp("2013-02-08", tz="UTC")
SEPTEMBER = pd.Timestamp("2013-09-01", tz="UTC")
DATATYPES = {"day_of_week": "INT64", "hour": "INT64"} | dict.fromkeys(flights.CATEGORIES, "BYTES")


class World:
    """Flights one after another. `moved` may change while traffic flows."""

    def __init__(self) -> None:
        rows = flights.load_speeds().dropna()
        self._winter = rows[(rows["time"] >= LEARNT_UNTIL) & (rows["time"] < flights.TRAINED_UNTIL)]
        self._september = rows[(rows["time"] >= SEPTEMBER) & (rows["time"] < flights.REPLAYED_UNTIL)]
        self.moved = False

    def questions(self, *, labelled: bool = True) -> Iterator[traffic.Question]:
        """Requests without end."""
        winter, september = (_asked(rows) for rows in (self._winter, self._september))
        while True:
            columns, speed = next(september if self.moved else winter)
            yield traffic.Question(traffic.body(columns), speed if labelled else None)


def _asked(rows: pd.DataFrame) -> Iterator[tuple[dict[str, tuple[str, Any]], float]]:
    while True:
        for row in rows.to_dict("records"):
            columns = {name: (DATATYPES.get(name, "FP64"), row[name]) for name in flights.FEATURES}
            yield columns, float(row["speed"])


def write_winter(folder: Path, model: str) -> str:
    """An artifact that learnt from the flights of 1 January to 7 February; returns its digest."""
    rows = flights.load_speeds()
    known = rows[rows["time"] < LEARNT_UNTIL].iloc[::2]
    table = known[list(flights.FEATURES)]
    final = HistGradientBoostingRegressor(max_iter=50, max_leaf_nodes=15, random_state=0)
    fitted = flights.pipeline(final).fit(table, known["speed"])
    loaded, _ = artifact.pack(
        fitted,
        table,
        known["speed"],
        uri=f"file://{folder}",
        model=model,
        version=folder.name,
        time=known["time"],
    )
    return loaded.digest
