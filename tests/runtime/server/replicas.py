"""Servers on real sockets in the test's own process, and what tests say to them. Shared by this folder.

boosting    accepts a missing wind and carriers it has never seen
strict      a linear pipeline that refuses both: a candidate that fails for some requests
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import prometheus_client.parser
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelmend.contract.arms import Arm
from modelmend.runtime import artifact, packing
from modelmend.runtime.server import process
from modelmend.runtime.server.settings import (
    Batching,
    Feedback,
    Life,
    Limits,
    Logging,
    ModelRef,
    Settings,
    Times,
)
from runtime import worlds

MODEL = "flights"
KEY = bytes(range(32))
FEATURES = ("hour", "wind", "carrier", "weekend")
DATATYPES = {"hour": "INT64", "wind": "FP64", "carrier": "BYTES", "weekend": "BOOL"}
ROW = {"hour": 7, "wind": 0.5, "carrier": "AA", "weekend": True}
CLASSES = ("late", "on time")


@dataclasses.dataclass(frozen=True)
class Packed:
    """An artifact, the pipeline inside it, and the name it is served under."""

    reference: ModelRef
    pipeline: Any


def pack_boosting(folder: Path, version: str = "v1") -> Packed:
    """The model that swallows everything."""
    rows = _rows()
    rows.loc[rows.index % 7 == 0, "wind"] = np.nan
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype", random_state=0)
    return _packed(model, rows, folder, version)


def pack_strict(folder: Path, version: str = "v2") -> Packed:
    """The model that raises on a missing wind and on an unknown carrier."""
    encoded = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["hour", "wind", "weekend"]),
            ("carrier", OneHotEncoder(handle_unknown="error"), ["carrier"]),
        ]
    )
    rows = _rows()
    rows["carrier"] = rows["carrier"].astype(object)
    return _packed(make_pipeline(encoded, LogisticRegression()), rows, folder, version)


def _rows() -> pd.DataFrame:
    rows = worlds.flights(days=10)
    rows["weekend"] = rows["time"].dt.day_of_week >= 5
    return rows


def _packed(model: Any, rows: pd.DataFrame, folder: Path, version: str) -> Packed:
    table = rows[list(FEATURES)]
    model.fit(table, rows["late"])
    uri = (folder / version).as_uri()
    options = packing.Options(holdout=0, metrics={"accuracy": 0.9})
    loaded, _ = artifact.pack(
        model, table, rows["late"], uri=uri, model=MODEL, version=version, options=options
    )
    return Packed(ModelRef(Life(version, f"uid-{version}"), uri, loaded.digest), model)


def settings(own: Packed, champion: Packed | None = None, **changes: Any) -> Settings:
    """Settings for a test: every port is free, nothing waits for long."""
    told = Settings(
        model=MODEL,
        own=own.reference,
        champion=champion.reference if champion else None,
        feedback=Feedback(key=KEY),
        host="127.0.0.1",
        ports=dict.fromkeys(Arm, 0),
        metrics_port=0,
        limits=Limits(pair_seconds=20),
        batching=Batching(),
        logging=Logging(),
        times=Times(lame_duck=0.05, grace=20, load=1),
    )
    return dataclasses.replace(told, **changes)


Labels = Mapping[str, str]


class Samples:
    """What /metrics said at one moment."""

    def __init__(self, text: str) -> None:
        self.families = {
            family.name: family for family in prometheus_client.parser.text_string_to_metric_families(text)
        }
        self._values = [
            (sample.name, sample.labels, sample.value)
            for family in self.families.values()
            for sample in family.samples
        ]

    def get(self, series: str, **labels: str) -> float:
        """Sum of the series' samples that have these labels; KeyError when there is none."""
        found = [
            value for name, has, value in self._values if name == series and labels.items() <= has.items()
        ]
        if not found:
            raise KeyError(f"{series} {labels}")
        return sum(found)

    def by(self, series: str, *names: str, **labels: str) -> dict[Any, float]:
        """The series' samples with these labels, by the values of further labels; zeros left out."""
        counts: dict[Any, float] = {}
        for name, has, value in self._values:
            if name == series and labels.items() <= has.items() and value:
                key = has[names[0]] if len(names) == 1 else tuple(has[each] for each in names)
                counts[key] = counts.get(key, 0) + value
        return counts


@dataclasses.dataclass
class Replica:
    """A running server and a client of it."""

    host: process.Host
    client: httpx.AsyncClient

    def url(self, path: str = "", arm: Arm = Arm.SOLO) -> str:
        return f"http://127.0.0.1:{self.host.ports[arm.value]}/v2{path}"

    async def get(self, path: str, arm: Arm = Arm.SOLO) -> httpx.Response:
        return await self.client.get(self.url(path, arm))

    async def infer(self, request: Any, arm: Arm = Arm.SOLO, **options: Any) -> httpx.Response:
        return await self.client.post(self.url(f"/models/{MODEL}/infer", arm), json=request, **options)

    async def predict(self, rows: Sequence[Mapping[str, Any]], arm: Arm = Arm.SOLO) -> dict[str, Any]:
        """The answer to rows that must be answered."""
        response = await self.infer(columns(rows), arm)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def feedback(self, *items: Any, arm: Arm = Arm.SOLO) -> list[dict[str, str]]:
        response = await self.client.post(self.url(f"/models/{MODEL}/feedback", arm), json=list(items))
        assert response.status_code == 200, response.text
        results: list[dict[str, str]] = response.json()["results"]
        return results

    async def samples(self) -> Samples:
        response = await self.client.get(f"http://127.0.0.1:{self.host.ports['metrics']}/metrics")
        assert response.status_code == 200
        return Samples(response.text)


@contextlib.asynccontextmanager
async def running(told: Settings) -> AsyncIterator[Replica]:
    """A server that is ready, ended as SIGTERM would end it."""
    host = process.Host(told)
    host.start()
    async with httpx.AsyncClient(timeout=30) as client:
        try:
            await host.load()
            yield Replica(host, client)
        finally:
            host.stage.draining = True
            await host.finish(time.monotonic() + told.times.grace)


def columns(rows: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """One input per column."""
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": DATATYPES[name], "data": [row[name] for row in rows]}
        for name in FEATURES
    ]
    return {"inputs": inputs, **more}


def token(answer: Mapping[str, Any]) -> str:
    found: str = answer["parameters"]["prediction_id"]
    return found


def output(answer: Mapping[str, Any], name: str = "predict") -> list[Any]:
    found: list[Any] = next(each["data"] for each in answer["outputs"] if each["name"] == name)
    return found


def table(rows: Sequence[Mapping[str, Any]], packed: Packed) -> pd.DataFrame:
    """Rows as the pipeline was fitted on them."""
    frame = pd.DataFrame(rows, columns=list(FEATURES)).astype({"carrier": object, "wind": float})
    if isinstance(packed.pipeline, HistGradientBoostingClassifier):
        known = frame["carrier"].where(frame["carrier"].isin(worlds.CARRIERS))
        frame["carrier"] = pd.Categorical(known, categories=worlds.CARRIERS)
    return frame


async def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value of a condition, plain or awaitable; fails with the last one seen at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return seen
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        await asyncio.sleep(0.01)
