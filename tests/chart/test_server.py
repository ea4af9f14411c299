"""Chart, manifests and rendered children as a real API server takes them.

etcd and kube-apiserver alone, without controllers: pods are tried by dry run, so that Pod Security admission (level
restricted, enforced) judges them itself.
"""

import http.server
import importlib.util
import itertools
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import chart
from localcluster import controlplane, gobuild, settings
from modelmend.api import resources
from modelmend.observe import drift
from render import owners

pytestmark = pytest.mark.api

Object = dict[str, Any]
OWN = "modelmend-system"
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Cluster:
    """An API server, and the two programs that people use."""

    plane: controlplane.ControlPlane

    def kubectl(self, *arguments: str | Path, stdin: Object | None = None) -> str:
        """What kubectl says."""
        text = None if stdin is None else json.dumps(stdin)
        return _run([self.plane.kubectl, "--kubeconfig", self.plane.kubeconfig, *arguments], text)

    def get(self, *arguments: str) -> Object:
        """An object, or a list of them."""
        found: Object = json.loads(self.kubectl("get", "--output=json", *arguments))
        return found

    def helm(self, *arguments: str | Path) -> str:
        """What helm says."""
        return _run([chart.helm(), "--kubeconfig", self.plane.kubeconfig, *arguments], None)

    def versions(self, *arguments: str) -> dict[str, str]:
        """resourceVersion by uid."""
        items = self.get(*arguments)["items"]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}


def _run(command: list[Any], stdin: str | None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, f"{' '.join(words[3:8])}: {done.stderr}"
    # What Pod Security and unknown fields only warn of is a failure here.
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An empty API server that knows the Gateway API."""
    with controlplane.running(tmp_path_factory.mktemp("plane")) as plane:
        found = Cluster(plane)
        found.kubectl("apply", "--server-side", "-f", gobuild.gateway_api_crds(settings.cache_folder()))
        yield found


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The same, after `kubectl apply -k manifests`."""
    cluster.kubectl("apply", "--server-side", "-k", chart.ROOT / "manifests")
    return cluster


@pytest.fixture
def namespace(installed: Cluster) -> str:
    """A namespace that enforces Pod Security restricted, and warns of it."""
    name = f"test-{next(NUMBERS)}"
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    installed.kubectl(
        "create",
        "-f",
        "-",
        stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
    )
    return name


def owner_in(
    cluster: Cluster, namespace: str, build: Callable[[], resources.ModelDeployment]
) -> resources.ModelDeployment:
    """A ModelDeployment that exists, as the API server answers it."""
    built = build()
    body = {
        "apiVersion": resources.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": built.metadata.name, "namespace": namespace, "labels": built.metadata.labels},
        "spec": built.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return resources.ModelDeployment.parse(
        json.loads(cluster.kubectl("create", "-o", "json", "-f", "-", stdin=body))
    )


def test_applying_the_manifests_again_changes_nothing(installed: Cluster) -> None:
    kinds = "deployments,services,serviceaccounts,roles,rolebindings"
    before = installed.versions(kinds, "-n", OWN) | installed.versions("clusterroles,crds")

    installed.kubectl("apply", "--server-side", "-k", chart.ROOT / "manifests")

    assert installed.versions(kinds, "-n", OWN) | installed.versions("clusterroles,crds") == before


def test_the_example_is_accepted(installed: Cluster) -> None:
    said = installed.kubectl(
        "apply", "--server-side", "-f", chart.ROOT / "manifests" / "examples" / "flights.yaml"
    )

    assert "modeldeployment.modelmend.dev/flights serverside-applied" in said


@pytest.mark.parametrize("build", [owners.owner, owners.on_object_store])
def test_children_stay_what_was_rendered(
    installed: Cluster, namespace: str, build: Callable[[], resources.ModelDeployment]
) -> None:
    owner = owner_in(installed, namespace, build)

    for manifest in owners.everything(owner):
        live = json.loads(installed.kubectl("create", "-o", "json", "-f", "-", stdin=manifest))
        again = json.loads(
            installed.kubectl(
                "apply", "--server-side", "--field-manager=modelmend", "--force-conflicts", "-o", "json", "-f", "-",
                stdin=manifest,
            )
        )  # fmt: skip

        assert drift.holds(manifest, live), manifest["metadata"]["name"]
        assert again["metadata"].get("generation") == live["metadata"].get("generation")


@pytest.mark.parametrize("build", [owners.owner, owners.on_object_store])
def test_pod_security_admits_every_pod(
    installed: Cluster, namespace: str, build: Callable[[], resources.ModelDeployment]
) -> None:
    for manifest in owners.everything(owner_in(installed, namespace, build)):
        if manifest["kind"] not in ("Deployment", "Job"):
            continue
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "tried", "namespace": namespace},
            "spec": manifest["spec"]["template"]["spec"],
        }
        installed.kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


