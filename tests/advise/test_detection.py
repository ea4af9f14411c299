"""The delay of the operator's own detector, and what it says when there is none in sight."""

from datetime import timedelta

import pytest

from modelmend.advise import detection, quantiles
from modelmend.evidence import counts, detector

POLL = timedelta(seconds=30)
LIMIT = detector.Limit(0.1, 86_400)


def test_delay_is_the_one_that_the_benchmark_measures() -> None:
    """docs/evidence.md: from .92 to .87 at a limit of .90 and 20 labels a poll, 0.82 h in the median."""
    found = detection.delay(LIMIT, 0.13, 20, POLL)

    assert found.time.median is not None
    assert found.time.ninth is not None
    assert found.labels.median is not None
    assert found.time.median / 3600 == pytest.approx(0.82, rel=0.2)
    assert found.time.ninth > found.time.median
    assert found.labels.median == pytest.approx(found.time.median / 30 * 20, rel=0.05)


def test_same_seed_gives_the_same_delay_and_another_one_another() -> None:
    first, again, other = (detection.delay(LIMIT, 0.3, 5, POLL, seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_fewer_labels_a_poll_take_as_many_labels_and_more_time() -> None:
    often, seldom = (detection.delay(LIMIT, 0.2, labels, POLL) for labels in (1.0, 0.1))

    assert often.time.median is not None
    assert seldom.time.median is not None
    assert seldom.time.median / often.time.median == pytest.approx(10, rel=0.3)


def test_what_is_no_fall_is_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "LONGEST", 200)
    told: list[float] = []

    found = detection.delay(LIMIT, 0.05, 1, POLL, passed=told.append)

    assert found.labels == found.time == quantiles.Spread(None, None, None)
    assert detection.growth(0.1, 0.05) == 0
    assert told == sorted(told)
    assert told[-1] >= 1


def test_evidence_grows_faster_the_deeper_the_fall() -> None:
    grown = [detection.growth(0.1, wrong) for wrong in (0.11, 0.13, 0.2, 0.5)]

    assert grown == sorted(grown)
    assert grown[0] > 0


def test_quantiles_count_the_runs_that_did_not_end() -> None:
    assert quantiles.spread([3, 1, 2, 4], 10) == quantiles.Spread(1, None, None)
    assert quantiles.spread([*range(1, 10)], 10) == quantiles.Spread(1, 5, 9)


def test_expected_labels_are_about_those_of_the_median_run() -> None:
    found, simulated = (
        detection.expected(detector.State(), LIMIT, 0.13, 20),
        detection.delay(LIMIT, 0.13, 20, POLL),
    )

    assert found is not None
    assert found == pytest.approx(simulated.labels.median, rel=0.3)


def test_breach_is_expected_to_end_only_while_the_share_is_healthy() -> None:
    breached = detector.step(detector.State(), counts.Tally(1000, 400), LIMIT)

    assert breached.breached
    assert detection.expected(breached, LIMIT, 0.05, 20) is not None
    assert detection.expected(breached, LIMIT, 0.5, 20) is None
    assert detection.expected(detector.State(), LIMIT, 0.0, 20) is None
