"""Draws that the standard library does not have, against their known means and spreads."""

from random import Random

import pytest

from modelmend.advise import chances


@pytest.mark.parametrize(("n", "share"), [(7, 0.3), (400, 0.02), (20_000, 0.5), (3, 0.0), (3, 1.0), (0, 0.5)])
def test_hits_have_the_binomial_mean_and_spread(n: int, share: float) -> None:
    dice, table = Random(1), chances.hits(n, share)
    drawn = [table.draw(dice) for _ in range(4000)]
    mean = sum(drawn) / len(drawn)
    spread = sum((number - mean) ** 2 for number in drawn) / len(drawn)
    variance = n * share * (1 - share)

    assert all(0 <= number <= n for number in drawn)
    assert mean == pytest.approx(n * share, abs=4 * (variance / 4000) ** 0.5 + 1e-9)
    assert spread == pytest.approx(variance, rel=0.15, abs=1e-9)


@pytest.mark.parametrize("mean", [1e-6, 0.03, 1.0, 20.0, 5000.0])
def test_labels_per_unit_of_time_come_at_the_given_rate(mean: float) -> None:
    dice, table = Random(2), chances.arrivals(mean)
    labels = waited = 0
    for _ in range(4000):
        labels += table.draw(dice)
        waited += chances.wait(dice, mean)

    assert labels / waited == pytest.approx(mean, rel=0.06)


def test_poll_with_labels_has_at_least_one() -> None:
    dice, table = Random(3), chances.arrivals(0.01)

    assert min(table.draw(dice) for _ in range(1000)) == 1
