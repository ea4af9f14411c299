"""`modelmend explain` and `kubectl mend` against a real API server, as their callers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from api.apiserver import ApiServer
from api.objects import STATUS, deployment, only_status, version
from api.running.proxy import Proxy
from localcluster.controlplane import ControlPlane
from modelmend.act import api
from modelmend.api import names, resources
from modelmend.cli import explain

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]
ROOT = Path(__file__).parents[2]


def run(kubeconfig: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    app = typer.Typer()
    app.command()(explain.explain)
    found = CliRunner().invoke(app, [*words, "--kubeconfig", str(kubeconfig)])
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture
def flights(api_client: ApiServer, namespace: str) -> dict[str, Any]:
    """A ModelDeployment in its canary, its champion with a checkpoint, and a version of somebody else's."""
    made = api_client.create(deployment(namespace=namespace))
    candidate = {
        **{name: STATUS["stable"][name] for name in ("digest", "uri", "since")},
        "version": "flights-v2",
        "rollout": "00000000-2",
        "phase": "Canary",
        "trigger": "Breach",
        "weight": 10,
        "started": "2026-01-01T00:00:00Z",
        "evidence": {"pairs": 120, "candidateOnlyWrong": 3, "championOnlyWrong": 9},
    }
    api_client.apply(
        only_status(made, {**STATUS, "candidate": candidate}), manager=names.MANAGER, subresource="status"
    )
    owner = {
        "apiVersion": resources.API_VERSION,
        "kind": "ModelDeployment",
        "name": "flights",
        "uid": made["metadata"]["uid"],
        "controller": True,
    }
    body = version(namespace=namespace)
    body["metadata"]["ownerReferences"] = [owner]
    mine = api_client.create(body)
    ledger = {
        "rollout": "00000000-1",
        "evidenceSince": 0.0,
        "counted": {"totals": {"right": 900, "wrong": 100}, "live": [], "settled": []},
        "polledAt": 1767312000.0,
        "detectors": {},
        "history": {"accuracy": [[1767308400.0, 0, 0]]},
        "guards": {},
    }
    saved = {"rollout": "00000000-1", "at": "2026-01-02T00:00:00Z", "ledger": ledger}
    api_client.apply(
        only_status(mine, {"checkpoint": saved}), manager="modelmend-checkpoint", subresource="status"
    )
    api_client.create(version("other-v1", namespace=namespace))
    return made


def test_canary_is_explained_from_status_and_checkpoints(
    control_plane: ControlPlane, flights: dict[str, Any], namespace: str
) -> None:
    code, out, err = run(control_plane.kubeconfig, "flights", "-n", namespace)

    assert (code, err) == (0, "")
    assert f"{namespace}/flights: Canary\n  accuracy 0.80 is at or below 0.85 over 412 labels" in out
    assert "step 1 of 2 has 120 of 300 new ones, about 180 more pairs" in out
    assert f"kubectl -n {namespace} annotate mend flights modelmend.dev/abort=flights-v2 --overwrite" in out


def test_programs_get_json(control_plane: ControlPlane, flights: dict[str, Any], namespace: str) -> None:
    code, out, _ = run(control_plane.kubeconfig, "flights", "-n", namespace, "-o", "json")

    assert code == 0
    assert json.loads(out)["stage"] == "Canary"


def test_it_is_a_plugin_of_kubectl(
    control_plane: ControlPlane, flights: dict[str, Any], namespace: str, tmp_path: Path
) -> None:
    script = tmp_path / "kubectl-mend"
    script.write_text(f"#!{sys.executable}\nfrom modelmend.cli.__main__ import plugin\nplugin()\n")
    script.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(control_plane.kubeconfig),
    }

    def kubectl(*words: str) -> subprocess.CompletedProcess[str]:
        command = [control_plane.kubectl, "mend", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    found, usage = kubectl("explain", "flights", "-n", namespace), kubectl("tune", "--help")

    assert found.returncode == 0, found.stderr
    assert "flights: Canary" in found.stdout
    assert "Usage: kubectl mend tune" in usage.stdout


def test_namespace_left_out_is_the_kubeconfigs_own(
    control_plane: ControlPlane, flights: dict[str, Any], namespace: str, tmp_path: Path
) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    own = tmp_path / "kubeconfig"
    own.write_text(yaml.safe_dump(config))

    assert run(own, "flights")[0] == 0
    assert api.present_namespace(str(control_plane.kubeconfig)) == "default"
    assert api.present_namespace(str(tmp_path / "none")) == "default"


def test_unknown_name_is_answered_with_the_nearest_ones(
    control_plane: ControlPlane, flights: dict[str, Any], namespace: str
) -> None:
    code, out, err = run(control_plane.kubeconfig, "flihgts", "-n", namespace)

    assert (code, out) == (1, "")
    assert err == (
        f"modelmend explain: there is no ModelDeployment flihgts in the namespace {namespace}: did you mean flights?\n"
    )


def test_empty_namespace_is_said_to_be_empty(control_plane: ControlPlane, namespace: str) -> None:
    _, _, err = run(control_plane.kubeconfig, "flights", "-n", namespace)

    assert f"there is no ModelDeployment in the namespace {namespace}" in err


def test_cluster_without_the_definitions_is_told_how_to_get_them(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "API_VERSION", "modelmend.dev/v9")

    code, _, err = run(control_plane.kubeconfig, "flights", "-n", namespace)

    assert code == 1
    assert "this cluster does not know ModelDeployments: install the operator" in err


@pytest.fixture
def stranger(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of somebody without any role."""
    made = Proxy(control_plane, tmp_path, user="somebody")
    yield made.kubeconfig
    made.close()


def test_caller_without_permission_is_told_which_to_ask_for(
    stranger: Path, flights: dict[str, Any], namespace: str
) -> None:
    code, out, err = run(stranger, "flights", "-n", namespace)

    assert (code, out) == (1, "")
    assert f"you may not read Modelmend's objects in the namespace {namespace}" in err
    assert "get and list on modeldeployments and modelversions" in err
    assert err.count("\n") == 1


def test_kubeconfig_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none", "flights")

    assert code == 1
    assert "no credentials for a cluster" in err


def test_nothing_is_written(
    control_plane: ControlPlane, flights: dict[str, Any], namespace: str, tmp_path: Path
) -> None:
    proxy = Proxy(control_plane, tmp_path)
    try:
        assert run(proxy.kubeconfig, "flights", "-n", namespace)[0] == 0
    finally:
        proxy.close()

    assert proxy.writes == []
