"""From a breach that Prometheus shows to the retraining Job.

A model that was right 300 times is told at once that 200 answers were wrong. The time runs from the last look at
Prometheus that shows none of it (so it is too long by up to one look, never too short) until a watch tells of the
Job. It starts at a random moment between two polls of the operator.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

import traffic
from bench.reaction.watching import Watch
from modelmend.contract import metrics
from trial.cluster import Cluster
from trial.deployment import Model

INTERVAL: Final = 5.0
"""Seconds between two looks of the operator at Prometheus: `monitoring.interval`."""
TARGET: Final = INTERVAL + 2.0
RIGHT: Final = 300
WRONG: Final = 200
LOOK: Final = 0.05
"""Seconds between two looks of ours."""
MONITORING: Final = {
    "interval": f"{INTERVAL:.0f}s",
    "signals": [
        {"name": "accuracy", "minimum": 0.9, "minLabels": 200, "falseAlarmEvery": "1h", "window": "60s"}
    ],
}


@dataclass(frozen=True)
class Breach:
    """One run; seconds."""

    shown: float
    """From the wrong labels' feedback to Prometheus."""
    job: float
    """From Prometheus to the Job."""


def measure(cluster: Cluster, namespace: str, number: int) -> Breach:
    """A ModelDeployment of its own, from its beginning to the Job."""
    model = Model(cluster, namespace, f"breach-{number}")
    with Watch(cluster, f"/apis/batch/v1/namespaces/{namespace}/jobs") as jobs:
        model.apply(monitoring=MONITORING)
        model.until_serving()
        told, shown = asyncio.run(_provoke(model))
        name = f"{model.name}-retrain-"
        job = jobs.wait("the retraining Job", lambda body: body["metadata"]["name"].startswith(name), 60)
    model.remove()
    return Breach(shown - told, job.at - shown)


async def _provoke(model: Model) -> tuple[float, float]:
    """When the wrong labels were sent, and when Prometheus did not yet show them for the last time."""
    headers = {"Host": model.host, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as client, aiohttp.ClientSession() as asking:
        answers = [await _ask(client, model.target) for _ in range(RIGHT + WRONG)]
        # Labels of the very poll in which a version begins to serve are counted, but not judged.
        await asyncio.sleep(INTERVAL + 1)
        await _tell(client, model.target, answers[:RIGHT], right=True)
        await asyncio.to_thread(model.until, "the verdict OK", _is_ok, 60)
        await asyncio.sleep(random.uniform(0, INTERVAL))
        looking = asyncio.create_task(_shown(asking, model))
        told = time.time()
        await _tell(client, model.target, answers[RIGHT:], right=False)
        return told, await looking


def _is_ok(status: Any) -> bool:
    return any(signal["verdict"] == "OK" for signal in status.get("signals", []))


async def _ask(client: aiohttp.ClientSession, target: traffic.Target) -> tuple[str, int]:
    """The prediction id and the answer to a row."""
    columns = {"x": ("FP64", random.gauss(0, 1)), "y": ("FP64", 0.0), "kind": ("BYTES", "steady")}
    async with client.post(target.url("infer"), data=traffic.body(columns)) as response:
        response.raise_for_status()
        reply = orjson.loads(await response.read())
    return reply["parameters"]["prediction_id"], reply["outputs"][0]["data"][0]


async def _tell(
    client: aiohttp.ClientSession, target: traffic.Target, answers: list[tuple[str, int]], *, right: bool
) -> None:
    """The truth about all of these answers in one request: that they were right, or wrong."""
    items = [{"prediction_id": name, "label": said if right else 1 - said} for name, said in answers]
    async with client.post(target.url("feedback"), data=orjson.dumps(items)) as response:
        response.raise_for_status()


async def _shown(asking: aiohttp.ClientSession, model: Model) -> float:
    """When Prometheus did not yet show a wrong answer for the last time."""
    place = f'namespace="{model.namespace}",{metrics.MODEL}="{model.name}"'
    query = f'sum({metrics.EVIDENCE}{{{place},{metrics.RESULT}="{metrics.Evidence.WRONG}"}}) > 0'
    address = f"{model.cluster.told['prometheus_url']}/api/v1/query"
    last = time.time()
    async with asyncio.timeout(60):
        while True:
            now = time.time()
            async with asking.get(address, params={"query": query}) as response:
                response.raise_for_status()
                if orjson.loads(await response.read())["data"]["result"]:
                    return last
            last = now
            await asyncio.sleep(LOOK)
