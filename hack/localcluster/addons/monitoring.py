"""Prometheus, which finds by itself every pod that modelmend made, in every namespace.

The labels `namespace` and `pod` come from the target and never from the pod (`honor_labels: false`), because a pod
that may name its own namespace could forge its neighbour's accuracy.
"""

from pathlib import Path
from typing import Any

from localcluster import addons
from localcluster.settings import Settings

NAME = "prometheus"
IN_CLUSTER_URL = "http://prometheus.monitoring.svc.cluster.local:9090"


def manifests(settings: Settings) -> list[dict[str, Any]]:
    """The Service by which pods (the operator among them) ask for metrics."""
    ports = {"http": (9090, settings.prometheus_port, "TCP")}
    return [
        addons.namespace("monitoring"),
        *addons.service_on_host("prometheus", "monitoring", settings.host, ports),
    ]


def configuration(settings: Settings, found_pods: Path | None) -> dict[str, Any]:
    """prometheus.yml, as JSON. Without a file of found pods (see discovery.py) it asks Kubernetes itself, from within."""
    if found_pods is None:
        discovery: dict[str, Any] = {"kubernetes_sd_configs": [{"role": "pod"}]}
    else:
        discovery = {"file_sd_configs": [{"files": [str(found_pods)]}]}
    pod = "__meta_kubernetes_pod_"
    return {
        "global": {
            "scrape_interval": settings.scrape_interval,
            "scrape_timeout": settings.scrape_interval,
            "evaluation_interval": settings.scrape_interval,
        },
        "scrape_configs": [
            {
                "job_name": "modelmend",
                "honor_labels": False,
                **discovery,
                "relabel_configs": [
                    # Children carry managed-by; the operator itself is managed by Helm and known by its name.
                    {
                        "source_labels": [
                            f"{pod}label_app_kubernetes_io_managed_by",
                            f"{pod}label_app_kubernetes_io_name",
                        ],
                        "regex": "modelmend;.*|.*;modelmend",
                        "action": "keep",
                    },
                    {
                        "source_labels": [
                            f"{pod}container_port_name",
                            f"{pod}annotation_modelmend_dev_metrics_port",
                        ],
                        "regex": "metrics;.*|http;http",
                        "action": "keep",
                    },
                    {"source_labels": [f"{pod}phase"], "regex": "Pending|Succeeded|Failed", "action": "drop"},
                    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                    {"source_labels": [f"{pod}name"], "target_label": "pod"},
                    *_of_own_servers(pod),
                ],
            }
        ],
    }


def _of_own_servers(pod: str) -> list[dict[str, Any]]:
    """What the chart's PodMonitor says about servers of users' own: whose counters these are comes from the target."""
    path = f"{pod}annotation_modelmend_dev_metrics_path"
    labels = {
        "modelmend_model": f"{pod}label_app_kubernetes_io_instance",
        "modelmend_rollout": f"{pod}label_modelmend_dev_rollout",
        "modelmend_process": f"{pod}container_id",
    }
    return [
        {"source_labels": [path], "regex": "(.+)", "target_label": "__metrics_path__"},
        *(
            {"source_labels": [path, source], "regex": ".+;(.+)", "target_label": name}
            for name, source in labels.items()
        ),
    ]


def argv(program: Path, configuration: Path, data: Path, settings: Settings) -> list[str | Path]:
    """The command line. It listens where pods and the host reach it and nobody else does."""
    return [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address={settings.host}:{settings.prometheus_port}",
        "--log.level=warn",
    ]
