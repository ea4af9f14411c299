"""A candidate is stopped when it fails and the champion does not: never for what befalls both."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmend.evidence import counts, detector, guards, verdict

GUARD = guards.Guard("error rate", detector.Limit(share=0.01, alarm=57_600), alpha=0.05)
TALKING = verdict.Silence(lasted=30, tolerated=600)
SILENT = verdict.Silence(lasted=1200, tolerated=600)
NONE = counts.Tally()

Arm = Callable[[int], float]
tallies = st.integers(0, 300).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))


def after(*polls: tuple[counts.Tally, counts.Tally]) -> guards.State:
    state = guards.State()
    for candidate, champion in polls:
        state = guards.step(GUARD, state, candidate, champion)
    return state


def stopped_at(
    seed: int, candidate: Arm, champion: Arm, requests: tuple[float, float], polls: int = 120
) -> float:
    """The poll at which the guard stops a candidate, in Poisson traffic; infinity if it does not."""
    rng = np.random.default_rng(seed)
    n, others = (rng.poisson(each, polls) for each in requests)
    bad = rng.binomial(n, [candidate(poll) for poll in range(polls)])
    others_bad = rng.binomial(others, [champion(poll) for poll in range(polls)])
    state = guards.State()
    for poll in range(polls):
        own = counts.Tally(int(n[poll]), int(bad[poll]))
        state = guards.step(GUARD, state, own, counts.Tally(int(others[poll]), int(others_bad[poll])))
        if state.own.breached and guards.judge(GUARD, state, TALKING).verdict is verdict.Verdict.BREACHED:
            return poll + 1
    return math.inf


def steady(error: float) -> Arm:
    return lambda poll: error


def outage(poll: int) -> float:
    return 0.6 if 20 <= poll < 40 else 0.002


def test_a_healthy_candidate_is_ok() -> None:
    judgement = guards.judge(GUARD, after(*[(counts.Tally(1000, 2), counts.Tally(9000, 20))] * 3), TALKING)

    assert judgement.verdict is verdict.Verdict.OK
    assert judgement.because == (
        "error rate 0.002 over 3,000 requests is within the limit 0.010 (99.9% sure at most 0.009)"
    )


def test_a_failing_candidate_beside_a_healthy_champion_is_stopped() -> None:
    judgement = guards.judge(GUARD, after(*[(counts.Tally(30, 6), counts.Tally(270, 1))] * 3), TALKING)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because == (
        "error rate 0.200 over the last 90 requests is above the limit 0.010, "
        "and worse than the champion's 0.004 over 810"
    )
    assert judgement.n == 90
    assert judgement.value == 0.2
    assert judgement.bound == pytest.approx(0.0642, abs=1e-4)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9, 0.98])
def test_a_candidate_that_always_fails_is_stopped_within_a_few_polls_at_any_weight(weight: float) -> None:
    polls = [
        stopped_at(seed, steady(1.0), steady(0.001), (20 * weight, 20 * (1 - weight))) for seed in range(20)
    ]

    assert np.median(polls) <= 10
    assert max(polls) <= 25


def test_an_outage_of_both_is_not_held_against_the_candidate() -> None:
    judgement = guards.judge(GUARD, after(*[(counts.Tally(30, 18), counts.Tally(270, 160))] * 5), TALKING)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == (
        "error rate 0.600 over the last 150 requests is above the limit 0.010, "
        "but not proven worse than the champion's 0.593 over 1,350"
    )


@pytest.mark.parametrize("requests", [(30.0, 270.0), (150.0, 150.0), (1.0, 1.0)])
def test_an_outage_of_both_stops_hardly_any_candidate_even_in_thin_traffic(
    requests: tuple[float, float],
) -> None:
    stopped = [math.isfinite(stopped_at(seed, outage, outage, requests)) for seed in range(25)]

    assert sum(stopped) <= 1


def test_after_an_outage_of_both_the_verdict_returns_to_ok() -> None:
    state = after(*[(counts.Tally(30, 18), counts.Tally(270, 160))] * 5)
    polls = 0
    while state.own.breached:
        state, polls = guards.step(GUARD, state, counts.Tally(300, 0), counts.Tally(2700, 0)), polls + 1

    judgement = guards.judge(GUARD, state, TALKING)

    assert polls <= 50
    assert judgement.verdict is verdict.Verdict.OK
    assert state.beside == NONE
    assert state.alone == detector.State()


def test_a_candidate_alone_is_judged_by_the_limit() -> None:
    """The bake: all traffic is the candidate's, and waiting for a comparison would be waiting for ever."""
    state = after(*[(counts.Tally(300, 0), counts.Tally(300, 0))] * 5, *[(counts.Tally(300, 15), NONE)] * 3)

    judgement = guards.judge(GUARD, state, TALKING)

    assert judgement.verdict is verdict.Verdict.BREACHED
    assert judgement.because.endswith(
        "is above the limit 0.010, and the champion answered too little to compare with"
    )


def test_stray_requests_to_a_healthy_champion_do_not_blind_the_bake() -> None:
    assert stopped_at(7, steady(0.05), steady(0.0), (300.0, 0.3)) <= 5


