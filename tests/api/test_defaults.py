"""What is left out is filled in by the API server exactly as Python would, and a later choice is never in its way."""

from typing import Any

import pytest

from api.apiserver import ApiServer
from api.objects import Object, as_stored, deployment
from modelmend.api.resources import ModelDeployment
from modelmend.api.spec import ModelDeploymentSpec

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]

FULL: dict[str, Any] = {
    "model": {"uri": "pvc://models/flights/v0", "pin": "flights-v2"},
    "storage": {"uri": "pvc://ml/flights", "credentialsSecretRef": {"name": "flights-s3"}},
    "serving": {
        "replicas": 3,
        "gateway": {
            "parentRef": {"name": "public", "namespace": "infra", "sectionName": "https"},
            "hostnames": ["flights.example.com", "*.flights.example.com"],
        },
        "resources": {"cpu": "1500m", "memory": "2Gi"},
    },
    "monitoring": {
        "interval": "10s",
        "signals": [
            {
                "name": "accuracy", "type": "Accuracy", "minimum": 0.85, "minLabels": 50, "falseAlarmEvery": "24h",
                "evidence": "Threshold", "window": "1h30m", "action": "Alert",
            },
            {
                "name": "slide", "type": "Accuracy", "maxDrop": 0.025, "minLabels": 1000, "falseAlarmEvery": "9000h",
                "evidence": "Lifelong", "block": "1d", "window": "2s", "action": "Ignore",
            },
            {
                "name": "found", "type": "Recall", "positiveClass": "true", "minimum": 0.5, "minLabels": 20,
                "falseAlarmEvery": "100h", "evidence": "Lifelong", "block": "1h", "window": "1h", "action": "Alert",
            },
            {
                "name": "inputs", "type": "FeatureDrift", "effect": 0.25, "falseAlarmEvery": "9000h", "window": "24h",
                "action": "Ignore",
            },
            {
                "name": "guess", "type": "EstimatedAccuracy", "minimum": 0.75, "minRows": 500, "falseAlarmEvery": "100h",
                "window": "2h", "action": "Alert",
            },
            {
                "name": "rule", "type": "ConceptDrift", "minLabels": 300, "effect": 0.05, "falseAlarmEvery": "100h",
                "window": "2h", "action": "Retrain",
            },
            {
                "name": "mix", "type": "LabelShift", "effect": 0.1, "falseAlarmEvery": "100h", "window": "2h",
                "action": "Ignore",
            },
            {
                "name": "refunds", "type": "Query", "query": "sum(refunds)", "above": 12.5, "for": "10m",
                "onMissing": "Breach", "action": "Alert", "window": "6h", "falseAlarmEvery": "720h",
            },
            {
                "name": "orders", "type": "Query", "query": "sum(orders)", "below": -3, "for": "1h", "onMissing": "Hold",
                "action": "Retrain", "window": "6h", "falseAlarmEvery": "720h",
            },
        ],
    },
    "retraining": {
        "schedule": "30 3 * * MON-FRI",
        "when": "All",
        "cooldown": "0s",
        "budget": {"attempts": 5, "per": "12h"},
        "approval": "Manual",
        "data": {"dataset": {"uri": "s3://ml/flights.parquet", "label": "late", "time": "at", "window": "1000h"}},
        "trainer": {"cpu": "2", "memory": "4Gi", "deadline": "10m"},
    },
    "evaluation": {
        "holdout": 0.25, "require": "NotWorse", "margin": 0, "alpha": 0.1, "onInconclusiveSlice": "Reject",
        "slices": [{"column": "carrier", "value": "HA", "margin": 0.02}],
    },
    "rollout": {
        "shadow": {"traffic": 100},
        "steps": [{"weight": 5}, {"weight": 25}, {"weight": 100}],
        "analysis": {"alpha": 0.01, "margin": 0.02, "minLabels": 10, "block": "1h", "deadline": "48h", "onInconclusive": "Promote"},
        "guards": {"errorRate": 0.05, "p99Latency": "200ms"},
        "approval": "Manual",
        "bake": "1h",
    },
    "history": {"limit": 50},
    "suspend": True,
}  # fmt: skip
"""Every field that exists, none at its default."""


