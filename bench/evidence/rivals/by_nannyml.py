"""nannyml: realised accuracy by the hour against a month of the same model, and univariate drift (Jensen-Shannon) by the
window, as both come without any argument: three standard deviations of the reference's own chunks.

Of realised accuracy only a fall below its lower threshold is an alarm. It knows no limit: it finds a change.
"""

import json
import math
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
import nannyml  # noqa: E402

REALISED = "nannyml realised accuracy, by the hour"
UNIVARIATE = "nannyml univariate drift (Jensen-Shannon, 3 standard deviations of 20 windows)"


def frame(n, bad):
    """A row for each label. The order within a chunk says nothing to a mean."""
    wrong = np.concatenate([np.arange(int(rows)) < int(errors) for rows, errors in zip(n, bad, strict=True)])
    predicted = np.tile([0, 1], len(wrong) // 2 + 1)[: len(wrong)]
    # Asked for, and unused by accuracy.
    score = np.where(predicted == 1, 0.9, 0.1)
    return pd.DataFrame(
        {"truth": np.where(wrong, 1 - predicted, predicted), "predicted": predicted, "score": score}
    )


def fitted(n, bad, rows):
    made = nannyml.PerformanceCalculator(
        problem_type="classification_binary", y_true="truth", y_pred="predicted", y_pred_proba="score",
        metrics=["accuracy"], chunk_size=rows,
    )  # fmt: skip
    return made.fit(frame(n, bad))


def fallen(made, n, bad):
    """By chunk: whether accuracy lies below its threshold."""
    rows = frame(n, bad)
    whole = (
        len(rows) // made.chunker.chunk_size * made.chunker.chunk_size
    )  # A last chunk of a few rows says nothing.
    table = made.calculate(rows[:whole]).filter(period="analysis").to_df()
    return (table["accuracy", "value"] < table["accuracy", "lower_threshold"]).to_numpy()


def false_alarms(arrays, rows):
    """Alarms a life; the reference is a life of its own. rows: labels in a chunk of an hour."""
    n, bad = arrays["n"], arrays["bad"]
    made = fitted(n[:, 0], bad[:, 0], int(rows))
    lives = range(1, n.shape[1])
    return {REALISED: float(np.mean([fallen(made, n[:, life], bad[:, life]).sum() for life in lives]))}


def delays(arrays, healthy, interval, rows):
    """Median hours from the fall, after `healthy` polls, to the end of the next chunk that is called fallen."""
    made, seen, each = fitted(arrays["reference_n"], arrays["reference_bad"], int(rows)), [], int(rows)
    healthy = int(healthy)
    for life in range(arrays["n"].shape[1]):
        n, bad = arrays["n"][:, life], arrays["bad"][:, life]
        alarmed = np.flatnonzero(fallen(made, n[healthy:], bad[healthy:]))
        # A chunk ends when its rows are there.
        ends = np.searchsorted(np.cumsum(n[healthy:]), (alarmed + 1) * each)
        seen.append((ends[0] + 1) * interval / 3600 if len(ends) else math.inf)
    return {REALISED: float(np.median(seen))}


def drift(arrays):
    """Share of windows in which any column is called drifted; live is (windows, rows, columns)."""
    live, before = arrays["live"], arrays["before"]
    names = [f"x{column}" for column in range(live.shape[2])]
    found = []
    for number, reference in enumerate(before):
        made = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=live.shape[1])
        made.fit(pd.DataFrame(reference, columns=names))
        mine = live[number :: len(before)]
        table = made.calculate(pd.DataFrame(mine.reshape(-1, len(names)), columns=names)).filter(
            period="analysis"
        )
        alerts = table.to_df().loc[:, (slice(None), slice(None), "alert")]
        found += alerts.to_numpy().any(axis=1).tolist()
    return {UNIVARIATE: float(np.mean(found))}


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
