"""A plain FastAPI server of a very small model: the class is 1 where `x * sign of its kind` is above 0.

It knows Modelmend's environment variables and nothing else of it. Labels may reach another pod than the one that
predicted, so an answer carries who gave it, and a label is counted under that rollout.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import prometheus_client
import uvicorn
from fastapi import FastAPI, Request, Response

MODEL, VERSION, ROLLOUT = (os.environ[f"MODELMEND_{name}"] for name in ("MODEL", "VERSION", "ROLLOUT"))
SIGNS = json.loads((Path(os.environ["MODELMEND_PATH"]) / "model.json").read_text())["signs"]
LOG = Path(os.environ["MODELMEND_LOG_PATH"]) / f"{os.uname().nodename}.jsonl"

requests = prometheus_client.Counter("http_requests", "Requests.", ["status"])
latency = prometheus_client.Histogram(
    "http_request_duration_seconds", "Their duration.", buckets=[0.01, 0.05, 0.25, 1.0, 5.0]
)
labelled = prometheus_client.Counter("predictions_labelled", "Labelled predictions.", ["rollout"])
correct = prometheus_client.Counter("predictions_correct", "Those that were right.", ["rollout"])
app = FastAPI()


@app.get(f"/v2/models/{MODEL}/ready")
def ready() -> dict[str, bool]:
    return {"ready": True}


@app.get("/metrics")
def metrics() -> Response:
    return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)


@app.post(f"/v2/models/{MODEL}/infer")
async def infer(request: Request) -> Response:
    begun = time.monotonic()
    try:
        columns = {column["name"]: column["data"][0] for column in (await request.json())["inputs"]}
        x, kind = float(columns["x"]), str(columns["kind"])
        answer = int(x * SIGNS[kind] > 0)
    except (KeyError, TypeError, ValueError) as problem:
        requests.labels("400").inc()
        return Response(json.dumps({"error": repr(problem)}), status_code=400)
    told = {
        "model_version": VERSION,
        "outputs": [{"name": "predict", "data": [answer]}],
        "parameters": {"prediction_id": json.dumps([ROLLOUT, x, kind, answer])},
    }
    requests.labels("200").inc()
    latency.observe(time.monotonic() - begun)
    return Response(json.dumps(told), media_type="application/json")


@app.post(f"/v2/models/{MODEL}/feedback")
async def feedback(request: Request) -> dict[str, int]:
    told: list[dict[str, Any]] = await request.json()
    with LOG.open("a") as log:
        for item in told:
            rollout, x, kind, answer = json.loads(item["prediction_id"])
            label = int(item["labels"][0])
            labelled.labels(rollout).inc()
            correct.labels(rollout).inc(answer == label)
            log.write(json.dumps({"time": time.time(), "x": x, "kind": kind, "label": label}) + "\n")
    return {"matched": len(told)}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")), log_level="warning")
