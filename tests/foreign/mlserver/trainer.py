"""Refits a clone of the champion on what the servers logged, and compares both on the latest part of it.

In: Modelmend's environment variables. Out: model.joblib, and one line of JSON on the termination message.
"""

import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.base import clone

FEWEST = 100
FEATURES = ["x", "y", "kind"]


def told(name: str) -> str:
    return os.environ[f"MODELMEND_{name}"]


def rows() -> pd.DataFrame:
    """What was logged in the window, by time."""
    begin, end = (datetime.fromisoformat(told(name)).timestamp() for name in ("DATA_FROM", "DATA_TO"))
    logged = [
        json.loads(line)
        for part in sorted(Path(told("LOG_PATH")).glob("*.jsonl"))
        for line in part.read_text().splitlines()
        if line.endswith("}")
    ]
    kept = [row for row in logged if begin <= row["time"] < end]
    return pd.DataFrame(kept, columns=["time", *FEATURES, "label"]).sort_values("time")


def train() -> dict[str, Any]:
    champion = joblib.load(Path(told("PARENT_PATH")) / "model.joblib")
    found = rows()
    if len(found) < FEWEST:
        return {"error": f"only {len(found)} labelled rows are in the window, where {FEWEST} are needed"}
    held = max(int(len(found) * float(told("HOLDOUT"))), 1)
    learnt, holdout = found[:-held], found[-held:]
    if learnt["label"].nunique() < 2:
        return {"error": "all labelled rows of the window are of one class"}
    model = clone(champion).fit(learnt[FEATURES], learnt["label"])
    output = Path(told("OUTPUT_PATH"))
    output.mkdir(parents=True)
    joblib.dump(model, output / "model.joblib")
    mine, theirs = (each.predict(holdout[FEATURES]) == holdout["label"] for each in (model, champion))
    a, b = int((~mine & theirs).sum()), int((mine & ~theirs).sum())
    return {
        "digest": f"sha256:{hashlib.sha256((output / 'model.joblib').read_bytes()).hexdigest()}",
        "uri": told("OUTPUT_URI"),
        "rows": len(learnt),
        "metrics": {"accuracy": float(mine.mean())},
        "classes": ["0", "1"],
        "evaluation": {"a": a, "b": b, "c": held - a - b},
    }


if __name__ == "__main__":
    Path("/dev/termination-log").write_text(json.dumps(train()))
