"""The life of a model on a real node, with real images, a real Prometheus and a real Gateway."""

from typing import Any

import pytest

import traffic
from trial.cluster import until
from trial.deployment import Model
from trial.models import KINDS, World

pytestmark = pytest.mark.cluster


def test_model_that_fails_is_healed_without_a_failed_request(model: Model) -> None:
    model.apply()
    model.until_serving()
    world = World()
    with traffic.flowing(model.traffic(world)) as stream:
        model.until(
            "a healthy verdict",
            lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"],
            60,
        )
        until("labels in the log", lambda: stream.labelled > 400, 60, lambda: stream.labelled)
        world.moved = True
        model.until("a breach", lambda status: status.get("stage") == "Retraining", 90)
        # A first candidate may have learnt mostly from before the move, and is then rightly rejected at the gate.
        model.until("shadow", lambda status: status.get("stage") == "Shadow", 240)
        model.until("canary", lambda status: status.get("stage") == "Canary", 120)
        model.until("promotion", lambda status: status["stable"]["version"] != f"{model.name}-v1", 120)
        model.until(
            "rest after the bake", lambda status: status.get("stage") in ("CoolingDown", "Serving"), 60
        )
        model.until(
            "a healthy verdict of the new version",
            lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"],
            90,
        )
    assert stream.failures == []
    assert stream.answered > 1000
    versions = {version["metadata"]["name"]: version for version in model.versions()}
    healed = versions[model.status()["stable"]["version"]]
    assert healed["spec"]["trigger"] == "Breach"
    assert healed["spec"]["parent"]["digest"] == versions[f"{model.name}-v1"]["spec"]["digest"]
    assert healed["status"]["state"] == "Champion"
    until(
        "only the new version's pods",
        lambda: (
            {pod["metadata"]["labels"]["modelmend.dev/version"] for pod in model.servers()}
            == {healed["metadata"]["name"]}
        ),
        60,
        lambda: [pod["metadata"]["name"] for pod in model.servers()],
    )
    # Nothing the operator decided touched spec, and Ready held through the whole healing.
    body = model.body()
    assert body["spec"]["model"]["uri"] == "pvc://storage/good"
    assert body["metadata"]["generation"] == 1
    assert "finalizers" not in body["metadata"]
    assert model.condition("Ready")["status"] == "True"


def test_worse_artifact_of_a_person_is_refused_and_the_champion_serves_on(model: Model) -> None:
    model.apply()
    model.until_serving()
    with traffic.flowing(model.traffic(World())) as stream:
        until("logged labels", lambda: stream.labelled > 600, 60, lambda: stream.labelled)
        model.patch({"model": {"uri": "pvc://storage/worse"}})
        refusal = model.until("a refusal", lambda status: status.get("refusal"), 180)
    assert refusal["reason"] == "RolloutRejected"
    assert model.condition("Stalled")["status"] == "True"
    assert model.condition("Ready")["status"] == "False"
    assert model.status()["stable"]["version"] == f"{model.name}-v1"
    assert stream.failures == []
    assert [version["status"]["state"] for version in model.versions()][-1] in ("Rejected", "RolledBack")


def test_candidate_that_turns_out_worse_is_rolled_back_from_live_evidence(model: Model) -> None:
    # No labels are in the log when it is pushed, so that the gate has nothing to compare on and lets it through.
    model.apply()
    model.until_serving()
    model.patch({"model": {"uri": "pvc://storage/slightly-worse"}})
    model.until("shadow", lambda status: status.get("stage") == "Shadow", 120)
    with traffic.flowing(model.traffic(World())) as stream:
        refusal = model.until("a refusal", lambda status: status.get("refusal"), 180)
        model.until("the candidate gone", lambda status: status.get("candidate") is None, 60)
    assert refusal["reason"] == "RolloutRejected"
    assert model.versions()[-1]["status"]["state"] == "RolledBack"
    assert stream.failures == []


def test_artifact_that_does_not_exist_is_one_sentence_within_seconds_of_its_job(model: Model) -> None:
    model.apply(model={"uri": "pvc://storage/nowhere"})
    refusal = model.until("a refusal", lambda status: status.get("refusal"), 90)
    assert refusal["reason"] == "InvalidArtifact"
    assert "manifest.json" in refusal["message"]
    model.patch({"model": {"uri": "pvc://storage/good"}})
    model.until_serving()


