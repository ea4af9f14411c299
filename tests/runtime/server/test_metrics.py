"""The numbers that operator and Prometheus read are exactly what was sent, over all replicas together."""

import asyncio
from collections import Counter
from typing import Any

import numpy as np
import pytest

from modelmend.contract import manifest, metrics
from modelmend.contract.arms import Arm
from modelmend.runtime import artifact, reference
from modelmend.runtime.server import batches, binning, tally, tensors, tokens
from runtime import worlds
from runtime.server import replicas
from runtime.server.replicas import CLASSES, KEY, MODEL, Packed, Replica, Samples

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [
        {
            "hour": int(random.integers(0, 24)),
            "wind": float(random.normal()),
            "carrier": str(random.choice(worlds.CARRIERS)),
            "weekend": bool(random.random() < 0.3),
        }
        for _ in range(count)
    ]


def _sum(samples: list[Samples], series: str, *names: str, **labels: str) -> dict[Any, float]:
    total: Counter[Any] = Counter()
    for each in samples:
        total.update(each.by(series, *names, **labels))
    return dict(total)


async def _counted(replica: Replica, series: str, number: float, **labels: str) -> Samples:
    """The samples once the batches' follow-ups are through: they come after the answers."""
    seen: list[Samples] = []

    async def done() -> bool:
        seen[:] = [await replica.samples()]
        return seen[0].get(series, **labels) == number

    await replicas.eventually(done)
    return seen[0]


async def test_every_series_is_there_at_zero_before_the_first_request(
    boosting: Packed, strict: Packed
) -> None:
    async with replicas.running(replicas.settings(strict, boosting)) as replica:
        samples = await replica.samples()

    always = {metrics.MODEL, metrics.VERSION, metrics.ROLLOUT, metrics.ARM, metrics.PROCESS}
    for family in samples.families.values():
        for sample in family.samples:
            assert always <= sample.labels.keys()
            assert "namespace" not in sample.labels
            if family.type != "gauge":
                assert sample.value == 0
    for version, arm in (("v2", "solo"), ("v1", "shadow"), ("v2", "canary")):
        who = {"version": version, "arm": arm}
        assert samples.get(metrics.REQUESTS, code="200", **who) == 0
        assert samples.get(metrics.REQUESTS, code="500", **who) == 0
        assert samples.get(metrics.EVIDENCE, result="wrong", **who) == 0
        assert samples.get(metrics.PREDICTIONS, **{"class": "late"}, **who) == 0
        assert samples.get(metrics.OUTCOMES, predicted="late", actual="on time", **who) == 0
        assert samples.get(metrics.FEATURE_BINS, feature="carrier", bin="AA", **who) == 0
        assert samples.get(metrics.EXPECTED_CORRECT, **who) == 0
        assert samples.get(metrics.SCORED, **who) == 0
        for figure in metrics.Scored:
            assert samples.get(metrics.SCORED_EVIDENCE, figure=figure, **who) == 0
        assert samples.get(metrics.LOG_DROPPED, part="predictions", **who) == 0
    for arm in ("shadow", "canary"):
        for result in metrics.Paired:
            assert samples.get(metrics.PAIRED_OUTCOMES, version="v2", arm=arm, result=result) == 0
    assert samples.get(metrics.REQUESTS, version="v2", arm="shadow", code="500") == 0


async def test_reference_and_digest_are_exported_for_both_models(
    pair: Replica, boosting: Packed, strict: Packed
) -> None:
    samples = await pair.samples()

    for packed in (boosting, strict):
        model = artifact.load(packed.reference.uri)
        version = packed.reference.life.version
        assert samples.get(metrics.MODEL_INFO, version=version, digest=packed.reference.digest) == 1
        histograms: dict[str, Any] = {
            **model.reference.features,
            metrics.SCORE_FEATURE: model.reference.score,
        }
        histograms[metrics.CLASS_FEATURE] = model.reference.classes
        for feature, histogram in histograms.items():
            # The score and the class were counted on the holdout, the inputs on what was fitted.
            rows = samples.get(metrics.REFERENCE_ROWS, version=version, feature=feature)
            assert rows == sum(histogram.counts)
            blocks = samples.by(metrics.REFERENCE_BLOCK, "figure", version=version, feature=feature)
            assert blocks == ({} if histogram.blocks is None else histogram.blocks.to_json())
            fractions = samples.by(metrics.REFERENCE_BIN_FRACTION, "bin", version=version, feature=feature)
            assert set(fractions) == set(histogram.bins)
            assert sum(fractions.values()) == pytest.approx(1)


