"""One ModelDeployment on the local cluster, with quick times, its children and its traffic."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import traffic
from trial import models
from trial.cluster import Cluster, until


@dataclass
class Model:
    """One ModelDeployment on trial, with a storage folder and a host name of its own."""

    cluster: Cluster
    namespace: str
    name: str

    @property
    def host(self) -> str:
        return f"{self.name}.example.com"

    @property
    def target(self) -> traffic.Target:
        return traffic.Target(self.cluster.gateway, self.host, self.name)

    @property
    def service(self) -> traffic.Target:
        """The Service of its name, as this machine, which is the node, reaches it."""
        found = self.cluster.get("-n", self.namespace, "get", "service", self.name)
        return traffic.Target(f"http://{found['spec']['clusterIP']}", self.name, self.name)

    def apply(self, **spec: Any) -> None:
        """Applies it with quick times; `spec` replaces whole top-level fields."""
        manifest = {
            "apiVersion": "modelmend.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
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
        patch = ("--type=merge", "-p", json.dumps({"spec": spec}))
        self.cluster.kubectl("-n", self.namespace, "patch", "modeldeployment", self.name, *patch)

    def annotate(self, command: str) -> None:
        """A person's command: `name=value`."""
        self.cluster.kubectl("-n", self.namespace, "annotate", "modeldeployment", self.name, command)

    def remove(self) -> None:
        """Deletes it, and waits until nothing of it runs."""
        self.cluster.kubectl("-n", self.namespace, "delete", "modeldeployment", self.name, "--wait=true")
        pods = ("get", "pods", "-l", f"app.kubernetes.io/instance={self.name}", "-o", "name")
        until(
            f"the pods of {self.name} to go",
            lambda: not self.cluster.kubectl("-n", self.namespace, *pods),
            90,
        )

    def body(self) -> Any:
        return self.cluster.get("-n", self.namespace, "get", "modeldeployment", self.name)

    def status(self) -> Any:
        return self.body().get("status", {})

    def condition(self, kind: str) -> Any:
        return next((found for found in self.status().get("conditions", []) if found["type"] == kind), {})

    def versions(self) -> list[Any]:
        found = self.cluster.get("-n", self.namespace, "get", "modelversions")["items"]
        mine = [version for version in found if version["spec"]["deployment"] == self.name]
        return sorted(mine, key=lambda version: int(version["spec"]["number"]))

    def servers(self) -> list[Any]:
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=server"
        return list(self.cluster.get("-n", self.namespace, "get", "pods", "-l", selector)["items"])

    def until(self, what: str, finding: Callable[[Any], Any], seconds: float) -> Any:
        """Waits for a finding about the status."""

        def seen() -> str:
            status = self.status()
            return json.dumps(
                {key: status.get(key) for key in ("stage", "because", "stable", "candidate", "refusal")}
            )

        return until(what, lambda: finding(self.status()), seconds, seen)

    def until_serving(self, seconds: float = 90, *, through: str = "the Gateway") -> None:
        """Stage Serving, and the Gateway answers: Accepted says that a controller took the route, and some time
        passes before its proxy has it. So it is with `the Service`."""
        self.until("stage Serving", lambda status: status.get("stage") == "Serving", seconds)
        target = self.target if through == "the Gateway" else self.service
        until(f"an answer through {through}", lambda: self._answers(target), 30)

    def _answers(self, target: traffic.Target) -> bool:
        request = urllib.request.Request(target.url("ready"), headers={"Host": target.host})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def traffic(
        self,
        world: models.World,
        rate: float = 40,
        *,
        labelled: bool = True,
        to: traffic.Target | None = None,
        on_answer: Callable[[traffic.Answer], None] = lambda _: None,
    ) -> traffic.Traffic:
        """Live requests; `to` another target than the Gateway, each by a connection of its own: a Service splits those."""
        return traffic.Traffic(
            world.questions(labelled=labelled),
            to or self.target,
            rate,
            delay=0.5,
            on_answer=on_answer,
            keep=to is None,
        )
