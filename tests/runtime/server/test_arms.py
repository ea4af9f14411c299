"""Three ports, two models: who answers, what is paired, and that one model's failure is not the other's."""

import threading
import time
import weakref
from typing import Any

import pytest

from modelmend.contract.arms import Arm
from modelmend.runtime.server import tokens
from modelmend.runtime.server.settings import Limits, Times
from runtime.server import replicas
from runtime.server.replicas import KEY, MODEL, ROW, Packed, Replica, Samples

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRANGE = ROW | {"carrier": "ZZ"}
"""The strict model raises for it, the boosting model does not."""


def _read(answer: dict[str, Any]) -> tokens.Prediction:
    return tokens.Signer(KEY, MODEL).open(replicas.token(answer))


def _codes(samples: Samples, version: str, arm: Arm) -> dict[str, float]:
    return samples.by("modelmend_requests_total", "code", version=version, arm=arm)


async def test_both_models_are_in_the_token_of_a_paired_answer(
    pair: Replica, boosting: Packed, strict: Packed
) -> None:
    rows = [ROW, ROW | {"wind": -2.0}]
    shadow, canary = [_read(await pair.predict(rows, arm)) for arm in (Arm.SHADOW, Arm.CANARY)]
    solo = _read(await pair.predict(rows))

    champion = tuple(boosting.pipeline.predict(replicas.table(rows, boosting)))
    candidate = tuple(strict.pipeline.predict(replicas.table(rows, strict)))
    assert (shadow.answered, shadow.paired) == (champion, candidate)
    assert (canary.answered, canary.paired) == (candidate, champion)
    assert (solo.answered, solo.paired, solo.beside) == (candidate, None, None)
    assert (shadow.answerer, shadow.beside) == (boosting.reference.life, strict.reference.life)
    assert (canary.answerer, canary.beside) == (strict.reference.life, boosting.reference.life)


async def test_a_candidate_that_raises_in_shadow_costs_the_pair_and_not_the_answer(
    boosting: Packed, strict: Packed
) -> None:
    async with replicas.running(replicas.settings(strict, boosting)) as replica:
        answers = [await replica.predict([row], Arm.SHADOW) for row in (ROW, STRANGE, STRANGE)]
        await replica.feedback(
            *({"prediction_id": replicas.token(each), "label": "late"} for each in answers)
        )
        samples = await replica.samples()

    assert [each["model_version"] for each in answers] == ["v1"] * 3
    assert [_read(each).paired is None for each in answers] == [False, True, True]
    assert _codes(samples, "v1", Arm.SHADOW) == {"200": 3}
    assert _codes(samples, "v2", Arm.SHADOW) == {"200": 1, "500": 2}
    assert samples.get("modelmend_evidence_total", version="v1", arm="shadow") == 3
    assert samples.get("modelmend_paired_outcomes_total", version="v2", arm="shadow") == 1


async def test_a_champion_that_raises_in_canary_costs_the_pair_and_not_the_answer(
    boosting: Packed, strict: Packed
) -> None:
    async with replicas.running(replicas.settings(boosting, strict)) as replica:
        answers = [await replica.predict([row], Arm.CANARY) for row in (ROW, STRANGE)]
        await replica.feedback(
            *({"prediction_id": replicas.token(each), "label": "late"} for each in answers)
        )
        samples = await replica.samples()

    assert [each["model_version"] for each in answers] == ["v1"] * 2
    assert [_read(each).paired is None for each in answers] == [False, True]
    assert _codes(samples, "v1", Arm.CANARY) == {"200": 2}
    assert samples.get("modelmend_evidence_total", version="v1", arm="canary") == 2
    assert samples.get("modelmend_paired_outcomes_total", version="v1", arm="canary") == 1
    with pytest.raises(KeyError):
        samples.get("modelmend_requests_total", version="v2", arm="canary")


async def test_a_model_that_raises_on_its_own_answers_500_without_traceback(pair: Replica) -> None:
    for arm in (Arm.SOLO, Arm.CANARY):
        before = _codes(await pair.samples(), "v2", arm).get("500", 0)
        response = await pair.infer(replicas.columns([STRANGE]), arm)

        assert response.status_code == 500
        assert response.json() == {
            "error": "the model could not score this request: the reason is in the server's log"
        }
        assert _codes(await pair.samples(), "v2", arm)["500"] == before + 1


