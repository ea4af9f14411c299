"""The Gateway API with Traefik behind it, and one Gateway that takes routes from every namespace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localcluster import addons
from localcluster.settings import Settings

NAME = "traefik"
NAMESPACE = "infra"
GATEWAY = "public"
IN_CLUSTER_URL = f"http://{GATEWAY}.{NAMESPACE}.svc.cluster.local"


def manifests(settings: Settings) -> list[dict[str, Any]]:
    """The class, the Gateway, and a Service by which pods reach it too."""
    group = "gateway.networking.k8s.io/v1"
    return [
        addons.namespace(NAMESPACE),
        {
            "apiVersion": group,
            "kind": "GatewayClass",
            "metadata": {"name": NAME},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
            "spec": {
                "gatewayClassName": NAME,
                "listeners": [
                    {
                        "name": "http",
                        "protocol": "HTTP",
                        # Traefik finds its entry point by this number.
                        "port": settings.gateway_port,
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
        },
    ]


def service(settings: Settings) -> list[dict[str, Any]]:
    """The Gateway as pods see it, on port 80."""
    return addons.service_on_host(
        GATEWAY, NAMESPACE, settings.host, {"http": (80, settings.gateway_port, "TCP")}
    )


def arguments(settings: Settings, listen: str, address: str) -> Sequence[str]:
    """Traefik's flags; a changed weight takes effect after a tenth of a second."""
    return [
        f"--entrypoints.web.address={listen}:{settings.gateway_port}",
        "--providers.kubernetesgateway=true",
        "--providers.kubernetesgateway.throttleduration=100ms",
        f"--providers.kubernetesgateway.statusaddress.ip={address}",
        "--providers.providersthrottleduration=100ms",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
    ]


def argv(program: Path, settings: Settings) -> list[str | Path]:
    """The command line; the API server is named by KUBECONFIG."""
    return [program, *arguments(settings, settings.host, settings.host)]


def is_programmed(gateway: dict[str, Any]) -> bool:
    """Whether Traefik took the Gateway over."""
    conditions = gateway.get("status", {}).get("conditions", [])
    return any(c["type"] == "Programmed" and c["status"] == "True" for c in conditions)
