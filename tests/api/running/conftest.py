"""The operator as a process, on the real API server, in a world whose pods, Gateway and Prometheus the test plays.

world    each test   a namespace of its own with `operator` (not started), `node`, `prometheus`, `api`
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api import objects
from api.apiserver import ApiServer, Object, Refused, eventually
from api.running.fake_node import FakeNode
from api.running.fake_prometheus import FakePrometheus
from api.running.process import Operator
from localcluster import commands, controlplane, gobuild, settings

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64

BY_WATCH = "--resync=3600"
"""Only watches bring news: what they do not tell must not be done by a list a moment later."""
BY_LIST = "--resync=2"
"""Lists bring what no watch tells, and what was refused is tried again as often."""


def artifact(digest: str = DIGEST, **more: Any) -> Object:
    """What a Job says that found or made an artifact."""
    return {
        "digest": digest,
        "uri": f"s3://ml/flights/artifacts/{digest[-8:]}",
        "rows": 1000,
        "metrics": {"accuracy": 0.9},
        **more,
    }


@dataclass
class World:
    """One namespace, and everybody who acts in it."""

    api: ApiServer
    namespace: str
    node: FakeNode
    prometheus: FakePrometheus
    operator: Operator
    written: dict[str, str] = field(default_factory=dict)

    def apply(self, **spec: Any) -> Object:
        """The ModelDeployment `flights`; quick by default."""
        return self.api.apply(self.model(**spec), manager="kubectl")

    def model(self, name: str = "flights", **spec: Any) -> Object:
        """The least, with a second between polls."""
        return objects.deployment(name, self.namespace, **{"monitoring": {"interval": "1s"}, **spec})

    def flights(self, name: str = "flights") -> Object:
        """As it is now."""
        return self.api.get(objects.deployment(name, self.namespace))

    def status(self, name: str = "flights") -> Object:
        """Its status."""
        found: Object = self.flights(name).get("status") or {}
        return found

    def condition(self, kind: str, name: str = "flights") -> Object:
        """One condition; empty when it is not there."""
        conditions = self.status(name).get("conditions") or []
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def child(self, api_version: str, kind: str, name: str) -> Object | None:
        """A child, or None."""
        try:
            return self.api.get(
                {
                    "apiVersion": api_version,
                    "kind": kind,
                    "metadata": {"name": name, "namespace": self.namespace},
                }
            )
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def deployment(self, name: str = "flights-v1") -> Object | None:
        """A version's Deployment."""
        return self.child("apps/v1", "Deployment", name)

    def route(self) -> Object | None:
        """The HTTPRoute."""
        return self.child("gateway.networking.k8s.io/v1", "HTTPRoute", "flights")

    def backends(self) -> list[tuple[str, int, int]]:
        """(version, port, weight) of the route."""
        route = self.route()
        found = [] if route is None else route["spec"]["rules"][0]["backendRefs"]
        return [(backend["name"], backend["port"], backend["weight"]) for backend in found]

    def jobs(self) -> list[str]:
        """Names of Jobs."""
        return [job["metadata"]["name"] for job in self.api.objects("batch/v1", "Job", self.namespace)]

    def until(self, what: str, probe: Callable[[], Any], *, seconds: float = 120) -> Any:
        """Wait for it; when it does not come, show the status and the end of the log."""
        try:
            return eventually(what, probe, seconds=seconds)
        except AssertionError as error:
            told = json.dumps(self.status(), indent=1) if self.written is not None else ""
            raise AssertionError(
                f"{error}\nstatus: {told}\nnode: {self.node.errors[-3:]}\nlog:\n{self.operator.log()[-6000:]}"
            ) from None

    def until_stage(self, stage: str, name: str = "flights", *, seconds: float = 120) -> Object:
        """Its status once it is in this stage."""
        self.until(f"{name} is {stage}", lambda: self.status(name).get("stage") == stage, seconds=seconds)
        return self.status(name)

    def installed(self, **spec: Any) -> Object:
        """Operator started, `flights` serves; its status."""
        self.node.results.setdefault("resolve", artifact())
        self.operator.start()
        self.apply(**spec)
        return self.until_serving()

    def until_serving(self, name: str = "flights") -> Object:
        """It serves, is Ready, and the status is about the present spec."""
        self.until(f"{name} is Ready", lambda: self.condition("Ready", name).get("status") == "True")
        self.until(f"{name} is judged", lambda: self.status(name).get("signals"))
        return self.until_stage("Serving", name)

    def release(self) -> None:
        """A dead leader's Lease goes, so that the next one need not wait for its end."""
        self.api.request("DELETE", self.api.path(self.lease, of="list"))

    @property
    def lease(self) -> Object:
        """The Lease by its name."""
        metadata = {"name": "modelmend", "namespace": self.namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}

    def until_polled(self) -> None:
        """A whole poll has been taken since now: detectors that were restarted judge what comes after it."""
        polls = self.prometheus.polls
        self.until("a poll is over", lambda: self.prometheus.polls >= polls + 2)

    def versions_of_everything(self) -> dict[str, str]:
        """resourceVersion of every object of ours in the namespace, but Leases and Pods."""
        found = {}
        for api_version, kind in KINDS:
            for item in self.api.objects(api_version, kind, self.namespace):
                found[f"{kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
        return found


KINDS = (
    ("modelmend.dev/v1alpha1", "ModelDeployment"),
    ("modelmend.dev/v1alpha1", "ModelVersion"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("batch/v1", "Job"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("events.k8s.io/v1", "Event"),
)


@pytest.fixture(scope="session")
def gateway_api(control_plane: controlplane.ControlPlane, api_client: ApiServer) -> None:
    """The Gateway API's definitions, served."""
    folder = gobuild.gateway_api_crds(settings.cache_folder())
    commands.run(
        [
            control_plane.kubectl,
            "--kubeconfig",
            control_plane.kubeconfig,
            "apply",
            "--server-side",
            "-f",
            folder,
        ],
        purpose="define the Gateway API",
    )
    eventually(
        "HTTPRoutes are served",
        lambda: api_client.request("GET", "/apis/gateway.networking.k8s.io/v1/httproutes"),
    )


@pytest.fixture
def world(
    control_plane: controlplane.ControlPlane,
    api_client: ApiServer,
    crds: list[Object],
    gateway_api: None,
    namespace: str,
    tmp_path: Path,
) -> Iterator[World]:
    """Everything but a started operator."""
    prometheus = FakePrometheus()
    node = FakeNode(ApiServer(control_plane), namespace)
    operator = Operator(control_plane.kubeconfig, namespace, prometheus.url, tmp_path, (BY_WATCH,))
    made = World(api_client, namespace, node, prometheus, operator)
    try:
        yield made
    finally:
        operator.kill()
        node.close()
        prometheus.close()
