"""One vote a row, a poll or a block: what is gathered is never lost, and each way keeps the detector's guarantee."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evidence import reference
from modelmend.evidence import bursts, counts, detector, voting

LIMIT = detector.Limit(share=0.10, alarm=720)
HOUR = 3600.0

tallies = st.integers(0, 300).flatmap(lambda n: st.integers(0, n).map(lambda bad: counts.Tally(n, bad)))
times = st.lists(st.floats(0, 1e6), max_size=12).map(sorted)


def only(n: int, bad: float) -> voting.Rows:
    return {voting.ONLY: counts.Tally(n, bad)}


def test_a_vote_moves_the_detector_by_its_formula() -> None:
    before = detector.vote(detector.State(), counts.Tally(100, 14), LIMIT)

    after = detector.vote(before, counts.Tally(50, 3), LIMIT)

    levels = [1 + bet / 0.10 * (0.14 - 0.10) for bet in detector.STAKES]
    levels = [
        (m + 1) * (1 + bet / 0.10 * (0.06 - 0.10)) for m, bet in zip(levels, detector.STAKES, strict=True)
    ]
    assert [math.expm1(log) for log in after.logs] == pytest.approx(levels)
    assert after.seen == counts.Tally(150, 17)
    assert detector.vote(after, counts.Tally(), LIMIT) == after


@pytest.mark.parametrize("share", [0.0, 0.003, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("vote", [0.0, 0.5, 1.0])
def test_no_vote_breaks_a_detector(share: float, vote: float) -> None:
    limit = detector.Limit(share, 100)
    state = detector.State()
    for _ in range(300):
        state = detector.vote(state, counts.Tally(10, 10 * vote), limit)

    assert all(math.isfinite(log) for log in state.logs)
    assert state.breached == (vote > share)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_at_the_limit_each_vote_adds_exactly_one_on_average(share: float) -> None:
    """Over every possible block of 12 labels whose expected share is the limit, though labels within it are all
    alike or not."""
    limit = detector.Limit(share, alarm=1e14)
    before = detector.vote(detector.State(), counts.Tally(10, 3), limit)

    def level(bad: int) -> float:
        return detector.vote(before, counts.Tally(12, bad), limit).level

    independent = sum(float(stats.binom.pmf(bad, 12, share)) * level(bad) for bad in range(13))
    all_alike = (1 - share) * level(0) + share * level(12)

    assert independent == pytest.approx(before.level + 1, rel=1e-9)
    assert all_alike == pytest.approx(before.level + 1, rel=1e-9)


def test_a_block_votes_once_at_the_first_poll_after_its_end() -> None:
    state = voting.State()
    for minute in range(0, 60, 10):
        state = voting.by_block(state, only(20, 2), LIMIT, minute * 60, HOUR)
    assert state.detected.seen.n == 0
    assert state.gathered == only(120, 12)

    state = voting.by_block(state, only(7, 7), LIMIT, 3600.0, HOUR)

    assert state.detected == detector.vote(detector.State(), counts.Tally(120, 12), LIMIT)
    assert state.gathered == only(7, 7)


def test_an_empty_block_has_no_vote() -> None:
    state = voting.by_block(voting.State(), only(20, 2), LIMIT, 0, HOUR)
    for hour in range(1, 50):
        state = voting.by_block(state, only(0, 0), LIMIT, hour * HOUR, HOUR)

    assert state.detected == detector.vote(detector.State(), counts.Tally(20, 2), LIMIT)


def test_a_round_waits_for_every_class_and_weighs_them_the_same() -> None:
    rows = {"a": counts.Tally(90, 9), "b": counts.Tally()}
    state = voting.by_poll(voting.State(), rows, LIMIT)
    assert state.detected == detector.State()

    state = voting.by_poll(state, {"a": counts.Tally(10, 1), "b": counts.Tally(2, 1)}, LIMIT)

    assert state.detected.seen.n == 102
    assert state.detected.seen.share == pytest.approx((0.1 + 0.5) / 2)
    assert state.gathered == {}


def test_a_block_that_lacks_a_class_goes_on_into_the_next() -> None:
    state = voting.by_block(voting.State(), {"a": counts.Tally(5, 1), "b": counts.Tally()}, LIMIT, 0, HOUR)
    state = voting.by_block(state, {"a": counts.Tally(5, 1), "b": counts.Tally(4, 1)}, LIMIT, HOUR, HOUR)
    assert state.detected.seen.n == 0

    state = voting.by_block(state, {"a": counts.Tally(), "b": counts.Tally()}, LIMIT, 2 * HOUR, HOUR)

    assert state.detected.seen.n == 14


@settings(max_examples=40)
@given(st.lists(st.tuples(tallies, st.floats(0, 1e6)), max_size=12))
def test_no_row_is_lost_or_counted_twice_in_blocks(polls: list[tuple[counts.Tally, float]]) -> None:
    state = voting.State()
    for new, at in sorted(polls, key=lambda poll: poll[1]):
        state = voting.by_block(state, {voting.ONLY: new}, LIMIT, at, HOUR)

    gathered = sum((tally.n for tally in state.gathered.values()), 0)
    assert state.detected.seen.n + gathered == sum(new.n for new, _ in polls)


@settings(max_examples=40)
@given(st.lists(st.tuples(tallies, tallies), max_size=8), st.booleans())
def test_the_state_outlives_json(polls: list[tuple[counts.Tally, counts.Tally]], blocks: bool) -> None:
    state = voting.State()
    for hour, (one, other) in enumerate(polls):
        rows = {"a": one, "b": other}
        state = (
            voting.by_block(state, rows, LIMIT, hour * HOUR, HOUR)
            if blocks
            else voting.by_poll(state, rows, LIMIT)
        )
        state = voting.by_row(state, one, LIMIT)

    assert voting.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_an_empty_map_that_became_null_is_read_as_empty() -> None:
    assert voting.State.from_json(voting.State().to_json() | {"gathered": None}) == voting.State()


def test_bursts_are_not_sought_during_a_breach() -> None:
    state = voting.State()
    for _ in range(100):
        state = voting.by_row(state, counts.Tally(20, 12), LIMIT)

    assert state.detected.breached
    assert state.clustered.seen.n < 2000


def test_the_room_and_the_reference_alarm_at_the_same_vote() -> None:
    rng = np.random.default_rng(41)
    n = rng.poisson(30, size=(25, 200))
    bad = rng.binomial(n, 0.12)
    votes = np.where(n > 0, bad / np.maximum(n, 1), np.nan)

    expected = reference.vote_alarms(votes, LIMIT.share, LIMIT.alarm)

    for run in range(25):
        state, alarm = detector.State(), math.inf
        for look in range(200):
            state = detector.vote(state, counts.Tally(int(n[run, look]), int(bad[run, look])), LIMIT)
            if state.breached:
                alarm = look + 1
                break
        assert alarm == expected[run]


def alternating(rng: np.random.Generator, runs: int, hours: int, labels: int) -> np.ndarray:
    """Errors per hour among `labels`, .05 and .13 in turn every 10 h: .09 on average."""
    share = np.where(np.arange(hours) // 10 % 2, 0.13, 0.05)
    return rng.binomial(labels, share, size=(runs, hours)).astype(float)


def test_bursts_under_the_limit_always_alarm_by_rows_and_never_by_days() -> None:
    """Mean error .09 under a limit of .10, alternating every 10 h; 40 lives of 9 days, 1,200 labels an hour, c =
    720 h."""
    bad = alternating(np.random.default_rng(42), 40, 216, 1200)

    by_row = reference.detector_alarms(bad, np.full_like(bad, 1200.0), 0.10, 86_400)
    by_day = reference.vote_alarms(bad.reshape(40, 9, 24).sum(axis=2) / (24 * 1200), 0.10, 30)

    assert np.isfinite(by_row).all()
    assert np.isinf(by_day).all()


def test_with_errors_that_follow_each_other_blocks_keep_their_false_alarms_apart() -> None:
    """Each day has an error of its own, .02 or .18, .10 on average and at the limit: 300 lives, c = 30 days. [33
    days]"""
    rng = np.random.default_rng(43)
    day = rng.choice([0.02, 0.18], size=(300, 400))
    votes = rng.binomial(500, day) / 500

    first = np.minimum(reference.vote_alarms(votes, 0.10, 30), votes.shape[1])

    assert first.mean() > 30 + 2 * first.std() / math.sqrt(300)


@pytest.mark.parametrize(("error", "hours"), [(0.13, 32), (0.20, 14)])
def test_a_fall_is_seen_within_days_in_hourly_blocks(error: float, hours: int) -> None:
    """100 labels an hour, limit .10, c = 720 blocks."""
    votes = np.random.default_rng(44).binomial(100, error, size=(200, 400)) / 100

    assert np.median(reference.vote_alarms(votes, 0.10, 720)) <= hours


@pytest.mark.parametrize("labels", [1, 20, 400])
@pytest.mark.parametrize("error", [0.02, 0.1, 0.3])
def test_independent_errors_are_not_called_bursts(labels: int, error: float) -> None:
    """30 lives of 500 polls, looked at after each."""
    rng = np.random.default_rng(45)
    warned = 0
    for _ in range(30):
        state = bursts.State()
        for bad in rng.binomial(labels, error, size=500):
            state = bursts.step(state, counts.Tally(labels, int(bad)))
            warned += bursts.warning(state) is not None
    assert warned == 0


@pytest.mark.parametrize("labels", [1, 20])
def test_bursts_are_seen_and_said(labels: int) -> None:
    """Errors of .05 and .13 in turn, every 1,200 labels."""
    rng = np.random.default_rng(46)
    state = bursts.State()
    for poll in range(12_000 // labels):
        error = 0.13 if poll * labels // 1200 % 2 else 0.05
        state = bursts.step(state, counts.Tally(labels, int(rng.binomial(labels, error))))

    said = bursts.warning(state)

    assert said is not None
    assert said.startswith("errors come in bursts (successive groups of 50 labels correlate by 0.")
    assert said.endswith("set block to a time longer than a burst")
    assert bursts.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_a_model_without_errors_or_without_anything_else_has_no_bursts() -> None:
    for bad in (0, 20):
        state = bursts.State()
        for _ in range(1000):
            state = bursts.step(state, counts.Tally(20, bad))
        assert state.pairs >= bursts.PAIRS_NEEDED
        assert state.correlation is not None


def test_without_labels_nothing_is_known_of_bursts() -> None:
    assert bursts.step(bursts.State(), counts.Tally()) == bursts.State()
    assert bursts.State().correlation is None
    assert bursts.warning(bursts.State()) is None


def test_the_vote_of_a_poll_is_worth_nothing_more_than_its_mean() -> None:
    for shares in itertools.product([0.0, 0.5, 1.0], repeat=2):
        rows = {str(i): counts.Tally(10, 10 * share) for i, share in enumerate(shares)}
        assert voting.pooled(rows).share == pytest.approx(sum(shares) / 2)
