"""What the training data looked like: bins in which every change shows, and how much its own days differ."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelmend.contract.manifest import Datatype, Feature
from modelmend.evidence import drift, psi
from modelmend.runtime import artifact, reference
from modelmend.runtime.frames import Schema
from runtime import worlds

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2026-01-01", "us")


def times(rows: int, hours: float) -> Any:
    """Instants of rows, spread evenly."""
    return START + (np.arange(rows) * (hours * 3600e6 / rows)).astype("timedelta64[us]")


@pytest.mark.parametrize("value", [5.0, 0.0, -0.1, 1e-9, 1e12])
def test_constant_feature_has_an_edge_on_each_side_so_that_a_change_shows(value: float) -> None:
    found = reference.numeric(np.full(100, value))

    assert found.counts == (0, 100, 0, 0)
    assert len(set(found.bins)) == 4
    below, same, above = value - max(abs(value), 1), np.float64(np.float32(value)), value + max(abs(value), 1)
    assert found.index(np.array([below, same, above, np.nan])).tolist() == [0, 1, 2, 3]


def test_constant_feature_that_changes_is_drift_and_one_that_stays_is_none() -> None:
    found = reference.numeric(np.full(1000, 5.0))

    def judged(values: Any) -> drift.Report:
        counts = [
            dict(zip(each.bins, each.counts, strict=True))
            for each in (found, reference.counted(found, values))
        ]
        return drift.judge(drift.Asked(0.1, 0.01), [drift.Feature("x", *counts)])

    assert judged(np.full(500, 5.0)).drifted == ()
    assert judged(np.full(500, 6.0)).drifted == ("x",)


def test_feature_without_a_finite_value_has_one_bin_and_that_of_missing_ones() -> None:
    assert reference.numeric(np.full(3, np.nan)).counts == (0, 3)


def test_blocks_are_measured_where_times_are_known_and_long_enough() -> None:
    values = np.random.default_rng(0).normal(size=20_000)

    found = reference.numeric(values, times(20_000, 240)).blocks
    assert found is not None
    assert found.rows == 500  # 240 hours in blocks of six.
    assert found.mean == pytest.approx(10 * (1 / 500 + 1 / 19_500), rel=0.3)
    assert reference.numeric(values).blocks is None
    assert reference.numeric(values, times(20_000, 30)).blocks is None, "five blocks say nothing"
    assert reference.numeric(values[:1500], times(1500, 240)).blocks is None, "rows for seven blocks"
    assert reference.numeric(values[:0], times(1, 1)[:0]).blocks is None


def test_days_that_differ_raise_what_counts_as_drift_whatever_the_order_of_rows() -> None:
    random = np.random.default_rng(1)
    at = times(40_000, 480)
    day = (at - START) // (24 * HOUR)
    values = random.normal(size=len(at)) + 0.5 * (day % 2)
    mixed = random.permutation(len(at))

    restless = reference.numeric(values[mixed], at[mixed]).blocks
    calm = reference.numeric(random.normal(size=len(at)), at).blocks
    assert restless is not None
    assert calm is not None
    assert restless.mean > 3 * calm.mean


def test_reference_of_years_has_a_bounded_number_of_blocks() -> None:
    values = np.random.default_rng(2).normal(size=60_000)

    found = reference.numeric(values, times(60_000, 20_000)).blocks
    assert found is not None
    assert found.rows == pytest.approx(600, abs=1)


def test_reference_goes_through_json_and_one_of_an_older_making_is_read() -> None:
    schema = Schema((Feature(name="x", datatype=Datatype.FP64),), {"x": "float64"})
    values, at = np.random.default_rng(3).normal(size=20_000), times(20_000, 240)
    predicted = reference.Predictions((values > 0).astype(np.intp), values, at)
    made = reference.describe(schema, {"x": values}, ("no", "yes"), predicted, at)

    assert made.features["x"].blocks
    assert made.classes.blocks
    assert made.score is not None
    assert made.score.blocks
    assert isinstance(made.score.blocks, psi.Blocks)
    text = made.model_dump_json()
    assert reference.Reference.model_validate_json(text) == made
    older = json.loads(text)
    for histogram in (older["features"]["x"], older["score"], older["classes"]):
        del histogram["blocks"]
    assert reference.Reference.model_validate(older).classes.blocks is None


def test_pack_measures_the_days_of_rows_whose_times_it_was_given(tmp_path: Path) -> None:
    frame = worlds.flights(days=60, per_day=200)
    fitted = worlds.boosting().fit(frame[worlds.FEATURES], frame["late"])

    def packed(name: str, time: Any) -> reference.Reference:
        uri = (tmp_path / name).as_uri()
        model, _ = artifact.pack(
            fitted, frame[worlds.FEATURES], frame["late"], uri=uri, model="flights", time=time
        )
        return model.reference

    timed, untimed = packed("timed", frame["time"]), packed("untimed", None)
    assert timed.features["wind"].blocks
    assert timed.classes.blocks
    assert untimed.features["wind"].blocks is None
    assert untimed.classes.blocks is None


def test_scores_a_little_beside_those_of_the_reference_fall_into_the_same_bins() -> None:
    rows = [400, 400, 1, 300]
    found = reference.graded(np.repeat([0.021, 0.038, 0.47, 0.97], rows))

    assert found.counts == (800, 0, 0, 0, 1, 0, 0, 0, 0, 300, 0)
    assert reference.counted(found, np.repeat([0.028, 0.036, 0.48, 0.96], rows)).counts == found.counts
