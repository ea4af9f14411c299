"""How many pairs a rollout's decision needs."""

import pytest

from modelmend.advise import quantiles, rollouts


@pytest.mark.parametrize(("gain", "median"), [(-0.02, 967), (-0.05, 133)])
def test_pairs_until_a_worse_candidate_goes_are_those_of_the_benchmark(gain: float, median: float) -> None:
    """docs/evidence.md: looked at after every pair, at a disagreement of .06 and a margin of .02."""
    found = rollouts.contest(gain, 0.06, 0.02, 0.05)

    assert found.sent_back > 0.9
    assert found.pairs.median == pytest.approx(median, rel=0.35)


def test_better_candidate_goes_on_and_a_much_better_one_sooner() -> None:
    some, much = (rollouts.contest(gain, 0.06, 0.01, 0.05) for gain in (0.01, 0.05))

    assert some.promoted > 0.95
    assert much.promoted > 0.99
    assert some.pairs.median is not None
    assert much.pairs.median is not None
    assert much.pairs.median < some.pairs.median


def test_models_cannot_differ_by_more_than_they_disagree() -> None:
    assert rollouts.contest(0.05, 0.01, 0.01, 0.05).discordant == 0.05


def test_comparison_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "MOST", 50)

    found = rollouts.contest(0.0, 0.02, 0.0, 0.05)

    assert found.promoted + found.sent_back < 0.2
    assert found.pairs == quantiles.Spread(None, None, None)
