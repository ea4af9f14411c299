"""The Services: one for each version with its three arms, and the front one that in-cluster clients know.

With a gateway, the front Service follows the stable version. Without one it is how the world reaches the model: between
versions it is the number of pods behind it that splits traffic.
"""

from typing import Final

from modelmend.api import names, resources
from modelmend.contract import arms
from modelmend.render import child, own

STABLE_PORT: Final = 80
"""Port of the front Service: `http://<name>.<namespace>` needs no port."""


def of_version(owner: resources.ModelDeployment, version: str) -> child.Manifest:
    """The Service of one version, named like it. A route picks the arm by the port."""
    ports = [
        {"name": arm.value, "port": port, "targetPort": target, "protocol": "TCP", "appProtocol": "http"}
        for arm, port in arms.PORTS.items()
        if (target := _target(owner, arm)) is not None
    ]
    return child.remember(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": child.metadata(
                owner, version, names.labels(owner.metadata.name, "server", version=version)
            ),
            "spec": {
                "type": "ClusterIP",
                "selector": names.selector(owner.metadata.name, version),
                "ports": ports,
            },
        }
    )


def front(owner: resources.ModelDeployment, version: str | None, port: int | str) -> child.Manifest:
    """The Service named like the ModelDeployment: requests go to this port of the pods of one version, or of all."""
    return child.remember(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": child.metadata(
                owner, owner.metadata.name, names.labels(owner.metadata.name, "stable", version=version)
            ),
            "spec": {
                "type": "ClusterIP",
                "selector": names.selector(owner.metadata.name, version),
                "ports": [
                    {
                        "name": "http",
                        "port": STABLE_PORT,
                        "targetPort": port if owner.spec.serving.template is None else own.PORT_NAME,
                        "protocol": "TCP",
                        "appProtocol": "http",
                    }
                ],
            },
        }
    )


def _target(owner: resources.ModelDeployment, arm: arms.Arm) -> str | None:
    """Name of the container's port; by name, so that pods of an older template are asked where they listen. A server
    of the user's own has one for all, and none that answers with another version's predictions."""
    if owner.spec.serving.template is None:
        return arm.value
    return None if arm is arms.Arm.SHADOW else own.PORT_NAME
