"""`retraining.when`: which of several breaches heal, and what is said while one of them is held back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import PendingApproval, RetrainingStatus, Stage, Trigger
from modelmend.decide import decide, observed, plan

ACCURACY = {"name": "accuracy", "minimum": 0.85, "minLabels": 200}
LOWER = {"name": "lower", "minimum": 0.6, "minLabels": 200}
YOUNG = {"name": "young", "minimum": 0.85, "minLabels": 5000}


def world(when: str, *signals: dict[str, object], **fields: object) -> observed.Observed:
    """A model whose accuracy is .7, under these signals."""
    parts = {"when": when, "approval": fields.pop("approval", "Auto")}
    spec = worlds.make_spec(monitoring={"signals": list(signals)}, retraining=parts)
    return worlds.serving(spec=spec, labels=worlds.BAD, **fields)


@pytest.mark.parametrize(
    ("when", "others", "begins"),
    [
        ("Any", (), True),
        ("All", (), True),
        ("Any", (LOWER,), True),
        ("All", (LOWER,), False),
        ("Any", (YOUNG,), True),
        ("All", (YOUNG,), False),
        ("All", ({**ACCURACY, "name": "twin"},), True),
        ("All", ({**LOWER, "action": "Alert"},), True),
    ],
)
def test_any_breach_heals_or_only_all_at_once(
    when: str, others: tuple[dict[str, object], ...], begins: bool
) -> None:
    made = decide(world(when, *others, ACCURACY))

    assert bool(worlds.actions(made, plan.LaunchRetraining)) is begins
    assert worlds.is_(made, "Healthy") == "False (Breached)", "each signal alerts by itself"


def test_what_all_signals_say_is_the_reason_of_the_retraining() -> None:
    running = decide(world("All", ACCURACY, {**ACCURACY, "name": "twin"})).status.retraining.running

    assert running is not None
    assert running.trigger is Trigger.BREACH
    assert running.because.startswith(
        "2 of 2 signals are breached (accuracy: accuracy 0.700 over 1,000 labels"
    )
    assert "; twin: accuracy 0.700" in running.because


def test_a_breach_that_heals_nothing_says_which_signals_hold_it_back() -> None:
    made = decide(world("All", ACCURACY, LOWER, YOUNG))

    assert made.finding == "model_serves"
    assert made.because.endswith(
        "; nothing is retrained, since retraining.when is All and lower is OK, young is Unknown"
    )


def test_health_and_want_of_knowledge_are_not_held_back_by_anybody() -> None:
    assert "retraining.when" not in decide(world("All", LOWER, YOUNG)).because
    assert "retraining.when" not in decide(world("Any", ACCURACY, LOWER)).because


@pytest.mark.parametrize(
    ("when", "signals", "outdated"),
    [
        ("Any", (ACCURACY, LOWER), None),
        ("All", (ACCURACY, LOWER), "not all signals are breached any more"),
        ("All", (ACCURACY, YOUNG), None),
        ("Any", (LOWER, YOUNG), None),
        ("Any", (LOWER,), "no signal is breached any more"),
        ("Any", ({**ACCURACY, "action": "Alert"},), "no signal is breached any more"),
    ],
)
def test_a_question_is_outdated_once_its_breach_is_surely_over(
    when: str, signals: tuple[dict[str, object], ...], outdated: str | None
) -> None:
    asked = PendingApproval(token="retrain-11", trigger=Trigger.BREACH, since=worlds.NOW, because="it fell")
    waits = RetrainingStatus(pending=asked)
    made = decide(
        world(when, *signals, approval="Manual", stage=Stage.AWAITING_APPROVAL, sequence=11, retraining=waits)
    )

    if outdated is None:
        assert made.finding == "retraining_awaits_approval"
    else:
        assert made.because == f"retrain-11 is outdated: {outdated}"


def test_each_verdict_states_its_guarantee_and_its_condition() -> None:
    signals = (
        ACCURACY,
        {**ACCURACY, "name": "hours", "block": "1h", "falseAlarmEvery": "1440h"},
        {**ACCURACY, "name": "looks", "evidence": "Threshold"},
        {"name": "inputs", "type": "FeatureDrift"},
    )
    found = {signal.name: signal.guarantee for signal in decide(world("Any", *signals)).status.signals}

    assert found == {
        "accuracy": "at least 720h between false alarms on average, while every label meets the limit, whatever "
        "came before it",
        "hours": "at least 1440h between false alarms on average, while every block of 1h meets the limit, whatever "
        "came before it",
        "looks": "none over time: every look is judged by itself, at 4 standard errors",
        "inputs": "at least 720h between false alarms on average, while rows are alike and nothing drifts",
    }


def test_a_guarantee_that_a_person_changes_is_told_at_the_next_look() -> None:
    still = worlds.at_rest(worlds.serving())
    looser = {**ACCURACY, "falseAlarmEvery": "24h"}
    made = decide(worlds.edited(still, monitoring={"signals": [looser]}))

    assert "at least 24h between" in (made.status.signals[0].guarantee or "")
    later = replace(still, now=worlds.NOW + timedelta(minutes=1))
    assert decide(later).status == still.deployment.status
