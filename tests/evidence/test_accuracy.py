"""One verdict and one sentence for every state of a model's labels."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmend.evidence import bounds, confusion, counts, family, verdict, voting

SIGNAL = family.Signal(family.Metric.ACCURACY, minimum=0.85, min_labels=200, alarm=86_400)
TALKING = verdict.Silence(lasted=30, tolerated=3600)
SILENT = verdict.Silence(lasted=7 * 3600, tolerated=3600)

tallies = st.integers(0, 5000).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))


def labels(
    n: int, wrong: int, silence: verdict.Silence = TALKING, immature_for: float = 0.0
) -> family.Labels:
    return family.Labels(table(counts.Tally(n, wrong)), silence, immature_for)


def table(tally: counts.Tally) -> confusion.Confusion:
    return confusion.Confusion.of_labels(tally)


def after(*polls: tuple[int, int]) -> voting.State:
    state = voting.State()
    for n, wrong in polls:
        state = family.step(SIGNAL, state, table(counts.Tally(n, wrong)), 0)
    return state


HEALTHY = after(*[(20, 2)] * 20)
FALLEN = after(*[(20, 5)] * 62)


def test_a_proven_fall_is_breached_with_metric_value_limit_bound_and_n() -> None:
    judgement = family.judge(SIGNAL, FALLEN, labels(1240, 310))

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert (
        judgement.because
        == "accuracy 0.750 over 1,240 labels is below the limit 0.850 (99.9% sure at most 0.803)"
    )
    assert judgement.value == pytest.approx(0.75)
    assert judgement.bound == pytest.approx(0.8031, abs=1e-4)
    assert judgement.n == 1240


def test_a_healthy_model_is_ok_with_the_bound_that_faces_the_limit() -> None:
    judgement = family.judge(SIGNAL, HEALTHY, labels(4000, 400))

    assert judgement.verdict is verdict.Verdict.OK
    assert (
        judgement.because
        == "accuracy 0.900 over 4,000 labels is within the limit 0.850 (99.9% sure at least 0.876)"
    )


def test_an_accuracy_below_the_limit_by_chance_is_ok_and_says_so() -> None:
    judgement = family.judge(SIGNAL, HEALTHY, labels(300, 50))

    assert judgement.verdict is verdict.Verdict.OK
    assert (
        judgement.because
        == "accuracy 0.833 over 300 labels is not proven below the limit 0.850 (99.9% sure at most 0.913)"
    )


def test_a_window_below_the_limit_before_the_alarm_says_that_evidence_is_being_gathered() -> None:
    judgement = family.judge(SIGNAL, HEALTHY, labels(400, 120))

    assert judgement.verdict is verdict.Verdict.OK
    assert (
        "accuracy 0.700 over 400 labels is short of an alarm, though below the limit 0.850"
        in judgement.because
    )


def test_a_fall_that_a_long_window_still_hides_is_shown_by_the_run_that_raised_the_alarm() -> None:
    state = after(*[(20, 1)] * 100, *[(20, 7)] * 10)

    judgement = family.judge(SIGNAL, state, labels(2200, 170))

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == (
        "accuracy 0.923 over 2,200 labels, but 0.650 over the 200 since it began to fall: "
        "below the limit 0.850 by evidence that comes by chance at most once in 86,400 polls with labels"
    )


def test_a_breach_that_good_labels_do_not_yet_outweigh_stands() -> None:
    state = after(*[(1, 1), (1, 0), (1, 0), (1, 0)] * 70, *[(1, 0)] * 360)
    assert state.detected.run.share < 0.15

    judgement = family.judge(SIGNAL, state, labels(360, 0))

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == (
        "accuracy 1.000 over 360 labels does not yet outweigh the proven fall below the limit 0.850"
    )


@pytest.mark.parametrize("shown", [labels(0, 0, SILENT), labels(0, 0)])
def test_a_breach_outlives_silence(shown: family.Labels) -> None:
    judgement = family.judge(SIGNAL, FALLEN, shown)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because.startswith("accuracy fell below the limit 0.850, and no labels for ")
    assert (judgement.value, judgement.bound, judgement.n) == (None, None, 0)


@pytest.mark.parametrize("shown", [labels(400, 40, SILENT), labels(0, 0, SILENT)])
def test_a_healthy_model_without_new_labels_is_unknown(shown: family.Labels) -> None:
    judgement = family.judge(SIGNAL, HEALTHY, shown)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == "no labels for 7 h: the accuracy over the 400 labels before is out of date"


def test_an_empty_window_is_unknown_even_when_the_silence_is_tolerated() -> None:
    assert family.judge(SIGNAL, HEALTHY, labels(0, 0)).verdict is verdict.Verdict.UNKNOWN


def test_too_few_labels_are_unknown_and_counted() -> None:
    judgement = family.judge(SIGNAL, after((38, 30)), labels(38, 30))

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == "too few labels for a verdict: 38 of 200 needed"
    assert judgement.n == 38


def test_too_few_labels_and_then_silence_says_for_how_long() -> None:
    silence = verdict.Silence(lasted=14 * 60, tolerated=600)

    judgement = family.judge(SIGNAL, after((38, 3)), labels(38, 3, silence))

    assert judgement.because == "no labels since 14 min: 38 of 200 needed"


def test_a_model_that_never_had_a_label_is_unknown_even_when_none_are_required() -> None:
    signal = replace(SIGNAL, min_labels=0)

    judgement = family.judge(signal, voting.State(), labels(0, 0))

    assert judgement.because == "too few labels for a verdict: 0 of 1 needed"


def test_labels_before_the_delays_p90_give_no_verdict() -> None:
    judgement = family.judge(SIGNAL, FALLEN, labels(1240, 248, immature_for=12_000))

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert (
        judgement.because == "no verdict for another 3 h 20 min: the labels that arrive first are not typical"
    )


def test_the_simple_mode_breaches_when_the_whole_interval_is_below() -> None:
    judgement = family.judge_by_threshold(SIGNAL, labels(1240, 260))

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == (
        "accuracy 0.790 over 1,240 labels is below the limit 0.850 (4 standard errors at most 0.833)"
    )


def test_the_simple_mode_counts_the_limit_itself_as_a_breach() -> None:
    upper = 1 - bounds.wilson(counts.Tally(1000, 400), 4.0)[0]
    at, just_below = (replace(SIGNAL, minimum=minimum) for minimum in (upper, upper - 1e-9))

    assert family.judge_by_threshold(at, labels(1000, 400)).verdict is verdict.Verdict.BREACHED
    assert family.judge_by_threshold(just_below, labels(1000, 400)).verdict is verdict.Verdict.OK


def test_the_simple_mode_is_unknown_without_enough_or_fresh_labels() -> None:
    assert (
        family.judge_by_threshold(SIGNAL, labels(38, 20)).because
        == "too few labels for a verdict: 38 of 200 needed"
    )
    assert family.judge_by_threshold(SIGNAL, labels(400, 100, SILENT)).because == "no labels for 7 h"


@given(st.lists(tallies, max_size=5), tallies, st.booleans(), st.booleans(), st.floats(0, 1))
def test_every_world_gets_a_verdict_with_a_sentence(
    polls: list[counts.Tally], shown: counts.Tally, silent: bool, immature: bool, minimum: float
) -> None:
    signal = replace(SIGNAL, minimum=minimum, alarm=1000)
    state = voting.State()
    for new in polls:
        state = family.step(signal, state, table(new), 0)
    known = family.Labels(table(shown), SILENT if silent else TALKING, 60.0 if immature else 0.0)

    for judgement in (family.judge(signal, state, known), family.judge_by_threshold(signal, known)):
        assert judgement.because
        assert not judgement.because.endswith(".")
        if immature:
            assert judgement.verdict is verdict.Verdict.UNKNOWN
        if judgement.verdict is verdict.Verdict.OK:
            assert not silent
            assert shown.n
        if judgement.bound is not None:
            assert 0 <= judgement.bound <= 1
