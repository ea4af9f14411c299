"""A policy on a data set: the operator's rules, the real trainer, simulated time."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmend.runtime.errors import SentenceError
from modelmend.simulate import control, outcome, report, simulation
from modelmend.simulate.outcome import Outcome
from simulate import worlds
from simulate.worlds import Simulate

TURN = worlds.START + pd.Timedelta(days=14)


def events(found: Outcome) -> list[str]:
    return [moment.event for moment in found.timeline.moments]


def test_model_that_fails_is_healed_from_breach_to_promotion(healed: Outcome) -> None:
    told = events(healed)
    begun = max(place for place in range(told.index("Promoted")) if told[place] == "Retraining")
    way = [
        event
        for event in told[begun:]
        if event in ("Retraining", "Shadow", "Canary", "CanaryStep", "Promoted")
    ]

    assert "SignalBreached" in told[:begun]
    assert way[:5] == ["Retraining", "Shadow", "Canary", "CanaryStep", "Promoted"]
    assert healed.accuracy()["healed"] > healed.accuracy()["frozen"] + 0.1
    assert healed.counted(outcome.PROMOTED) >= 1


def test_breach_comes_after_the_rule_has_turned_and_labels_have_come(healed: Outcome) -> None:
    breach = next(moment for moment in healed.timeline.moments if moment.event == "SignalBreached")

    assert TURN + pd.Timedelta(days=1) < breach.at < TURN + pd.Timedelta(days=4)
    assert breach.figures["labelsSinceFall"] > 0


def test_every_request_is_answered_and_nothing_is_a_defect(healed: Outcome) -> None:
    assert (healed.answered >= 0).all()
    assert not [moment for moment in healed.timeline.moments if "defect" in moment.because]


def test_attempt_says_what_it_took(healed: Outcome) -> None:
    promoted = next(attempt for attempt in healed.attempts() if attempt.outcome == outcome.PROMOTED)

    assert promoted.labels is not None
    assert promoted.labels_since_fall is not None
    assert promoted.labels >= promoted.labels_since_fall > 0
    assert promoted.holdout is not None
    assert promoted.holdout >= 30
    assert promoted.pairs is not None
    assert promoted.pairs >= 2 * 30


def test_looking_at_every_poll_tells_the_same_story(healed: Outcome, simulate: Simulate) -> None:
    eager = simulate(eager=True)

    assert eager.looks > 1.5 * healed.looks
    assert eager.timeline.moments == healed.timeline.moments
    assert eager.timeline.stages == healed.timeline.stages
    assert (eager.answered == healed.answered).all()
    assert report.to_json(eager) == report.to_json(healed)


def test_same_seed_gives_the_same_bytes(healed: Outcome, simulate: Simulate, tmp_path: Path) -> None:
    again = simulate()

    for one, other in zip(
        report.write(healed, tmp_path / "a"), report.write(again, tmp_path / "b"), strict=True
    ):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_another_seed_draws_other_requests(healed: Outcome, simulate: Simulate) -> None:
    other = simulate(seed=1)

    assert (other.answered != healed.answered).any()


def test_model_that_cannot_be_better_is_rejected_until_a_person_is_needed(simulate: Simulate) -> None:
    body = worlds.policy(
        monitoring={"signals": [{"name": "accuracy", "minimum": 0.99, "minLabels": 50, "window": "24h"}]},
        retraining={"cooldown": "6h", "budget": {"attempts": 2, "per": "240h"}},
    )
    found = simulate(worlds.rows(days=20, turn=99), body)

    assert found.counted(outcome.REJECTED) == 2
    assert found.deployment.status.stalled is not None
    assert (found.answered == found.frozen).all()


def test_failed_training_is_an_attempt_too(simulate: Simulate) -> None:
    body = worlds.policy(retraining={"trainer": {"deadline": "5m"}})
    found = simulate(worlds.rows(days=22), body, training_time=timedelta(minutes=30))

    assert found.counted(outcome.FAILED) >= 1
    assert "exceeded its deadline of 5m" in found.attempts()[0].because


def test_signal_that_only_alerts_heals_nothing(simulate: Simulate) -> None:
    signal = {"name": "accuracy", "minimum": 0.75, "minLabels": 50, "action": "Alert"}
    found = simulate(None, worlds.policy(monitoring={"signals": [signal]}))

    assert found.breaches >= 1
    assert found.attempts() == []
    assert found.accuracy()["healed"] == found.accuracy()["frozen"]


def test_labels_later_than_the_window_leave_nothing_to_learn_from(simulate: Simulate) -> None:
    found = simulate(label_delay=timedelta(days=5))

    assert "holds no labelled rows in the window" in found.attempts()[0].because
    assert "s3://ml/late/log" in found.attempts()[0].because
    assert found.weekly.refits == 0
    assert found.weekly.skipped >= 2


def test_schedule_retrains_without_a_breach(simulate: Simulate) -> None:
    body = worlds.policy(retraining={"schedule": "0 3 * * 0"})
    found = simulate(worlds.rows(days=25, turn=99), body)

    assert found.timeline.retrainings >= 2
    assert found.attempts()[0].labels is None
    assert "schedule" in found.attempts()[0].why


def test_person_approves_at_once_where_the_policy_wants_one(simulate: Simulate) -> None:
    body = worlds.policy(retraining={"approval": "Manual"}, rollout={"approval": "Manual"})
    found = simulate(None, body)

    assert events(found).count("Approved") >= 2
    assert found.counted(outcome.PROMOTED) >= 1
    assert "sha256" not in str(report.to_json(found))


def test_retraining_from_a_dataset_knows_what_was_before(simulate: Simulate) -> None:
    dataset = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "ts"}
    body = worlds.policy(retraining={"data": {"log": None, "dataset": dataset}})
    found = simulate(worlds.rows(turn=12), body)
    retrained = next(version for version in found.versions if version.spec.number == 2)

    assert retrained.spec.window is not None
    assert retrained.spec.window.start < found.begin


def test_policy_without_a_gateway_is_simulated_with_the_shares_of_its_pods(simulate: Simulate) -> None:
    body = worlds.policy()
    body["spec"]["serving"] = {"replicas": 2}
    found = simulate(worlds.rows(days=24), body)

    assert found.counted(outcome.PROMOTED) > 0
    # 30 % is nearly reached by 25, and 60 by 50.
    assert "ShareOutOfReach" not in {moment.event for moment in found.timeline.moments}


@pytest.mark.parametrize(
    ("column", "outcome_", "said"),
    [
        ("carrier", outcome.REJECTED, "not proven within 0.01 on carrier = UA: right alone"),
        ("gate", outcome.FAILED, "column 'gate' of a slice is no feature of the model, which has"),
    ],
)
def test_slices_are_asked_for_by_the_same_gate(
    column: str, outcome_: str, said: str, simulate: Simulate
) -> None:
    slices = [{"column": column, "value": "UA"}]
    body = worlds.policy(evaluation={"slices": slices, "onInconclusiveSlice": "Reject"})
    found = simulate(worlds.rows(days=22), body)

    assert found.counted(outcome_) == len(found.attempts()) > 0
    assert any(said in attempt.because for attempt in found.attempts())


def test_policy_that_names_no_artifact_begins_with_the_pipeline_it_asks_for(simulate: Simulate) -> None:
    dataset = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "ts", "window": "96h"}
    pipeline = {"estimator": "Linear", "features": ["wind", "carrier"]}
    body = worlds.policy(
        model={"uri": None},
        retraining={"data": {"log": None, "dataset": dataset}, "trainer": {"pipeline": pipeline}},
    )
    found = simulate(worlds.rows(days=24, turn=12), body, model=None)

    assert found.counted(outcome.PROMOTED) >= 1
    assert found.accuracy()["healed"] > found.accuracy()["frozen"]


def test_policy_whose_features_are_not_in_the_data_is_refused(simulate: Simulate) -> None:
    dataset = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "ts"}
    retraining = {"data": {"log": None, "dataset": dataset}, "trainer": {"pipeline": {"features": ["gate"]}}}
    body = worlds.policy(model={"uri": None}, retraining=retraining)

    with pytest.raises(SentenceError, match="no column 'gate', which spec"):
        simulate(worlds.rows(days=24), body, model=None)


def test_later_labels_make_a_later_breach(healed: Outcome, simulate: Simulate) -> None:
    late = simulate(label_delay=timedelta(days=3))
    first = [
        next(moment.at for moment in found.timeline.moments if moment.event == "SignalBreached")
        for found in (healed, late)
    ]

    assert timedelta(days=1, hours=12) < first[1] - first[0] < timedelta(days=3)


def test_weekly_refit_is_made_every_week(healed: Outcome) -> None:
    days = (healed.requests.seconds[-1] - healed.requests.seconds[0]) / 86400

    assert healed.weekly.refits == days // 7
    assert healed.accuracy()["weekly"] > healed.accuracy()["frozen"]


def test_weekly_refits_beside_the_simulation_are_the_same(
    healed: Outcome, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "APART", 1)
    apart = simulate(worlds.rows(), label_delay=timedelta(days=1))

    assert (apart.weekly.answered == healed.weekly.answered).all()
    assert apart.weekly.refits == healed.weekly.refits


def test_artifact_is_replayed_from_where_its_training_ended(healed: Outcome) -> None:
    trained = worlds.START + pd.Timedelta(days=worlds.TRAINED_DAYS)

    assert trained <= healed.begin < trained + timedelta(hours=1)


def test_first_part_of_the_data_trains_a_model_where_none_is_given(simulate: Simulate) -> None:
    found = simulate(worlds.rows().assign(constant=1), model=None)
    trained = next(version for version in found.versions if version.spec.number == 1)

    assert trained.spec.rows == len(worlds.rows()) // 5
    assert found.frozen[:500].mean() == pytest.approx(found.requests.labels[:500].mean(), abs=0.05)
    assert found.counted(outcome.PROMOTED) >= 1


def test_rows_without_label_are_answered_and_prove_nothing(simulate: Simulate) -> None:
    rows = worlds.rows()
    silent = (rows["ts"] > TURN).to_numpy() & (np.arange(len(rows)) % 2 == 0)
    rows["late"] = rows["late"].astype(float).mask(silent)
    found = simulate(rows)

    assert (~found.judged).sum() == silent.sum()
    assert (found.answered >= 0).all()
    assert found.counted(outcome.PROMOTED) >= 1


def test_unsorted_rows_change_nothing(healed: Outcome, simulate: Simulate) -> None:
    shuffled = worlds.rows().sample(frac=1, random_state=0)

    assert simulate(shuffled).accuracy() == healed.accuracy()


def test_simulation_says_how_far_it_has_come(tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path, worlds.rows(days=12))
    doing: list[str] = []
    passed: list[object] = []
    simulation.run(
        simulation.Options(file, data, "late", "ts"),
        simulation.Listener(doing=doing.append, passed=passed.append),
    )

    assert doing[:2] == [f"reading {data}", "training the first model"]
    assert len(passed) > 10


def watching(**signal: object) -> object:
    body = {"name": "watched", "minimum": 0.7, "minLabels": 30, "window": "24h", **signal}
    return worlds.policy(monitoring={"signals": [body]})


@pytest.mark.parametrize("type_", ["Precision", "Recall", "F1", "BalancedAccuracy"])
def test_each_type_of_signal_heals(type_: str, simulate: Simulate) -> None:
    found = simulate(None, watching(type=type_))
    breach = next(moment for moment in found.timeline.moments if moment.event == "SignalBreached")

    assert TURN < breach.at - timedelta(days=1) < TURN + timedelta(days=3)
    assert found.counted(outcome.PROMOTED) >= 1
    assert found.accuracy()["healed"] > found.accuracy()["frozen"]


def test_first_model_without_metrics_of_a_class_gives_max_drop_nothing(simulate: Simulate) -> None:
    signal = {"name": "watched", "type": "Recall", "positiveClass": "maybe", "maxDrop": 0.1}
    found = simulate(worlds.rows(days=12), worlds.policy(monitoring={"signals": [signal]}))

    assert "is not one of the model's classes 0, 1" in found.deployment.status.signals[0].because


def test_max_drop_of_a_class_starts_from_what_the_artifact_measured(simulate: Simulate) -> None:
    found = simulate(None, watching(type="Recall", positiveClass="0", minimum=None, maxDrop=0.15))

    assert found.breaches >= 1


@pytest.mark.parametrize(("block", "later"), [("1h", timedelta(hours=6)), ("1d", timedelta(days=3))])
def test_blocks_are_judged_at_their_end_whether_or_not_every_poll_is_looked_at(
    block: str, later: timedelta, simulate: Simulate
) -> None:
    signal = {"name": "watched", "minimum": 0.75, "minLabels": 50, "block": block, "window": "24h"}
    body = worlds.policy(
        monitoring={"signals": [signal]},
        rollout={"analysis": {"margin": 0.05, "minLabels": 30, "block": "1h"}},
    )
    lazy, eager = simulate(None, body), simulate(None, body, eager=True)
    breach = next(moment for moment in lazy.timeline.moments if moment.event == "SignalBreached")

    assert breach.at - TURN - timedelta(days=1) > later
    assert eager.timeline.moments == lazy.timeline.moments
    assert (eager.answered == lazy.answered).all()
    assert eager.looks > lazy.looks


@pytest.mark.parametrize(("when", "heals"), [("Any", True), ("All", False)])
def test_simulation_retrains_on_any_breach_or_only_on_all_at_once(
    when: str, heals: bool, simulate: Simulate
) -> None:
    fails = {"name": "watched", "minimum": 0.75, "minLabels": 50, "window": "24h"}
    never = {"name": "never", "minimum": 0.05, "minLabels": 50, "window": "24h"}
    body = worlds.policy(monitoring={"signals": [fails, never]}, retraining={"when": when})
    found = simulate(worlds.rows(days=20), body)

    assert "SignalBreached" in events(found)
    assert ("Retraining" in events(found)) is heals


def blown(days: int = 20) -> pd.DataFrame:
    """From TURN on the wind blows harder, and what it does is the same."""
    rows = worlds.rows(days=days, turn=days)
    harder = rows["ts"] >= TURN
    rows.loc[harder, "wind"] += 1.5
    rows["late"] = (2 * rows["wind"] + (rows["carrier"] == "UA") - 0.3 > 0).astype(int)
    return rows


def drifting(**more: object) -> dict[str, object]:
    signal = {"name": "accuracy", "minimum": 0.75, "minLabels": 50, "window": "24h"}
    drift = {"window": "48h", "falseAlarmEvery": "2400h"}
    inputs = {"name": "inputs", "type": "FeatureDrift", **drift, **more}
    predictions = {"name": "predictions", "type": "PredictionDrift", **drift}
    return worlds.policy(monitoring={"interval": "10m", "signals": [signal, inputs, predictions]})


def test_inputs_that_move_are_told_from_harm_and_heal_nothing(simulate: Simulate) -> None:
    found = simulate(blown(), drifting())
    drifted = [moment for moment in found.timeline.moments if moment.event == "DriftDetected"]

    assert drifted
    assert all(TURN < moment.at < TURN + timedelta(days=5) for moment in drifted)
    assert any("wind" in moment.because for moment in drifted)
    assert "Retraining" not in events(found)
    assert "SignalBreached" not in events(found)


def test_drift_may_ask_for_a_retraining_and_every_poll_tells_the_same(simulate: Simulate) -> None:
    """The new version is compared with rows of its own, so its windows begin anew."""
    body = drifting(action="Retrain")
    lazy, eager = simulate(blown(), body), simulate(blown(), body, eager=True)

    assert events(lazy).index("DriftDetected") < events(lazy).index("Retraining")
    assert eager.timeline.moments == lazy.timeline.moments
    assert (eager.answered == lazy.answered).all()
    assert eager.looks > lazy.looks


def test_relation_that_turns_is_told_from_inputs_that_move(simulate: Simulate) -> None:
    """The wind blows as before, and does the opposite: concept drift and harm, and no drift of inputs."""
    window = {"window": "48h", "minLabels": 100}
    body = drifting()
    signals = body["spec"]["monitoring"]["signals"]  # type: ignore[index]
    signals += [
        {"name": "relation", "type": "ConceptDrift", **window},
        {"name": "estimate", "type": "EstimatedAccuracy", "minimum": 0.6, "window": "48h"},
        {"name": "labels", "type": "LabelShift", "window": "48h"},
    ]
    lazy, eager = simulate(worlds.rows(days=20), body), simulate(worlds.rows(days=20), body, eager=True)
    told = [moment for moment in lazy.timeline.moments if moment.event == "DriftDetected"]

    assert "ConceptDriftDetected" in events(lazy)
    assert "SignalBreached" in events(lazy)
    assert not [moment for moment in told if "features drifted" in moment.because]
    assert eager.timeline.moments == lazy.timeline.moments