async def test_every_counter_equals_what_was_sent_over_three_replicas(
    boosting: Packed, strict: Packed
) -> None:
    """Two candidate pods answer on their three ports, a champion pod answers too, and feedback goes to any of them."""
    sent = {arm: [_rows(count, seed) for seed, count in enumerate((1, 3, 1, 7, 1, 2))] for arm in Arm}
    told = replicas.settings(strict, boosting)
    async with (
        replicas.running(told) as first,
        replicas.running(told) as second,
        replicas.running(replicas.settings(boosting)) as alone,
    ):
        replicas_in_turn = [first, second, alone]
        asked = [(arm, rows, (first, second)[at % 2]) for arm in Arm for at, rows in enumerate(sent[arm])]
        answers = await asyncio.gather(*(replica.predict(rows, arm) for arm, rows, replica in asked))
        truths = [["late" if row["wind"] > 0 else "on time" for row in rows] for _, rows, _ in asked]
        items = [
            {"prediction_id": replicas.token(answer), "labels": truth}
            for answer, truth in zip(answers, truths, strict=True)
        ]
        for at, item in enumerate(items):
            assert await replicas_in_turn[at % 3].feedback(item) == [{"result": "matched"}]
        total = float(sum(len(rows) for rows in sent[Arm.SOLO]))
        for replica in (first, second):
            mine = float(
                sum(len(rows) for arm, rows, asked_of in asked if asked_of is replica and arm is Arm.SHADOW)
            )
            # The candidate is the last to be counted in shadow, the champion on the others.
            await _counted(replica, metrics.PREDICTIONS, mine, version="v2", arm="shadow")
        samples = [await replica.samples() for replica in replicas_in_turn]

    signer = tokens.Signer(KEY, MODEL)
    for arm in Arm:
        version, packed = ("v1", boosting) if arm is Arm.SHADOW else ("v2", strict)
        who = {"version": version, "rollout": f"uid-{version}", "arm": arm.value}
        rows = [row for request in sent[arm] for row in request]
        of_arm = [
            (signer.open(replicas.token(answer)), truth)
            for (asked_arm, _, _), answer, truth in zip(asked, answers, truths, strict=True)
            if asked_arm is arm
        ]
        predicted = packed.pipeline.predict(replicas.table(rows, packed)).tolist()
        actual = [label for _, truth in of_arm for label in truth]

        assert _sum(samples, metrics.REQUESTS, "code", **who) == {"200": 6}
        assert _sum(samples, f"{metrics.REQUEST_DURATION}_count", "arm", **who) == {arm.value: 6}
        assert _sum(samples, metrics.PREDICTIONS, "class", **who) == Counter(predicted)
        assert _sum(samples, metrics.OUTCOMES, "predicted", "actual", **who) == Counter(
            zip(predicted, actual, strict=True)
        )
        assert _sum(samples, metrics.FEEDBACK, "result", **who) == {"matched": 6}
        assert _sum(samples, f"{metrics.LABEL_DELAY}_count", "arm", **who) == {arm.value: 6}
        right = Counter(
            "right" if read.answered[read.evidence_row] == truth[read.evidence_row] else "wrong"
            for read, truth in of_arm
        )
        assert _sum(samples, metrics.EVIDENCE, "result", **who) == right
        counted = Counter(
            (read.answered[read.evidence_row], truth[read.evidence_row]) for read, truth in of_arm
        )
        assert _sum(samples, metrics.EVIDENCE, "predicted", "actual", **who) == counted
        sure = packed.pipeline.predict_proba(replicas.table(rows, packed)).max(axis=1)
        assert _sum(samples, metrics.EXPECTED_CORRECT, "arm", **who) == {arm.value: pytest.approx(sure.sum())}
        assert _sum(samples, metrics.SCORED, "arm", **who) == {arm.value: len(rows)}
        starts = np.cumsum([0, *(len(request) for request in sent[arm])])
        counted_rows = [
            int(at) + read.evidence_row for at, (read, _) in zip(starts[:-1], of_arm, strict=True)
        ]
        assert _sum(samples, metrics.SCORED_EVIDENCE, "figure", **who) == {
            "rows": 6,
            "right": right["right"],
            "expected": pytest.approx(sum(sure[at] for at in counted_rows), abs=6 / 510),
        }
        _assert_bins(samples, artifact.load(packed.reference.uri), rows, who)
        assert total == len(rows)
        if arm is not Arm.SOLO:
            candidate = {"version": "v2", "rollout": "uid-v2", "arm": arm.value}
            assert _sum(samples, metrics.PAIRED_OUTCOMES, "result", **candidate) == _pairs(arm, of_arm)
    judged = strict.pipeline.predict(
        replicas.table([row for rows in sent[Arm.SHADOW] for row in rows], strict)
    )
    shadow = {"version": "v2", "arm": "shadow"}
    assert _sum(samples, metrics.REQUESTS, "code", **shadow) == {"200": 6}
    assert _sum(samples, metrics.PREDICTIONS, "class", **shadow) == Counter(judged.tolist())
    assert not _sum(samples, metrics.FEATURE_BINS, "bin", **shadow)
    assert not _sum(samples, metrics.EVIDENCE, "result", **shadow)


