"""A measure that gets worse by rising is told in the same words, turned round."""

import pytest

from modelmend.evidence import counts, detector, quality, verdict
from modelmend.evidence.quality import Asked, Figures, Seen

MAE = Asked("MAE", 2.0, 100, 1000, rising=True)
TALKING = verdict.Silence(30, 600)
SILENT = verdict.Silence(1200, 600)
HEALTHY = detector.State(0.2, seen=counts.Tally(500, 80))
BREACHED = detector.State(0.2, (7.0,) * 5, counts.Tally(500, 150), counts.Tally(60, 30), breached=True)


@pytest.mark.parametrize(
    ("state", "shown", "run", "sentence"),
    [
        (HEALTHY, Figures(500, 1.6, 1.2, 1.9), None, "is within the limit 2.000 (99.9% sure at most 1.900)"),
        (
            HEALTHY,
            Figures(500, 2.1, 1.8, 2.4),
            None,
            "is not proven above the limit 2.000 (99.9% sure at least 1.800)",
        ),
        (
            HEALTHY,
            Figures(500, 2.6, 2.2, 2.9),
            None,
            "is short of an alarm, though above the limit 2.000 (99.9% sure at least 2.200)",
        ),
        (BREACHED, Figures(500, 3.0, 2.4, 3.6), 5.0, "is above the limit 2.000 (99.9% sure at least 2.400)"),
        (
            BREACHED,
            Figures(500, 1.9, 1.6, 2.2),
            5.0,
            "but 5.000 over the 60 since it began to rise: above the limit 2.000 by evidence that comes by chance "
            "at most once in 1,000 polls with labels",
        ),
        (
            BREACHED,
            Figures(500, 1.9, 1.6, 2.2),
            1.5,
            "does not yet outweigh the proven rise above the limit 2.000",
        ),
        (BREACHED, Figures(500, 1.9, 1.6, 2.2), None, "does not yet outweigh the proven rise"),
        (BREACHED, None, None, "MAE rose above the limit 2.000, and no labels for 30 s say otherwise"),
    ],
)
def test_a_rising_measure_is_told_from_its_side(
    state: detector.State, shown: Figures | None, run: float | None, sentence: str
) -> None:
    assert sentence in quality.judge(MAE, state, Seen(shown, run, TALKING)).because


def test_one_look_at_a_rising_measure_breaches_at_the_limit_itself() -> None:
    at = quality.judge_by_threshold(
        MAE, Seen(Figures(500, 3.0, 2.0, 4.0), None, TALKING), "4 standard errors"
    )
    within = quality.judge_by_threshold(MAE, Seen(Figures(500, 3.0, 1.99, 4.0), None, TALKING), "sure")
    silent = quality.judge_by_threshold(MAE, Seen(Figures(500, 3.0, 2.0, 4.0), None, SILENT), "sure")

    assert at.verdict is verdict.Verdict.BREACHED
    assert within.verdict is verdict.Verdict.OK
    assert silent.because == "no labels for 20 min"


def test_a_young_version_says_how_long_it_stays_young() -> None:
    judgement = quality.judge(MAE, BREACHED, Seen(None, None, TALKING, immature_for=90))

    assert judgement.because == "no verdict for another 2 min: the labels that arrive first are not typical"


def test_silence_before_there_is_enough_says_since_when() -> None:
    judgement = quality.judge(MAE, detector.State(), Seen(None, None, SILENT, note="among 7 labels"))

    assert judgement.because == "no labels since 20 min: 0 of 100 needed (among 7 labels)"
