"""The one line by which a Job's pod speaks to the operator: it fits, comes back as it went, and garbage is a failure."""

import json
from datetime import UTC, datetime

import pytest

from modelmend.contract import manifest, result, slices, storage
from modelmend.contract.manifest import LabelDelay, Window
from modelmend.runtime import scoring

DIGEST = "sha256:" + "a" * 64
MADE = result.Succeeded(
    digest=DIGEST,
    uri="pvc://ml/flights/artifacts/a",
    rows=960,
    metrics={"accuracy": 0.91},
    evaluation=result.Evaluation(a=5, b=60, c=935),
    warnings=("whether the champion has learnt from the holdout is unknown",),
)


@pytest.mark.parametrize("said", [MADE, result.Failed(error="too few labelled rows: “12”")])
def test_what_goes_in_comes_out(said):
    line = result.encode(said)
    assert "\n" not in line
    assert result.decode(line) == said
    assert result.decode(f"what a library printed before\n{line}\n") == said


@pytest.mark.parametrize("letter", ["x", "é", "→", "\N{ROCKET}"])
def test_a_long_sentence_keeps_its_beginning(letter):
    line = result.encode(result.Failed(error="column: " + letter * 10_000))
    assert len(line.encode()) <= result.LIMIT
    found = result.decode(line)
    assert isinstance(found, result.Failed)
    assert found.error.startswith(f"column: {letter * 100}")
    assert found.error.endswith("…")


def test_warnings_go_before_the_artifact_does():
    line = result.encode(MADE.model_copy(update={"warnings": ("w" * 1000,) * 9}))
    assert len(line.encode()) <= result.LIMIT
    found = result.decode(line)
    assert isinstance(found, result.Succeeded)
    assert len(found.warnings) == 3
    assert found.evaluation == MADE.evaluation


def test_metrics_that_do_not_fit_are_a_failure_that_says_so():
    line = result.encode(MADE.model_copy(update={"metrics": {f"metric-{n}": 0.5 for n in range(500)}}))
    found = result.decode(line)
    assert isinstance(found, result.Failed)
    assert "the limit is 4096: report fewer metrics" in found.error


@pytest.mark.parametrize(
    "message",
    [
        "epoch 1 of 9",
        "Traceback (most recent call last):\n  File",
        "\x00\x01",
        "[" * 4096,
        "[1]",
        "null",
        '"digest"',
        "{}",
        '{"error": null}',
        '{"kind": "Maybe"}',
        '{"kind": "Succeeded"}',
        json.dumps({"digest": DIGEST}),
        json.dumps({"digest": "sha256:short", "uri": "s3://a/b"}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "evaluation": {"a": -1, "b": 0, "c": 0}}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "metrics": {"accuracy": "good"}}),
        result.encode(MADE)[:100],
        # Each of these is a result but for one value, which the API server or our own JSON would refuse for ever.
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "metrics": {"accuracy": float("nan")}}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "metrics": {"loss": float("inf")}}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "rows": 10**30}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "evaluation": {"a": 10**30, "b": 0, "c": 0}}),
        json.dumps({"digest": DIGEST, "uri": "s3://a/b", "label_delay": {"p50": -1, "p90": 0, "p99": 0}}),
        json.dumps({"digest": DIGEST, "uri": ""}),
        '{"error": "half a pair: \\ud800"}',
    ],
)
def test_garbage_is_a_failure_that_quotes_its_beginning(message):
    found = result.decode(message)
    assert isinstance(found, result.Failed)
    assert found.error.startswith(
        f"the Job's termination message is not a result: {message.strip()[:10]!r}"[:-1]
    )
    assert "\n" not in found.error
    assert len(found.error) < 700


@pytest.mark.parametrize(("error", "said"), [("a\nb", "a b"), ("", "the Job failed and gave no reason")])
def test_an_error_is_one_line(error, said):
    found = result.decode(json.dumps({"error": error}))
    assert isinstance(found, result.Failed)
    assert found.error.startswith(said)


def test_nothing_is_a_failure():
    assert result.decode(" \n") == result.Failed(
        error="the Job ended without a result on its termination message"
    )


