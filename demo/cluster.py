"""The cluster the demo stands on: brought up, filled, asked, and taken down."""

import gzip
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo import programs
from localcluster import settings

ROOT: Final = Path(__file__).resolve().parent.parent
NAMESPACE: Final = "flights"
OPERATOR_NAMESPACE: Final = "modelmend-system"
NAME: Final = "flights"
HOST: Final = "flights.example.com"
TAPE: Final = "/var/lib/modelmend/record"
"""Where the chart lets the operator record its decisions."""


@dataclass(frozen=True)
class Cluster:
    """The local cluster, as its `status` tells."""

    engine: str
    kubeconfig: Path
    kubectl: Path
    helm: Path
    gateway_url: str
    prometheus_url: str
    storage_class: str

    def run(self, *words: str, content: str | None = None, check: bool = True) -> str:
        """kubectl, with its output."""
        done = programs.run([self.kubectl, f"--kubeconfig={self.kubeconfig}", *words], content=content)
        if check and done.code:
            raise programs.Failed(f"kubectl {' '.join(words)} failed: {done.complaint}")
        return done.said

    def json(self, *words: str) -> Any:
        """kubectl get … -o json."""
        return json.loads(self.run(*words, "-o", "json"))


def localcluster(*words: str) -> str:
    """The local cluster's own command; its progress goes to the terminal."""
    done = programs.run(
        [sys.executable, "-m", "localcluster", *words],
        shown=words[0] != "status",
        environment={"PYTHONPATH": str(ROOT / "hack")},
        folder=ROOT,
    )
    if done.code:
        raise programs.Failed(f"localcluster {' '.join(words)} failed: {done.complaint or 'see above'}")
    return done.said


def read() -> Cluster:
    """Paths and addresses of the cluster that is up."""
    told = json.loads(localcluster("status", "-o", "json"))
    return Cluster(
        engine=told["engine"],
        kubeconfig=Path(told["kubeconfig"]),
        kubectl=Path(told["kubectl"]),
        helm=Path(told["helm"]),
        gateway_url=told["gateway_url"],
        prometheus_url=told["prometheus_url_in_cluster"],
        storage_class=told["storage_class"],
    )


def cached() -> frozenset[str]:
    """What lies in the local cluster's cache: what a step adds to it was built or fetched, and not again next time."""
    folder = settings.from_environment().cache
    # Three levels down stands what a finished build or download consists of; the folders above may be half done.
    return frozenset(
        str(path.relative_to(folder))
        for path in folder.glob("*/*/*")
        if not path.relative_to(folder).parts[1].startswith(".")
    )


def clean(cluster: Cluster) -> None:
    """Removes the namespace of an earlier run."""
    cluster.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s")
    localcluster("volumes")


def install(cluster: Cluster) -> None:
    """The operator, by its chart, recording what it decides."""
    done = programs.run(
        [
            *(cluster.helm, "upgrade", "--install", "modelmend", ROOT / "charts/modelmend"),
            *(f"--kubeconfig={cluster.kubeconfig}", "-n", OPERATOR_NAMESPACE, "--create-namespace"),
            *("--wait", "--timeout=180s", "--set", "record.enabled=true", "-f", "-"),
        ],
        content=(ROOT / "demo/values.yaml").read_text().replace("$PROMETHEUS", cluster.prometheus_url),
    )
    if done.code:
        pods = cluster.run("-n", OPERATOR_NAMESPACE, "get", "pods", check=False)
        raise programs.Failed(f"helm failed: {done.complaint}\n{pods}")
    # The tag stays while the image changes, so an upgrade alone would leave an older build running; and a pod of an
    # earlier run would go on with that run's recording.
    cluster.run("-n", OPERATOR_NAMESPACE, "rollout", "restart", "deployment/modelmend")
    cluster.run("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/modelmend", "--timeout=180s")


