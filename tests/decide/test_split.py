"""Numbers of pods for a share of traffic: against every number that there is."""

from fractions import Fraction

import pytest

from decide import worlds
from modelmend.decide.upkeep import split

WEIGHTS = (1, 2, 5, 7, 10, 20, 25, 33, 49, 50, 51, 60, 75, 90, 99)


def best(weight: int, replicas: int) -> split.Counts:
    """By trying all of them."""
    every = [
        split.Counts(champion, candidate)
        for candidate in range(1, replicas + 1)
        for champion in range(replicas, 2 * replicas - candidate + 1)
    ]
    return min(
        every,
        key=lambda each: (
            abs(Fraction(100 * each.candidate, each.champion + each.candidate) - weight),
            each.champion + each.candidate,
            each.candidate,
        ),
    )


@pytest.mark.parametrize("weight", WEIGHTS)
def test_numbers_of_pods_are_the_best_of_all_that_are_allowed(weight: int) -> None:
    for replicas in range(1, 26):
        assert split.counts(weight, replicas) == best(weight, replicas), (weight, replicas)


def test_champion_keeps_its_replicas_and_both_need_no_more_pods_than_a_promotion() -> None:
    for replicas in (1, 2, 3, 7, 100, 1000):
        for weight in range(1, 100):
            found = split.counts(weight, replicas)
            assert found.champion >= replicas
            assert found.candidate >= 1
            assert found.total <= 2 * replicas


@pytest.mark.parametrize("weight", range(1, 101))
def test_replicas_that_the_remedy_names_are_enough_and_so_are_more(weight: int) -> None:
    least = split.enough(weight)
    if least is None:
        assert weight > 50
        assert not any(split.is_near(weight, replicas) for replicas in (1, 2, 50, 200, 1000))
        return
    assert all(split.is_near(weight, replicas) for replicas in range(least, 120))


def bare(replicas: int, shadow: int, *steps: int) -> object:
    """A spec without a gateway that asks for these shares."""
    return worlds.make_spec(
        serving={"replicas": replicas, "gateway": None},
        rollout={"shadow": {"traffic": shadow}, "steps": [{"weight": step} for step in steps]},
    )


def test_shares_are_told_before_any_rollout_and_far_ones_are_warned_of_with_a_remedy() -> None:
    told = split.told(bare(2, 20, 10, 50, 100))
    assert told is not None
    assert [(each.wanted, each.reached, each.champion_pods, each.candidate_pods) for each in told.shares] == [
        (10, 25, 3, 1),
        (20, 25, 3, 1),
        (50, 50, 2, 2),
        (100, 100, 0, 2),
    ]
    assert told.warning == (
        "with serving.replicas 2 and no serving.gateway a candidate gets 25 % instead of 10 %: "
        "serving.replicas of 4 or more comes near, serving.gateway takes any weight"
    )


def test_share_that_no_number_of_replicas_reaches_is_told_as_such() -> None:
    told = split.told(bare(4, 20, 90))
    assert told is not None
    assert told.warning == (
        "with serving.replicas 4 and no serving.gateway a candidate gets 50 % instead of 90 %: "
        "serving.gateway takes any weight"
    )
    told = split.told(bare(1, 20, 90))
    assert told is not None
    assert "serving.replicas of 2 or more comes near the smaller ones, serving.gateway" in str(told.warning)


def test_nothing_is_told_with_a_gateway_and_no_warning_where_every_share_is_near() -> None:
    assert split.told(worlds.make_spec()) is None
    told = split.told(bare(5, 20, 10, 50))
    assert told is not None
    assert told.warning is None
