"""The operator may do what it does, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.api

Object = dict[str, Any]
Rendering = Callable[..., list[Object]]
Finder = Callable[..., Object]

EVERYWHERE = {
    "modelmend.dev/modeldeployments": "list watch",
    "modelmend.dev/modeldeployments/status": "patch",
    "modelmend.dev/modeldeployments/finalizers": "update",
    "modelmend.dev/modelversions": "get list watch create delete",
    "modelmend.dev/modelversions/status": "patch",
    "apps/deployments": "get list watch create patch delete",
    "core/services": "get list watch create patch delete",
    "gateway.networking.k8s.io/httproutes": "get list watch create patch delete",
    "batch/jobs": "get list watch create delete",
    "core/pods": "list watch",
    "core/secrets": "get create",
    "events.k8s.io/events": "create patch",
}
LEADER = {"coordination.k8s.io/leases": "create get update"}


def granted(role: Object) -> dict[str, str]:
    """Verbs by group and resource."""
    found: dict[str, list[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group or 'core'}/{resource}", []).extend(rule["verbs"])
    return {resource: " ".join(verbs) for resource, verbs in found.items()}


def bound(objects: list[Object]) -> list[tuple[str, str, str]]:
    """(kind, namespace, name) of every role that the operator's account holds."""
    return [
        (each["roleRef"]["kind"], each["metadata"].get("namespace", ""), each["roleRef"]["name"])
        for each in objects
        if each["kind"] in ("RoleBinding", "ClusterRoleBinding")
        and each["subjects"]
        == [{"kind": "ServiceAccount", "name": "modelmend", "namespace": "modelmend-system"}]
    ]


def test_operator_has_exactly_the_verbs_it_uses(objects: Rendering, one: Finder) -> None:
    found = objects()

    assert granted(one(found, "ClusterRole", "modelmend")) == EVERYWHERE
    assert granted(one(found, "Role", "modelmend-leader")) == LEADER
    assert sorted(bound(found)) == [
        ("ClusterRole", "", "modelmend"),
        ("Role", "modelmend-system", "modelmend-leader"),
    ]


def test_lease_of_somebody_else_cannot_be_taken(objects: Rendering, one: Finder) -> None:
    for rule in one(objects(), "Role", "modelmend-leader")["rules"]:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["modelmend"]


def test_named_namespaces_get_roles_and_the_operator_no_cluster_role(objects: Rendering, one: Finder) -> None:
    found = objects({"namespaces": ["ml", "fraud"]})

    assert sorted(bound(found)) == [
        ("Role", "fraud", "modelmend"),
        ("Role", "ml", "modelmend"),
        ("Role", "modelmend-system", "modelmend-leader"),
    ]
    for each in found:
        if each["kind"] == "Role" and each["metadata"]["name"] == "modelmend":
            assert granted(each) == EVERYWHERE
    assert not [each for each in found if each["kind"] == "ClusterRoleBinding"]
    assert {each["metadata"]["name"] for each in found if each["kind"] == "ClusterRole"} == {
        "modelmend-view",
        "modelmend-edit",
        "modelmend-admin",
    }


def test_no_cluster_role_is_left_where_people_want_none(objects: Rendering) -> None:
    found = objects({"namespaces": ["ml"], "rbac": {"aggregate": False}})

    assert not [each for each in found if each["kind"].startswith("ClusterRole")]


def test_roles_made_by_somebody_else_are_left_to_them(objects: Rendering) -> None:
    found = objects(
        {"rbac": {"create": False, "aggregate": False}, "serviceAccount": {"create": False, "name": "mine"}}
    )

    assert not [each for each in found if "Role" in each["kind"] or each["kind"] == "ServiceAccount"]


def test_nothing_is_granted_by_wildcard_and_nothing_leads_to_more_rights(everything: list[Object]) -> None:
    for each in everything:
        if each["kind"] not in ("Role", "ClusterRole"):
            continue
        for resource, verbs in granted(each).items():
            assert "*" not in resource + verbs
            assert not {"escalate", "bind", "impersonate"} & set(verbs.split())
            assert not re.search(r"rbac|serviceaccounts|tokenreviews|pods/(exec|attach)|nodes", resource)


def test_people_get_models_through_the_clusters_own_roles(objects: Rendering, one: Finder) -> None:
    found = objects()
    view, edit, admin = (one(found, "ClusterRole", f"modelmend-{name}") for name in ("view", "edit", "admin"))

    for name, role in (("view", view), ("edit", edit), ("admin", admin)):
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
    assert set(" ".join(granted(view).values()).split()) == {"get", "list", "watch"}
    assert "modelmend.dev/modelversions" not in granted(edit)
    # Status is the operator's memory: whoever writes it decides in its name.
    for role in (edit, admin):
        assert not [resource for resource in granted(role) if resource.endswith("/status")]


def test_the_table_in_values_says_what_is_granted(chart_folder: Path) -> None:
    lines = (chart_folder / "values.yaml").read_text().splitlines()
    table = {}
    for line in lines:
        if found := re.fullmatch(r"  #   (\S+) +(\S+)  +((?:[a-z]+ )*[a-z]+)  +\S.*", line):
            table[f"{found[1]}/{found[2]}"] = found[3]

    assert {name: set(verbs.split()) for name, verbs in table.items()} == {
        name: set(verbs.split()) for name, verbs in (EVERYWHERE | LEADER).items()
    }
