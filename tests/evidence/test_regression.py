"""A mean error is judged by errors up to a bound, and a pair by who is farther from the truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import reference
from modelmend.contract import metrics
from modelmend.evidence import regression, verdict, voting
from modelmend.evidence.regression import Errors, Labels, Metric, Signal

TALKING = verdict.Silence(lasted=30, tolerated=3600)
MAE = Signal(Metric.MAE, maximum=2.0, min_labels=100, alarm=1000, bound=10.0)
RMSE = Signal(Metric.RMSE, maximum=2.0, min_labels=100, alarm=1000, bound=10.0)

MILLION = regression.MILLION
votes = st.integers(0, 200).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n * MILLION), st.integers(0, n * MILLION))
)


def errors(*distances: float, bound: float = 10.0) -> Errors:
    parts = [min(each, bound) / bound for each in distances]
    return Errors(
        len(distances),
        sum(round(part * MILLION) for part in parts),
        sum(round(part**2 * MILLION) for part in parts),
    )


def said(signal: Signal, polls: list[Errors], every: float = 30.0) -> verdict.Judgement:
    state = voting.State()
    for number, new in enumerate(polls):
        state = regression.step(signal, state, new, number * every)
    return regression.judge(signal, state, Labels(sum(polls, Errors()), TALKING))


def test_mae_and_rmse_are_those_of_the_errors_up_to_the_bound() -> None:
    found = errors(1, 2, 3) + errors(4)
    mae, rmse = regression.figures(MAE, found), regression.figures(RMSE, found)

    assert mae is not None
    assert rmse is not None
    assert (mae.n, mae.value) == (4, pytest.approx(2.5))
    assert rmse.value == pytest.approx(math.sqrt(30 / 4))
    assert mae.low < mae.value < mae.high
    assert regression.figures(MAE, Errors()) is None
    far = regression.figures(MAE, errors(1, 1e9))
    assert far is not None
    assert far.value == pytest.approx(5.5)


def test_sums_travel_as_millionths_of_the_bound() -> None:
    results = {
        metrics.Errors.ROWS: 3,
        metrics.Errors.CLIPPED: 600_000,
        metrics.Errors.CLIPPED_SQUARED: 140_000,
    }

    found = Errors.from_results({**results, "right": 9})

    assert found == errors(1, 2, 3)
    assert Errors.from_results({}) == Errors()
    # A look-back that holds one poll's worth of only some.
    assert Errors.from_results({metrics.Errors.CLIPPED: 5_000_000}).clipped == 0
    assert Errors(5, 2_000_000, 1) - Errors(4, 500_000, 2) == Errors(1, 1_000_000, 0)
    assert Errors.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("signal", "sentence"),
    [
        (
            MAE,
            "MAE (errors counted up to 10) 3.000 over 1,600 labels is above the limit 2.000 (99.9% sure at least 2.495)",
        ),
        (
            RMSE,
            "RMSE (errors counted up to 10) 3.536 over 1,600 labels is above the limit 2.000 (99.9% sure at least 3.000)",
        ),
    ],
)
def test_errors_that_rose_are_breached_with_value_limit_and_bound(signal: Signal, sentence: str) -> None:
    judgement = said(signal, [errors(*[1, 2, 3, 6] * 10)] * 40)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == sentence


@pytest.mark.parametrize("signal", [MAE, RMSE])
def test_small_errors_are_ok(signal: Signal) -> None:
    judgement = said(signal, [errors(*[0.1, 0.5, 1.0, 1.4] * 10)] * 40)

    assert judgement.verdict is verdict.Verdict.OK
    assert "is within the limit 2.000 (99.9% sure at most " in judgement.because


def test_a_rise_that_a_long_window_hides_is_shown_by_its_run() -> None:
    judgement = said(MAE, [errors(*[1.0] * 40)] * 400 + [errors(*[4.0] * 40)] * 12)

    assert judgement.because == (
        "MAE (errors counted up to 10) 1.087 over 16,480 labels, but 4.000 over the 480 since it began to rise: "
        "above the limit 2.000 by evidence that comes by chance at most once in 1,000 polls with labels"
    )


def test_block_mode_counts_blocks() -> None:
    signal = Signal(Metric.MAE, 2.0, 100, 100, bound=10.0, block=3600.0)
    judgement = said(signal, [errors(*[1.0] * 40)] * 300 + [errors(*[5.0] * 40)] * 8, every=3600.0)

    assert judgement.because.endswith("at most once in 100 blocks of 1 h with labels")


def test_a_limit_beyond_the_bound_cannot_be_judged() -> None:
    signal = Signal(Metric.RMSE, 2.0, 100, 1000, bound=2.0)
    sentence = (
        "RMSE not judged: its limit 2 must be above 0 and below 2, up to which errors count: give a larger "
        "spec.evaluation.errorBound"
    )

    assert said(signal, [errors(*[1, 2, 3, 6] * 10)]).because == sentence
    assert regression.judge_by_threshold(signal, Labels(errors(1), TALKING)).because == sentence


@pytest.mark.parametrize(
    ("distances", "verdict_", "sentence"),
    [
        (
            [1, 2, 3, 6] * 100,
            verdict.Verdict.BREACHED,
            "MAE (errors counted up to 10) 3.000 over 400 labels is above the limit 2.000 (4 standard errors at least 2.175)",
        ),
        (
            [0.1, 0.5] * 200,
            verdict.Verdict.OK,
            "MAE (errors counted up to 10) 0.300 over 400 labels is within the limit 2.000 (4 standard errors at most 0.861)",
        ),
        ([], verdict.Verdict.UNKNOWN, "too few labels for a verdict: 0 of 100 needed"),
    ],
)
def test_the_simple_mode_looks_at_its_window_alone(
    distances: list[float], verdict_: verdict.Verdict, sentence: str
) -> None:
    found = regression.judge_by_threshold(MAE, Labels(errors(*distances), TALKING))

    assert (found.verdict, found.because) == (verdict_, sentence)


def test_another_bound_and_other_blocks_are_another_signal() -> None:
    assert regression.identity(MAE) == "MAE (errors counted up to 10)"
    assert (
        regression.identity(replace(MAE, block=3600.0)) == "MAE (errors counted up to 10) in blocks of 3600 s"
    )


def test_no_labels_are_unknown() -> None:
    assert said(MAE, [Errors()]).because == "too few labels for a verdict: 0 of 100 needed"


@pytest.mark.parametrize(
    "impossible",
    [
        {"n": -1},
        {"n": 1, "clipped": -1},
        {"n": 1, "clipped": 2_000_000},
        {"n": 1, "clipped_squared": 2_000_000},
    ],
)
def test_impossible_sums_are_refused(impossible: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"sums of errors|votes"):
        Errors(**impossible)


@pytest.mark.parametrize("labels", [1, 20])
def test_at_the_limit_false_alarms_are_further_apart_than_promised_whatever_the_tails(labels: int) -> None:
    """400 lives at MAE = maximum: mostly nothing, seldom an error at the bound, the worst case there is. c = 100.
    [1.0 to 2 c]"""
    rng = np.random.default_rng(111)
    for vote in (rng.binomial(labels, 0.2, size=(400, 1500)) / labels, rng.beta(0.5, 2.0, size=(400, 1500))):
        first = np.minimum(reference.vote_alarms(vote, 0.2, 100), 1500)
        assert first.mean() > 100 - 2 * first.std() / 20


@pytest.mark.parametrize(("rise", "polls"), [(2.4, 130), (4.0, 22)])
def test_a_rise_is_seen_within_minutes_of_polls(rise: float, polls: int) -> None:
    """Errors half-normal, 20 labels a poll, maximum 2, bound 10, c = 86,400: median of 200."""
    rng = np.random.default_rng(112)
    distances = np.abs(rng.standard_normal((200, 1000, 20))) * rise / math.sqrt(2 / math.pi)
    votes = np.minimum(distances, 10).mean(axis=2) / 10

    assert np.median(reference.vote_alarms(votes, 0.2, 86_400)) <= polls


@settings(max_examples=40)
@given(st.lists(votes, max_size=6), st.sampled_from([MAE, RMSE]))
def test_every_world_gets_a_verdict_with_a_sentence(
    polls: list[tuple[int, int, int]], signal: Signal
) -> None:
    judgement = said(signal, [Errors(n, x, y) for n, x, y in polls])

    assert judgement.because
    assert not judgement.because.endswith(".")


@pytest.mark.parametrize(
    ("candidate", "champion", "pair"),
    [
        (3.0, 1.0, (1, 0, 0)),
        (-3.0, 1.0, (1, 0, 0)),
        (1.0, -3.0, (0, 1, 0)),
        (1.0, 1.5, (0, 0, 1)),
        (math.nan, 1.0, (1, 0, 0)),
        (1.0, math.inf, (0, 1, 0)),
        (math.nan, math.nan, (0, 0, 1)),
    ],
)
def test_a_pair_goes_against_the_one_that_is_farther_from_the_truth(
    candidate: float, champion: float, pair: tuple[int, int, int]
) -> None:
    found = regression.farther(candidate, champion, same=0.5)

    assert (found.a, found.b, found.c) == pair


def test_errors_that_rise_and_fall_in_turn_are_warned_of() -> None:
    state, steady = voting.State(), voting.State()
    rng = np.random.default_rng(113)
    for poll in range(600):
        level = 1.9 if poll // 20 % 2 else 0.9
        state = regression.step(MAE, state, errors(*(level * rng.exponential(size=20))), poll)
        steady = regression.step(MAE, steady, errors(*rng.exponential(size=20)), poll)

    assert "errors come in bursts" in (voting.warning(state, MAE.block) or "")
    assert voting.warning(state, 3600.0) is None
    assert voting.warning(steady, MAE.block) is None


def test_an_error_counts_up_to_ten_tolerances_unless_somebody_says_otherwise() -> None:
    assert (regression.bound(15.0, None), regression.bound(15.0, 100.0)) == (150.0, 100.0)