def test_a_candidate_alone_in_some_polls_is_excused_by_a_champion_that_is_seen_to_fail() -> None:
    polls = [(counts.Tally(4, 4), NONE), (counts.Tally(4, 4), counts.Tally(1, 1))] * 6

    judgement = guards.judge(GUARD, after(*polls), TALKING)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert "but not proven worse than the champion's 1.000 over 6" in judgement.because


def test_a_candidate_above_the_limit_before_it_was_alone_long_enough_is_unknown() -> None:
    state = after(*[(counts.Tally(40, 5), counts.Tally(1, 0))] * 3, (counts.Tally(4, 0), NONE))
    assert state.own.breached

    judgement = guards.judge(GUARD, state, TALKING)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert "but not proven worse than the champion's 0.000 over 3" in judgement.because


def test_all_polls_without_champion_but_no_second_alarm_yet_names_a_champion_without_requests() -> None:
    alarmed = after((counts.Tally(30, 20), NONE))
    state = guards.State(own=alarmed.own)

    judgement = guards.judge(GUARD, state, TALKING)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because.endswith("but not proven worse than the champion, which had no request")


def test_a_candidate_worse_than_an_excellent_champion_but_within_the_limit_is_ok() -> None:
    state = after(*[(counts.Tally(1000, 6), counts.Tally(9000, 9))] * 20)

    assert state.against.log_e > math.log(20)
    assert guards.judge(GUARD, state, TALKING).verdict is verdict.Verdict.OK


def test_a_rate_above_the_limit_by_chance_is_ok_and_says_so() -> None:
    judgement = guards.judge(GUARD, after((counts.Tally(100, 2), counts.Tally(900, 1))), TALKING)

    assert judgement.verdict is verdict.Verdict.OK
    assert "error rate 0.020 over 100 requests is not proven above the limit 0.010" in judgement.because


def test_a_rate_above_the_limit_for_certain_but_short_of_an_alarm_says_so() -> None:
    """After an outage that was outweighed: the figures of the whole rollout still show it."""
    seen = counts.Tally(20_000, 1200)
    state = guards.State(own=detector.State(share=0.01, seen=seen))

    judgement = guards.judge(GUARD, state, TALKING)

    assert judgement.verdict is verdict.Verdict.OK
    assert (
        "error rate 0.060 over 20,000 requests is short of an alarm, though above the limit 0.010"
        in judgement.because
    )


def test_a_breach_that_good_requests_do_not_yet_outweigh_has_been_above() -> None:
    state = after(
        *[(counts.Tally(1, 1), counts.Tally(9, 0)), *[(counts.Tally(49, 0), counts.Tally(441, 0))]] * 1
    )
    state = guards.State(
        own=detector.State(0.01, (5.0,) * 5, counts.Tally(5000, 45), counts.Tally(5000, 45), breached=True),
        against=state.against,
    )

    judgement = guards.judge(GUARD, state, TALKING)

    assert "error rate 0.009 over the last 5,000 requests has been above the limit 0.010" in judgement.because


@pytest.mark.parametrize(
    ("state", "silence"), [(guards.State(), TALKING), (after((counts.Tally(300, 0), NONE)), SILENT)]
)
def test_a_candidate_without_recent_requests_is_unknown(
    state: guards.State, silence: verdict.Silence
) -> None:
    judgement = guards.judge(GUARD, state, silence)

    assert judgement.verdict is verdict.Verdict.UNKNOWN
    assert judgement.because == (
        f"error rate unknown: the candidate has had no request for {verdict.duration(silence.lasted)}"
    )


def test_a_breach_outlives_silence() -> None:
    state = after(*[(counts.Tally(30, 6), counts.Tally(270, 1))] * 3)

    assert guards.judge(GUARD, state, SILENT).verdict is verdict.Verdict.BREACHED


@pytest.mark.parametrize("error", [0.002, 0.02])
def test_an_equal_candidate_is_hardly_ever_stopped(error: float) -> None:
    """Within the limit, and above it together with the champion."""
    stopped = [
        math.isfinite(stopped_at(seed, steady(error), steady(error), (30.0, 270.0), polls=150))
        for seed in range(20)
    ]

    assert sum(stopped) <= 1


@given(st.lists(st.tuples(tallies, tallies), max_size=8))
def test_the_state_outlives_json_and_every_state_has_a_sentence(
    polls: list[tuple[counts.Tally, counts.Tally]],
) -> None:
    state = after(*polls)

    assert guards.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state
    for silence in (TALKING, SILENT):
        judgement = guards.judge(GUARD, state, silence)
        assert judgement.because
        assert not judgement.because.endswith(".")


@given(st.lists(st.tuples(tallies, tallies), max_size=8))
def test_polls_without_requests_change_nothing(polls: list[tuple[counts.Tally, counts.Tally]]) -> None:
    silent = [each for poll in polls for each in ((NONE, NONE), poll)]

    assert after(*silent, (NONE, NONE)) == after((NONE, NONE), *polls)