def test_least_object_comes_back_complete(api_client: ApiServer, namespace: str) -> None:
    stored = api_client.create(deployment(namespace=namespace))

    spec = stored["spec"]
    assert spec["serving"]["replicas"] == 1
    assert spec["serving"]["resources"] == {"cpu": "250m", "memory": "512Mi"}
    assert spec["monitoring"]["signals"] == [
        {
            "name": "accuracy",
            "type": "Accuracy",
            "maxDrop": 0.05,
            "minLabels": 200,
            "falseAlarmEvery": "720h",
            "evidence": "Lifelong",
            "window": "6h",
            "action": "Retrain",
        }
    ]
    assert spec["retraining"]["budget"] == {"attempts": 3, "per": "24h"}
    assert spec["rollout"]["steps"] == [{"weight": 10}, {"weight": 50}]
    assert spec["suspend"] is False
    assert "status" not in stored


def test_model_and_storage_alone_are_enough(api_client: ApiServer, namespace: str) -> None:
    written = deployment(namespace=namespace)
    del written["spec"]["serving"]

    stored = api_client.create(written)

    assert stored["spec"]["serving"] == {
        "replicas": 1,
        "resources": {"cpu": "250m", "memory": "512Mi"},
    }
    assert ModelDeployment.parse(stored).spec == ModelDeploymentSpec.model_validate(written["spec"])


def test_defaults_of_the_server_are_those_of_python(api_client: ApiServer, namespace: str) -> None:
    written = deployment(namespace=namespace)

    stored = api_client.create(written)

    assert ModelDeployment.parse(stored).spec == ModelDeploymentSpec.model_validate(written["spec"])


def test_stored_object_holds_all_that_python_knows_but_the_choices(
    api_client: ApiServer, namespace: str
) -> None:
    stored = api_client.create(deployment(namespace=namespace))

    expected = ModelDeployment.parse(stored).spec.to_object()
    expected["retraining"]["data"] = {}
    assert stored["spec"] == expected


@pytest.mark.parametrize(
    ("spec", "filled"),
    [
        ({"monitoring": {"interval": "5s"}}, ("monitoring", "signals")),
        ({"monitoring": {"signals": [{"name": "a", "minimum": 0.5}]}}, ("monitoring", "interval")),
        ({"retraining": {"budget": {"attempts": 1}}}, ("retraining", "budget", "per")),
        ({"retraining": {"data": {"log": {}}}}, ("retraining", "data", "log", "retention")),
        ({"rollout": {"analysis": {"margin": 0.1}}}, ("rollout", "analysis", "minLabels")),
        ({"rollout": {"guards": {}}}, ("rollout", "guards", "errorRate")),
        ({"evaluation": {}}, ("evaluation", "holdout")),
        ({"history": {}}, ("history", "limit")),
        # What YAML makes of a key without a value.
        ({"rollout": None}, ("rollout", "bake")),
        ({"monitoring": {"signals": None}}, ("monitoring", "signals")),
    ],
    ids=str,
)
def test_person_who_stops_writing_anywhere_gets_the_rest(
    spec: dict[str, Any], filled: tuple[str, ...], api_client: ApiServer, namespace: str
) -> None:
    stored = api_client.create(deployment(namespace=namespace, **spec))

    node = stored["spec"]
    for step in filled:
        node = node[step]
    assert node
    chosen = {name: stored["spec"][name] for name in ("retraining", "monitoring")}
    assert ModelDeployment.parse(stored).spec.to_object() | chosen == stored["spec"]


@pytest.mark.parametrize(
    ("signal", "meant"),
    [
        ({"minimum": 0.5}, {"minLabels": 200, "evidence": "Lifelong", "action": "Retrain"}),
        ({"minimum": 0.5, "minLabels": 3, "action": "Alert"}, {"minLabels": 3, "evidence": "Lifelong"}),
        ({"type": "FeatureDrift"}, {"effect": 0.1, "action": "Alert"}),
        ({"type": "LabelShift"}, {"effect": 0.05, "action": "Alert"}),
        ({"type": "EstimatedAccuracy", "minimum": 0.8}, {"minRows": 200, "action": "Alert"}),
        ({"type": "ConceptDrift"}, {"effect": 0.02, "minLabels": 200, "action": "Alert"}),
        ({"type": "PredictionDrift", "effect": 0, "action": "Retrain"}, {"effect": 0, "action": "Retrain"}),
    ],
    ids=str,
)
def test_what_depends_on_the_type_of_a_signal_is_stored_only_if_somebody_wrote_it(
    signal: dict[str, Any], meant: dict[str, Any], api_client: ApiServer, namespace: str
) -> None:
    written = {"name": "a", **signal}
    stored = api_client.create(deployment(namespace=namespace, monitoring={"signals": [written]}))

    usual = {"type": "Accuracy", "falseAlarmEvery": "720h", "window": "6h"}
    assert stored["spec"]["monitoring"]["signals"] == [usual | written]
    (understood,) = ModelDeployment.parse(stored).spec.monitoring.signals
    assert understood.to_object() == usual | written | meant | {
        name: said for name, said in signal.items() if name == "action"
    }


