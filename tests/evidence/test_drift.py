"""Drift is what is both beyond chance and large; what cannot be judged says why."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelmend.evidence import drift, psi, verdict
from modelmend.evidence.drift import Asked, Feature

ASKED = Asked(effect=0.1, alpha=1 / 120)

counted = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5000), max_size=8)


def even(rows: int, number: int = 10) -> dict[str, int]:
    return {str(each): rows // number for each in range(number)}


def shifted(rows: int, by: float, number: int = 10) -> dict[str, int]:
    """A share `by` of the rows moved from each even bin to the next."""
    return {str(each): round(rows / number * (1 + (by if each % 2 else -by))) for each in range(number)}


def judge(*features: Feature, asked: Asked = ASKED) -> drift.Report:
    return drift.judge(asked, features)


def test_nothing_moved_is_ok_and_names_the_nearest() -> None:
    report = judge(
        Feature("hour", even(5000), even(1200)), Feature("distance", even(5000), shifted(1200, 0.1))
    )

    assert report.judgement.verdict is verdict.Verdict.OK
    assert report.judgement.because == (
        "no drift in 2 features over 1,200 rows: nearest is distance, PSI 0.010 of 0.109 needed"
    )
    assert report.drifted == ()


def test_a_feature_that_moved_is_breached_with_the_bin_that_moved_most() -> None:
    moved = {"a": 700, "b": 500, "__other__": 0, "__missing__": 0}
    report = judge(
        Feature("hour", even(5000), even(1200)),
        Feature("carrier", {"a": 1000, "b": 4000, "__other__": 0, "__missing__": 0}, moved),
    )

    assert report.judgement.verdict is verdict.Verdict.BREACHED
    assert report.judgement.because == (
        "1 of 2 features drifted: carrier PSI 0.651 over 1,200 rows is above 0.102 (most in a: 0.200 before, 0.583 now)"
    )
    assert report.drifted == ("carrier",)
    assert report.judgement.n == 1200


def test_predictions_drift_by_their_score_and_their_class() -> None:
    report = judge(
        Feature("score", even(5000), shifted(1000, 0.7)),
        Feature("class", {"no": 4000, "yes": 1000}, {"no": 790, "yes": 210}),
        asked=Asked(0.1, 0.01, "predictions"),
    )

    assert report.judgement.because.startswith("1 of 2 predictions drifted: score PSI ")


def test_a_significant_shift_that_is_small_is_no_drift() -> None:
    """A million rows make everything significant."""
    report = judge(Feature("hour", even(1_000_000), shifted(1_000_000, 0.05)))

    assert report.found[0].p < 1e-100
    assert report.judgement.verdict is verdict.Verdict.OK
    assert report.drifted == ()


def test_a_large_shift_in_few_rows_is_no_drift_either() -> None:
    report = judge(Feature("hour", even(5000), shifted(200, 0.3)), asked=Asked(effect=0.01, alpha=0.001))

    assert report.found[0].effect > 0.01
    assert report.judgement.verdict is verdict.Verdict.OK


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (Feature("x", even(5000), even(100)), "too few rows for a verdict: 100 of 200 needed for 10 bins"),
        (Feature("x", even(5000), {}), "no rows in the window"),
        (
            Feature("x", even(30), even(1000)),
            "the reference has 30 rows, and 200 are needed for 10 bins: pack it from more",
        ),
        (
            Feature("x", {}, even(1000)),
            "the reference has 0 rows, and 200 are needed for 10 bins: pack it from more",
        ),
    ],
)
def test_too_few_rows_on_either_side_are_unknown_with_the_reason(feature: Feature, sentence: str) -> None:
    report = judge(feature)

    assert report.judgement.verdict is verdict.Verdict.UNKNOWN
    assert report.judgement.because == sentence


def test_without_features_there_is_nothing_to_compare_with() -> None:
    assert judge().judgement.because == "no reference to compare features with"
    assert judge(asked=Asked(0.1, 0.01, "predictions")).judgement.because == (
        "no reference to compare predictions with"
    )
    assert drift.rows_needed([]) == 0


def test_a_feature_of_many_categories_is_left_out_until_it_has_rows() -> None:
    report = judge(Feature("hour", even(5000), even(300)), Feature("city", even(5000, 25), even(300, 25)))

    assert report.judgement.verdict is verdict.Verdict.OK
    assert report.judgement.because.endswith("; 1 not judged for too few rows")
    assert [found.needed is None for found in report.found] == [False, True]
    assert drift.rows_needed([Feature("city", even(5000, 25), {})]) == 500


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("constant", {"x": 5000, "__missing__": 0}, {"x": 1000, "__missing__": 0}),
        ("never missing, nor now", {"a": 2500, "b": 2500, "__missing__": 0}, {"a": 500, "b": 500}),
    ],
)
def test_constant_features_do_not_drift(name: str, before: dict[str, int], now: dict[str, int]) -> None:
    report = judge(Feature(name, before, now))

    assert report.judgement.verdict is verdict.Verdict.OK
    assert report.judgement.because.startswith(
        f"no drift in 1 feature over 1,000 rows: nearest is {name}, PSI "
    )


@pytest.mark.parametrize(
    ("before", "now", "most"),
    [
        (
            {"x": 5000, "__missing__": 0},
            {"x": 0, "__missing__": 1000},
            "__missing__: 0.000 before, 1.000 now",
        ),
        (
            {"x": 5000, "__missing__": 0},
            {"x": 500, "__missing__": 500},
            "__missing__: 0.000 before, 0.500 now",
        ),
        (
            {"a": 2500, "b": 2500, "__other__": 0},
            {"a": 0, "b": 0, "__other__": 1000},
            "__other__: 0.000 before, 1.000 now",
        ),
        ({"false": 2500, "true": 2500}, {"false": 0, "true": 1000}, "false: 0.500 before, 0.000 now"),
    ],
)
def test_missing_values_new_categories_and_flags_that_stick_are_drift(
    before: dict[str, int], now: dict[str, int], most: str
) -> None:
    judgement = judge(Feature("x", before, now)).judgement

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because.endswith(f"(most in {most})")


def test_of_many_drifted_features_three_are_named() -> None:
    features = [Feature(f"f{i}", even(5000), shifted(1000, 0.6 + i / 50)) for i in range(6)]
    judgement = judge(*features).judgement
    two = judge(*features[:2]).judgement

    assert judgement.because.startswith("6 of 6 features drifted: f5 PSI ")
    assert judgement.because.endswith("; f4, f3 and 3 more")
    assert two.because.endswith("; f0")


def test_the_list_by_benjamini_hochberg_holds_more_than_the_decision_and_the_worst_first() -> None:
    asked = Asked(effect=0.0, alpha=0.05)
    still = [Feature(f"still{i}", even(5000), even(1000)) for i in range(20)]
    moved = [Feature(f"moved{i}", even(5000), shifted(1000, 0.165 + i / 200)) for i in range(10)]

    report = drift.judge(asked, [*still, *moved])

    by_bonferroni = {found.name for found in report.found if found.is_drifted}
    assert by_bonferroni < set(report.drifted)
    assert report.drifted[0] == "moved9"
    assert set(report.drifted) <= {feature.name for feature in moved}


def test_the_blocks_of_the_reference_keep_its_own_ups_and_downs_from_being_drift() -> None:
    blocks = psi.Blocks(1000, 9000, 0.4, 0.2)
    live = shifted(1000, 0.6)

    assert judge(Feature("x", even(10_000), live)).judgement.verdict is verdict.Verdict.BREACHED
    assert judge(Feature("x", even(10_000), live, blocks)).judgement.verdict is verdict.Verdict.OK


def test_five_thousand_features_are_judged_within_a_second() -> None:
    rng = np.random.default_rng(71)
    rows = rng.multinomial(1000, [0.1] * 10, size=5000)
    blocks = psi.Blocks(1000, 4000, 0.02, 0.01)
    features = [
        Feature(f"f{i}", even(5000), {str(j): int(v) for j, v in enumerate(row)}, blocks if i % 2 else None)
        for i, row in enumerate(rows)
    ]

    began = time.process_time()
    report = judge(*features)

    assert time.process_time() - began < 2
    assert report.judgement.verdict is verdict.Verdict.OK
    assert len(report.found) == 5000


@pytest.mark.parametrize("features", [1, 10, 50])
@pytest.mark.parametrize("rows", [200, 1000, 10_000])
def test_without_drift_a_window_is_breached_with_probability_at_most_alpha(features: int, rows: int) -> None:
    """2,000 (400 of 50 features) windows of ten bins and a reference of 5,000 rows, alpha .05, no effect asked.
    [.004 to .05]"""
    rng = np.random.default_rng(72)
    runs = 400 if features == 50 else 2000
    live = rng.multinomial(rows, [0.1] * 10, size=(runs, features)).astype(float)
    before = rng.multinomial(5000, [0.1] * 10, size=(runs, features)).astype(float)
    r = (before + 0.5) / 5005
    now = (live + 10 * r) / (rows + 10)
    moved = np.where(now > r, (now - r) * np.log(now / r), (now - r) ** 2 / r).sum(-1)
    limit = (1 / rows + 1 / 5000) * stats.chi2.isf(0.05 / features, 9)

    share = (moved > limit).any(axis=1).mean()

    assert share <= 0.05 + 2 * math.sqrt(0.05 / runs)
    some = [
        Feature(str(i), {str(j): int(v) for j, v in enumerate(b)}, {str(j): int(v) for j, v in enumerate(w)})
        for i, (b, w) in enumerate(zip(before[0], live[0], strict=True))
    ]
    report = drift.judge(Asked(0.0, 0.05), some)
    assert (report.judgement.verdict is verdict.Verdict.BREACHED) == bool((moved[0] > limit).any())


@settings(max_examples=40)
@given(st.lists(st.tuples(counted, counted), max_size=5), st.floats(0, 1), st.floats(1e-6, 0.5))
def test_every_world_gets_a_verdict_with_a_sentence(
    features: list[tuple[dict[str, int], dict[str, int]]], effect: float, alpha: float
) -> None:
    report = drift.judge(Asked(effect, alpha), [Feature(str(i), *both) for i, both in enumerate(features)])

    assert report.judgement.because
    assert not report.judgement.because.endswith(".")
    by_bonferroni = {found.name for found in report.found if found.is_drifted}
    assert by_bonferroni <= set(report.drifted)
    assert (report.judgement.verdict is verdict.Verdict.BREACHED) == bool(by_bonferroni)
