"""The detector alarms on falls, hardly ever by chance, never on silence; proven exactly where that is possible."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evidence import reference
from modelmend.evidence import counts, detector

TEN_PERCENT = detector.Limit(share=0.10, alarm=1e5)

tallies = st.integers(0, 500).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))
limits = st.builds(detector.Limit, share=st.floats(0, 1), alarm=st.floats(1.5, 1e6))


def after(polls: list[counts.Tally], limit: detector.Limit) -> detector.State:
    state = detector.State()
    for new in polls:
        state = detector.step(state, new, limit)
    return state


def polls_to_alarm(state: detector.State, poll: counts.Tally, limit: detector.Limit) -> int:
    polls = 0
    while not state.breached:
        state, polls = detector.step(state, poll, limit), polls + 1
    return polls


@pytest.mark.parametrize("share", [Fraction(1, 10), Fraction(3, 20), Fraction(1, 2), Fraction(4, 5)])
def test_the_recursion_equals_exact_fractions(share: Fraction) -> None:
    stakes = [
        Fraction(stake).limit_denominator(1000) / max(share, Fraction(1, 2)) for stake in detector.STAKES
    ]
    polls = [
        counts.Tally(5, 1),
        counts.Tally(3, 3),
        counts.Tally(20, 2),
        counts.Tally(1, 0),
        counts.Tally(7, 6),
    ]
    exact = [Fraction(0)] * len(stakes)
    for new in polls:
        exact = [
            (m + 1) * (1 + bet * (1 - share)) ** new.bad * (1 - bet * share) ** (new.n - new.bad)
            for m, bet in zip(exact, stakes, strict=True)
        ]

    state = after(polls, detector.Limit(float(share), alarm=1e9))

    assert [math.expm1(log) for log in state.logs] == pytest.approx([float(m) for m in exact], rel=1e-9)
    assert state.level == pytest.approx(float(sum(exact) / len(exact)), rel=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("labels", [1, 7, 40])
def test_at_the_limit_each_poll_adds_exactly_one_on_average(share: float, labels: int) -> None:
    """The supermartingale behind the guarantee, summed over every possible poll."""
    limit = detector.Limit(share, alarm=1e14)
    before = after([counts.Tally(10, 3), counts.Tally(4, 0)], limit)

    def mean_level(true_share: float) -> float:
        return sum(
            float(stats.binom.pmf(bad, labels, true_share))
            * detector.step(before, counts.Tally(labels, bad), limit).level
            for bad in range(labels + 1)
        )

    assert mean_level(share) == pytest.approx(before.level + 1, rel=1e-9)
    assert mean_level(share * 0.8) < before.level + 1


@given(limits, st.lists(tallies, max_size=12))
def test_polls_without_outcomes_change_nothing(limit: detector.Limit, polls: list[counts.Tally]) -> None:
    silent = [quiet for new in polls for quiet in (counts.Tally(), new, counts.Tally())]

    assert after([*silent, counts.Tally()], limit) == after([counts.Tally(), *polls], limit)


@given(limits, st.lists(tallies, max_size=12))
def test_the_state_outlives_json(limit: detector.Limit, polls: list[counts.Tally]) -> None:
    state = after(polls, limit)

    assert detector.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


@given(limits, st.lists(tallies, max_size=12))
def test_what_is_remembered_never_contradicts_itself(
    limit: detector.Limit, polls: list[counts.Tally]
) -> None:
    state = after(polls, limit)

    assert all(0 <= log <= math.log1p(10 * limit.alarm) for log in state.logs)
    assert state.seen == sum(polls, counts.Tally())
    assert state.run.n <= state.seen.n
    if state.breached:
        assert state.level >= 1
        assert state.run.n
    elif state.run.n:
        assert state.run.bad > state.run.n * limit.share


@given(st.integers(1, 200), st.integers(0, 200))
def test_more_bad_outcomes_mean_more_evidence(n: int, bad: int) -> None:
    fewer, more = min(bad, n), min(bad + 1, n)

    assert (
        after([counts.Tally(n, more)], TEN_PERCENT).level
        >= after([counts.Tally(n, fewer)], TEN_PERCENT).level
    )


def test_a_billion_outcomes_overflow_nothing() -> None:
    worst = after([counts.Tally(10**9, 10**9)] * 3, TEN_PERCENT)
    best = after([counts.Tally(10**9, 0)] * 3, TEN_PERCENT)

    assert worst.breached
    assert worst.level == pytest.approx(10 * TEN_PERCENT.alarm)
    assert not best.breached
    assert best.level == 0


def test_a_faultless_model_never_alarms_at_a_limit_of_no_errors() -> None:
    limit = detector.Limit(share=0.0, alarm=50)

    state = after([counts.Tally(10, 0)] * 500, limit)

    assert not state.breached
    assert detector.step(state, counts.Tally(10, 1), limit).breached


def test_a_limit_that_anything_meets_never_alarms() -> None:
    assert not after([counts.Tally(10, 10)] * 500, detector.Limit(share=1.0, alarm=50)).breached


def test_a_long_time_at_the_top_is_not_held_against_recovery_for_ever() -> None:
    """M is capped: a breach of a year is outweighed as fast as one of a day."""
    day = after([counts.Tally(20, 10)] * 100, TEN_PERCENT)
    year = after([counts.Tally(20, 10)] * 5000, TEN_PERCENT)

    assert day.logs == year.logs


def test_a_breach_stands_until_it_is_outweighed_and_then_starts_afresh() -> None:
    state = after([counts.Tally(20, 6)] * 60, TEN_PERCENT)
    recovery = 0
    while state.breached:
        before, state = state, detector.step(state, counts.Tally(20, 1), TEN_PERCENT)
        recovery += 1

    assert 100 < recovery < 200  # 5 % errors: about 2,700 labels outweigh a breach at its cap
    assert before.level >= 1
    assert state == detector.State(share=0.10, seen=state.seen)


def test_a_model_that_stays_below_its_limit_stays_breached() -> None:
    assert after([counts.Tally(20, 20)] * 3 + [counts.Tally(20, 3)] * 2000, TEN_PERCENT).breached


def test_a_second_fall_after_recovery_is_found_again() -> None:
    state = after([counts.Tally(20, 20)] * 3 + [counts.Tally(20, 0)] * 200, TEN_PERCENT)
    assert not state.breached

    assert polls_to_alarm(state, counts.Tally(20, 6), TEN_PERCENT) <= 8


def test_the_run_starts_where_the_share_rose_above_the_limit() -> None:
    state = after([counts.Tally(20, 1)] * 50 + [counts.Tally(20, 8)] * 4, TEN_PERCENT)

    assert state.breached
    assert state.run == counts.Tally(80, 32)
    assert state.seen == counts.Tally(1080, 82)


def test_another_limit_starts_afresh_but_keeps_what_was_seen() -> None:
    breached = after([counts.Tally(20, 6)] * 60, TEN_PERCENT)

    state = detector.step(breached, counts.Tally(), detector.Limit(share=0.35, alarm=1e5))

    assert state == detector.State(share=0.35, seen=breached.seen)


def test_everything_since_a_downtime_may_come_as_one_poll() -> None:
    polls = [counts.Tally(20, 6)] * 30

    at_once = after([sum(polls, counts.Tally())], TEN_PERCENT)

    assert at_once.breached
    assert at_once.level <= after(polls, TEN_PERCENT).level


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_a_limit_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="not a share"):
        detector.Limit(share, 1e5)


@pytest.mark.parametrize("alarm", [1.0, 0.0, float("nan"), float("inf")])
def test_an_interval_between_alarms_that_cannot_be_kept_is_refused(alarm: float) -> None:
    with pytest.raises(ValueError, match="falseAlarmEvery"):
        detector.Limit(0.1, alarm)


def test_a_state_with_other_stakes_is_refused() -> None:
    with pytest.raises(ValueError, match="5 stakes and 2 were saved"):
        detector.State.from_json(detector.State().to_json() | {"logs": [0.0, 1.0]})


def test_the_room_and_the_reference_alarm_at_the_same_poll() -> None:
    rng = np.random.default_rng(11)
    limit = detector.Limit(share=0.10, alarm=200)
    n = rng.poisson(4, size=(25, 400))
    bad = rng.binomial(n, 0.13)

    expected = reference.detector_alarms(bad.astype(float), n.astype(float), limit.share, limit.alarm)

    for run in range(25):
        state = detector.State()
        alarm = math.inf
        for poll in range(400):
            state = detector.step(state, counts.Tally(int(n[run, poll]), int(bad[run, poll])), limit)
            if state.breached:
                alarm = poll + 1
                break
        assert alarm == expected[run]


@pytest.mark.parametrize("labels", [1, 20])
@pytest.mark.parametrize("share", [0.02, 0.10, 0.30])
def test_at_the_limit_false_alarms_are_further_apart_than_promised(share: float, labels: int) -> None:
    """400 lives at accuracy == limit, labels in Poisson bunches; counted are polls with labels. [1.2 to 1.8 c]"""
    rng = np.random.default_rng(12)
    alarm, runs = 100.0, 400
    n = rng.poisson(labels, size=(runs, 1500))
    bad = rng.binomial(n, share)

    first = reference.detector_alarms(bad.astype(float), n.astype(float), share, alarm)

    lived = np.where(np.isfinite(first), first, n.shape[1]).astype(int)
    polls_with_labels = np.cumsum(n > 0, axis=1)[np.arange(runs), lived - 1]
    standard_error = polls_with_labels.std() / math.sqrt(runs)
    assert polls_with_labels.mean() > alarm + 2 * standard_error


def test_three_days_of_a_healthy_model_pass_without_alarm_where_ten_bad_polls_in_a_row_always_alarm() -> None:
    """30 s polls of 20 labels, accuracy .92, limit .90, 60 lives. Windows of 30 polls overlap: ten bad ones are one."""
    rng = np.random.default_rng(13)
    n = np.full((60, 8640), 20.0)
    bad = rng.binomial(20, 0.08, size=n.shape).astype(float)
    window = np.apply_along_axis(lambda row: np.convolve(row, np.ones(30), "valid"), 1, bad) / 600
    below = (window > 0.10).astype(float)
    ten_in_a_row = np.apply_along_axis(lambda row: np.convolve(row, np.ones(10), "valid"), 1, below) > 9.5

    first = reference.detector_alarms(bad, n, 0.10, 1e5)

    assert np.isinf(first).all()
    assert ten_in_a_row.any(axis=1).mean() > 0.9


@pytest.mark.parametrize(("accuracy", "polls"), [(0.87, 106), (0.82, 21), (0.70, 5)])
def test_a_fall_is_seen_within_the_polls_that_the_documentation_states(accuracy: float, polls: float) -> None:
    """Limit .90, 20 labels a poll, c = 1e5: mean over 400 falls, within a tenth of what was measured."""
    rng = np.random.default_rng(14)
    bad = rng.binomial(20, 1 - accuracy, size=(400, 800)).astype(float)

    first = reference.detector_alarms(bad, np.full_like(bad, 20.0), 0.10, 1e5)

    assert first.mean() == pytest.approx(polls, rel=0.1)


def test_a_fall_after_a_long_healthy_life_is_seen_as_fast_as_one_at_birth() -> None:
    """A year of good labels is no credit: that is what the restart at every poll is for."""
    born = polls_to_alarm(detector.State(), counts.Tally(20, 4), TEN_PERCENT)
    old = polls_to_alarm(after([counts.Tally(20, 1)] * 5000, TEN_PERCENT), counts.Tally(20, 4), TEN_PERCENT)

    assert old <= born
