"""The Open Inference Protocol v2: what its clients ask for, and what they get."""

import json
import struct

import numpy as np
import pytest

from modelmend.contract.arms import Arm
from runtime.server import replicas
from runtime.server.replicas import MODEL, ROW, Packed, Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = [
    ROW,
    {"hour": 23, "wind": -1.5, "carrier": "UA", "weekend": False},
    {"hour": 0, "wind": None, "carrier": "ZZ", "weekend": False},
]


async def test_the_server_says_who_it_is(solo: Replica) -> None:
    response = await solo.get("")

    assert response.status_code == 200
    assert response.json()["name"] == "modelmend"
    assert set(response.json()) == {"name", "version", "extensions"}


async def test_a_loaded_server_is_live_and_ready(solo: Replica) -> None:
    live, ready = await solo.get("/health/live"), await solo.get("/health/ready")
    model, version = (
        await solo.get(f"/models/{MODEL}/ready"),
        await solo.get(f"/models/{MODEL}/versions/v1/ready"),
    )

    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (200, {"live": True, "ready": True})
    assert (model.status_code, model.json()) == (200, {"name": MODEL, "ready": True})
    assert version.status_code == 200


async def test_metadata_is_the_real_signature(solo: Replica) -> None:
    metadata = (await solo.get(f"/models/{MODEL}")).json()

    assert metadata["name"] == MODEL
    assert metadata["versions"] == ["v1"]
    assert metadata["inputs"] == [
        {"name": "hour", "datatype": "INT64", "shape": [-1]},
        {"name": "wind", "datatype": "FP64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        {"name": "weekend", "datatype": "BOOL", "shape": [-1]},
    ]
    assert metadata["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ]
    assert (await solo.get(f"/models/{MODEL}/versions/v1")).json() == metadata


async def test_predictions_are_the_pipelines_own(solo: Replica, boosting: Packed) -> None:
    answer = await solo.predict(ROWS)

    frame = replicas.table(ROWS, boosting)
    assert answer["model_name"] == MODEL
    assert answer["model_version"] == "v1"
    assert replicas.output(answer) == boosting.pipeline.predict(frame).tolist()
    assert replicas.output(answer, "predict_proba") == boosting.pipeline.predict_proba(frame).ravel().tolist()
    assert [each["shape"] for each in answer["outputs"]] == [[3], [3, 2]]


async def test_the_id_is_echoed_or_made(solo: Replica) -> None:
    echoed = await solo.infer(replicas.columns([ROW], id="mine"))
    made = [(await solo.predict([ROW]))["id"] for _ in range(2)]

    assert echoed.json()["id"] == "mine"
    assert made[0]
    assert made[0] != made[1]


async def test_outputs_are_those_asked_for(solo: Replica) -> None:
    answer = (await solo.infer(replicas.columns([ROW], outputs=[{"name": "predict_proba"}]))).json()

    assert [each["name"] for each in answer["outputs"]] == ["predict_proba"]


async def test_an_unknown_output_is_named(solo: Replica) -> None:
    response = await solo.infer(replicas.columns([ROW], outputs=[{"name": "shap"}]))

    assert response.status_code == 400
    assert "'shap'" in response.json()["error"]


async def test_columns_may_be_flat_or_nested_and_in_any_order(solo: Replica) -> None:
    flat = replicas.columns(ROWS)
    nested = replicas.columns(ROWS)
    for tensor in nested["inputs"]:
        tensor["shape"], tensor["data"] = [3, 1], [[value] for value in tensor["data"]]
    nested["inputs"].reverse()

    answers = [(await solo.infer(request)).json()["outputs"] for request in (flat, nested)]

    assert answers[0] == answers[1]


async def test_numbers_may_travel_under_any_numeric_datatype(solo: Replica) -> None:
    request = replicas.columns([ROW])
    request["inputs"][0] |= {"datatype": "FP32", "data": [7.0]}
    request["inputs"][3] |= {"datatype": "UINT8", "data": [1]}

    response = await solo.infer(request)

    assert response.json()["outputs"] == (await solo.predict([ROW]))["outputs"]


async def test_binary_tensors_are_read(solo: Replica) -> None:
    tensors = [
        ("hour", "INT64", np.array([7], "<i8").tobytes()),
        ("wind", "FP64", np.array([0.5], "<f8").tobytes()),
        ("carrier", "BYTES", struct.pack("<I", 2) + b"AA"),
        ("weekend", "BOOL", b"\x01"),
    ]
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "parameters": {"binary_data_size": len(raw)}}
        for name, kind, raw in tensors
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()

    response = await solo.client.post(
        solo.url(f"/models/{MODEL}/infer"),
        content=head + b"".join(raw for _, _, raw in tensors),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )

    assert response.status_code == 200, response.text
    assert response.json()["outputs"] == (await solo.predict([ROW]))["outputs"]


async def test_requests_above_a_thousand_rows_get_ids_for_the_first_thousand(solo: Replica) -> None:
    answer = await solo.predict([ROW] * 1001)

    results = await solo.feedback(
        {"prediction_id": replicas.token(answer), "label": "late", "index": 1000},
        {"prediction_id": replicas.token(answer), "labels": ["late"] * 1001},
    )

    assert answer["parameters"]["prediction_id_rows"] == 1000
    assert len(replicas.output(answer)) == 1001
    assert [each["result"] for each in results] == ["invalid", "matched"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/models/other/infer", "'other'"),
        (f"/models/{MODEL}/versions/v9/infer", "'v9'"),
    ],
)
async def test_unknown_names_are_404_for_predictions(solo: Replica, path: str, names: str) -> None:
    response = await solo.client.post(solo.url(path), json=replicas.columns([ROW]))

    assert response.status_code == 404
    assert names in response.json()["error"]


@pytest.mark.parametrize(
    "path", ["/models/other", f"/models/{MODEL}/versions/v9", "/nowhere", "/models", f"/models/{MODEL}/x"]
)
async def test_unknown_paths_are_404(solo: Replica, path: str) -> None:
    response = await solo.get(path)

    assert response.status_code == 404
    assert response.json()["error"]


async def test_other_methods_are_405(solo: Replica) -> None:
    response = await solo.get(f"/models/{MODEL}/infer")

    assert response.status_code == 405
    assert "POST" in response.json()["error"]


async def test_a_pod_without_champion_answers_its_paired_ports_with_a_sentence(solo: Replica) -> None:
    for arm in (Arm.SHADOW, Arm.CANARY):
        response = await solo.infer(replicas.columns([ROW]), arm)

        assert response.status_code == 503
        assert "no champion" in response.json()["error"]


async def test_each_port_answers_with_its_own_version(pair: Replica) -> None:
    versions = {arm: (await pair.predict([ROW], arm))["model_version"] for arm in Arm}
    other = await pair.client.post(
        pair.url(f"/models/{MODEL}/versions/v1/infer", Arm.CANARY), json=replicas.columns([ROW])
    )

    assert versions == {Arm.SOLO: "v2", Arm.SHADOW: "v1", Arm.CANARY: "v2"}
    assert other.status_code == 404
