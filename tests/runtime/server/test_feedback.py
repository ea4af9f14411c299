"""Labels for signed prediction ids: what is counted, what is refused, and that any replica may be asked."""

import time
from typing import Any

import pytest

from modelmend.contract import metrics
from modelmend.contract.arms import Arm
from modelmend.runtime.server import feedback, journal, tally, tokens
from modelmend.runtime.server.settings import Feedback, Life, Logging
from runtime.server import replicas
from runtime.server.replicas import CLASSES, KEY, MODEL, ROW, Packed, Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _forged(key: bytes = KEY, model: str = MODEL, age: float = 0.0, number: int = 0) -> str:
    mint = tokens.Mint(tokens.Signer(key, model), Arm.SOLO, (Life("v1", "uid-v1"), CLASSES))
    return mint.mint(number.to_bytes(12, "big"), time.time() - age, [0])


def _scratched(token: str) -> str:
    """One character of the signature changed; not the last one, whose low bits may mean nothing."""
    return f"{token[:-5]}{'A' if token[-5] != 'A' else 'B'}{token[-4:]}"


async def test_a_label_is_matched_once(solo: Replica) -> None:
    token = replicas.token(await solo.predict([ROW]))

    first = await solo.feedback({"prediction_id": token, "label": "late"})
    again = await solo.feedback(
        {"prediction_id": token, "label": "late"}, {"prediction_id": token, "labels": ["on time"]}
    )

    assert first == [{"result": "matched"}]
    assert [each["result"] for each in again] == ["duplicate", "duplicate"]
    assert "already" in again[0]["reason"]


async def test_a_token_doubled_in_one_batch_is_counted_once(solo: Replica) -> None:
    item = {"prediction_id": replicas.token(await solo.predict([ROW])), "label": "late"}

    results = await solo.feedback(item, item)

    assert [each["result"] for each in results] == ["matched", "duplicate"]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (_forged(key=bytes(32)), "signature does not match"),
        (_forged(model="other"), "signature does not match"),
        (_scratched(_forged()), "signature does not match"),
        ("AAAA", "signature does not match"),
        ("", "signature does not match"),
        ("not base64!", "not base64url"),
        ("ä", "foreign characters"),
    ],
    # Tokens carry the time, and names of tests must be the same in every process.
    ids=["another key", "another model", "one character", "too short", "empty", "spaces", "no ASCII"],
)
async def test_a_foreign_token_is_invalid(solo: Replica, token: str, reason: str) -> None:
    (result,) = await solo.feedback({"prediction_id": token, "label": "late"})

    assert result["result"] == "invalid"
    assert reason in result["reason"]


async def test_an_old_token_is_expired(solo: Replica) -> None:
    (result,) = await solo.feedback({"prediction_id": _forged(age=31 * 86400), "label": "late"})

    assert result["result"] == "expired"
    assert "30 days" in result["reason"]


async def test_a_token_of_a_pod_whose_clock_is_ahead_is_matched_without_a_delay(solo: Replica) -> None:
    before = (await solo.samples()).get("modelmend_label_delay_seconds_sum")

    (result,) = await solo.feedback({"prediction_id": _forged(age=-240, number=1), "label": "late"})

    assert result["result"] == "matched"
    assert (await solo.samples()).get("modelmend_label_delay_seconds_sum") == before


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"label": "Late"}, "'Late' is none of the classes: late, on time"),
        ({"label": 1}, "1 is none of the classes"),
        ({"label": ["late"]}, "neither text, a number nor a boolean"),
        ({"label": {"a": 1}}, "neither text, a number nor a boolean"),
        ({}, "either labels"),
        ({"label": None}, "either labels"),
        ({"label": "late", "labels": ["late"]}, "either labels"),
        ({"labels": []}, "covers 1 rows"),
        ({"labels": ["late", "late"]}, "covers 1 rows"),
        ({"labels": [None]}, "every entry is null"),
        ({"labels": "late"}, "$.labels"),
        ({"label": "late", "index": 1}, "index 1 is outside"),
        ({"label": "late", "index": -1}, "index -1 is outside"),
        ({"label": "late", "timestamp": "yesterday"}, "RFC 3339"),
        ({"label": "late", "timestamp": "2999-01-01T00:00:00Z"}, "in the future"),
        ({"label": "late", "timestamp": -5}, "in the future or no Unix time"),
        ({"label": "late", "timestamp": 1e300}, "in the future or no Unix time"),
    ],
)
async def test_an_item_that_makes_no_sense_is_invalid_and_leaves_the_token_usable(
    solo: Replica, item: dict[str, Any], reason: str
) -> None:
    token = replicas.token(await solo.predict([ROW]))

    refused, matched = await solo.feedback(
        {"prediction_id": token} | item, {"prediction_id": token, "label": "late"}
    )

    assert refused["result"] == "invalid"
    assert reason in refused["reason"]
    assert matched["result"] == "matched"


@pytest.mark.parametrize(
    "item", [7, None, "late", [], {"label": "late"}, {"prediction_id": 7, "label": "late"}]
)
async def test_what_is_no_item_is_invalid_and_the_rest_of_the_batch_counts(solo: Replica, item: Any) -> None:
    good = {"prediction_id": replicas.token(await solo.predict([ROW])), "label": "late"}

    results = await solo.feedback(item, good)

    assert [each["result"] for each in results] == ["invalid", "matched"]