def test_rare_class_that_is_missed_retrains_though_accuracy_stays_fine(model: Model) -> None:
    times = {"falseAlarmEvery": "1h", "window": "30s", "minLabels": 60}
    found = {"name": "found", "type": "Recall", "positiveClass": "1", "minimum": 0.6}
    others = (
        {"name": "accuracy", "minimum": 0.75},
        {"name": "precise", "type": "Precision", "positiveClass": "1", "minimum": 0.75},
        {"name": "both", "type": "F1", "positiveClass": "1", "minimum": 0.75},
        {"name": "balanced", "type": "BalancedAccuracy", "minimum": 0.82},
    )
    signals = [found | times, *(other | times | {"action": "Alert"} for other in others)]
    model.apply(monitoring={"interval": "2s", "signals": signals})
    model.until_serving()
    world = World(rare=True)

    def verdicts(status: Any) -> dict[str, str]:
        return {signal["name"]: signal["verdict"] for signal in status.get("signals", [])}

    with traffic.flowing(model.traffic(world)) as stream:
        healthy = dict.fromkeys(("found", "accuracy", "precise", "both", "balanced"), "OK")
        model.until("healthy verdicts", lambda status: verdicts(status) == healthy, 90)
        until("labels in the log", lambda: stream.labelled > 400, 60, lambda: stream.labelled)
        world.moved = True
        running = model.until("a retraining", lambda status: status.get("retraining", {}).get("running"), 90)
        # What is predicted to be of the class still is: only what else is of it is missed.
        missed = healthy | dict.fromkeys(("found", "both", "balanced"), "Breached")
        model.until("the breaches that recall brings", lambda status: verdicts(status) == missed, 60)
    assert running["trigger"] == "Breach"
    assert "recall of 1" in running["because"]
    assert stream.failures == []


def test_inputs_that_move_without_harm_are_told_and_retrain_nothing(model: Model) -> None:
    accuracy = {
        "name": "accuracy",
        "minimum": 0.85,
        "minLabels": 100,
        "falseAlarmEvery": "1h",
        "window": "30s",
    }
    inputs = {"name": "inputs", "type": "FeatureDrift", "window": "20s", "falseAlarmEvery": "1h"}
    scores = {"name": "scores", "type": "PredictionDrift", "window": "20s", "falseAlarmEvery": "1h"}
    model.apply(monitoring={"interval": "2s", "signals": [accuracy, inputs, scores]})
    model.until_serving()
    world = World()

    def verdicts(status: Any) -> dict[str, str]:
        return {signal["name"]: signal["verdict"] for signal in status.get("signals", [])}

    with traffic.flowing(model.traffic(world)) as stream:
        everything = {"accuracy": "OK", "inputs": "OK", "scores": "OK"}
        model.until("healthy verdicts", lambda status: verdicts(status) == everything, 180)
        assert model.condition("Healthy")["status"] == "True"
        world.kinds = (
            "steady",
            "north",
        )  # Half of the kinds stay away; the truth about the others is as ever.
        drifted = {**everything, "inputs": "Breached"}
        model.until("drift", lambda status: verdicts(status) == drifted, 120)
        status = model.status()
        assert status["stage"] == "Serving"
        (found,) = [signal for signal in status["signals"] if signal["name"] == "inputs"]
        assert found["drifted"] == ["kind"]
        assert "1 of 3 features drifted: kind PSI" in found["because"]
        assert model.condition("Healthy")["reason"] == "Drifted"
        assert model.condition("Ready")["status"] == "True"
        world.kinds = KINDS
        model.until("the end of it", lambda status: verdicts(status) == everything, 120)
        assert model.status()["stage"] == "Serving"
    assert [version["spec"]["number"] for version in model.versions()] == [1]
    assert stream.failures == []


def test_first_version_is_trained_from_a_dataset_until_it_serves(model: Model) -> None:
    def retraining(label: str) -> dict[str, Any]:
        dataset = {"uri": "pvc://storage/data/rows.parquet", "label": label, "time": "at"}
        trainer = {"cpu": "100m", "memory": "768Mi", "deadline": "3m"}
        return {"cooldown": "1h", "data": {"dataset": dataset}, "trainer": trainer}

    model.apply(model={}, retraining=retraining("outcome"))
    model.until("a sentence", lambda status: "'outcome' is missing" in status.get("because", ""), 90)
    assert model.condition("Ready")["reason"] == "FirstTrainingFailed"
    # Whoever mends spec need not wait for the cooldown.
    model.patch({"retraining": retraining("label")})
    model.until_serving()
    with traffic.flowing(model.traffic(World())) as stream:
        until("answers that are right", lambda: stream.labelled > 100, 60, lambda: stream.labelled)
        model.until(
            "a healthy verdict",
            lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"],
            60,
        )
    assert stream.failures == []
    (version,) = model.versions()
    assert version["spec"]["trigger"] == "First"
    assert version["spec"]["evaluation"]["b"] > version["spec"]["evaluation"]["a"]


