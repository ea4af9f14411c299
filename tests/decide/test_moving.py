"""Drift is told, named and counted apart from harm: it never retrains unless asked to, and never unreadies a model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import worlds
from modelmend.api import status
from modelmend.api.status import Stage, Verdict
from modelmend.decide import decide, judge, observed, plan, terms
from modelmend.evidence import drift, watch

HOUR = 3600.0
ACCURACY = {"name": "accuracy", "minimum": 0.85, "minLabels": 200}
REFERENCE = {"low": 500, "high": 500}
STILL, MOVED = {"low": 500, "high": 500}, {"low": 900, "high": 100}


def spec(action: str | None = None, **signal: Any) -> Any:
    """Accuracy, and one signal of drift."""
    moving = {"name": "inputs", "type": "FeatureDrift", **signal}
    moving |= {} if action is None else {"action": action}
    return worlds.make_spec(monitoring={"signals": [ACCURACY, moving]})


def watched(live: dict[str, int] | None, wanted: Any = None, **world: Any) -> observed.Observed:
    """A model that serves, whose last window counted `live`; None: whose first window runs."""
    found = worlds.serving(spec=wanted or spec(), **world)
    (rollout, book) = next(iter(found.ledgers.items()))
    (asked,) = terms.of(found.deployment, found.versions[0], rollout).drift
    end = found.now.timestamp() - HOUR
    state = watch.State(asked, end - asked.length, end - asked.length)
    if live is not None:
        features = tuple(drift.Feature(name, REFERENCE, live) for name in ("wind", "hour"))
        state = watch.judged(state, watch.Window(True, features), end)
    return replace(found, ledgers={rollout: replace(book, drift={asked.name: state})})


def inputs(world: observed.Observed) -> status.SignalStatus:
    """What is said about the signal."""
    return next(signal for signal in decide(world).status.signals if signal.name == "inputs")


def conditions(world: observed.Observed) -> dict[str, tuple[str, str]]:
    """Status and reason by condition."""
    return {each.type: (each.status.value, each.reason) for each in decide(world).status.conditions}


def events(world: observed.Observed) -> Iterator[tuple[str, str]]:
    """Reason and sentence of what is announced."""
    return ((each.reason, each.message) for each in decide(world).actions if isinstance(each, plan.Notify))


def test_terms_are_of_the_stable_version_and_of_drift_alone() -> None:
    world = worlds.serving(spec=spec(effect=0.25, window="3h", falseAlarmEvery="30h"))
    found = terms.of(world.deployment, world.versions[0], worlds.rollout(1))

    begun = world.deployment.status.stable
    assert begun is not None
    assert [signal.name for signal in found.signals] == ["accuracy"]
    (asked,) = found.drift
    assert asked == watch.Terms("inputs", watch.Kind.INPUTS, 3 * HOUR, begun.since.timestamp(), 0.25, 0.1)
    assert terms.of(world.deployment, None, worlds.rollout(7)).drift == ()


def test_drift_is_breached_names_the_worst_and_leaves_the_stage_alone() -> None:
    world = watched(MOVED)
    found = inputs(world)

    assert (found.verdict, found.drifted, found.n) == (Verdict.BREACHED, ("wind", "hour"), 1000)
    assert found.value is not None
    assert found.bound is not None
    assert found.value > found.bound
    assert found.because.startswith("2 of 2 features drifted: wind PSI 0.")
    decided = decide(world)
    assert (decided.status.stage, decided.finding) == (Stage.SERVING, "model_serves")
    assert decided.status.retraining.running is None
    assert decided.status.because is not None
    assert "2 of 2 features drifted" in decided.status.because
    assert "accuracy 0.95" in decided.status.because, "whether it does harm is what people ask next"


def test_drift_alone_makes_healthy_false_by_its_own_reason_and_ready_stays() -> None:
    found = conditions(watched(MOVED))

    assert (found["Healthy"], found["Ready"][0]) == (("False", "Drifted"), "True")
    assert "Stalled" not in found


def test_drift_and_breach_together_are_a_breach_and_both_are_told() -> None:
    world = watched(MOVED, labels=worlds.BAD)

    assert conditions(world)["Healthy"] == ("False", "Breached")
    assert {"SignalBreached", "DriftDetected"} <= {reason for reason, _ in events(world)}
    assert decide(world).status.stage is Stage.RETRAINING


def test_event_tells_drift_and_its_end_apart_from_a_breach() -> None:
    first = watched(MOVED)
    ((reason, sentence),) = [each for each in events(first) if "inputs" in each[1]]
    assert (reason, sentence.startswith("inputs: 2 of 2 features drifted")) == ("DriftDetected", True)

    after = watched(STILL, signals=decide(first).status.signals)
    assert "DriftEnded" in {reason for reason, _ in events(after)}
    assert inputs(after).drifted == ()
    assert inputs(after).verdict is Verdict.OK


def test_action_retrain_heals_and_ignore_only_shows() -> None:
    decided = decide(watched(MOVED, spec("Retrain")))
    assert decided.status.stage is Stage.RETRAINING
    assert decided.status.retraining.running is not None
    assert "2 of 2 features drifted" in decided.status.retraining.running.because

    ignored = watched(MOVED, spec("Ignore"))
    assert inputs(ignored).verdict is Verdict.BREACHED
    assert conditions(ignored)["Healthy"] == ("True", "OK")


def test_nothing_is_known_before_the_first_window_has_begun_and_ended() -> None:
    unbegun = worlds.serving(spec=spec())
    assert inputs(unbegun).because == "drift of inputs unknown: its first window has not begun"
    assert inputs(replace(unbegun, ledgers={})).verdict is Verdict.UNKNOWN

    running = inputs(watched(None))
    assert (running.verdict, running.value, running.bound) == (Verdict.UNKNOWN, None, None)
    assert running.because == (
        "drift of inputs unknown: the window from 2026-03-01T05:00:00Z is judged after 2026-03-01T11:00:00Z"
    )


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (watch.Lost.LATE, "since nobody could read it in time"),
        (watch.Lost.FORGOTTEN, "since Prometheus has no counters of its begin"),
    ],
)
def test_dropped_window_is_unknown_and_says_why_and_when_the_next_one_ends(
    lost: watch.Lost, why: str
) -> None:
    world = watched(None)
    (rollout, book) = next(iter(world.ledgers.items()))
    state = replace(book.drift["inputs"], lost=lost)
    found = inputs(replace(world, ledgers={rollout: replace(book, drift={"inputs": state})}))

    assert found.verdict is Verdict.UNKNOWN
    assert found.because == (
        f"drift of inputs unknown: the window before was dropped, {why}; "
        "the window from 2026-03-01T05:00:00Z is judged after 2026-03-01T11:00:00Z"
    )


def test_verdict_of_other_terms_is_no_verdict() -> None:
    world = watched(MOVED)
    other = worlds.deployment(spec(effect=0.2), world.deployment.status)

    assert inputs(replace(world, deployment=other)).verdict is Verdict.UNKNOWN


def test_reset_forgets_drift_until_a_window_after_it_has_ended() -> None:
    world = watched(MOVED, stable=worlds.stable(evidence_since=worlds.NOW - timedelta(hours=2)))
    assert inputs(world).verdict is Verdict.BREACHED

    again = worlds.stable(evidence_since=worlds.NOW)
    present = world.deployment.status.model_copy(update={"stable": again})
    assert inputs(replace(world, deployment=worlds.deployment(spec(), present))).verdict is Verdict.UNKNOWN


def test_silent_prometheus_makes_drift_unknown_too() -> None:
    poll = observed.Poll(at=worlds.NOW - timedelta(hours=1), problem="away")
    found = inputs(replace(watched(MOVED), poll=poll))

    assert found.verdict is Verdict.UNKNOWN
    assert found.drifted == ()
    assert found.because == "drift of inputs unknown: Prometheus has not answered since 2026-03-01T11:00:00Z"


def test_predictions_that_moved_are_told_as_such() -> None:
    wanted = spec(type="PredictionDrift")
    assert inputs(watched(MOVED, wanted)).because.startswith("2 of 2 predictions drifted")
    assert inputs(watched(None, wanted)).because.startswith("drift of predictions unknown")


def test_first_window_does_not_cost_a_healthy_model_its_health() -> None:
    world = worlds.at_rest(watched(STILL))
    assert conditions(world)["Healthy"][0] == "True"

    (rollout, book) = next(iter(world.ledgers.items()))
    begun = replace(book.drift["inputs"], said=None)
    unknown = replace(world, ledgers={rollout: replace(book, drift={"inputs": begun})})
    unknown = worlds.at_rest(unknown)

    def later(hours: float) -> str:
        now = world.now + timedelta(hours=hours)
        aged = replace(unknown, now=now, poll=observed.Poll(at=now))
        aged = replace(
            aged,
            ledgers={key: replace(each, labels_at=now.timestamp()) for key, each in aged.ledgers.items()},
        )
        return conditions(aged)["Healthy"][0]

    assert later(29.9) == "True"
    assert later(30.1) == "Unknown"


def test_promoted_version_is_healthy_by_its_accuracy_while_its_first_window_runs() -> None:
    ill = status.Condition(
        type="Healthy",
        status=status.ConditionStatus.FALSE,
        reason="Breached",
        message="of the version before",
        observed_generation=1,
        last_transition_time=worlds.NOW - timedelta(days=1),
    )
    assert conditions(watched(None, conditions=(ill,)))["Healthy"] == ("True", "OK")

    alone = worlds.make_spec(monitoring={"signals": [{"name": "inputs", "type": "FeatureDrift"}]})
    assert conditions(watched(None, alone, conditions=(ill,)))["Healthy"] == ("False", "Breached")
    assert conditions(watched(None, alone))["Healthy"] == ("Unknown", "Unknown")


def test_world_with_drift_is_recorded_and_replayed() -> None:
    world = watched(MOVED)

    assert observed.load(json.loads(json.dumps(observed.dump(world)))) == world


def test_status_is_not_written_again_for_the_same_window() -> None:
    world = worlds.at_rest(watched(MOVED))

    assert decide(world).status == world.deployment.status


def test_other_features_that_drift_by_the_same_figures_are_written() -> None:
    world = worlds.at_rest(watched(MOVED))
    (rollout, book) = next(iter(world.ledgers.items()))
    said = book.drift["inputs"].said
    assert said is not None
    other = replace(book.drift["inputs"], said=replace(said, drifted=("hour",)))

    assert inputs(replace(world, ledgers={rollout: replace(book, drift={"inputs": other})})).drifted == (
        "hour",
    )


def test_long_names_are_cut_in_the_status() -> None:
    world = watched(MOVED)
    (rollout, book) = next(iter(world.ledgers.items()))
    said = book.drift["inputs"].said
    assert said is not None
    other = replace(book.drift["inputs"], said=replace(said, drifted=("x" * 5000,)))

    (name,) = inputs(replace(world, ledgers={rollout: replace(book, drift={"inputs": other})})).drifted
    assert name == "x" * 100


RECALL = {"name": "found", "type": "Recall", "positiveClass": "yes", "minimum": 0.8, "minLabels": 50}
BESIDE = worlds.make_spec(
    monitoring={"signals": [{"name": "inputs", "type": "FeatureDrift"}, RECALL, ACCURACY]}
)
FOUND = {("yes", "yes"): 90, ("no", "yes"): 10, ("no", "no"): 890, ("yes", "no"): 10}
MISSED = {("yes", "yes"): 40, ("no", "yes"): 60, ("no", "no"): 1890, ("yes", "no"): 10}


def test_measure_of_a_class_is_no_drift_and_both_are_judged_side_by_side() -> None:
    world = watched(MOVED, BESIDE, labels={"table": FOUND})
    wanted = terms.of(world.deployment, world.versions[0], worlds.rollout(1))
    decided = decide(world).status

    assert ([each.name for each in wanted.drift], [each.name for each in wanted.signals]) == (
        ["inputs"],
        ["found", "accuracy"],
    )
    assert {each.name: each.verdict for each in decided.signals} == {
        "inputs": Verdict.BREACHED,
        "found": Verdict.OK,
        "accuracy": Verdict.OK,
    }
    assert decided.because is not None
    assert "2 of 2 features drifted" in decided.because
    assert "recall of yes 0.900" in decided.because
    assert decided.stage is Stage.SERVING


def test_fall_of_a_class_beside_drift_is_harm_and_heals() -> None:
    world = watched(MOVED, BESIDE, labels={"table": MISSED})

    assert conditions(world)["Healthy"] == ("False", "Breached")
    assert {("SignalBreached", "found"), ("DriftDetected", "inputs")} == {
        (reason, sentence.split(":")[0])
        for reason, sentence in events(world)
        if "etected" in reason or "Breach" in reason
    }
    assert decide(world).status.stage is Stage.RETRAINING


def test_figures_of_a_window_are_shown_by_the_status_and_those_of_labels_exactly() -> None:
    assert judge.shown(watched(MOVED, BESIDE, labels={"table": FOUND})).keys() == {"found", "accuracy"}


def test_window_of_a_measure_that_is_silent_is_a_moment_and_that_of_drift_is_none() -> None:
    alone = worlds.serving(spec=worlds.make_spec(monitoring={"signals": [RECALL]}))
    beside = worlds.serving(
        spec=worlds.make_spec(monitoring={"signals": [RECALL, {"name": "inputs", "type": "FeatureDrift"}]})
    )

    assert list(judge.moments(beside)) == list(judge.moments(alone))
