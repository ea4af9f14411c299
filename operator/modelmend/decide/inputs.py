"""Hashes of what people wrote, by which a child knows whether it was made from the present spec.

A pod template is rendered once and again only when its hash changes, so that an upgraded operator that renders
differently restarts no model pod. So only fields of the user and the version stand here, never the operator's, and
what equals its default is left out: a field that a newer operator adds changes no hash.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.contract import log


def of_server(deployment: ModelDeployment, version: ModelVersion) -> str:
    """Hash for the pods of one version. The champion loaded beside is left out: the end of a bake restarts nothing."""
    spec, template = deployment.spec, deployment.spec.serving.template
    own = {} if template is None else {"template": _written(template)}
    graded = (
        {}
        if spec.evaluation.tolerance is None
        else {"grading": [spec.evaluation.tolerance, spec.evaluation.error_bound]}
    )
    return _hash(
        {
            **own,
            **graded,
            "uri": version.spec.uri,
            "digest": version.spec.digest,
            "image": version.spec.image,
            "resources": _written(spec.serving.resources),
            "storage": _written(spec.storage),
            "log": spec.retraining.data.log
            and log.part_seconds(spec.retraining.data.log.window.total_seconds()),
        }
    )


def of_front(deployment: ModelDeployment) -> str | None:
    """Hash for the route; None where there shall be none. Backends are left out: they are compared themselves."""
    gateway, template = deployment.spec.serving.gateway, deployment.spec.serving.template
    own = {} if template is None else {"path": template.path}
    return None if gateway is None else _hash(_written(gateway) | own)


def of_spec(deployment: ModelDeployment) -> str:
    """Hash of everything a person writes. Replicas are left out: an autoscaler writes them too, and must not pass
    for the person that a stalled model waits for."""
    written = _written(deployment.spec)
    written.get("serving", {}).pop("replicas", None)
    return _hash(written)


def _written(part: BaseModel) -> dict[str, Any]:
    return part.model_dump(mode="json", exclude_defaults=True)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