def test_query_that_crosses_its_threshold_retrains_and_a_bad_one_beside_it_is_told(model: Model) -> None:
    requests = {
        "name": "requests",
        "type": "Query",
        "query": 'sum(modelmend_requests_total{namespace="$namespace", model="$name", version="$version"})',
        "above": 300,
        "for": "2s",
        "action": "Retrain",
    }
    broken = {"name": "broken", "type": "Query", "query": "sum by requests", "above": 1}
    model.apply(monitoring={"interval": "2s", "signals": [requests, broken]})
    model.until_serving()

    def found(status: Any, name: str) -> Any:
        return next((signal for signal in status.get("signals", []) if signal["name"] == name), {})

    with traffic.flowing(model.traffic(World())) as stream:
        model.until("a number", lambda status: found(status, "requests").get("verdict") == "OK", 60)
        running = model.until("a retraining", lambda status: status.get("retraining", {}).get("running"), 60)
        model.until("the Job", lambda _: _job_exists(model, running["job"]), 30)
    status = model.status()
    assert running["trigger"] == "Breach"
    assert running["because"].startswith("requests ")
    assert running["because"].endswith(" is above 300 for at least 2 s")
    assert found(status, "requests")["guarantee"].startswith("none")
    assert found(status, "broken")["verdict"] == "Unknown"
    assert "parse error" in found(status, "broken")["because"]
    assert stream.failures == []


def _job_exists(model: Model, job: str) -> bool:
    return job in model.cluster.kubectl("-n", model.namespace, "get", "jobs", "-o", "name")


def test_label_shift_and_concept_drift_are_told_apart_from_each_other_and_from_a_breach(model: Model) -> None:
    times = {"window": "10s", "falseAlarmEvery": "1h"}
    accuracy = {"name": "accuracy", "minimum": 0.85, "minLabels": 100, "action": "Alert"}
    guess = {"name": "guess", "type": "EstimatedAccuracy", "minimum": 0.85, "minRows": 50}
    rule = {"name": "rule", "type": "ConceptDrift", "minLabels": 30}
    mix = {"name": "mix", "type": "LabelShift", "effect": 0.1}
    scores = {"name": "scores", "type": "PredictionDrift"}
    signals = [signal | times for signal in (accuracy, guess, rule, mix, scores)]
    model.apply(monitoring={"interval": "2s", "signals": signals})
    model.until_serving()
    world = World()

    def verdicts(status: Any) -> dict[str, str]:
        return {signal["name"]: signal["verdict"] for signal in status.get("signals", [])}

    with traffic.flowing(model.traffic(world)) as stream:
        everything = dict.fromkeys(("accuracy", "guess", "rule", "mix", "scores"), "OK")
        model.until("healthy verdicts", lambda status: verdicts(status) == everything, 120)
        world.centre = 1.5  # Nine in ten are of class 1 now, and the model is as right as ever.
        shifted = {**everything, "mix": "Breached", "scores": "Breached"}
        status = model.until(
            "label shift", lambda status: status if verdicts(status) == shifted else None, 90
        )
        (found,) = [signal for signal in status["signals"] if signal["name"] == "mix"]
        assert [share["name"] for share in found["shares"]] == ["0", "1"]
        assert found["shares"][1]["now"] > found["shares"][1]["before"] + 0.2
        model.until("LabelsShifted", lambda _: model.condition("Healthy")["reason"] == "LabelsShifted", 10)
        world.centre, world.moved = 0.0, True  # The same rows as at first, with other truths.
        moved = everything | {"accuracy": "Breached", "rule": "Breached"}
        model.until("concept drift", lambda status: verdicts(status) == moved, 90)
        healthy = model.condition("Healthy")
        assert healthy["reason"] == "Breached"
        assert healthy["message"].endswith("; also seen: concept drift (rule)")
    assert model.status()["stage"] == "Serving"
    assert stream.failures == []
