"""A small world whose rule turns, and policies for it. Shared by the simulator's tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from modelmend.runtime import artifact
from modelmend.simulate.outcome import Outcome

Simulate = Callable[..., Outcome]
FEATURES = ["wind", "carrier"]
TRAINED_DAYS = 8
START = pd.Timestamp("2025-01-01", tz="UTC")
CARRIERS = np.array(["AA", "B6", "UA"])


def rows(days: int = 30, per_day: int = 100, turn: int = 14, seed: int = 0) -> pd.DataFrame:
    """`late` depends on wind and carrier; from day `turn` on the wind's effect is reversed."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), per_day)
    seconds = np.sort(random.uniform(0, 86400, (days, per_day)), axis=1).ravel().round(3)
    wind, carrier = random.normal(size=len(day)), random.choice(CARRIERS, len(day))
    sign = np.where(day < turn, 1.0, -1.0)
    score = 2 * sign * wind + (carrier == "UA") - 0.3 + random.normal(scale=0.4, size=len(day))
    return pd.DataFrame(
        {
            "wind": wind,
            "carrier": carrier,
            "late": (score > 0).astype(int),
            "ts": START + pd.to_timedelta(day * 86400 + seconds, unit="s"),
        }
    )


def policy(**parts: Any) -> dict[str, Any]:
    """A ModelDeployment that heals within days; parts of spec are merged into it."""
    spec: dict[str, Any] = {
        "model": {"uri": "s3://models/late/v0"},
        "storage": {"uri": "s3://ml/late"},
        "serving": {
            "gateway": {
                "parentRef": {"name": "public", "namespace": "infra"},
                "hostnames": ["late.example.com"],
            }
        },
        "monitoring": {
            "interval": "10m",
            "signals": [{"name": "accuracy", "minimum": 0.75, "minLabels": 50, "window": "24h"}],
        },
        "retraining": {
            "cooldown": "24h",
            "budget": {"attempts": 20, "per": "720h"},
            "data": {"log": {"window": "96h"}},
        },
        "rollout": {
            "shadow": {"traffic": 50},
            "steps": [{"weight": 30}, {"weight": 60}],
            "analysis": {"margin": 0.05, "minLabels": 30, "deadline": "240h"},
            "bake": "12h",
        },
    }
    for key, value in parts.items():
        spec[key] = _merged(spec.get(key), value)
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "late", "namespace": "ml"},
        "spec": spec,
    }


def _merged(before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        return {**before, **{key: _merged(before.get(key), value) for key, value in after.items()}}
    return after


def write(folder: Path, frame: pd.DataFrame | None = None, body: Any = None) -> tuple[Path, Path]:
    """The files of a policy and of its data."""
    file, data = folder / "policy.yaml", folder / "rows.parquet"
    file.write_text(yaml.safe_dump(policy() if body is None else body))
    (rows() if frame is None else frame).to_parquet(data, index=False)
    return file, data


def pack(folder: Path) -> str:
    """The URI of a small artifact, fitted on the first days."""
    learnt = rows(days=TRAINED_DAYS)
    encode = ColumnTransformer(
        [("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"])], remainder="passthrough"
    )
    pipeline = make_pipeline(encode, LogisticRegression()).fit(learnt[FEATURES], learnt["late"])
    artifact.pack(
        pipeline, learnt[FEATURES], learnt["late"], uri=folder.as_uri(), model="late", time=learnt["ts"]
    )
    return folder.as_uri()