async def test_rows_may_be_labelled_one_by_one(solo: Replica) -> None:
    token = replicas.token(await solo.predict([ROW] * 3))

    unclear, first, rest, last = await solo.feedback(
        {"prediction_id": token, "label": "late"},
        {"prediction_id": token, "label": "late", "index": 1},
        {"prediction_id": token, "labels": ["late", "late", None]},
        {"prediction_id": token, "labels": [None, None, "on time"]},
    )

    assert (unclear["result"], "3 rows" in unclear["reason"]) == ("invalid", True)
    assert first == {"result": "matched"}
    assert rest == {"result": "matched", "reason": "1 of 2 rows had their labels already"}
    assert last == {"result": "matched"}


async def test_one_item_needs_no_list(solo: Replica) -> None:
    token = replicas.token(await solo.predict([ROW]))

    response = await solo.client.post(
        solo.url(f"/models/{MODEL}/feedback"), json={"prediction_id": token, "label": "late"}
    )

    assert response.json() == {"model_name": MODEL, "results": [{"result": "matched"}]}


async def test_the_time_of_the_label_gives_the_delay(solo: Replica) -> None:
    before = (await solo.samples()).get("modelmend_label_delay_seconds_sum")
    at = time.time()

    for timestamp in (at + 100, "2020-01-01T00:00:00+00:00"):
        token = replicas.token(await solo.predict([ROW]))
        (result,) = await solo.feedback({"prediction_id": token, "label": "late", "timestamp": timestamp})
        assert result["result"] == "matched"

    # A clock that is a little ahead, and a label older than its prediction, both count as no delay.
    assert (await solo.samples()).get("modelmend_label_delay_seconds_sum") - before < 60


async def test_the_memory_of_duplicates_is_bounded(boosting: Packed) -> None:
    told = replicas.settings(boosting, feedback=Feedback(key=KEY, remembered=2))
    async with replicas.running(told) as replica:
        items = [
            {"prediction_id": replicas.token(await replica.predict([ROW])), "label": "late"} for _ in range(3)
        ]
        results = await replica.feedback(*items, *reversed(items))

    assert [each["result"] for each in results[:3]] == ["matched"] * 3
    # The oldest of three was forgotten when the third came.
    assert [each["result"] for each in results[3:]] == ["duplicate", "duplicate", "matched"]


async def test_a_replica_that_never_loaded_the_version_counts_for_it(solo: Replica, pair: Replica) -> None:
    tokens_by_arm = {arm: replicas.token(await pair.predict([ROW], arm)) for arm in Arm}

    results = await solo.feedback(
        *({"prediction_id": each, "label": "late"} for each in tokens_by_arm.values())
    )
    samples = await solo.samples()

    assert [each["result"] for each in results] == ["matched"] * 3
    for arm, version in ((Arm.SOLO, "v2"), (Arm.SHADOW, "v1"), (Arm.CANARY, "v2")):
        assert (
            samples.get("modelmend_evidence_total", version=version, rollout=f"uid-{version}", arm=arm) >= 1
        )
    for arm in (Arm.SHADOW, Arm.CANARY):
        assert samples.get("modelmend_paired_outcomes_total", version="v2", rollout="uid-v2", arm=arm) >= 1


async def test_labels_of_whole_numbers_and_booleans_match_their_class() -> None:
    signer, ledger = tokens.Signer(KEY, MODEL), tally.Ledger()
    silent = journal.Journal(Logging(), "p", ledger)
    desk = feedback.Desk(Feedback(key=KEY), signer, ledger, silent, ["0", "1"])
    results = []
    for classes, label in (
        (("0", "1"), "1.0"),
        (("0", "1"), "1"),
        (("0", "1"), "true"),
        (("false", "true"), "true"),
    ):
        token = tokens.Mint(signer, Arm.SOLO, (Life("v", "r"), classes)).mint(
            len(results).to_bytes(12, "big"), time.time(), [1]
        )
        body = f'{{"prediction_id": "{token}", "label": {label}}}'.encode()
        results += [each.result.value for each in await desk.accept(body, tally.Labelled())]

    assert results == ["matched", "matched", "invalid", "matched"]


async def test_large_batches_are_counted_and_larger_ones_refused(solo: Replica) -> None:
    items = [{"prediction_id": "forged", "label": "late"}] * 120

    results = await solo.feedback(*items)
    refused = await solo.client.post(solo.url(f"/models/{MODEL}/feedback"), json=[1] * 10_001)

    assert [each["result"] for each in results] == ["invalid"] * 120
    assert refused.status_code == 413
    assert "10000" in refused.json()["error"]


async def test_labels_of_an_older_token_without_a_score_count_as_evidence_alone(solo: Replica) -> None:
    before = await solo.samples()
    assert await solo.feedback({"prediction_id": _forged(), "label": "late"}) == [{"result": "matched"}]
    after = await solo.samples()

    def told(samples: Any, series: str) -> dict[Any, float]:
        return dict(samples.by(series, "figure" if series == metrics.SCORED_EVIDENCE else "result"))

    assert told(after, metrics.SCORED_EVIDENCE) == told(before, metrics.SCORED_EVIDENCE)
    assert sum(told(after, metrics.EVIDENCE).values()) == sum(told(before, metrics.EVIDENCE).values()) + 1