async def test_a_candidate_that_hangs_in_shadow_delays_one_answer_by_the_patience_and_no_other(
    boosting: Packed, strict: Packed
) -> None:
    told = replicas.settings(strict, boosting, limits=Limits(pair_seconds=1.0))
    async with replicas.running(told) as replica:
        release = threading.Event()
        lane = _hang(replica, Arm.SHADOW, release)
        first = await replica.predict([ROW], Arm.SHADOW)
        began = time.perf_counter()
        later = [await replica.predict([ROW], Arm.SHADOW) for _ in range(5)]
        took = time.perf_counter() - began
        solo = await replica.predict([ROW])
        slow = await replica.samples()
        lane._state.overdue_since = time.monotonic() - 30
        await replica.predict([ROW], Arm.SHADOW)
        lost = await replica.samples()
        release.set()

        async def paired() -> bool:
            return _read(await replica.predict([ROW], Arm.SHADOW)).paired is not None

        await replicas.eventually(paired)

    duration = "modelmend_request_duration_seconds_sum"
    assert [_read(each).paired for each in (first, *later)] == [None] * 6
    assert took < 5 * 1.0
    assert solo["model_version"] == "v2"
    assert _codes(slow, "v1", Arm.SHADOW) == {"200": 6}
    # What the champion's answers took holds none of the wait for the candidate.
    assert slow.get(duration, version="v1", arm="shadow") < 1.0
    # A candidate that is late is slow; one that stays away longer than a client would wait has failed.
    assert _codes(slow, "v2", Arm.SHADOW) == {"200": 6}
    assert slow.get(duration, version="v2", arm="shadow") >= 6 * 1.0
    assert _codes(lost, "v2", Arm.SHADOW) == {"200": 6, "504": 1}


async def test_a_model_that_hangs_answers_504_and_the_pod_dies_of_it(boosting: Packed) -> None:
    told = replicas.settings(
        boosting, limits=Limits(answer_seconds=0.1), times=Times(lame_duck=0, grace=1, load=1)
    )
    async with replicas.running(told) as replica:
        release = threading.Event()
        lane = _hang(replica, Arm.SOLO, release, beside=False)
        responses = [await replica.infer(replicas.columns([ROW])) for _ in range(2)]
        live = await replica.get("/health/live")
        lane._state.overdue_since = time.monotonic() - 61
        dead, unready = await replica.get("/health/live"), await replica.get("/health/ready")
        release.set()

    assert [each.status_code for each in responses] == [504, 504]
    assert (live.status_code, dead.status_code, unready.status_code) == (200, 503, 503)


def _hang(replica: Replica, arm: Arm, release: threading.Event, *, beside: bool = True) -> Any:
    """Makes one model of an arm wait inside `predict`; its lane."""
    assert replica.host.stage.serving
    lane = replica.host.stage.serving.arm(arm).lanes[1 if beside else 0]
    real = lane._model()

    class Hanging:
        def frame(self, columns: Any) -> Any:
            return real.frame(columns)

        def predict(self, table: Any) -> Any:
            release.wait(30)
            return real.predict(table)

    lane._model = Hanging
    return lane


async def test_the_champion_leaves_memory_after_a_promotion_and_comes_back_when_asked_for(
    boosting: Packed, strict: Packed
) -> None:
    told = replicas.settings(strict, boosting, times=Times(lame_duck=0, grace=20, load=5, champion_idle=0.05))
    async with replicas.running(told) as replica:
        serving = replica.host.stage.serving
        assert serving
        champion = serving.arm(Arm.SHADOW)._answerer.slot

        # Silence alone is no promotion: a candidate that waits for approval keeps its champion.
        await replica.predict([ROW], Arm.SHADOW)
        serving._paired_at -= 1
        serving.release_idle_champion()
        assert champion.is_ready

        async def release() -> None:
            in_memory = weakref.ref(champion.require().estimator)
            await replica.predict([ROW])
            serving._paired_at -= 1
            serving.release_idle_champion()
            assert not champion.is_ready
            assert in_memory() is None

        await release()
        ready, solo = await replica.get("/health/ready"), await replica.predict([ROW])
        alone = await replica.predict([ROW], Arm.CANARY)
        await replicas.eventually(lambda: champion.is_ready)

        await release()
        refused = await replica.infer(replicas.columns([ROW]), Arm.SHADOW)
        await replicas.eventually(lambda: champion.is_ready)
        shadow, canary = [await replica.predict([ROW], arm) for arm in (Arm.SHADOW, Arm.CANARY)]

    assert ready.status_code == 200
    assert solo["model_version"] == alone["model_version"] == "v2"
    assert _read(alone).paired is None
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "is being loaded" in refused.json()["error"]
    assert None not in (_read(shadow).paired, _read(canary).paired)