def upload(cluster: Cluster, folder: Path) -> None:
    """Namespace, claim, and both artifacts copied onto it through a short-lived pod."""
    cluster.run(
        *("apply", "-f", "-"),
        content=(ROOT / "demo/namespace.yaml").read_text().replace("$STORAGE_CLASS", cluster.storage_class),
    )
    cluster.run("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/upload", "--timeout=120s")
    for name in ("v0", "careless"):
        cluster.run("-n", NAMESPACE, "cp", str(folder / name), f"upload:/mnt/storage/{name}")
    cluster.run("-n", NAMESPACE, "delete", "pod", "upload", "--now", "--wait=true")


def wait_until_serving(cluster: Cluster) -> None:
    """Ready, and answering through the Gateway."""
    cluster.run(
        *("-n", NAMESPACE, "wait", "--for=condition=Ready", f"modeldeployment/{NAME}", "--timeout=180s")
    )
    deadline = time.monotonic() + 30
    while True:
        done = programs.run(
            [
                *("curl", "-sS", "-m", "2", "-o", os.devnull, "-w", "%{http_code}"),
                *("-H", f"Host: {HOST}", f"{cluster.gateway_url}/v2/models/{NAME}"),
            ]
        )
        if done.said == "200":
            return
        if time.monotonic() > deadline:
            raise programs.Failed(f"the Gateway answers {done.said} {done.complaint} for {NAME} after 30 s")
        time.sleep(0.2)


def diagnosis(cluster: Cluster) -> str:
    """What there is when it should be otherwise: the cluster is taken down, so this is the only chance to look."""
    parts = [
        ("-n", NAMESPACE, "get", "modeldeployment", NAME, "-o", "jsonpath={.status}"),
        ("-n", NAMESPACE, "get", "all,modelversions,httproutes", "-o", "wide"),
        ("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"),
        (
            "-n",
            NAMESPACE,
            "logs",
            "--selector=app.kubernetes.io/managed-by=modelmend",
            "--tail=40",
            "--prefix",
        ),
        ("-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "wide"),
        ("-n", OPERATOR_NAMESPACE, "logs", "deployment/modelmend", "--tail=100"),
    ]
    answers = []
    for words in parts:
        done = programs.run(
            [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "--request-timeout=10s", *words]
        )
        answers.append(f"$ kubectl {' '.join(words)}\n{done.said}{done.complaint}\n")
    return "\n".join(answers)


def facts(cluster: Cluster) -> dict[str, str]:
    """What ran, as it says itself."""
    server = cluster.json("version")["serverVersion"]["gitVersion"]
    stable = cluster.json("-n", NAMESPACE, "get", "modeldeployment", NAME)["status"]["stable"]["version"]
    ask = "import platform; from importlib.metadata import version as v; print(v('scikit-learn'), platform.python_version())"
    learn, python = cluster.run(
        "-n", NAMESPACE, "exec", f"deployment/{stable}", "--", "python", "-c", ask
    ).split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "Kubernetes": f"{server}, {'kind' if cluster.engine == 'kind' else 'a node without a container engine'}",
        "scikit-learn and Python in the model's pods": f"{learn}, {python}",
        "the machine, which runs all of it": f"{os.cpu_count()} cores, {memory:.0f} GiB",
    }


def fetch_tape(cluster: Cluster, path: Path) -> None:
    """Copies what the operator has recorded so far to `path`, up to its last whole line.

    Through gzip, whose checksum tells when the stream was cut off: kubectl alone would not say so.
    """
    # The older half first; there is none before 256 MiB are recorded.
    script = f"cd {TAPE} && cat decisions.1.jsonl decisions.jsonl 2>/dev/null | gzip -1"
    with tempfile.TemporaryFile() as packed:
        done = programs.run(
            [
                *(cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "-n", OPERATOR_NAMESPACE),
                *("exec", "deployment/modelmend", "-c", "operator", "--", "sh", "-c", script),
            ],
            output=packed,
        )
        if done.code:
            raise programs.Failed(f"the recorded decisions could not be copied: {done.complaint}")
        packed.seek(0)
        try:
            with gzip.open(packed) as lines, path.open("wb") as kept:
                # The operator goes on writing while we read: its last line may be half of one.
                kept.writelines(line for line in lines if line.endswith(b"\n"))
        except (EOFError, OSError) as problem:
            raise programs.Failed(f"the recorded decisions did not arrive whole: {problem}") from None
