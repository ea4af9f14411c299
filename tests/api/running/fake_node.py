"""What a kubelet and a Gateway controller would report, reported by a thread of the test.

The real controller manager makes the pods; nobody runs them. This thread looks at the pods of one namespace and writes
the status that a test wants: servers become ready, Jobs end with the message that the test has put down for them, and
the Gateway accepts every route.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from api.apiserver import ApiServer, Object, Refused

POLL = 0.1


@dataclass
class FakeNode:
    """Acts on one namespace until closed."""

    api: ApiServer
    namespace: str
    results: dict[str, Object] = field(default_factory=dict)
    """What the next Job of a kind (`resolve`, `retrain`) says on its termination message; without one it runs on."""
    servers_ready: bool = True
    crashing: set[str] = field(default_factory=set)
    """Versions whose pods crash."""
    gateway: bool = True
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(20)
        self.api.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._act()
            except Refused as refused:
                if refused.code not in (404, 409):
                    self.errors.append(str(refused))
            except Exception as error:
                self.errors.append(repr(error))
            time.sleep(POLL)

    def _act(self) -> None:
        for pod in self.api.objects("v1", "Pod", self.namespace):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            pod |= {"apiVersion": "v1", "kind": "Pod"}
            labels = pod["metadata"]["labels"]
            wanted = (
                self._of_job(pod, labels) if "modelmend.dev/job" in labels else self._of_server(pod, labels)
            )
            if wanted is not None and not _has(pod.get("status") or {}, wanted):
                self.api.merge(pod, {"status": wanted}, subresource="status")
        if self.gateway:
            for route in self.api.objects("gateway.networking.k8s.io/v1", "HTTPRoute", self.namespace):
                route |= {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
                self._accept(route)

    def _of_server(self, pod: Object, labels: dict[str, str]) -> Object | None:
        if labels.get("modelmend.dev/version") in self.crashing:
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
            last = {"terminated": {"exitCode": 1, "message": "manifest.json: no such key", "reason": "Error"}}
            return _status(pod, "Running", ready=False, state={"waiting": waiting}, last=last)
        if not self.servers_ready:
            return None
        return _status(pod, "Running", ready=True, state={"running": {"startedAt": "2026-01-01T00:00:00Z"}})

    def _of_job(self, pod: Object, labels: dict[str, str]) -> Object | None:
        result = self.results.get(labels["modelmend.dev/job"])
        if result is None:
            return _status(
                pod, "Running", ready=True, state={"running": {"startedAt": "2026-01-01T00:00:00Z"}}
            )
        failed = "error" in result
        message = result["raw"] if "raw" in result else json.dumps(result)
        terminated = {
            "exitCode": int(failed),
            "message": message,
            "reason": "Error" if failed else "Completed",
        }
        return _status(
            pod, "Failed" if failed else "Succeeded", ready=False, state={"terminated": terminated}
        )

    def _accept(self, route: Object) -> None:
        generation = route["metadata"]["generation"]
        parent = route["spec"]["parentRefs"][0]
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        wanted = {
            "parents": [
                {"parentRef": parent, "controllerName": "example.com/gateway", "conditions": conditions}
            ]
        }
        if not _has(route.get("status") or {}, wanted):
            self.api.merge(route, {"status": wanted}, subresource="status")


def _status(pod: Object, phase: str, *, ready: bool, state: Object, last: Object | None = None) -> Object:
    name = pod["spec"]["containers"][0]["name"]
    image = pod["spec"]["containers"][0]["image"]
    return {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [
            {
                "name": name,
                "image": image,
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": state,
                **({"lastState": last} if last else {}),
            }
        ],
    }


def _has(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_has(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_has, found, wanted))
    return bool(found == wanted)
