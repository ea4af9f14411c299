"""Volumes that many pods share and that a non-root pod may write to.

A StorageClass without provisioner and PersistentVolumes of the kind `local`: unlike hostPath it honours a pod's
fsGroup. There is one node, so ReadWriteMany is true. A volume that was given back is emptied and offered again by
`reclaim`, which `up` and `localcluster volumes` call; nothing in Kubernetes does that for this kind.
"""

import shutil
from pathlib import Path
from typing import Any

from localcluster.kubernetes import Kubectl
from localcluster.settings import Settings

CLASS = "modelmend-local"


def manifests(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """The class, which is the default, and its volumes; `folder` is a path on the node."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        # One node: there is no place to choose, so a claim need not wait for its first pod.
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Retain",
    }
    return [storage_class, *(_volume(settings, name, folder) for name in names(settings))]


def names(settings: Settings) -> list[str]:
    """The volumes' names, which are those of their folders too."""
    return [f"local-{number:02}" for number in range(settings.volumes)]


def _volume(settings: Settings, name: str, folder: Path) -> dict[str, Any]:
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [settings.node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": settings.volume_size},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }


def make_folders(settings: Settings) -> Path:
    """The folders behind the volumes."""
    folder = settings.state / "volumes"
    for name in names(settings):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def reclaim(settings: Settings, kubectl: Kubectl, on_node: Path) -> list[str]:
    """Empties every volume whose claim is gone and offers it again; the names of those.

    `on_node` is the folder of the volumes as the node sees it.
    """
    folder = settings.state / "volumes"
    released = [
        volume["metadata"]["name"]
        for volume in kubectl.get("persistentvolumes")["items"]
        if volume.get("status", {}).get("phase") in {"Released", "Failed"}
        and volume["spec"].get("storageClassName") == CLASS
    ]
    if released:
        kubectl("delete", "persistentvolume", *released, purpose="take the released volumes back")
        for name in released:
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True)
        kubectl.apply(manifests(settings, on_node), purpose="offer the volumes again")
    return released
