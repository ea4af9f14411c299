"""A trainer of a very small model (`server.py`): of each kind, the sign that is right more often.

In: Modelmend's environment variables, and what the servers logged. Out: model.json, and one line of JSON on the
termination message.
"""

import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

FEWEST = 100


def told(name: str) -> str:
    return os.environ[f"MODELMEND_{name}"]


def rows() -> list[dict[str, Any]]:
    """What was logged in the window, by time."""
    begin, end = (datetime.fromisoformat(told(name)).timestamp() for name in ("DATA_FROM", "DATA_TO"))
    logged = [
        json.loads(line)
        for part in sorted(Path(told("LOG_PATH")).glob("*.jsonl"))
        for line in part.read_text().splitlines()
        if line.endswith("}")
    ]
    return sorted((row for row in logged if begin <= row["time"] < end), key=lambda row: row["time"])


def is_right(signs: dict[str, int], row: dict[str, Any]) -> bool:
    return int(row["x"] * signs[row["kind"]] > 0) == row["label"]


def fitted(train: list[dict[str, Any]], kinds: list[str]) -> dict[str, int]:
    def score(kind: str, sign: int) -> int:
        return sum(is_right({kind: sign}, row) for row in train if row["kind"] == kind)

    return {kind: 1 if score(kind, 1) >= score(kind, -1) else -1 for kind in kinds}


def train() -> dict[str, Any]:
    champion = json.loads((Path(told("PARENT_PATH")) / "model.json").read_text())["signs"]
    found = rows()
    if len(found) < FEWEST:
        return {"error": f"only {len(found)} labelled rows are in the window, where {FEWEST} are needed"}
    held = max(int(len(found) * float(told("HOLDOUT"))), 1)
    train, holdout = found[:-held], found[-held:]
    signs = fitted(train, sorted(champion))
    content = json.dumps({"signs": signs, "made": told("VERSION")}).encode()
    output = Path(told("OUTPUT_PATH"))
    output.mkdir(parents=True)
    (output / "model.json").write_bytes(content)
    outcomes = [(is_right(signs, row), is_right(champion, row)) for row in holdout]
    a, b = outcomes.count((False, True)), outcomes.count((True, False))
    return {
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "uri": told("OUTPUT_URI"),
        "rows": len(train),
        "metrics": {"accuracy": sum(mine for mine, _ in outcomes) / held},
        "classes": ["0", "1"],
        "evaluation": {"a": a, "b": b, "c": held - a - b},
    }


if __name__ == "__main__":
    Path("/dev/termination-log").write_text(json.dumps(train()))
