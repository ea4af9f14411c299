"""Comparisons that have nothing, or nearly nothing, to compare: each ends in a finding with a sentence.

Zero pairs, zero discordance, one arm without labels, margin 0, arms that are always wrong: none divides by zero, and none
finds a candidate worse or not worse that nothing was heard of.
"""

import math
from collections.abc import Callable
from typing import Final

import pytest

from modelmend.evidence import counts, divided, margin, offline, pairblocks, paired, slices

ALPHA: Final = 0.05
MARGINS: Final = (0.0, 0.01, 0.49)
PAIRS: Final = {
    "no pair": paired.Paired(0, 0, 0),
    "one pair that agrees": paired.Paired(0, 0, 1),
    "a million pairs that agree": paired.Paired(0, 0, 1_000_000),
    "as many of each": paired.Paired(5_000, 5_000, 0),
    "every pair lost": paired.Paired(10_000, 0, 0),
    "every pair won": paired.Paired(0, 10_000, 0),
}


def _by_pairs(pairs: paired.Paired, wanted: float) -> paired.Comparison:
    return paired.compare(pairs, wanted, ALPHA)


def _by_blocks(pairs: paired.Paired, wanted: float) -> paired.Comparison:
    """One block with all of them, and one look after its end."""
    state = pairblocks.step(pairblocks.State(), pairs, wanted, 0.0, 3600.0)
    state = pairblocks.step(state, paired.Paired(0, 0, 0), wanted, 3600.0, 3600.0)
    return pairblocks.compare(state, pairs, wanted, ALPHA)


def _by_arms(pairs: paired.Paired, wanted: float) -> paired.Comparison:
    """The same errors, told by each arm for itself."""
    candidate, champion = counts.Tally(pairs.n, pairs.a), counts.Tally(pairs.n, pairs.b)
    state = divided.step(divided.State(), counts.Tally(1, 0), counts.Tally(0, 0))
    state = divided.step(state, candidate, champion)
    return margin.compare(state.against, candidate, champion, wanted, ALPHA)


WAYS: Final = (_by_pairs, _by_blocks, _by_arms)


@pytest.mark.parametrize("wanted", MARGINS)
@pytest.mark.parametrize("what", PAIRS)
@pytest.mark.parametrize("way", WAYS, ids=["pairs", "blocks", "arms"])
def test_any_comparison_ends_in_a_finding_with_a_sentence(
    way: Callable[[paired.Paired, float], paired.Comparison], what: str, wanted: float
) -> None:
    pairs = PAIRS[what]

    found = way(pairs, wanted)

    assert len(found.because) > 20
    assert "nan" not in found.because
    assert "inf" not in found.because
    assert found.expected is None or found.expected >= pairs.n
    if found.finding is paired.Finding.WORSE:
        assert pairs.a > pairs.b
    if found.finding is paired.Finding.NOT_WORSE:
        assert pairs.b > pairs.a or (wanted > 0 and pairs.n > 1)


@pytest.mark.parametrize("way", WAYS, ids=["pairs", "blocks", "arms"])
def test_candidate_that_never_differs_is_never_better(
    way: Callable[[paired.Paired, float], paired.Comparison],
) -> None:
    """Margin 0 asks for better; without discordance there is no evidence of it, however many pairs there are."""
    assert way(PAIRS["a million pairs that agree"], 0.0).finding is paired.Finding.UNDECIDED


@pytest.mark.parametrize("wanted", MARGINS)
@pytest.mark.parametrize("what", PAIRS)
def test_any_gate_ends_in_a_sentence(what: str, wanted: float) -> None:
    pairs = PAIRS[what]
    gates = (
        offline.better(pairs, ALPHA),
        offline.not_worse(pairs, wanted, ALPHA),
        slices.gate([slices.Slice("kind = north", pairs, wanted)], ALPHA, slices.Require.PROVEN_NOT_WORSE),
    )

    for gate in gates:
        assert len(gate.because) > 20
        assert not (gate.passed and pairs.a > pairs.b)
        assert not (gate.passed and pairs.n < 2)
    assert offline.better(pairs, ALPHA).passed == (what == "every pair won")


@pytest.mark.parametrize(
    ("candidate", "champion", "missing"),
    [((0, 0), (0, 0), "two"), ((0, 0), (500, 50), "candidate"), ((500, 50), (0, 0), "champion")],
)
def test_arm_without_labels_is_named(
    candidate: tuple[int, int], champion: tuple[int, int], missing: str
) -> None:
    state = divided.State().against
    found = margin.compare(state, counts.Tally(*candidate), counts.Tally(*champion), 0.0, ALPHA)

    assert found.finding is paired.Finding.UNDECIDED
    assert f"no label on the {missing} yet" in found.because


def test_champion_whose_counters_fall_takes_nothing_back() -> None:
    """A counter that is behind what was seen, as after a lost process, is no negative label."""
    state = divided.step(divided.State(), counts.Tally(10, 1), counts.Tally(1_000, 100))
    state = divided.step(state, counts.Tally(10, 1), counts.Tally(400, 40))

    assert (state.champion.n, state.champion.bad) == (0, 0)
    assert math.isfinite(state.against.log_e)
