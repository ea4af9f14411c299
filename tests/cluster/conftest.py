"""The real node, with the operator installed by its chart from our images.

`make test` brings the cluster up and builds the images before; run by hand, these tests expect the same
(`make cluster-up images`). One namespace and one claim serve all tests; each test has a ModelDeployment, a storage
folder and a host name of its own.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import traffic
from cluster import models

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "proof"
OPERATOR = "modelmend-system"


def localcluster(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "localcluster", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "hack")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """kubectl and addresses of the cluster that is up."""

    told: dict[str, Any]

    @property
    def gateway(self) -> str:
        return str(self.told["gateway_url"])

    def kubectl(self, *arguments: str, content: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            [self.told["kubectl"], f"--kubeconfig={self.told['kubeconfig']}", *arguments],
            input=content,
            text=True,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def operator_pods(self) -> list[Any]:
        found = self.get("-n", OPERATOR, "get", "pods", "-l", "app.kubernetes.io/name=modelmend")["items"]
        return [pod for pod in found if pod["metadata"].get("deletionTimestamp") is None]


def until(what: str, finding: Callable[[], Any], seconds: float, seen: Callable[[], Any] = lambda: "") -> Any:
    """The first truthy finding; a deadline that expires says what was waited for and what was there instead."""
    deadline = time.monotonic() + seconds
    while True:
        if found := finding():
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}; seen: {seen()}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, the operator, the namespace with its claim, and the artifacts `good`, `worse` and `slightly-worse`."""
    found = Cluster(json.loads(localcluster("status", "-o", "json")))
    values = (
        (ROOT / "demo/values.yaml")
        .read_text()
        .replace("$PROMETHEUS", found.told["prometheus_url_in_cluster"])
    )
    found.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s")
    localcluster("volumes")
    done = subprocess.run(
        [
            *(found.told["helm"], "upgrade", "--install", "modelmend", str(ROOT / "charts/modelmend")),
            *(f"--kubeconfig={found.told['kubeconfig']}", "-n", OPERATOR, "--create-namespace"),
            *("--wait", "--timeout=180s", "-f", "-"),
        ],
        input=values,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + found.kubectl("-n", OPERATOR, "get", "pods", check=False)
    # The tag stays while the image changes, so an upgrade alone would leave an older build running.
    found.kubectl("-n", OPERATOR, "rollout", "restart", "deployment/modelmend")
    found.kubectl("-n", OPERATOR, "rollout", "status", "deployment/modelmend", "--timeout=180s")
    manifest = (ROOT / "demo/namespace.yaml").read_text()
    manifest = manifest.replace("$STORAGE_CLASS", found.told["storage_class"]).replace(
        ": flights", f": {NAMESPACE}"
    )
    found.kubectl("apply", "-f", "-", content=manifest)
    folder = tmp_path_factory.mktemp("artifacts")
    models.write_good(folder / "good", "proof")
    models.write_worse(folder / "worse", "proof")
    models.write_worse(folder / "slightly-worse", "proof", wrong=0.55)
    found.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/upload", "--timeout=120s")
    for artifact in folder.iterdir():
        found.kubectl("-n", NAMESPACE, "cp", str(artifact), f"upload:/mnt/storage/{artifact.name}")
    found.kubectl("-n", NAMESPACE, "delete", "pod", "upload", "--now", "--wait=true")
    yield found
    found.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@dataclass
class Model:
    """One ModelDeployment under test."""

    cluster: Cluster
    name: str

    @property
    def host(self) -> str:
        return f"{self.name}.example.com"

    def apply(self, **spec: Any) -> None:
        """Applies it with quick times; `spec` replaces whole top-level fields."""
        manifest = {
            "apiVersion": "modelmend.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "model": {"uri": "pvc://storage/good"},
                "storage": {"uri": f"pvc://storage/{self.name}"},
                "serving": {
                    "replicas": 1,
                    "gateway": {
                        "parentRef": {
                            "name": self.cluster.told["gateway_name"],
                            "namespace": self.cluster.told["gateway_namespace"],
                        },
                        "hostnames": [self.host],
                    },
                    "resources": {"cpu": "50m", "memory": "512Mi"},
                },
                "monitoring": {
                    "interval": "2s",
                    "signals": [
                        {
                            "name": "accuracy",
                            "minimum": 0.85,
                            "minLabels": 100,
                            "falseAlarmEvery": "1h",
                            "window": "30s",
                        }
                    ],
                },
                "retraining": {
                    "cooldown": "5s",
                    "budget": {"attempts": 10, "per": "1h"},
                    "data": {"log": {"window": "60s", "retention": "1h"}},
                    "trainer": {"cpu": "100m", "memory": "768Mi", "deadline": "3m"},
                },
                "rollout": {
                    "shadow": {"traffic": 50},
                    "steps": [{"weight": 50}],
                    "analysis": {"minLabels": 50, "margin": 0.02, "deadline": "4m"},
                    "bake": "5s",
                },
                **spec,
            },
        }
        self.cluster.kubectl("apply", "-f", "-", content=json.dumps(manifest))

    def patch(self, spec: dict[str, Any]) -> None:
        self.cluster.kubectl(
            *(
                "-n",
                NAMESPACE,
                "patch",
                "modeldeployment",
                self.name,
                "--type=merge",
                "-p",
                json.dumps({"spec": spec}),
            )
        )

    def body(self) -> Any:
        return self.cluster.get("-n", NAMESPACE, "get", "modeldeployment", self.name)

    def status(self) -> Any:
        return self.body().get("status", {})

    def condition(self, kind: str) -> Any:
        return next((found for found in self.status().get("conditions", []) if found["type"] == kind), {})

    def versions(self) -> list[Any]:
        found = self.cluster.get("-n", NAMESPACE, "get", "modelversions")["items"]
        mine = [version for version in found if version["spec"]["deployment"] == self.name]
        return sorted(mine, key=lambda version: int(version["spec"]["number"]))

    def servers(self) -> list[Any]:
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=server"
        return list(self.cluster.get("-n", NAMESPACE, "get", "pods", "-l", selector)["items"])

    def until(self, what: str, finding: Callable[[Any], Any], seconds: float) -> Any:
        """Waits for a finding about the status."""

        def seen() -> str:
            status = self.status()
            return json.dumps(
                {key: status.get(key) for key in ("stage", "because", "stable", "candidate", "refusal")}
            )

        return until(what, lambda: finding(self.status()), seconds, seen)

    def until_serving(self, seconds: float = 90) -> None:
        """Stage Serving, and the Gateway answers: Accepted says that a controller took the route, and some time
        passes before its proxy has it."""
        self.until("stage Serving", lambda status: status.get("stage") == "Serving", seconds)
        until("an answer through the Gateway", self._answers, 30)

    def _answers(self) -> bool:
        request = urllib.request.Request(
            f"{self.cluster.gateway}/v2/models/{self.name}/ready", headers={"Host": self.host}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def traffic(self, world: models.World, rate: float = 40, *, labelled: bool = True) -> traffic.Traffic:
        target = traffic.Target(self.cluster.gateway, self.host, self.name)
        return traffic.Traffic(world.questions(labelled=labelled), target, rate, delay=0.5)


@pytest.fixture
def model(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Model]:
    """A ModelDeployment named after its test, deleted afterwards."""
    name = "m" + hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    found = Model(cluster, name)
    yield found
    if request.node.stash.get(FAILED, False):
        print(json.dumps(found.body(), indent=1))
        print(cluster.kubectl("-n", NAMESPACE, "get", "all", check=False))
        print(
            cluster.kubectl(
                "-n", OPERATOR, "logs", "-l", "app.kubernetes.io/name=modelmend", "--tail=60", check=False
            )
        )
    cluster.kubectl("-n", NAMESPACE, "delete", "modeldeployment", name, "--ignore-not-found", "--wait=false")


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
