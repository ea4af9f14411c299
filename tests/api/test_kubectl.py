"""What a person at a terminal sees: columns, names, texts."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from api.apiserver import ApiServer, eventually
from api.objects import STATUS, deployment, only_status, version
from localcluster.controlplane import ControlPlane
from modelmend.api import names, resources

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a table by column name."""
    columns = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(columns, row["cells"], strict=True)) for row in table["rows"]]


def kubectl(plane: ControlPlane, *words: str, stdin: str = "") -> str:
    """What kubectl prints."""
    done = subprocess.run(
        [plane.kubectl, f"--kubeconfig={plane.kubeconfig}", *words],
        input=stdin,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_columns_tell_how_a_model_is(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    candidate = {
        **{name: STATUS["stable"][name] for name in ("digest", "uri", "since")},
        "version": "flights-v2",
        "rollout": "00000000-2",
        "phase": "Canary",
        "trigger": "Breach",
        "weight": 10,
        "started": "2026-01-01T00:00:00Z",
    }
    api_client.apply(
        only_status(made, {**STATUS, "candidate": candidate}), manager=names.MANAGER, subresource="status"
    )

    table = api_client.table(resources.API_VERSION, "ModelDeployment", namespace)

    (row,) = rows(table)
    assert row.pop("Age")
    assert row == {
        "Name": "flights",
        "Ready": "True",
        "Stage": "Canary",
        "Version": "flights-v1",
        "Accuracy": 0.8,
        "Candidate": "flights-v2",
        "Weight": 10,
        "Because": "accuracy 0.80 is at or below 0.85 over 412 labels",
    }
    assert [column["name"] for column in table["columnDefinitions"] if column["priority"]] == ["Because"]


def test_columns_of_a_new_object_are_empty(api_client: ApiServer, namespace: str) -> None:
    api_client.create(deployment(namespace=namespace))

    (row,) = rows(api_client.table(resources.API_VERSION, "ModelDeployment", namespace))

    assert {name for name, cell in row.items() if cell not in ("", None)} == {"Name", "Age"}


def test_columns_tell_the_story_of_a_version(api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(version(namespace=namespace, metrics={"accuracy": 0.91}))
    api_client.apply(
        only_status(made, {"state": "Champion", "because": "won by 57 against 21"}),
        manager=names.MANAGER,
        subresource="status",
    )

    (row,) = rows(api_client.table(resources.API_VERSION, "ModelVersion", namespace))

    assert row.pop("Age")
    assert row == {
        "Name": "flights-v1",
        "Deployment": "flights",
        "Number": 1,
        "State": "Champion",
        "Trigger": "Install",
        "Accuracy": 0.91,
        "Because": "won by 57 against 21",
    }


def test_short_names_and_category_lead_to_both_kinds(api_client: ApiServer) -> None:
    found = {
        resource["kind"]: (resource["shortNames"], resource["categories"])
        for resource in api_client.request("GET", f"/apis/{resources.API_VERSION}")["resources"]
        if "/" not in resource["name"]
    }

    assert found == {"ModelDeployment": (["mend"], ["modelmend"]), "ModelVersion": (["mver"], ["modelmend"])}


def test_every_path_has_a_text_for_kubectl_explain(api_client: ApiServer) -> None:
    kinds = ("ModelDeployment", "ModelVersion")
    at = f"/openapi/v3/apis/{resources.API_VERSION}"

    def published() -> Any:
        known = api_client.request("GET", at)["components"]["schemas"]
        return known if all(f"dev.modelmend.v1alpha1.{kind}" in known for kind in kinds) else None

    schemas = eventually(f"{at} is published", published)

    texts = dict(
        described
        for kind in kinds
        for part in ("spec", "status")
        for described in described_paths(
            schemas[f"dev.modelmend.v1alpha1.{kind}"]["properties"][part], f"{kind}.{part}"
        )
    )
    assert len(texts) > 150
    assert [path for path, text in texts.items() if not text] == []


def described_paths(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """(path, text) of a field and every field in it."""
    yield path, schema.get("description", "")
    inner = schema.get("items", schema).get("properties", {})
    for name, field in inner.items():
        yield from described_paths(field, f"{path}.{name}")


def test_kubectl_explains_a_field_deep_down(control_plane: ControlPlane) -> None:
    said = kubectl(control_plane, "explain", "mend.spec.rollout.steps.weight")

    assert "Percent of requests that the candidate answers." in said


def test_kubectl_apply_names_every_mistake_at_once(control_plane: ControlPlane) -> None:
    wrong = deployment(
        namespace="default",
        retraining={"schedule": "61 * * * *", "cooldown": "7d"},
        rollout={"steps": [{"weight": 50}, {"weight": 10}]},
    )

    said = kubectl(control_plane, "apply", "-f", "-", stdin=json.dumps(wrong))

    assert "spec.retraining.schedule" in said
    assert "minute 0-59" in said
    assert "spec.retraining.cooldown" in said
    assert "days are hours: 24h" in said
    assert "spec.rollout.steps" in said
    assert "weights must rise" in said


def test_kubectl_apply_refuses_an_unknown_field(control_plane: ControlPlane) -> None:
    wrong = {**deployment(namespace="default"), "spec": {**deployment()["spec"], "colour": "blue"}}

    said = kubectl(control_plane, "apply", "-f", "-", stdin=json.dumps(wrong))

    assert 'unknown field "spec.colour"' in said


def test_kubectl_scales_a_model(control_plane: ControlPlane, api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))

    said = kubectl(control_plane, "scale", "mend/flights", "--replicas=4", "--namespace", namespace)

    assert "scaled" in said
    assert api_client.get(made)["spec"]["serving"]["replicas"] == 4


def test_kubectl_waits_for_ready(control_plane: ControlPlane, api_client: ApiServer, namespace: str) -> None:
    made = api_client.create(deployment(namespace=namespace))
    api_client.apply(only_status(made, STATUS), manager=names.MANAGER, subresource="status")

    said = kubectl(
        control_plane,
        "wait",
        "mend/flights",
        "--for=condition=Ready",
        "--timeout=10s",
        "--namespace",
        namespace,
    )

    assert "condition met" in said
