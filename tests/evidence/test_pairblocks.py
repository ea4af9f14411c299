"""In blocks a burst is one event: candidates that are equal on average are not rolled back for one."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import reference
from modelmend.evidence import evalue, pairblocks, paired
from modelmend.evidence.paired import Finding, Paired

ALPHA = 0.05
FIRES = math.log(1 / ALPHA)
HOUR = 3600.0

few = st.integers(0, 400)
pairs_seen = st.builds(Paired, few, few, few)


def after(
    blocks: list[Paired], margin: float = 0.02, state: pairblocks.State | None = None
) -> pairblocks.State:
    """The state after these blocks, each ended."""
    found = state or pairblocks.State()
    for hour, pairs in enumerate([*blocks, Paired(0, 0, 0)]):
        found = pairblocks.step(found, pairs, margin, hour * HOUR, HOUR)
    return found


def total(blocks: list[Paired]) -> Paired:
    return Paired(*(sum(each) for each in zip(*((p.a, p.b, p.c) for p in blocks), strict=True)))


def test_a_block_votes_once_at_the_first_poll_after_its_end() -> None:
    state = pairblocks.State()
    for minute in range(0, 60, 10):
        state = pairblocks.step(state, Paired(2, 1, 17), 0.02, minute * 60, HOUR)
    assert state.votes == 0

    state = pairblocks.step(state, Paired(5, 5, 5), 0.02, HOUR, HOUR)

    assert state.votes == 1
    assert state.gathered == Paired(5, 5, 5)
    assert state.worse == pytest.approx([math.log1p(bet / 3) for bet in pairblocks.BETS])
    assert state.better == pytest.approx([math.log1p(-bet / 3) for bet in pairblocks.BETS])
    assert state.not_worse == pytest.approx(
        [math.log1p(bet * (0.02 - 6 / 120)) for bet in pairblocks.MARGIN_BETS]
    )


def test_a_block_without_pairs_has_no_vote_and_one_without_discord_proves_only_closeness() -> None:
    state = after([Paired(0, 0, 0), Paired(0, 0, 50)])

    assert state.votes == 1
    assert state.worse == pairblocks.State().worse
    assert all(log > 0 for log in state.not_worse)


def test_the_mean_of_each_factor_is_one_at_the_edge_of_its_null_hypothesis() -> None:
    """Over every possible block of 7 pairs, and over blocks in which all pairs are alike."""
    margin = 0.1

    def e(state: pairblocks.State) -> np.ndarray:
        return np.exp([*state.worse, *state.better])

    mean = np.zeros(10)
    not_worse = 0.0
    for a, b in itertools.product(range(8), repeat=2):
        if (c := 7 - a - b) >= 0:
            ways = math.factorial(7) // (math.factorial(a) * math.factorial(b) * math.factorial(c))
            state = after([Paired(a, b, c)], margin)
            mean += ways * 0.2 ** (a + b) * 0.6**c * e(state)
            not_worse += ways * 0.3**a * 0.2**b * 0.5**c * math.exp(evalue.log_mean(state.not_worse))
    bursts = (e(after([Paired(7, 0, 0)])) + e(after([Paired(0, 7, 0)]))) / 2

    assert mean == pytest.approx(np.ones(10))
    assert bursts == pytest.approx(np.ones(10))
    assert not_worse == pytest.approx(1)


def test_the_room_and_the_reference_agree() -> None:
    rng = np.random.default_rng(81)
    a, b = rng.binomial(20, 0.1, size=50), rng.binomial(20, 0.05, size=50)
    state = after([Paired(int(x), int(y), 40 - int(x + y)) for x, y in zip(a, b, strict=True)])

    shares = np.where(a + b > 0, (a - b) / np.maximum(a + b, 1), 0.0)[None, :]
    assert evalue.log_mean(state.worse) == pytest.approx(
        reference.log_e_blocks(shares, pairblocks.BETS)[0, -1]
    )
    assert pairblocks.log_e_better(state) == pytest.approx(
        reference.log_e_blocks(-shares, pairblocks.BETS)[0, -1]
    )
    assert evalue.log_mean(state.not_worse) == pytest.approx(
        reference.log_e_blocks(-(a - b)[None, :] / 40, pairblocks.MARGIN_BETS, -0.02)[0, -1]
    )


def test_bursts_of_an_equal_candidate_are_rolled_back_by_pairs_and_not_by_blocks() -> None:
    """800 rollouts of 500 blocks of 100 pairs; in each block only one of the two errs, either as often. [.04
    against .70]"""
    rng = np.random.default_rng(82)
    turn = rng.random((800, 500)) < 0.5
    a, b = rng.binomial(100, np.where(turn, 0.06, 0)), rng.binomial(100, np.where(turn, 0, 0.06))
    share = np.where(a + b > 0, (a - b) / np.maximum(a + b, 1), 0.0)

    blocks = reference.log_e_blocks(share, pairblocks.BETS) >= FIRES
    pairs = reference.log_e_worse(np.cumsum(a, axis=1), np.cumsum(b, axis=1)) >= FIRES

    assert blocks.any(axis=1).mean() <= ALPHA + 2 * math.sqrt(ALPHA / 800)
    assert pairs.any(axis=1).mean() > 0.5


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_a_candidate_worse_by_the_margin_is_hardly_ever_promoted(spread: float) -> None:
    """1,000 rollouts of 400 blocks at the edge, steady or with blocks of their own."""
    rng = np.random.default_rng(83)
    swing = spread * rng.choice([-1, 1], size=(1000, 400))
    excess = (rng.binomial(100, 0.11 + swing) - rng.binomial(100, 0.06 + swing * 0)) / 100

    promoted = reference.log_e_blocks(-excess, pairblocks.MARGIN_BETS, -0.05) >= FIRES

    assert promoted.any(axis=1).mean() <= ALPHA


def test_a_worse_candidate_is_found_within_a_day_and_an_equal_one_promoted_as_late_as_documented() -> None:
    worse, equal = [Paired(5, 1, 94)] * 40, [Paired(3, 3, 94)] * 90

    assert pairblocks.compare(after(worse), total(worse), 0.02, ALPHA).because == (
        "the candidate is worse than the champion: right alone 40 times against 200 in 4,000 pairs of 40 blocks (alpha 0.05)"
    )
    assert pairblocks.compare(after(worse[:11]), total(worse[:11]), 0.02, ALPHA).finding is Finding.WORSE
    assert pairblocks.compare(after(equal, 0.05), total(equal), 0.05, ALPHA).because == (
        "the candidate is not worse than the champion by 0.05 or more: "
        "right alone 270 times against 270 in 9,000 pairs of 90 blocks (alpha 0.05)"
    )


def test_without_a_margin_not_worse_means_better() -> None:
    blocks = [Paired(5, 45, 50)] * 60

    assert (
        "the candidate is better than the champion"
        in pairblocks.compare(after(blocks, 0.0), total(blocks), 0.0, ALPHA).because
    )


def test_an_open_comparison_says_how_far_it_is() -> None:
    blocks = [Paired(3, 3, 94)] * 20
    comparison = pairblocks.compare(after(blocks, 0.05), total(blocks), 0.05, ALPHA)

    assert comparison.finding is Finding.UNDECIDED
    assert comparison.expected == 8800
    assert comparison.because.startswith(
        "undecided after 20 of about 88 blocks: the candidate was right alone 60"
    )


def test_an_open_comparison_that_leads_nowhere_or_has_not_begun_says_so() -> None:
    level, none = [Paired(3, 3, 94)] * 20, Paired(0, 0, 0)

    assert "no end in sight" in pairblocks.compare(after(level, 0.0), total(level), 0.0, ALPHA).because
    assert pairblocks.compare(pairblocks.State(), none, 0.02, ALPHA).because == (
        "no block with pairs of candidate and champion has ended yet"
    )


def test_thirty_discordant_pairs_are_asked_for_here_too() -> None:
    blocks = [Paired(0, 0, 5)] * 60 + [Paired(1, 1, 3)]

    assert pairblocks.compare(after(blocks, 0.2), total(blocks), 0.2, ALPHA).finding is Finding.NOT_WORSE
    assert pairblocks.compare(after(blocks, 0.2), Paired(4, 4, 30), 0.2, ALPHA).finding is Finding.UNDECIDED


def test_another_margin_starts_its_own_evidence_afresh_and_keeps_the_rest() -> None:
    state = after([Paired(0, 5, 95)] * 30, 0.05)

    moved = pairblocks.step(state, Paired(0, 0, 0), 0.02, 31 * HOUR, HOUR)

    assert moved.not_worse == pairblocks.State().not_worse
    assert moved.better == state.better
    assert "of about" not in pairblocks.compare(state, Paired(0, 150, 2850), 0.02, ALPHA).because


@pytest.mark.parametrize("margin", [-0.01, 1.0, float("nan")])
def test_a_margin_that_no_bet_survives_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        pairblocks.step(pairblocks.State(), Paired(1, 1, 1), margin, 0, HOUR)


@settings(max_examples=40)
@given(st.lists(pairs_seen, max_size=6), st.sampled_from([0.0, 0.01, 0.3]))
def test_the_state_outlives_json_and_every_state_has_a_sentence(blocks: list[Paired], margin: float) -> None:
    state = after(blocks, margin)

    assert pairblocks.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state
    comparison = pairblocks.compare(state, total(blocks) if blocks else Paired(0, 0, 0), margin, ALPHA)
    assert comparison.because
    assert comparison.expected is None or comparison.expected >= comparison.n


def test_a_state_with_other_bets_is_refused() -> None:
    with pytest.raises(ValueError, match="other bets"):
        pairblocks.State.from_json(pairblocks.State().to_json() | {"worse": [0.0]})


def test_one_block_mode_decision_is_the_paired_one_where_pairs_are_independent() -> None:
    """Blocks of a single pair: the same bets on the same votes."""
    pairs = [Paired(1, 0, 0)] * 9 + [Paired(0, 1, 0)] * 2 + [Paired(0, 0, 1)] * 5

    assert evalue.log_mean(after(pairs).worse) == pytest.approx(paired.log_e_worse(total(pairs)))
