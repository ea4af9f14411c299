"""The operator as its own service account: with the chart's rules it does everything, and without one of them it says
so in a condition, keeps running, and goes on when the rule is back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.apiserver import Object
from api.running.conftest import BY_LIST, BY_WATCH, World, artifact
from api.running.proxy import Proxy
from localcluster.controlplane import ControlPlane

pytestmark = pytest.mark.api

TEMPLATE = Path(__file__).parents[3] / "charts/modelmend/templates/_permissions.tpl"
LEASES = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}


def rules() -> list[Object]:
    """The chart's rules, as it grants them."""
    text = TEMPLATE.read_text().split('define "modelmend.permissions" -}}', 1)[1].split("{{- end", 1)[0]
    return list(yaml.safe_load(text))


def without(resource: str) -> list[Object]:
    """All rules but what they say about one resource."""
    kept = []
    for rule in rules():
        resources = [name for name in rule["resources"] if name != resource]
        kept += [{**rule, "resources": resources}] if resources else []
    assert kept != rules(), f"no rule is about {resource}"
    return kept


def grant(world: World, granted: list[Object]) -> None:
    """The role of the operator's account."""
    metadata = {"name": "modelmend", "namespace": world.namespace}
    group = "rbac.authorization.k8s.io"
    world.api.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [*granted, LEASES]},
        manager="tests",
        force=True,
    )
    world.api.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "modelmend"},
            "subjects": [{"kind": "ServiceAccount", "name": "modelmend", "namespace": world.namespace}],
        },
        manager="tests",
        force=True,
    )


@pytest.fixture
def proxy(world: World, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    """The API server as the operator's account sees it."""
    made = Proxy(control_plane, tmp_path, user=f"system:serviceaccount:{world.namespace}:modelmend")
    world.operator.kubeconfig = made.kubeconfig
    world.operator.flags = (BY_LIST,)  # No watch tells that a rule is back.
    world.node.results["resolve"] = artifact()
    try:
        yield made
    finally:
        world.operator.kill()
        made.close()


def test_rules_of_the_chart_are_enough(world: World, proxy: Proxy) -> None:
    grant(world, rules())

    world.installed()
    world.until("the resolve Job is gone", lambda: not world.jobs())

    assert [write for write in proxy.writes if write.status in (401, 403)] == []
    assert "forbidden" not in world.operator.log()


@pytest.mark.parametrize(
    "resource", ["secrets", "deployments", "services", "httproutes", "jobs", "pods", "modelversions"]
)
def test_rule_that_is_missing_is_said_and_missed_only_so_long(
    world: World, proxy: Proxy, resource: str
) -> None:
    grant(world, without(resource))
    world.operator.start()
    world.apply()

    def said() -> Any:
        return f"{resource}" in str(world.condition("Stalled").get("message")) and world.condition("Stalled")

    condition = world.until("it is said", said)
    assert "forbidden" in condition["message"]
    assert world.condition("Ready")["status"] == "False"
    assert world.operator.is_ready()

    grant(world, rules())
    world.until_serving()


@pytest.mark.parametrize("resource", ["modeldeployments/status", "events"])
def test_rule_without_which_nothing_can_be_said_ends_nothing(
    world: World, proxy: Proxy, resource: str
) -> None:
    grant(world, without(resource))
    world.operator.start()
    world.apply()

    world.until(
        "it is logged",
        lambda: resource.partition("/")[0] in world.operator.log() and "forbidden" in world.operator.log(),
    )
    assert world.operator.is_ready()

    grant(world, rules())
    world.until_serving()


def test_namespace_without_a_role_disturbs_no_other(world: World, proxy: Proxy) -> None:
    """As when it is deleted, and the Role with it; its watches would end all others."""
    made = world.api.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "closed-"}}
    )
    world.operator.flags = (BY_WATCH, f"--namespace={made['metadata']['name']}")
    grant(world, rules())

    world.installed()
    world.api.delete(world.route() or {})
    world.until("a watch tells of it", lambda: world.backends() == [("flights-v1", 8080, 100)])

    assert "watching ended" not in world.operator.log()
