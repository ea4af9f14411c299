"""MLServer's own scikit-learn runtime, with what it lacks for Modelmend: an endpoint for labels, and counters of them.

A label may reach another pod than the one that predicted, so an answer carries who gave it, and a label is counted
under that rollout.
"""

import json
import os
import time
from pathlib import Path

import prometheus_client
from fastapi import Request
from mlserver import types
from mlserver.handlers import custom_handler
from mlserver_sklearn import SKLearnModel

MODEL, ROLLOUT = os.environ["MODELMEND_MODEL"], os.environ["MODELMEND_ROLLOUT"]
LOG = Path(os.environ["MODELMEND_LOG_PATH"]) / f"{os.uname().nodename}.jsonl"

labelled = prometheus_client.Counter("predictions_labelled", "Labelled predictions.", ["rollout"])
correct = prometheus_client.Counter("predictions_correct", "Those that were right.", ["rollout"])


class Labelled(SKLearnModel):
    """A scikit-learn pipeline over a data frame."""

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        payload.parameters = types.Parameters(content_type="pd")
        for column in payload.inputs:
            if column.datatype == "BYTES":
                column.parameters = types.Parameters(content_type="str")
        row = {column.name: next(iter(column.data)) for column in payload.inputs}
        answer = await super().predict(payload)
        asked = json.dumps([ROLLOUT, row, int(next(iter(answer.outputs[0].data)))])
        answer.parameters = types.Parameters(prediction_id=asked)
        return answer

    @custom_handler(rest_path=f"/v2/models/{MODEL}/feedback")
    async def feedback(self, request: Request) -> dict[str, int]:
        told = await request.json()
        with LOG.open("a") as log:
            for item in told:
                rollout, row, answer = json.loads(item["prediction_id"])
                label = int(item["labels"][0])
                labelled.labels(rollout).inc()
                correct.labels(rollout).inc(answer == label)
                log.write(json.dumps({"time": time.time(), **row, "label": label}) + "\n")
        return {"matched": len(told)}