def test_who_does_not_know_our_kinds_is_understood():
    assert result.decode('{"error": "no rows"}') == result.Failed(error="no rows")
    assert isinstance(result.decode(json.dumps({"digest": DIGEST, "uri": "s3://a/b"})), result.Succeeded)


def test_classes_go_before_the_artifact_does():
    many = tuple(f"{n:03} {'c' * 200}" for n in range(50))
    found = result.decode(result.encode(MADE.model_copy(update={"classes": many})))
    assert isinstance(found, result.Succeeded)
    assert found.classes == ()
    assert found.metrics == MADE.metrics


def test_the_table_of_classes_goes_before_the_classes_do():
    names = tuple(f"{at:0>207}" for at in range(18))
    held = manifest.Holdout(rows=1000, right=400, expected=500.5, confusion=((22,) * 6,) * 6)
    said = result.Succeeded(digest=DIGEST, uri="s3://m", classes=names, holdout=held)

    read = result.decode(result.encode(said))

    assert read == said.model_copy(update={"holdout": held.model_copy(update={"confusion": ()})})


@pytest.mark.parametrize(
    "held",
    [
        {"rows": 10, "right": 11},
        {"rows": 10, "right": 5, "expected": 10.1},
        {"rows": 10, "right": 5, "confusion": [[1, 2], [3]]},
        {"rows": 10, "right": 5, "confusion": [[6, 0], [0, 5]]},
        {"rows": 10, "right": -1},
        {"rows": 10, "right": 5, "expected": "NaN"},
        {"rows": 1000, "right": 5, "confusion": [[0] * 21] * 21},
    ],
)
def test_holdout_of_another_trainer_that_does_not_add_up_is_no_result(held):
    found = result.decode(json.dumps({"digest": DIGEST, "uri": "s3://m", "holdout": held}))

    assert isinstance(found, result.Failed)


def test_the_counts_of_the_most_slices_with_the_longest_names_always_fit():
    """Everything at its longest: only what no verdict needs is left out."""
    asked = [slices.Slice(column="\u0001é😀" * 84, value=f"{n}" * 253) for n in range(slices.SLICES_MAX - 1)]
    asked.append(slices.Slice(column="c" * (slices.NAME_BYTES - 4), value="1"))
    most = 2**53
    counts = tuple(result.SliceCounts(name=part.name, a=most, b=most, c=most) for part in asked)
    measured = dict.fromkeys((*scoring.SHARES, "holdout_rows", "champion_accuracy"), 0.12345678901234566)
    of_classes = {
        f"{name}_of_{n}{'😀' * 39}": 0.12345678901234567 for n in range(10) for name in scoring.SHARES[2:]
    }
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    longest = result.Succeeded(
        digest=DIGEST,
        uri="s3://" + "u" * 1019 + f"/{storage.ARTIFACTS}/" + "a" * 64,
        rows=most,
        metrics=measured | of_classes,
        classes=tuple(f"{n:03}{'😀' * 250}" for n in range(50)),
        parent=DIGEST,
        window=Window(start=moment, end=moment),
        label_delay=LabelDelay(p50=1 / 3, p90=1e9 / 3, p99=1e9 / 3),
        holdout=manifest.Holdout(
            rows=most, right=most, expected=1e15 / 3, confusion=((most // 400,) * 20,) * 20
        ),
        evaluation=result.Evaluation(a=most, b=most, c=most, slices=counts),
        warnings=("w" * 500,) * 5,
    )

    line = result.encode(longest)
    found = result.decode(line)

    assert len(line.encode()) <= result.LIMIT
    assert isinstance(found, result.Succeeded)
    assert found.evaluation == longest.evaluation
    assert found.metrics == measured
    assert len({part.name for part in asked}) == slices.SLICES_MAX


def test_a_slice_is_known_by_what_it_says_where_that_is_short():
    assert slices.Slice(column="carrier", value="HA").name == "carrier = HA"
    long = slices.Slice(column="carrier", value="H" * 60).name
    assert long.startswith("slice ")
    assert long != slices.Slice(column="carrier", value="H" * 61).name


def test_slices_go_through_the_environment_of_a_job_as_they_are():
    asked = (slices.Slice(column="Ort, $(X)", value='"ü"'), slices.Slice(column="late", value="true"))
    assert slices.decode(slices.encode(asked)) == asked
    assert slices.encode(()) is None