def _assert_bins(
    samples: list[Samples], model: artifact.LoadedModel, rows: list[dict[str, Any]], who: dict[str, str]
) -> None:
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in replicas.FEATURES}
    for name, histogram in model.reference.features.items():
        expected = Counter(histogram.bins[at] for at in model.bins(name, columns[name]))
        assert _sum(samples, metrics.FEATURE_BINS, "bin", feature=name, **who) == expected
    indices, probabilities = model.predict(model.frame(columns))
    assert probabilities is not None
    assert model.reference.score is not None
    scores = Counter(
        model.reference.score.bins[at] for at in model.reference.score.index(model.scores(probabilities))
    )
    assert _sum(samples, metrics.FEATURE_BINS, "bin", feature=metrics.SCORE_FEATURE, **who) == scores
    classes = Counter(CLASSES[at] for at in indices)
    assert _sum(samples, metrics.FEATURE_BINS, "bin", feature=metrics.CLASS_FEATURE, **who) == classes


def _pairs(arm: Arm, requests: list[tuple[tokens.Prediction, list[str]]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for read, truth in requests:
        assert read.paired is not None
        row = read.evidence_row
        answered, beside = read.answered[row] == truth[row], read.paired[row] == truth[row]
        candidate, champion = (beside, answered) if arm is Arm.SHADOW else (answered, beside)
        names = {
            (1, 1): "both_right",
            (0, 1): "candidate_only_wrong",
            (1, 0): "champion_only_wrong",
            (0, 0): "both_wrong",
        }
        counts[names[candidate, champion]] += 1
    return dict(counts)


async def test_refusals_are_counted_by_code_and_not_timed(boosting: Packed) -> None:
    async with replicas.running(replicas.settings(boosting)) as replica:
        for _ in range(3):
            await replica.infer({"inputs": []})
        await replica.client.post(replica.url(f"/models/{MODEL}/infer"), content=b"x" * (5 * 1024 * 1024))
        await replica.get(f"/models/{MODEL}/infer")
        samples = await replica.samples()

    assert samples.by(metrics.REQUESTS, "code") == {"400": 3, "413": 1}
    assert samples.get(f"{metrics.REQUEST_DURATION}_count") == 0


async def test_invalid_expired_and_doubled_feedback_is_counted(boosting: Packed) -> None:
    async with replicas.running(replicas.settings(boosting)) as replica:
        item = {"prediction_id": replicas.token(await replica.predict(_rows(1))), "label": "late"}
        old = tokens.Mint(tokens.Signer(KEY, MODEL), Arm.SOLO, (boosting.reference.life, CLASSES)).mint(
            bytes(12), 0, [0]
        )
        await replica.feedback(
            item, item, {"prediction_id": "forged", "label": "late"}, {"prediction_id": old, "label": "late"}
        )
        samples = await replica.samples()

    assert samples.by(metrics.FEEDBACK, "result") == {
        "matched": 1,
        "duplicate": 1,
        "invalid": 1,
        "expired": 1,
    }
    assert samples.get(metrics.EVIDENCE) == 1


async def test_prepared_bins_are_those_of_the_artifact(boosting: Packed, strict: Packed) -> None:
    columns = {
        "hour": np.array([0.0, 5, 23, 24, -1, 1e18]),
        "wind": np.array([np.nan, -9, 9, 0, 1e-300, 0.1]),
        "carrier": ["AA", "UA", None, "ZZ", "B6", "__other__"],
        "weekend": np.array([0.0, 1, np.nan, 1, 0, 0]),
    }
    for packed in (boosting, strict):
        model = artifact.load(packed.reference.uri)
        binner = binning.Binner(model)
        counts = binner.count(columns)

        at = 0
        for name, names in binner.bins:
            expected = np.bincount(model.bins(name, columns[name]), minlength=len(names))
            assert counts[at : at + len(names)].tolist() == expected.tolist()
            at += len(names)


@pytest.mark.parametrize("edges", [(), (0.0,), (-1.0, 0.5, 2.0)])
async def test_a_prepared_index_is_that_of_the_reference(edges: tuple[float, ...]) -> None:
    histogram = reference.Numeric(edges=edges, counts=(0,) * (len(edges) + 2))
    values = np.array([-np.inf, -1, -0.5, 0, 0.5, 2, 3, np.inf, np.nan])

    assert binning.numeric_index(histogram)(values).tolist() == histogram.index(values).tolist()


async def test_merged_requests_keep_their_order() -> None:
    features = (
        manifest.Feature(name="a", datatype=manifest.Datatype.FP64),
        manifest.Feature(name="b", datatype=manifest.Datatype.BYTES),
    )
    rows = [tensors.Rows(2, [[1.0, 2.0], ["x", "y"]]), tensors.Rows(1, [[3.0], [None]])]

    merged = batches.merged(features, rows)

    assert merged["a"].tolist() == [1, 2, 3]
    assert merged["b"] == ["x", "y", None]


async def test_classes_beyond_those_counted_apart_have_one_name_and_keep_their_result() -> None:
    labelled = tally.Labelled()
    for each in range(tally.CLASSES_MAX**2):
        labelled.count_evidence(f"c{each}", f"c{each}")
    for predicted, actual in [("new", "new"), ("new", "c1"), ("c1", "new"), ("c1", "c1")]:
        labelled.count_evidence(predicted, actual)

    assert len(labelled.evidence) == tally.CLASSES_MAX**2 + 2
    assert labelled.evidence[metrics.Evidence.RIGHT, tally.OTHER, tally.OTHER] == 1
    assert labelled.evidence[metrics.Evidence.WRONG, tally.OTHER, tally.OTHER] == 2
    assert labelled.evidence[metrics.Evidence.RIGHT, "c1", "c1"] == 2


async def test_scores_that_are_no_numbers_are_left_out_of_the_sums_for_ever() -> None:
    counted = tally.Served(("no", "yes"), None, reference.graded(np.array([0.2, 0.8])))
    table = np.array([[0.25, 0.75], [np.nan, 0.5], [np.inf, 0.0], [1.0 + 1e-12, 0.0]])
    odd = batches.scored(np.array([1, 1, 0, 0]), table)

    counted.predicted(odd, {})
    counted.predicted(batches.scored(np.array([1]), np.array([[np.nan, np.nan]])), {})

    assert (counted.scored_rows, counted.expected_correct) == (2, 1.75)
    assert counted.predictions.tolist() == [2, 3]


async def test_model_without_probabilities_counts_no_scores() -> None:
    counted = tally.Served(("no", "yes"), None, None)
    counted.predicted(batches.scored(np.array([1, 0])), {})

    assert (counted.has_scores, counted.scored_rows, counted.expected_correct) == (False, 0, 0.0)
