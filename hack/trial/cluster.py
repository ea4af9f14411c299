"""The cluster that is up, and a room in it where ModelDeployments can be tried."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
OPERATOR: Final = "modelmend-system"
"""The operator's namespace."""


class TrialError(Exception):
    """A sentence for a person."""


@dataclass(frozen=True)
class Cluster:
    """kubectl and addresses of the cluster that is up."""

    told: dict[str, Any]

    @property
    def gateway(self) -> str:
        return str(self.told["gateway_url"])

    def kubectl(self, *arguments: str, content: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            [*self.command(), *arguments], input=content, text=True, capture_output=True, check=False
        )
        if check and done.returncode:
            raise TrialError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def command(self) -> list[str]:
        """kubectl, bound to this cluster, for who starts it himself."""
        return [self.told["kubectl"], f"--kubeconfig={self.told['kubeconfig']}"]

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def operator_pods(self) -> list[Any]:
        found = self.get("-n", OPERATOR, "get", "pods", "-l", "app.kubernetes.io/name=modelmend")["items"]
        return [pod for pod in found if pod["metadata"].get("deletionTimestamp") is None]


def localcluster(*arguments: str) -> str:
    """What the local cluster's own command says."""
    done = subprocess.run(
        [sys.executable, "-m", "localcluster", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "hack")},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise TrialError(f"localcluster {' '.join(arguments)}: {done.stdout}{done.stderr.strip()}")
    return done.stdout


def present() -> Cluster:
    """The cluster that is up."""
    told = json.loads(localcluster("status", "-o", "json"))
    if not told["up"] and told.get("engine") != "kind":
        raise TrialError("no local cluster is up: run `make cluster-up images`")
    return Cluster(told)


def until(what: str, finding: Callable[[], Any], seconds: float, seen: Callable[[], Any] = lambda: "") -> Any:
    """The first truthy finding; a deadline that expires says what was waited for and what was there instead."""
    deadline = time.monotonic() + seconds
    while True:
        if found := finding():
            return found
        if time.monotonic() > deadline:
            raise TrialError(f"waited {seconds:.0f} s for {what}; seen: {seen()}")
        time.sleep(0.2)


@contextlib.contextmanager
def room(cluster: Cluster, namespace: str, artifacts: Path) -> Iterator[None]:
    """A namespace whose claim `storage` holds the folders in `artifacts`, beside the operator that `install` brought."""
    cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=true", "--timeout=120s")
    localcluster("volumes")
    manifest = (ROOT / "demo/namespace.yaml").read_text()
    manifest = manifest.replace("$STORAGE_CLASS", cluster.told["storage_class"])
    cluster.kubectl("apply", "-f", "-", content=manifest.replace(": flights", f": {namespace}"))
    try:
        cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/upload", "--timeout=120s")
        for artifact in artifacts.iterdir():
            cluster.kubectl("-n", namespace, "cp", str(artifact), f"upload:/mnt/storage/{artifact.name}")
        cluster.kubectl("-n", namespace, "delete", "pod", "upload", "--now", "--wait=true")
        yield
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def install(cluster: Cluster) -> None:
    """The operator from our images, by its chart."""
    values = (ROOT / "demo/values.yaml").read_text()
    done = subprocess.run(
        [
            *(cluster.told["helm"], "upgrade", "--install", "modelmend", str(ROOT / "charts/modelmend")),
            *(f"--kubeconfig={cluster.told['kubeconfig']}", "-n", OPERATOR, "--create-namespace"),
            *("--wait", "--timeout=180s", "-f", "-"),
        ],
        input=values.replace("$PROMETHEUS", cluster.told["prometheus_url_in_cluster"]),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pods = cluster.kubectl("-n", OPERATOR, "get", "pods", check=False)
        raise TrialError(f"helm: {done.stderr.strip()}\n{pods}")
    # The tag stays while the image changes, so an upgrade alone would leave an older build running.
    cluster.kubectl("-n", OPERATOR, "rollout", "restart", "deployment/modelmend")
    cluster.kubectl("-n", OPERATOR, "rollout", "status", "deployment/modelmend", "--timeout=180s")
