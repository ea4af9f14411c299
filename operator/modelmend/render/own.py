"""Containers of the user's own images: what they run is the user's, where and as whom is ours (`pod.spec`).

The environment is the contract (docs/own-images.md): Modelmend's variables as every pod has them, and beside each URI
on a claim the path at which this container finds it, since a server of any language can open a path.
"""

from collections.abc import Mapping
from typing import Any, Final

from modelmend.api import names, resources
from modelmend.api.spec import ServerTemplate, Template
from modelmend.contract import arms, environment
from modelmend.render import pod, storage

PORT_NAME: Final = "http"
SCRATCH: Final = "1Gi"
GRACE_SECONDS: Final = 30
"""From SIGTERM to SIGKILL."""
_UNUSED: Final = (
    environment.TRUSTED_TYPES,
    environment.FEEDBACK_KEY_FILE,
    environment.LOG_PART_SECONDS,
    environment.SIDE,
)
"""Of the built-in server: how it builds, signs, logs and splits is nobody else's business."""


def container(
    template: Template, values: Mapping[str, str | None], cpu: str, *first: dict[str, Any]
) -> dict[str, Any]:
    """The image with its arguments and environment; `first`: variables that others refer to."""
    told = {name: value for name, value in values.items() if value is not None and name not in _UNUSED}
    paths = {
        name.removesuffix("_URI") + environment.PATH_SUFFIX: path
        for name, uri in told.items()
        if name.endswith("_URI") and (path := storage.path(uri)) is not None
    }
    users = {variable.name: variable.value for variable in template.env}
    # A user may know better how many threads there should be; what Modelmend says of the model is not to be changed.
    whole = pod.defaults(cpu) | users | told | paths
    found: dict[str, Any] = {
        "image": template.image,
        "env": [*first, *({"name": name, "value": pod.literal(value)} for name, value in whole.items())],
    }
    if template.command:
        found["command"] = [pod.literal(word) for word in template.command]
    if template.args:
        found["args"] = [pod.literal(word) for word in template.args]
    return found


def pulled(template: Template) -> dict[str, Any]:
    """The part of a pod spec that says with which Secrets its image is pulled."""
    secrets = [{"name": name} for name in template.image_pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}


def pod_spec(
    owner: resources.ModelDeployment, template: ServerTemplate, values: Mapping[str, str | None], uri: str
) -> dict[str, Any]:
    """The pod of a server that serves the artifact at `uri`."""
    wanted = owner.spec.serving.resources
    ports = {PORT_NAME: template.port}
    if _has_port_for_metrics(template):
        ports[arms.METRICS_PORT_NAME] = template.metrics_port or template.port
    described = container(template, values, wanted.cpu) | {
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        # Fetching and building a large model may take minutes, and is not yet a reason to restart.
        "startupProbe": _ready(template, period=2, failures=300),
        "readinessProbe": _ready(template, period=2, failures=3),
        # What else shows that it lives, only its author knows.
        "livenessProbe": _probe({"tcpSocket": {"port": PORT_NAME}}, period=10, failures=6),
    }
    size = pod.Size(wanted.cpu, wanted.memory, SCRATCH)
    spec = pod.spec(size, storage.in_server(owner, [uri]), described)
    return spec | {"terminationGracePeriodSeconds": GRACE_SECONDS} | pulled(template)


def annotations(template: ServerTemplate | None) -> dict[str, Any]:
    """Part of a pod's metadata: where its metrics are. Its presence says that they are mapped ones."""
    if template is None:
        return {}
    port = arms.METRICS_PORT_NAME if _has_port_for_metrics(template) else PORT_NAME
    return {"annotations": {names.METRICS_PATH: template.metrics_path, names.METRICS_PORT: port}}


def _has_port_for_metrics(template: ServerTemplate) -> bool:
    # One number may stand once among a container's ports: server-side apply knows them by it.
    return template.metrics_port not in (None, template.port)


def _ready(template: ServerTemplate, *, period: int, failures: int) -> dict[str, Any]:
    asked = {"path": template.ready_path, "port": PORT_NAME, "scheme": "HTTP"}
    return _probe({"httpGet": asked}, period=period, failures=failures)


def _probe(how: dict[str, Any], *, period: int, failures: int) -> dict[str, Any]:
    # Defaults of the API server are written out, so that the live object equals what was applied.
    return {
        **how,
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
