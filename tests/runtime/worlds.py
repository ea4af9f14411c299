"""A small world whose rule drifts, and what servers would have written about it. Shared by the runtime's tests.

`late` depends on hour, wind and carrier; from day 30 on the sign of the wind turns, so that a model of the first
weeks decays and one of the later weeks is better.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelmend.contract import environment, log

START = datetime(2025, 1, 1, tzinfo=UTC)
FEATURES = ["hour", "wind", "carrier"]
CARRIERS = np.array(["AA", "B6", "UA"])


def flights(days: int = 60, per_day: int = 40, seed: int = 0, turn: int = 30) -> pd.DataFrame:
    """Rows with the features, `late` and `time`, ordered by time."""
    random = np.random.default_rng(seed)
    rows = days * per_day
    day = np.repeat(np.arange(days), per_day)
    seconds = np.sort(random.uniform(0, 86400, (days, per_day)), axis=1).ravel()
    time = pd.Timestamp(START) + pd.to_timedelta(day * 86400 + seconds, unit="s").round("ms")
    hour = (seconds // 3600).astype(np.int64)
    wind = random.normal(size=rows)
    carrier = random.choice(CARRIERS, rows)
    drift = np.where(day < turn, 1.0, -1.0)
    score = 2 * drift * wind + (hour - 12) / 12 + (carrier == "UA") + random.normal(scale=0.5, size=rows)
    return pd.DataFrame(
        {
            "hour": hour,
            "wind": wind,
            "carrier": pd.Categorical(carrier),
            "late": np.where(score > 0, "late", "on time"),
            "time": time,
        }
    )


def boosting(**options: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=15, categorical_features="from_dtype", **options)


def linear() -> Pipeline:
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["hour", "wind"]),
            ("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression())


def write_log(
    folder: Path,
    frame: pd.DataFrame,
    *,
    labelled: Callable[[int], bool] = lambda index: True,
    delay: timedelta = timedelta(hours=6),
    rows_per_request: int = 1,
    process: str = "p0",
) -> None:
    """What a server would have written for these rows: a part of predictions and one of labels a day.

    `rows_per_request` consecutive rows share a prediction id; `labelled` picks the rows whose label came back.
    """
    index = np.arange(len(frame))
    time = frame["time"].dt.as_unit("us")
    predictions = pd.DataFrame(
        {
            log.PREDICTION_ID: [f"{process}{number // rows_per_request:08x}" for number in index],
            log.ROW: index % rows_per_request,
            log.TIME: time.to_numpy()
            if rows_per_request == 1
            else time.iloc[index - index % rows_per_request].to_numpy(),
            log.VERSION: "flights-v0",
            log.PREDICTION: "late",
        }
        | {log.FEATURE_PREFIX + name: frame[name].to_numpy() for name in FEATURES if name in frame}
    )
    predictions[log.TIME] = pd.to_datetime(predictions[log.TIME], utc=True)
    chosen = np.array([labelled(number) for number in index], dtype=bool)
    labels = predictions.loc[chosen, [log.PREDICTION_ID, log.ROW]].assign(
        **{
            log.LABEL: frame["late"].astype(object).to_numpy()[chosen],
            log.TIME: predictions.loc[chosen, log.TIME] + delay,
        }
    )
    for kind, table in ((log.PREDICTIONS, predictions), (log.LABELS, labels)):
        for number, (day, part) in enumerate(table.groupby(table[log.TIME].dt.date)):
            write_part(folder / f"dt={day}" / f"{kind}-{process}-{number}.parquet", part)


def write_part(path: Path, part: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path)


def job_environment(
    root: Path, parent: str | None = None, digest: str | None = None, **more: str
) -> dict[str, str]:
    """The environment of a Job whose storage is the folder `root/storage`."""
    storage = (root / "storage").as_uri()
    return {
        environment.MODEL: "flights",
        environment.VERSION: "flights-v1",
        environment.SEQUENCE: "7",
        environment.STORAGE_URI: storage,
        environment.OUTPUT_URI: f"{storage}/staging/7/pod-a",
        environment.TERMINATION_LOG: str(root / "termination-log"),
        environment.SEED: "3",
        **({environment.PARENT_URI: parent} if parent else {}),
        **({environment.PARENT_DIGEST: digest} if digest else {}),
        **more,
    }


def days(*numbers: int) -> Sequence[str]:
    """RFC 3339 instants of days since START."""
    return [(START + timedelta(days=number)).isoformat() for number in numbers]
