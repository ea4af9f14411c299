"""From a wish to the fields of a signal."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import yaml

from modelmend.advise import detection, tuned, tuning
from modelmend.api import spec
from modelmend.decide import terms
from modelmend.evidence import counts, detector

WISH = tuning.Wish(labels_per_day=57_600, minimum=0.85)


@pytest.fixture(autouse=True)
def _few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "RUNS", 60)
    monkeypatch.setattr("modelmend.advise.rollouts.RUNS", 60)


def monitoring(found: tuning.Advice) -> dict[str, Any]:
    """What the snippet says, read as a person's editor would paste it."""
    body: dict[str, Any] = yaml.safe_load("spec:\n" + tuned.snippet(found))["spec"]
    return body


@pytest.mark.parametrize(
    "wish",
    [
        WISH,
        replace(WISH, labels_per_day=900),
        replace(WISH, minimum=None, accuracy=0.93, fall=0.05),
        replace(WISH, false_alarms_per_month=0.01),
        replace(WISH, false_alarms_per_month=300),
    ],
)
def test_snippet_is_what_the_schema_takes(wish: tuning.Wish) -> None:
    body = monitoring(tuning.advise(wish))

    read = spec.Monitoring.model_validate(body["monitoring"])
    spec.Rollout.model_validate(body.get("rollout", {}))

    (signal,) = read.signals
    assert signal.false_alarm_every == wish.false_alarm_every
    assert (signal.minimum, signal.max_drop) == ((0.85, None) if wish.minimum else (None, 0.025))


def test_one_false_alarm_a_month_is_the_default_where_every_poll_has_labels() -> None:
    assert WISH.false_alarm_every == timedelta(hours=720)
    assert replace(WISH, false_alarms_per_month=2).false_alarm_every == timedelta(hours=360)


def test_where_few_polls_have_labels_a_shorter_interval_keeps_the_same_wish() -> None:
    """At 100 labels a day at most 100 of 2,880 polls have any, and only those count."""
    assert replace(WISH, labels_per_day=100).false_alarm_every == timedelta(hours=25)


def test_detector_is_asked_for_what_the_operator_asks_it_for() -> None:
    assert tuning.RAREST == terms.RAREST
    assert WISH.alarm == detector.Limit(1 - 0.85, 86_400)


@pytest.mark.parametrize("together", [1, 10])
def test_wish_for_false_alarms_is_kept_at_the_limit_itself(together: int) -> None:
    """30 times the wish, so that a test can see it: a day a false alarm, labels alone or in batches of ten."""
    wish = replace(WISH, labels_per_day=288, false_alarms_per_month=30)
    dice, state, alarms, days = Random(4), detector.State(), 0, 150
    for _ in range(int(days * wish.labels_per_day) // together):
        wrong = sum(dice.random() < 0.15 for _ in range(together))
        state = detector.step(state, counts.Tally(together, wrong), wish.alarm)
        if state.breached:
            alarms, state = alarms + 1, detector.State()

    assert alarms <= days


def test_verdict_waits_for_labels_that_tell_such_a_fall_and_holds_back_no_alarm() -> None:
    found = tuning.advise(WISH)

    assert found.delay.labels.quick is not None
    assert found.min_labels == 150
    assert found.min_labels <= found.delay.labels.quick
    assert tuning.advise(replace(WISH, fall=0.5)).min_labels == tuning.FEWEST_LABELS


def test_what_is_out_of_reach_comes_with_a_remedy_that_works() -> None:
    poor = replace(WISH, labels_per_day=100)
    found = tuning.advise(poor)

    assert found.out_of_reach is not None
    asked = float(found.out_of_reach.split("about ")[1].split(" labels")[0].replace(",", ""))
    fall = float(found.out_of_reach.split("a fall of ")[2].split(",")[0])
    for better in (replace(poor, labels_per_day=asked), replace(poor, fall=fall)):
        reached = tuning.advise(better).delay.time.ninth
        assert reached is not None
        assert reached <= 1.25 * poor.within.total_seconds()


def test_alarm_that_comes_no_sooner_than_a_false_one_is_out_of_reach() -> None:
    found = tuning.advise(
        replace(WISH, labels_per_day=20, minimum=0.95, fall=0.005, within=timedelta(days=365))
    )

    assert "may as well be a false one" in (found.out_of_reach or "")
    assert "fewer false alarms a month" in (found.out_of_reach or "")


def test_fall_that_is_never_seen_still_gets_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "LONGEST", 20)

    found = tuning.advise(replace(WISH, labels_per_day=10, fall=0.01))

    assert found.delay.time.median is None
    assert found.out_of_reach is not None
    assert "labels a day or a fall of" in found.out_of_reach
    assert "later" in tuned.text(found)


def test_deadline_is_written_where_the_present_one_is_too_short() -> None:
    slow = tuning.advise(replace(WISH, labels_per_day=5000))
    quick = tuning.advise(WISH)

    assert slow.deadline is not None
    assert slow.deadline > WISH.deadline
    assert monitoring(slow)["rollout"]["analysis"]["deadline"] == f"{slow.deadline / timedelta(hours=1):.0f}h"
    assert quick.deadline is None
    assert quick.rollout_out_of_reach is None
    assert "rollout" not in monitoring(quick)


def test_rollout_that_nobody_waits_for_is_said_to_be_out_of_reach() -> None:
    found = tuning.advise(replace(WISH, labels_per_day=100))

    assert found.deadline is None
    assert "rollout.shadow.traffic" in (found.rollout_out_of_reach or "")


def test_margin_that_promotes_nobody_is_said_to_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelmend.advise.rollouts.MOST", 30)

    found = tuning.advise(replace(WISH, margin=0.0))

    assert found.deadline is None
    assert "rollout.analysis.margin" in (found.rollout_out_of_reach or "")
    assert "undecided" in tuned.text(found)


def test_json_says_the_same_as_the_text() -> None:
    told: list[float] = []
    found = tuning.advise(replace(WISH, labels_per_day=100), told.append)

    body = json.loads(tuned.as_json(found))

    assert body["minLabels"] == found.min_labels
    assert body["falseAlarmEvery"] == "25h"
    assert [each["gain"] for each in body["rollout"]] == list(tuning.GAINS)
    assert body["outOfReach"] == [found.out_of_reach, found.rollout_out_of_reach]
    assert all(said in tuned.text(found) for said in body["outOfReach"])
    assert "twice" in tuned.text(found)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"accuracy": 0.9}, "either --minimum"),
        ({"minimum": None}, "either --minimum"),
        ({"fall": 0.85}, "smaller --fall"),
        ({"false_alarms_per_month": 1e5}, "ask for fewer than 86,400 a month"),
        ({"labels_per_day": 0.01}, "ask for fewer than 0.3 a month"),
    ],
)
def test_wish_that_no_policy_fulfils_is_refused_with_a_sentence(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(WISH, **fields)
