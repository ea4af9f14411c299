"""What a platform offers besides Kubernetes itself: names, metrics, a gateway, volumes.

They run as processes of the host and not as pods: no image has to be made, pulled or kept up to date for them, and
they are ready before the first pod is. Inside the cluster each is an ordinary Service, whose endpoint is the host's
address there.
"""

from typing import Any


def namespace(name: str) -> dict[str, Any]:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service_on_host(
    name: str,
    namespace: str,
    host: str,
    ports: dict[str, tuple[int, int, str]],
    *,
    cluster_ip: str | None = None,
) -> list[dict[str, Any]]:
    """A Service without selector and its endpoint on the host; `ports` are name -> (Service's, host's, protocol)."""
    spec: dict[str, Any] = {
        "ports": [
            {"name": key, "port": outside, "targetPort": inside, "protocol": protocol}
            for key, (outside, inside, protocol) in ports.items()
        ]
    }
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-host",
                "namespace": namespace,
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "localcluster",
                },
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [
                {"name": key, "port": inside, "protocol": protocol}
                for key, (_, inside, protocol) in ports.items()
            ],
        },
    ]
