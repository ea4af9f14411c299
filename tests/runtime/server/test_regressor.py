"""Servers of models that predict numbers: the answer, the truth that comes home, and what is counted of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from modelmend.contract import log, metrics
from modelmend.contract.arms import Arm
from modelmend.runtime import artifact, packing
from modelmend.runtime.errors import SettingsError
from modelmend.runtime.grading import Grading
from modelmend.runtime.server import process
from modelmend.runtime.server.settings import Life, Logging, ModelRef
from runtime import regressions
from runtime.regressions import FEATURES, LABEL
from runtime.server import replicas
from runtime.server.replicas import MODEL, Packed, Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENTS = regressions.patients()
GRADING = Grading(tolerance=60.0, bound=600.0)


def packed(folder: Path, version: str, shift: float = 0.0) -> Packed:
    pipeline = regressions.linear().fit(PATIENTS[FEATURES], PATIENTS[LABEL] + shift)
    loaded, _ = artifact.pack(
        pipeline,
        PATIENTS[FEATURES],
        PATIENTS[LABEL] + shift,
        uri=(folder / version).as_uri(),
        model=MODEL,
        version=version,
        options=packing.Options(holdout=0),
    )
    return Packed(
        ModelRef(Life(version, f"uid-{version}"), (folder / version).as_uri(), loaded.digest), pipeline
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("regressors")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def numbers(folder: Path) -> AsyncIterator[Replica]:
    """A candidate that says 100 more than its champion."""
    told = replicas.settings(
        packed(folder, "v2", shift=100.0),
        packed(folder, "v1"),
        grading=GRADING,
        logging=Logging(uri=(folder / "log").as_uri(), part_seconds=0.2),
    )
    async with replicas.running(told) as replica:
        yield replica


async def predict(replica: Replica, arm: Arm = Arm.SOLO, rows: int = 1) -> tuple[str, list[float]]:
    inputs = [
        {"name": name, "shape": [rows], "datatype": "FP64", "data": PATIENTS[name][:rows].tolist()}
        for name in FEATURES
    ]
    response = await replica.infer({"inputs": inputs}, arm)
    assert response.status_code == 200, response.text
    answer = response.json()
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("predict", "FP64", [rows])
    return replicas.token(answer), output["data"]


async def test_the_answer_is_the_number_of_the_model(numbers: Replica, folder: Path) -> None:
    _, found = await predict(numbers, rows=3)

    own = artifact.load((folder / "v2").as_uri())
    assert found == own.estimator.predict(PATIENTS[FEATURES][:3]).tolist()
    described = (await numbers.get(f"/models/{MODEL}")).json()
    assert described["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]


async def test_truths_are_counted_as_right_and_by_how_far_they_are(numbers: Replica) -> None:
    before = await numbers.samples()
    for off in (10.0, -60.0, 90.0, 6000.0):
        token, (value,) = await predict(numbers)
        assert await numbers.feedback({"prediction_id": token, "label": value - off}) == [
            {"result": "matched"}
        ]
    after = await numbers.samples()

    def moved(series: str, **labels: str) -> float:
        return after.get(series, version="v2", arm="solo", **labels) - before.get(
            series, version="v2", arm="solo", **labels
        )

    assert (moved(metrics.EVIDENCE, result="right"), moved(metrics.EVIDENCE, result="wrong")) == (2, 2)
    assert moved(metrics.ERRORS, result="rows") == 4
    assert moved(metrics.ERRORS, result="clipped") == pytest.approx(1e6 * (160 / 600 + 1), abs=4)
    squares = 1e6 * ((10**2 + 60**2 + 90**2) / 600**2 + 1)
    assert moved(metrics.ERRORS, result="clipped_squared") == pytest.approx(squares, abs=4)
    assert moved(f"{metrics.ABSOLUTE_ERROR}_count") == 4
    assert moved(f"{metrics.ABSOLUTE_ERROR}_sum") == pytest.approx(6160)
    assert moved(f"{metrics.ABSOLUTE_ERROR}_bucket", le="60.0") == 2
    assert moved(metrics.SQUARED_ERROR) == pytest.approx(10**2 + 60**2 + 90**2 + 6000**2)
    assert moved(metrics.PREDICTIONS) == 4
    assert moved(metrics.FEATURE_BINS, feature=metrics.SCORE_FEATURE) == 4
    assert metrics.EXPECTED_CORRECT not in after.families


@pytest.mark.parametrize("arm", [Arm.SHADOW, Arm.CANARY])
async def test_a_pair_goes_to_who_is_closer_to_the_truth(numbers: Replica, arm: Arm) -> None:
    async def pairs() -> dict[Any, float]:
        return (await numbers.samples()).by(metrics.PAIRED_OUTCOMES, "result", version="v2", arm=str(arm))

    before = await pairs()
    for at, result in (
        (0.0, "candidate_only_wrong"),
        (100.0, "champion_only_wrong"),
        (45.0, "both_right"),  # 55 against 45: less than a quarter of the tolerance lies between.
        (50.0 + 7.0, "both_right"),
        (1e9, "champion_only_wrong"),
    ):
        token, (value,) = await predict(numbers, arm)
        champion = value - 100.0 if arm is Arm.CANARY else value
        (found,) = await numbers.feedback({"prediction_id": token, "label": champion + at}, arm=arm)
        assert found["result"] == "matched"
        after = await pairs()
        moved = {
            name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)
        }
        assert moved == {result: 1}
        before = after
    assert (await numbers.samples()).by(metrics.PAIRED_OUTCOMES, "version", arm=str(arm)).keys() == {"v2"}


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("NaN", "label nan is not a finite number"),
        ("-Infinity", "label -inf is not a finite number"),
        ("1" + "0" * 400, "is not a finite number"),
        ('"151"', "label '151' is not a number, and the model predicts numbers"),
        ("true", "label True is not a number"),
        ("[151]", "label [151] is not a number"),
    ],
)
async def test_a_truth_that_is_no_finite_number_is_refused_alone(
    numbers: Replica, label: str, reason: str
) -> None:
    (token, _), (other, _) = await predict(numbers), await predict(numbers)
    body = f'[{{"prediction_id": "{token}", "label": {label}}}, {{"prediction_id": "{other}", "label": 151}}]'
    response = await numbers.client.post(numbers.url(f"/models/{MODEL}/feedback"), content=body)

    assert response.status_code == 200, response.text
    refused, taken = response.json()["results"]
    assert refused["result"] == "invalid"
    assert reason in refused["reason"]
    assert taken == {"result": "matched"}


async def test_a_body_with_nan_that_is_no_json_is_refused(numbers: Replica) -> None:
    response = await numbers.client.post(numbers.url(f"/models/{MODEL}/feedback"), content='[{"label": NaN')

    assert response.status_code == 400
    assert "not valid JSON" in response.json()["error"]


async def test_rows_of_one_request_are_one_vote_and_all_are_shown(numbers: Replica) -> None:
    before = await numbers.samples()
    token, values = await predict(numbers, rows=5)
    assert await numbers.feedback({"prediction_id": token, "labels": [values[0], None, *values[2:]]}) == [
        {"result": "matched"}
    ]
    assert await numbers.feedback({"prediction_id": token, "label": values[1], "index": 1}) == [
        {"result": "matched"}
    ]
    after = await numbers.samples()

    assert after.get(metrics.ERRORS, result="rows") - before.get(metrics.ERRORS, result="rows") == 1
    shown = f"{metrics.ABSOLUTE_ERROR}_count"
    assert after.get(shown, version="v2") - before.get(shown, version="v2") == 5


async def test_numbers_are_logged_so_that_they_read_back_as_they_were(numbers: Replica, folder: Path) -> None:
    token, (value,) = await predict(numbers)
    truth = 151.1 + 1e-12
    await numbers.feedback({"prediction_id": token, "label": truth})

    def logged(kind: str, column: str) -> list[float]:
        parts = (folder / "log").glob(f"dt=*/{kind}-*.parquet")
        return [float(each) for part in parts for each in pq.read_table(part)[column].to_pylist()]

    await replicas.eventually(
        lambda: truth in logged(log.LABELS, log.LABEL) and value in logged(log.PREDICTIONS, log.PREDICTION)
    )


async def test_without_a_tolerance_truths_are_kept_and_prove_nothing(folder: Path) -> None:
    async with replicas.running(replicas.settings(packed(folder, "v3"))) as replica:
        token, (value,) = await predict(replica)
        assert await replica.feedback({"prediction_id": token, "label": value}) == [{"result": "matched"}]
        samples = await replica.samples()

    assert samples.get(metrics.FEEDBACK, result="matched") == 1
    assert {metrics.ERRORS.removesuffix("_total"), metrics.EVIDENCE.removesuffix("_total")}.isdisjoint(
        samples.families
    )


async def test_a_model_of_classes_is_not_compared_with_one_of_numbers(folder: Path, boosting: Packed) -> None:
    host = process.Host(replicas.settings(packed(folder, "v4"), boosting, grading=GRADING))
    host.start()
    with pytest.raises(SettingsError, match="one predicts numbers and one classes"):
        await host.load()


async def test_a_label_that_is_not_a_number_in_json_is_no_class_either(solo: Replica) -> None:
    token = replicas.token(await solo.predict([replicas.ROW]))
    body = json.dumps([{"prediction_id": token, "label": float("nan")}])
    response = await solo.client.post(solo.url(f"/models/{MODEL}/feedback"), content=body)

    assert "is none of the classes" in response.json()["results"][0]["reason"]