def test_helm_installs_warns_upgrades_and_leaves_the_models(cluster: Cluster) -> None:
    release = ("modelmend", chart.CHART, "--namespace", "by-helm", "--set", "fullnameOverride=by-helm")
    own = ("--set", "namespaces={by-helm}", "--set", "crds.enabled=false", "--set", "rbac.aggregate=false")

    said = cluster.helm("install", *release, *own, "--create-namespace")
    assert "WARNING: the operator has one replica" in said
    assert "podMonitor.enabled is false" in said

    said = cluster.helm("upgrade", *release, *own, "--set", "replicas=2")
    assert "WARNING" not in said
    assert cluster.get("deployment", "by-helm", "-n", "by-helm")["spec"]["replicas"] == 2

    cluster.helm("rollback", "modelmend", "1", "--namespace", "by-helm")
    assert cluster.get("deployment", "by-helm", "-n", "by-helm")["spec"]["replicas"] == 1

    cluster.helm("uninstall", "modelmend", "--namespace", "by-helm")
    assert cluster.get("deployments,roles", "-n", "by-helm")["items"] == []


def test_uninstalling_leaves_the_crds_and_the_models(cluster: Cluster) -> None:
    # Whatever applied them before, Helm takes them over here, as a person who comes from manifests/ would.
    kept = ["modeldeployments.modelmend.dev", "modelversions.modelmend.dev"]
    cluster.kubectl("delete", "crd", "--ignore-not-found", *kept)
    cluster.helm("install", "whole", chart.CHART, "--namespace", "whole", "--create-namespace")
    cluster.kubectl("wait", "--for=condition=Established", *(f"crd/{name}" for name in kept))
    example = next(
        each
        for each in yaml.safe_load_all((chart.ROOT / "manifests" / "examples" / "flights.yaml").read_text())
        if each["kind"] == "ModelDeployment"
    )
    example["metadata"]["namespace"] = "whole"
    cluster.kubectl("create", "-f", "-", stdin=example)

    cluster.helm("uninstall", "whole", "--namespace", "whole")

    assert (
        cluster.get("modeldeployment", "flights", "-n", "whole")["spec"]["model"] == example["spec"]["model"]
    )


class TestCheck:
    """`helm test`, run here with the operator's own account."""

    @pytest.fixture
    def check(self, installed: Cluster, tmp_path: Path) -> ModuleType:
        """files/check.py, as it would see the world in its pod."""
        spec = importlib.util.spec_from_file_location("check", chart.CHART / "files" / "check.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (tmp_path / "token").write_text(installed.kubectl("create", "token", "modelmend", "-n", OWN))
        (tmp_path / "ca.crt").write_bytes(Path(installed.plane.state / "pki" / "ca.crt").read_bytes())
        module.ACCOUNT, module.SERVER = tmp_path, installed.plane.server  # type: ignore[attr-defined]
        return module

    @pytest.fixture
    def rules(self, installed: Cluster) -> list[Object]:
        """What the chart's role grants."""
        found: list[Object] = installed.get("clusterrole", "modelmend")["rules"]
        return found

    def test_finds_nothing_missing_in_a_whole_installation(
        self, check: ModuleType, rules: list[Object]
    ) -> None:
        assert check.kinds_missing() == []
        assert check.verbs_missing(rules, []) == []
        assert check.verbs_missing(rules, ["default"]) == []

    def test_names_the_verb_that_is_missing(self, check: ModuleType, rules: list[Object]) -> None:
        wanted = [*rules, {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["update"]}]

        assert check.verbs_missing(wanted, []) == ["not allowed in all namespaces: update deployments/scale"]

    @pytest.mark.parametrize(
        ("line", "leads"), [("modelmend_operator_leader 1.0", True), ("modelmend_operator_leader 0.0", False)]
    )
    def test_asks_who_leads(self, check: ModuleType, line: str, leads: bool) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"# HELP modelmend_operator_leader x\n{line}\n".encode())

            def log_message(self, *_: Any) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found = check.nobody_leads("127.0.0.1", server.server_port, 1.5)
            server.shutdown()

        assert (found == []) is leads
        assert leads or line in found[0]
