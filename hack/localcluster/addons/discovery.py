"""Tells Prometheus which pods there are, in the words of its own Kubernetes discovery.

Debian builds Prometheus without that discovery, and building it ourselves would cost minutes of every first set-up.
So this process watches pods and writes a file that Prometheus watches in turn, with the same `__meta_kubernetes_…`
labels: the scrape rules stay those of a real installation. Started by `cluster` as a program of its own.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcluster.kubernetes import Api
from localcluster.pki import Pki

NAME = "discovery"


def argv(server: str, keys: Path, user: str, output: Path) -> list[str | Path]:
    """The command line of this very module."""
    return [sys.executable, "-m", "localcluster.addons.discovery", server, keys, user, output]


def targets(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """One target for each declared port of a pod that has an address, as Prometheus's file discovery wants it."""
    status, metadata = pod.get("status", {}), pod["metadata"]
    if not status.get("podIP"):
        return []
    labels = {
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_pod_name": metadata["name"],
        "__meta_kubernetes_pod_phase": status.get("phase", "Unknown"),
        "__meta_kubernetes_pod_uid": metadata["uid"],
    }
    for kind in ("label", "annotation"):
        for name, value in metadata.get(f"{kind}s", {}).items():
            word = "".join(letter if letter.isalnum() else "_" for letter in name)
            labels[f"__meta_kubernetes_pod_{kind}_{word}"] = value
    containers = {told["name"]: told.get("containerID", "") for told in status.get("containerStatuses") or ()}
    return [
        {
            "targets": [f"{status['podIP']}:{port['containerPort']}"],
            "labels": {
                **labels,
                "__meta_kubernetes_pod_container_name": container["name"],
                "__meta_kubernetes_pod_container_id": containers.get(container["name"], ""),
                "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                "__meta_kubernetes_pod_container_port_number": str(port["containerPort"]),
            },
        }
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


def write(pods: dict[str, dict[str, Any]], output: Path) -> None:
    """The file, replaced as a whole; untouched if it says so already, since each change makes Prometheus reload."""
    text = json.dumps([target for _, pod in sorted(pods.items()) for target in targets(pod)], indent=1)
    if not output.exists() or output.read_text() != text:
        draft = output.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(output)


def follow(api: Api) -> Iterator[dict[str, dict[str, Any]]]:
    """All pods by uid, again after every change, until the API server ends the watch."""
    with api.open("/api/v1/pods", seconds=30) as answer:
        listed = json.load(answer)
    pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
    yield pods
    version = listed["metadata"]["resourceVersion"]
    with api.open(
        f"/api/v1/pods?watch=true&resourceVersion={version}&timeoutSeconds=300", seconds=330
    ) as changes:
        for line in changes:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            pod = event["object"]
            if event["type"] == "DELETED":
                pods.pop(pod["metadata"]["uid"], None)
            else:
                pods[pod["metadata"]["uid"]] = pod
            yield pods


def main(server: str, keys: str, user: str, output: str) -> None:
    """Never ends by itself: whatever goes wrong with a watch, the next list puts right."""
    api = Api(server, Pki(Path(keys)), user)
    while True:
        try:
            for pods in follow(api):
                write(pods, Path(output))
        except (urllib.error.URLError, OSError, ValueError) as error:
            print(f"the watch on pods ended, starting another: {error}", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
