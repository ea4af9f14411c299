"""Metadata that every child has, and the memory of how it was rendered.

1. The owner is the controller of every child: garbage collection deletes what it owned, and nobody else adopts it.
2. Labels are ours only. A parent's labels are never copied: Argo CD and Flux find their own objects by label,
   and would prune ours.
3. What we keep applying carries its own manifest as an annotation (`names.RENDERED`). An upgraded operator that
   would render differently applies what stands there, and so restarts nothing.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from modelmend.api import names, resources

Manifest = dict[str, Any]


def metadata(owner: resources.ModelDeployment, name: str, labels: dict[str, str]) -> Manifest:
    """The metadata of a child of `owner`, in its namespace."""
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": labels,
        "ownerReferences": [
            {
                "apiVersion": resources.API_VERSION,
                "kind": owner.KIND,
                "name": owner.metadata.name,
                "uid": owner.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def remember(manifest: Manifest, *, inputs: str | None = None) -> Manifest:
    """A copy that carries itself as an annotation, and the hash of what it was rendered from where there is one."""
    remembered = copy.deepcopy(manifest)
    annotations = remembered["metadata"].setdefault("annotations", {})
    annotations.pop(names.RENDERED, None)
    if inputs is not None:
        annotations[names.INPUTS] = inputs
    annotations[names.RENDERED] = canonical(remembered)
    return remembered


def rendered(live: Mapping[str, Any]) -> Manifest | None:
    """The manifest that a live object was last applied from, ready to be applied again.

    None where the annotation is missing or is not the manifest of this very object: somebody wrote it by hand.
    """
    try:
        found = json.loads(live["metadata"]["annotations"][names.RENDERED])
        if _place(found) != _place(live):
            return None
        return remember(found)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _place(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]


def canonical(manifest: Manifest) -> str:
    """JSON with sorted keys and no space: equal manifests are equal text."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