def test_every_field_survives_the_way_there_and_back(api_client: ApiServer, namespace: str) -> None:
    stored = api_client.create(deployment(namespace=namespace, **FULL))

    assert stored["spec"] == FULL
    assert ModelDeployment.parse(stored).to_object()["spec"] == FULL


def test_first_training_survives_the_way_there_and_back(api_client: ApiServer, namespace: str) -> None:
    pipeline = {"estimator": "Linear", "parameters": {"C": 0.5, "max_iter": 10.0}, "features": ["a", "b"]}
    dataset = {"uri": "s3://ml/f.csv", "label": "late", "time": "at"}
    retraining = {"data": {"dataset": dataset}, "trainer": {"pipeline": pipeline}}
    written = deployment(namespace=namespace, retraining=retraining)
    del written["spec"]["model"]

    stored = api_client.create(written)

    assert stored["spec"]["model"] == {}
    assert stored["spec"]["retraining"]["trainer"]["pipeline"] == pipeline
    assert ModelDeployment.parse(stored).spec.to_object() == stored["spec"]


def test_full_example_leaves_no_field_out() -> None:
    spec = ModelDeployment.parse(as_stored(deployment(**FULL))).spec

    left_out = {
        "pipeline",
        "minimum",
        "maxDrop",
        "minLabels",
        "evidence",
        "effect",
        "minRows",
        "positiveClass",
        "block",
        "log",
        "query",
        "above",
        "below",
        "for",
        "onMissing",
        "tolerance",
        "errorBound",
        "maximum",
        "maxRise",
        "template",
        "metrics",
    }
    assert _unset(spec.model_dump(by_alias=True)) <= left_out


def _unset(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {name for name, value in node.items() if value is None} | {
            found for value in node.values() for found in _unset(value)
        }
    return {found for value in node for found in _unset(value)} if isinstance(node, list | tuple) else set()


# A person begins with the defaults and chooses later. Whoever applies: kubectl (JSON merge patch over what it applied
# before) or Flux (server-side apply), the default must make way.
@pytest.mark.parametrize(
    "choice",
    [
        {"monitoring": {"signals": [{"name": "accuracy", "minimum": 0.85}]}},
        {"monitoring": {"signals": [{"name": "quality", "maxDrop": 0.1}]}},
        {
            "monitoring": {
                "signals": [{"name": "found", "type": "F1", "positiveClass": "yes", "maxDrop": 0.1}]
            }
        },
        {"rollout": {"analysis": {"block": "1h"}}},
        {"retraining": {"data": {"dataset": {"uri": "s3://ml/f.csv", "label": "late", "time": "at"}}}},
        {"retraining": {"data": {"log": {"window": "10h"}}}},
        {"rollout": {"steps": [{"weight": 20}]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["server-side apply", "merge patch"])
def test_later_choice_replaces_the_default_whole(
    choice: dict[str, Any], by: str, api_client: ApiServer, namespace: str
) -> None:
    first, second = deployment(namespace=namespace), deployment(namespace=namespace, **choice)

    if by == "merge patch":
        api_client.create(first)
        stored = api_client.merge(first, {"spec": choice})
    else:
        api_client.apply(first, manager="flux")
        stored = api_client.apply(second, manager="flux")

    fresh = api_client.create({**second, "metadata": {"name": "fresh", "namespace": namespace}})
    assert stored["spec"] == fresh["spec"], "the history of an object must not show in it"


def test_choice_that_is_withdrawn_gives_the_default_back(api_client: ApiServer, namespace: str) -> None:
    least: Object = deployment(namespace=namespace)
    chosen = deployment(namespace=namespace, monitoring={"signals": [{"name": "accuracy", "minimum": 0.85}]})

    api_client.apply(chosen, manager="flux")
    stored = api_client.apply(least, manager="flux")

    assert [
        (signal["name"], signal.get("maxDrop")) for signal in stored["spec"]["monitoring"]["signals"]
    ] == [("accuracy", 0.05)]
