"""What all children have in common, whatever their kind."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmend.api import names
from modelmend.render import child, deployment, job, route, secret, service
from render import owners

MODEL_NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
REMEMBERED = {"Deployment", "Service", "HTTPRoute"}


def strings(value: Any) -> list[str]:
    """Every string in a manifest, keys included."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in (key, *strings(item))]
    if isinstance(value, list):
        return [found for item in value for found in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("build", [owners.owner, owners.on_object_store])
def test_rendering_twice_gives_the_same_bytes(build: Any) -> None:
    first, second = ([child.canonical(each) for each in owners.everything(build())] for _ in range(2))

    assert first == second


def test_changing_a_manifest_changes_no_later_one() -> None:
    before = [child.canonical(each) for each in owners.everything(owners.owner())]

    for each in owners.everything(owners.owner()):
        each["metadata"]["labels"].clear()
        each["metadata"].setdefault("annotations", {}).clear()
        each.get("spec", {}).clear()

    assert [child.canonical(each) for each in owners.everything(owners.owner())] == before


def test_every_child_is_controlled_by_its_model_deployment() -> None:
    for each in owners.everything(owners.owner()):
        assert each["metadata"]["namespace"] == "ml"
        assert each["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "modelmend.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": "flights",
                "uid": owners.UID,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_labels_that_gitops_tools_track_by_are_not_copied() -> None:
    for each in owners.everything(owners.owner()):
        found = " ".join(strings(each))

        assert "argo" not in found
        assert "kustomize.toolkit.fluxcd.io/name" not in found
        assert each["metadata"]["labels"][names.INSTANCE] == "flights"
        assert each["metadata"]["labels"][names.MANAGED_BY] == "modelmend"


@given(name=MODEL_NAMES)
def test_names_and_labels_fit_whatever_the_model_is_called(name: str) -> None:
    for each in owners.everything(owners.owner(name)):
        template = each.get("spec", {}).get("template", {})
        for metadata in (each["metadata"], template.get("metadata", {})):
            for value in metadata.get("labels", {}).values():
                assert len(value) <= 63
        assert len(each["metadata"]["name"]) <= 63
        for volume in template.get("spec", {}).get("volumes", ()):
            assert len(volume["name"]) <= 63


def test_what_is_applied_again_remembers_how_it_was_rendered() -> None:
    for each in owners.everything(owners.owner()):
        annotations = each["metadata"].get("annotations", {})
        if each["kind"] not in REMEMBERED:
            assert names.RENDERED not in annotations
            continue
        remembered = json.loads(annotations[names.RENDERED])
        itself = copy.deepcopy(each)
        del itself["metadata"]["annotations"][names.RENDERED]

        assert remembered == itself
        assert child.rendered(each) == each


def test_a_live_object_with_defaults_gives_back_what_was_applied() -> None:
    applied = deployment.manifest(owners.owner(), owners.server())
    live = copy.deepcopy(applied)
    live["metadata"] |= {"uid": "1", "resourceVersion": "7", "managedFields": []}
    live["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    live["spec"]["replicas"] = 5
    live["status"] = {"replicas": 5}

    assert child.rendered(live) == applied


@pytest.mark.parametrize(
    "annotations",
    [
        None,
        {},
        {names.RENDERED: "not JSON"},
        {names.RENDERED: "[]"},
        {names.RENDERED: "null"},
        {names.RENDERED: json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": None})},
        {
            names.RENDERED: json.dumps(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "flights-v1", "namespace": "ml", "annotations": []},
                }
            )
        },
        {
            names.RENDERED: json.dumps(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "other", "namespace": "ml"},
                }
            )
        },
        {
            names.RENDERED: json.dumps(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "flights-v1", "namespace": "kube-system"},
                }
            )
        },
    ],
)
def test_a_memory_that_somebody_else_wrote_is_not_believed(annotations: dict[str, str] | None) -> None:
    live = deployment.manifest(owners.owner(), owners.server())
    live["metadata"]["annotations"] = annotations

    assert child.rendered(live) is None


def test_scaling_keeps_the_pod_template_and_the_memory_true() -> None:
    manifest = deployment.manifest(owners.owner(), owners.server(replicas=2))

    scaled = deployment.scaled(manifest, 7)

    assert scaled == deployment.manifest(owners.owner(), owners.server(replicas=7))
    assert manifest["spec"]["replicas"] == 2


def test_hash_of_inputs_stands_where_inputs_matter() -> None:
    for each in owners.everything(owners.owner()):
        stands = names.INPUTS in each["metadata"].get("annotations", {})

        assert stands == (each["kind"] in {"Deployment", "HTTPRoute"})


def test_selectors_find_the_servers_of_one_version_and_no_job() -> None:
    owner = owners.owner()
    champion = deployment.manifest(owner, owners.server())
    pods = champion["spec"]["template"]["metadata"]["labels"]
    candidate = deployment.manifest(owner, owners.candidate())["spec"]["template"]["metadata"]["labels"]
    trainer = job.retrain(owner, owners.described(version="flights-v1"))["spec"]["template"]["metadata"][
        "labels"
    ]

    for selector in (
        champion["spec"]["selector"]["matchLabels"],
        service.of_version(owner, "flights-v1")["spec"]["selector"],
        service.front(owner, "flights-v1", "solo")["spec"]["selector"],
    ):
        assert selector.items() <= pods.items()
        assert not selector.items() <= candidate.items()
        assert not selector.items() <= trainer.items()
        # It can never change, so nothing stands in it that a release of ours changes.
        assert set(selector) == {names.INSTANCE, "app.kubernetes.io/component", names.VERSION_LABEL}


def test_the_key_stands_in_the_secret_alone_and_in_no_annotation() -> None:
    manifest = secret.manifest(owners.owner(), bytes(range(32)))

    assert manifest["immutable"] is True
    assert "annotations" not in manifest["metadata"]
    assert manifest["data"] == {"key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}


@pytest.mark.parametrize("weights", [(0, 0), (50, 49), (101, -1), ()])
def test_weights_that_do_not_add_up_are_refused(weights: tuple[int, ...]) -> None:
    backends = [
        route.Backend(f"flights-v{n}", owners.CANARY[0][1], weight) for n, weight in enumerate(weights, 1)
    ]

    with pytest.raises(ValueError, match="must add up to 100"):
        route.manifest(owners.owner(), backends, "inputs")
