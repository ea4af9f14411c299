"""Figures in sentences: as short as can be, and never equal when the numbers differ."""

import pytest

from modelmend.evidence import verdict


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (45.2, "45 s"),
        (59.6, "1 min"),
        (14 * 60, "14 min"),
        (3 * 3600 + 20 * 60 + 29, "3 h 20 min"),
        (3600, "1 h"),
        (2 * 86400 + 4 * 3600 + 59 * 60, "2 d 4 h"),
        (86400 + 60, "1 d"),
    ],
)
def test_durations_are_written_in_their_two_largest_units(seconds: float, written: str) -> None:
    assert verdict.duration(seconds) == written


@pytest.mark.parametrize(
    ("shares", "written"),
    [
        ((0.8123, 0.85), ["0.812", "0.850"]),
        ((0.84996, 0.85), ["0.84996", "0.85000"]),
        ((0.85, 0.85), ["0.850", "0.850"]),
        ((0.85, 0.85 + 1e-9), ["0.850000", "0.850000"]),
    ],
)
def test_shares_that_differ_are_written_differently(shares: tuple[float, ...], written: list[str]) -> None:
    assert verdict.figures(*shares) == written


def test_silence_is_too_long_only_beyond_what_is_tolerated() -> None:
    assert not verdict.Silence(lasted=600, tolerated=600).is_too_long
    assert verdict.Silence(lasted=601, tolerated=600).is_too_long


def test_verdicts_are_written_as_in_the_status() -> None:
    assert [str(each) for each in verdict.Verdict] == ["OK", "Breached", "Unknown"]
