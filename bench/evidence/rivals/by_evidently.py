"""evidently: the statistical test that DataDriftPreset takes without any argument, column by column.

For numbers and more than 1,000 reference rows that is the normed Wasserstein distance above .1. The preset itself draws
pictures for each column, which takes a hundred times as long; that it says the same of the first window of each one is asserted.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
from evidently import Report  # noqa: E402
from evidently.legacy.calculations.stattests import get_stattest  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402

ANY = "evidently, any column (Wasserstein above .1)"
HALF = "evidently, the data set: half of the columns"


def drift(arrays):
    """Share of windows in which any column, and in which half of them are called drifted; live is (windows, rows,
    columns)."""
    live, before = arrays["live"], arrays["before"]
    found = []
    for number, window in enumerate(live):
        reference = before[number % len(before)]
        drifted = [one(reference[:, column], window[:, column]) for column in range(live.shape[2])]
        if not number and live.shape[2] == 1:
            agree(reference, window, drifted)
        found.append((any(drifted), np.mean(drifted) >= 0.5))
    shares = np.mean(found, axis=0)
    return {ANY: float(shares[0]), HALF: float(shares[1])}


def one(reference, live):
    before, now = pd.Series(reference), pd.Series(live)
    test = get_stattest(before, now, ColumnType.Numerical, None)
    return bool(test(before, now, ColumnType.Numerical, None).drifted)


def agree(reference, window, drifted):
    names = [f"x{column}" for column in range(window.shape[1])]
    told = Report([DataDriftPreset()]).run(
        pd.DataFrame(window, columns=names), pd.DataFrame(reference, columns=names)
    )
    count = next(
        each["value"]["count"]
        for each in told.dict()["metrics"]
        if "DriftedColumnsCount" in each["metric_name"]
    )
    assert count == sum(drifted), f"the preset calls {count} columns drifted, not {sum(drifted)}"


def cells(arrays):
    """What was asked about several streams in one file: `n:stream` is n of that stream."""
    found = {}
    for key in arrays.files:
        name, _, stream = key.partition(":")
        found.setdefault(stream, {})[name] = arrays[key]
    return found


if __name__ == "__main__":
    answer, more = globals()[sys.argv[1]], json.loads(sys.argv[3])
    # One process for all of them: to import the package takes longer than most answers.
    print(
        json.dumps(
            {
                stream: answer(each, **more.get(stream, more.get("", {})))
                for stream, each in cells(np.load(sys.argv[2])).items()
            }
        )
    )
