"""Models of other kinds: wide ones, many classes, labels that are no text, no probabilities, a plain array."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.tree import DecisionTreeClassifier

from modelmend.contract import metrics
from modelmend.contract.arms import Arm
from modelmend.runtime import artifact, errors, packing
from modelmend.runtime.server import protocol
from modelmend.runtime.server.settings import Life, Limits, ModelRef, Times
from runtime.server import replicas
from runtime.server.replicas import MODEL, Packed

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _pack(folder: Path, model: Any, table: Any, target: Any) -> Packed:
    model.fit(table, target)
    options = packing.Options(holdout=0, metrics={})
    loaded, _ = artifact.pack(
        model, table, target, uri=folder.as_uri(), model=MODEL, version="w1", options=options
    )
    return Packed(ModelRef(Life("w1", "uid-w1"), folder.as_uri(), loaded.digest), model)


def _tensor(table: Any, datatype: str = "FP64") -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "input-0", "shape": list(table.shape), "datatype": datatype, "data": table.tolist()}
        ]
    }


async def test_a_wide_model_takes_one_tensor_and_exports_fifty_features_and_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(600, 60))
    target = np.arange(600) % 60
    packed = _pack(tmp_path / "wide", DecisionTreeClassifier(random_state=0), table, target)

    async with replicas.running(replicas.settings(packed)) as replica:
        nested = await replica.infer(_tensor(table[:70]))
        flat = _tensor(table[:70])
        flat["inputs"][0]["data"] = table[:70].ravel().tolist()
        answers = [nested.json(), (await replica.infer(flat)).json()]
        labels = [
            {"prediction_id": replicas.token(answer), "labels": target[:70].tolist()} for answer in answers
        ]
        results = await replica.feedback(*labels)

        async def counted() -> bool:
            return (await replica.samples()).get(metrics.PREDICTIONS) == 140

        await replicas.eventually(counted)
        samples = await replica.samples()

    assert [replicas.output(answer) for answer in answers] == [
        packed.pipeline.predict(table[:70]).tolist()
    ] * 2
    assert results == [{"result": "matched"}] * 2
    by_class = samples.by(metrics.PREDICTIONS, "class")
    assert (len(by_class), by_class["__other__"]) == (51, 20)
    assert samples.get(metrics.EVIDENCE, result="right") == 2
    assert sum(samples.by(metrics.OUTCOMES, "actual").values()) == 140
    features = samples.by(metrics.FEATURE_BINS, "feature")
    assert len(features) == 50 + 1
    assert features["x0"] == features["x49"] == features[metrics.SCORE_FEATURE] == 140
    assert metrics.CLASS_FEATURE not in samples.by(metrics.REFERENCE_BIN_FRACTION, "feature")
    (warned,) = [each for each in caplog.records if "bins of the first 50" in each.getMessage()]
    assert warned.__dict__["left_out"] == tuple(f"x{number}" for number in range(50, 60))


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [((False, True), "BOOL"), ((3, 7), "INT64"), ((1.0, 2.0), "FP64"), (("a", "b"), "BYTES")],
)
async def test_labels_are_answered_and_counted_in_their_own_kind(
    tmp_path: Path, classes: tuple[Any, Any], datatype: str
) -> None:
    table = np.arange(40.0).reshape(-1, 1)
    target = np.array(classes)[(table[:, 0] > 20).astype(int)]
    packed = _pack(tmp_path / datatype, LogisticRegression(), table, target)

    async with replicas.running(replicas.settings(packed)) as replica:
        # One feature: a tensor, flat or not, or the column itself.
        requests = [
            _tensor(np.array([[0.0], [40.0]])),
            _tensor(np.array([0.0, 40.0])),
            _tensor(np.array([0.0, 40.0])),
        ]
        requests[2]["inputs"][0]["name"] = "x0"
        answers = [(await replica.infer(request)).json() for request in requests]
        results = await replica.feedback(
            {"prediction_id": replicas.token(answers[0]), "labels": list(classes)},
            {"prediction_id": replicas.token(answers[1]), "labels": list(reversed(classes))},
        )
        samples = await replica.samples()

    for answer in answers:
        assert replicas.output(answer) == list(classes)
        assert answer["outputs"][0]["datatype"] == datatype
    assert [each["result"] for each in results] == ["matched", "matched"]
    assert samples.by(metrics.EVIDENCE, "result") == {"right": 1, "wrong": 1}
    assert sum(samples.by(metrics.OUTCOMES, "actual").values()) == 4


async def test_labels_of_several_kinds_are_answered_as_text() -> None:
    assert protocol.class_datatype((1, "one")).value == "BYTES"
    assert protocol.class_datatype((1, 1.5)).value == "FP64"


async def test_a_model_without_probabilities_has_one_output(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(50, 2))
    packed = _pack(tmp_path / "hinge", SGDClassifier(random_state=0), table, (table[:, 0] > 0).astype(int))

    async with replicas.running(replicas.settings(packed)) as replica:
        metadata = (await replica.get(f"/models/{MODEL}")).json()
        answer = await replica.infer(_tensor(table[:3]))
        wished = await replica.infer(_tensor(table[:3]) | {"outputs": [{"name": "predict_proba"}]})
        samples = await replica.samples()

    assert [each["name"] for each in metadata["outputs"]] == ["predict"]
    assert [each["name"] for each in answer.json()["outputs"]] == ["predict"]
    assert (wished.status_code, "'predict_proba'" in wished.json()["error"]) == (400, True)
    with pytest.raises(KeyError):
        samples.get(metrics.EXPECTED_CORRECT)


async def test_a_large_request_is_read_beside_the_event_loop(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(5000, 4))
    packed = _pack(tmp_path / "large", LogisticRegression(), table[:100], (table[:100, 0] > 0).astype(int))

    async with replicas.running(replicas.settings(packed)) as replica:
        good = await replica.infer(_tensor(table))
        bad = _tensor(table)
        bad["inputs"][0]["data"][4321][2] = None
        refused = await replica.infer(bad)

    assert len(json.dumps(_tensor(table))) > 300_000
    assert replicas.output(good.json()) == packed.pipeline.predict(table).tolist()
    assert refused.status_code == 400
    assert "'x2', row 4321: null" in refused.json()["error"]


async def test_a_champion_that_cannot_come_back_leaves_the_candidate_answering(
    boosting: Packed, strict: Packed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = Times(lame_duck=0, grace=20, load=0.01, champion_idle=0)
    async with replicas.running(replicas.settings(strict, boosting, times=times)) as replica:
        await replica.predict([replicas.ROW])
        serving = replica.host.stage.serving
        assert serving
        serving.release_idle_champion()

        def load(*_: Any) -> Any:
            raise errors.StoreError("the bucket is gone")

        monkeypatch.setattr(artifact, "load", load)
        alone = await replica.predict([replicas.ROW], Arm.CANARY)
        await replicas.eventually(lambda: "cannot be loaded again: the bucket is gone" in caplog.text)
        again = await replica.infer(replicas.columns([replicas.ROW]), Arm.SHADOW)

    assert alone["model_version"] == "v2"
    assert again.status_code == 503


async def test_requests_that_outlast_the_grace_period_are_cut_off(boosting: Packed) -> None:
    told = replicas.settings(
        boosting, times=Times(lame_duck=0, grace=1, load=1), limits=Limits(body_seconds=60)
    )
    async with replicas.running(told) as replica:
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.host.ports[Arm.SOLO.value])
        writer.write(
            f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode()
        )
        await replicas.eventually(lambda: replica.host.stage.in_flight)
        began = time.monotonic()
        await replica.host.finish(began + 1)
        took = time.monotonic() - began
        writer.close()

    assert took < 5
    assert reader is not None
