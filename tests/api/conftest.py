"""A real etcd, kube-apiserver and kube-controller-manager for the session, and what tests begin from.

    control_plane   session   started fresh on free ports; `.kubeconfig`, `.server`, `.kubectl` for other clients
    api_client      session   a small REST client as cluster administrator; `.impersonating(user)` for RBAC
    crds            session   the files of crds/, applied and served
    namespace       each test a new, empty namespace; its name

A test that uses these carries the mark `api`. The controller manager runs, so owned objects are collected, Jobs
and Deployments get pods; no kubelet does, so pods stay Pending.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.apiserver import ApiServer, eventually
from localcluster import controlplane

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[controlplane.ControlPlane]:
    """An API of our own, empty."""
    with controlplane.running(tmp_path_factory.mktemp("plane"), controller_manager=True) as plane:
        yield plane


@pytest.fixture(scope="session")
def api_client(control_plane: controlplane.ControlPlane) -> Iterator[ApiServer]:
    """The administrator's client."""
    client = ApiServer(control_plane)
    yield client
    client.close()


@pytest.fixture(scope="session")
def crds(api_client: ApiServer) -> list[dict[str, Any]]:
    """Our CRDs, as the API server keeps them, once they are established and answer."""
    definitions = []
    for file in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        # The text itself, as kubectl and Helm would read it: Go's YAML is not PyYAML's.
        kind = "application/apply-patch+yaml"
        at = api_client.path(definition)
        api_client.request(
            "PATCH", at, body=file.read_bytes(), kind=kind, fieldManager="tests", fieldValidation="Strict"
        )
        definitions.append(definition)
    for definition in definitions:
        eventually(
            f"{definition['metadata']['name']} is established",
            lambda new=definition: _established(api_client, new),
        )
        spec = definition["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        eventually(f"{path} answers", lambda path=path: api_client.request("GET", path))
    return [api_client.get(definition) for definition in definitions]


def _established(api_client: ApiServer, definition: dict[str, Any]) -> bool:
    # The first answer after the creation has `conditions: null`.
    conditions = api_client.get(definition).get("status", {}).get("conditions") or []
    return any(
        condition["type"] == "Established" and condition["status"] == "True" for condition in conditions
    )


@pytest.fixture
def namespace(api_client: ApiServer) -> str:
    """A namespace that no other test has seen. It goes with the control plane: deleting it would only take time."""
    made = api_client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}})
    return str(made["metadata"]["name"])
