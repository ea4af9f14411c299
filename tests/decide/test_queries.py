"""Signals of type Query: what their last answer says, and that none of it is written again and again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import worlds
from modelmend.api.status import SignalStatus
from modelmend.decide import decide, observed, plan, terms
from modelmend.evidence import query

REFUNDS: dict[str, Any] = {
    "name": "refunds",
    "type": "Query",
    "query": 'sum(refunds{model="$name"})',
    "above": 12,
}


def world(*answers: tuple[float, query.Answer], **signal: Any) -> observed.Observed:
    """A model that serves well, whose query was answered so, each so many seconds ago."""
    wanted = {**REFUNDS, **signal}
    spec = worlds.make_spec(monitoring={"signals": [wanted]})
    found = worlds.serving(spec=spec)
    return answered(found, *answers)


def answered(found: observed.Observed, *answers: tuple[float, query.Answer]) -> observed.Observed:
    asked = terms.of_query(found.deployment, found.deployment.spec.monitoring.signals[0])
    kept = found.ledgers[worlds.rollout(1)]
    state = kept.queries.get(asked.name)
    for ago, answer in answers:
        state = query.step(asked, state, answer, worlds.NOW.timestamp() - ago)
    queries = {} if state is None else {asked.name: state}
    return replace(found, ledgers={worlds.rollout(1): replace(kept, queries=queries)})


def value(number: float, ago: float = 5) -> tuple[float, query.Answer]:
    return ago, query.Answer((number,))


def status(found: observed.Observed) -> SignalStatus:
    return decide(found).status.signals[0]


def test_a_number_within_is_healthy_and_says_all_there_is() -> None:
    made = decide(world(value(3.14159)))

    signal = made.status.signals[0]
    assert (signal.verdict, signal.value, signal.bound, signal.n) == ("OK", 3.1416, 12, 1)
    assert signal.because == "refunds 3.14159 is below 12"
    assert signal.guarantee == "none: false alarms come as often as the query gives them"
    assert made.because == "flights-v1 serves; refunds 3.14159 is below 12"
    assert worlds.is_(made, "Healthy") == "True (OK)"


@pytest.mark.parametrize(("action", "begins"), [(None, False), ("Alert", False), ("Retrain", True)])
def test_a_breach_tells_and_retrains_only_where_somebody_wants_that(
    action: str | None, *, begins: bool
) -> None:
    signal = {} if action is None else {"action": action}
    made = decide(world(value(12), **signal))

    assert worlds.is_(made, "Healthy") == "False (Breached)"
    assert bool(worlds.actions(made, plan.LaunchRetraining)) is begins
    (event,) = [
        each for each in made.actions if isinstance(each, plan.Notify) and each.reason == "SignalBreached"
    ]
    assert event.message == "refunds: refunds 12 is at 12"


def test_a_query_and_a_measure_retrain_together() -> None:
    accuracy = {"name": "accuracy", "minimum": 0.85, "minLabels": 200}
    spec = worlds.make_spec(
        monitoring={"signals": [{**REFUNDS, "action": "Retrain"}, accuracy]}, retraining={"when": "All"}
    )
    fails = worlds.serving(spec=spec, labels=worlds.BAD)

    assert not worlds.actions(decide(answered(fails, value(3))), plan.LaunchRetraining)
    (launched,) = worlds.actions(decide(answered(fails, value(13))), plan.LaunchRetraining)
    assert isinstance(launched, plan.LaunchRetraining)


def test_what_must_last_is_looked_at_again_when_it_has() -> None:
    early = worlds.at_rest(world(value(13, 500), value(14), **{"for": "10m"}))
    made = decide(early)

    assert made.status.signals[0].verdict == "OK"
    assert (
        made.status.signals[0].because == "refunds 14 is above 12, and breached once that has lasted 10 min"
    )
    assert made.look_again_in == timedelta(seconds=101)
    assert status(world(value(13, 600), value(14, 300), value(14), **{"for": "10m"})).verdict == "Breached"


def test_an_answer_that_ceases_to_come_is_looked_at_when_it_is_too_old() -> None:
    found = worlds.at_rest(world(value(3, 100)))

    assert decide(found).look_again_in == timedelta(seconds=201)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (world(action="Retrain"), "refunds unknown: its query has not been answered yet"),
        (
            world(value(3, 301), action="Retrain"),
            "refunds unknown: its query was last answered more than 5 min ago",
        ),
        (world((5, query.Answer()), action="Retrain"), "refunds unknown: the query has no result"),
        (
            world((5, query.Answer((1.0, 2.0))), action="Retrain"),
            "refunds unknown: the query has more than one series",
        ),
        (
            world((5, query.Answer(error="it is refused (parse error)")), action="Retrain"),
            "refunds unknown: it is refused (parse error)",
        ),
        (
            replace(world(value(13), action="Retrain"), settings=replace(worlds.SETTINGS, queries=False)),
            "refunds unknown: this operator asks no queries",
        ),
        (
            replace(
                world(value(13), action="Retrain"), poll=observed.Poll(at=worlds.NOW - timedelta(minutes=6))
            ),
            "refunds unknown: Prometheus has not answered since 2026-03-01T11:54:00Z",
        ),
        (
            replace(world(value(13), action="Retrain"), ledgers={}),
            "refunds unknown: its query has not been answered yet",
        ),
    ],
)
def test_without_one_number_nothing_is_known_and_nothing_is_retrained(
    found: observed.Observed, sentence: str
) -> None:
    made = decide(found)

    assert made.status.signals[0].verdict == "Unknown"
    assert made.status.signals[0].because.startswith(sentence)
    assert worlds.actions(made) == []


def test_a_query_that_stays_unknown_makes_health_unknown_after_three_looks() -> None:
    healthy = worlds.at_rest(world(value(3)))
    bad = answered(healthy, (0, query.Answer(error="it is refused")))
    made = decide(bad)
    assert worlds.is_(made, "Healthy") == "True (OK)"

    still = worlds.at_rest(bad)
    assert decide(still).look_again_in == timedelta(seconds=90)
    made = decide(replace(still, now=worlds.NOW + timedelta(seconds=90)))
    assert worlds.is_(made, "Healthy") == "Unknown (Unknown)"
    (event,) = [each for each in made.actions if isinstance(each, plan.Notify)]
    assert (event.reason, event.message) == ("HealthUnknown", "refunds unknown: it is refused")


def test_a_missing_value_is_a_breach_where_somebody_said_so() -> None:
    made = decide(world((5, query.Answer()), onMissing="Breach"))

    assert made.status.signals[0].verdict == "Breached"
    assert made.status.signals[0].because == "refunds counts as breached (onMissing): the query has no result"


@pytest.mark.parametrize(
    ("held", "found", "written"),
    [
        (3.0, 4.0, False),
        (3.0, 9.0, True),
        (11.9, 12.0, True),
        (13.0, 13.5, False),
        (12.0, 12.1, True),
        (1200.0, 1900.0, False),
    ],
)
def test_a_number_that_trembles_is_not_written_again(held: float, found: float, *, written: bool) -> None:
    still = worlds.at_rest(world(value(held)))
    later = answered(still, value(found, 0))

    assert (decide(later).status != still.deployment.status) is written


def test_since_when_a_verdict_holds_stays_while_its_number_moves() -> None:
    still = worlds.at_rest(world(value(13)))
    later = replace(answered(still, value(40, -20)), now=worlds.NOW + timedelta(seconds=30))

    assert status(later).value == 40
    assert status(later).since == worlds.NOW


def test_another_query_is_judged_only_once_it_was_answered() -> None:
    still = worlds.at_rest(world(value(13)))
    edited = worlds.edited(still, monitoring={"signals": [{**REFUNDS, "query": "max(refunds)"}]})

    assert status(edited).because == "refunds unknown: its query has not been answered yet"


def test_a_promotion_begins_the_query_anew() -> None:
    found = world(value(13))
    later = worlds.stable(evidence_since=worlds.NOW)

    assert status(worlds.with_status(found, stable=later)).verdict == "Unknown"


def test_what_is_recorded_is_decided_again_alike() -> None:
    found = world((5, query.Answer((float("nan"),))))

    again = observed.load(observed.dump(found))
    assert decide(again).status == decide(found).status
