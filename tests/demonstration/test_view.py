"""What a person sees while the replay goes on, on a terminal and in a log."""

from typing import Any

import pytest
from demo import view
from demo.run import Run
from rich.console import Console

STATUS: dict[str, Any] = {
    "stage": "Canary",
    "because": "flights-v2 gets 10 % of the requests: not worse than flights-v1 in shadow",
    "stable": {"version": "flights-v1"},
    "candidate": {
        "version": "flights-v2",
        "phase": "Canary",
        "weight": 10,
        "champion": "flights-v1",
        "evidence": {
            "pairs": 1200,
            "candidateOnlyWrong": 31,
            "championOnlyWrong": 95,
            "expectedPairs": 1900,
            "verdict": "NotWorse",
        },
    },
    "signals": [
        {
            "name": "accuracy",
            "type": "Accuracy",
            "verdict": "Breached",
            "value": 0.752,
            "bound": 0.8,
            "n": 2000,
        }
    ],
}
TOLD = [
    "Canary",
    "flights-v1",
    "flights-v2",
    "10 %",
    "Breached 0.752",
    "0.733 to 0.770",
    "n = 2,000",
    "limit 0.800",
    "NotWorse: 1,200 pairs of about 1,900",
    "candidate wrong in 31",
    "champion in 95",
    STATUS["because"],
    "13 March",
]


def on_terminal(run: Run, status: dict[str, Any]) -> str:
    run.story.latest = {"status": status}
    console = Console(width=140, force_terminal=False)
    with console.capture() as captured:
        console.print(view.draw(run.story, run.record, len(run.time), "13 March", 1))
    return captured.get()


def in_log(run: Run, status: dict[str, Any]) -> str:
    run.story.latest = {"status": status}
    return view.line(run.story, run.record, len(run.time), "13 March", 1)


@pytest.mark.parametrize("show", [on_terminal, in_log])
def test_stage_versions_weight_accuracy_evidence_and_the_reason_are_shown(run: Run, show: Any) -> None:
    shown = show(run, STATUS)

    assert [part for part in TOLD if part not in shown] == []


@pytest.mark.parametrize("show", [on_terminal, in_log])
def test_signal_that_is_unknown_says_why(run: Run, show: Any) -> None:
    unknown = {"name": "accuracy", "verdict": "Unknown", "n": 0, "because": "no labels yet"}

    assert "no labels yet" in show(run, {"stage": "Serving", "signals": [unknown]})


@pytest.mark.parametrize("show", [on_terminal, in_log])
def test_nothing_known_yet_is_shown_too(run: Run, show: Any) -> None:
    assert "13 March" in show(run, {})


def test_terminal_shows_what_came_before_the_latest_first(run: Run) -> None:
    shown = on_terminal(run, STATUS)

    assert (
        shown.index("flights-v6 was rejected")
        < shown.index("spec.model.uri was changed")
        < shown.index("bakes")
    )


def test_log_is_one_line_a_look(run: Run) -> None:
    assert "\n" not in in_log(run, STATUS)


@pytest.mark.parametrize("show", [on_terminal, in_log])
def test_figure_that_is_no_share_has_no_bounds(run: Run, show: Any) -> None:
    """An index may well exceed 1, and a difference be negative."""
    for value in (1.115, -0.03):
        moved = {"name": "inputs", "type": "FeatureDrift", "verdict": "Breached", "value": value, "n": 1300}
        shown = " ".join(show(run, {"stage": "Serving", "signals": [moved | {"bound": 0.1}]}).split())
        assert f"{value:.3f} (n = 1,300), limit 0.100" in shown
