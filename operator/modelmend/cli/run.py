"""`modelmend run`: the flags of the operator, and nothing else."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from modelmend.act import errors, execute
from modelmend.decide import decision, observed
from modelmend.loop import engine, lease
from modelmend.observe import prometheus
from modelmend.shell import logs, serve

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def run(
    runtime_image: Annotated[
        str, typer.Option(envvar="MODELMEND_RUNTIME_IMAGE", help="Image of model pods and Jobs.")
    ],
    prometheus_url: Annotated[
        str, typer.Option(envvar="MODELMEND_PROMETHEUS_URL", help="Where Prometheus answers.")
    ],
    prometheus_header_file: Annotated[
        Path | None, typer.Option(help="Lines `Name: value` sent to Prometheus; read again when it changes.")
    ] = None,
    prometheus_ca_file: Annotated[
        Path | None, typer.Option(help="Certificate authority of Prometheus.")
    ] = None,
    prometheus_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one query.")] = 10.0,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Serve only this namespace; repeatable. None: all of them.")
    ] = None,
    allow_gateway_namespace: Annotated[
        list[str] | None,
        typer.Option(
            help="Gateways of this namespace may be attached to, beside a model's own; repeatable. None: any."
        ),
    ] = None,
    queries: Annotated[
        bool,
        typer.Option(
            help="Ask signals of type Query; each reads whatever Prometheus holds, of any namespace."
        ),
    ] = True,
    backoff: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Seconds that are added to a model's cooldown after a failed healing; doubled with each failure in a row.",
        ),
    ] = observed.BACKOFF.total_seconds(),
    trusted_type: Annotated[
        list[str] | None,
        typer.Option(help="A type that models may contain beyond the built-in list; repeatable."),
    ] = None,
    lease_name: Annotated[
        str, typer.Option(help="Name of the Lease that replicas compete for.")
    ] = "modelmend",
    lease_namespace: Annotated[
        str | None, typer.Option(help="Its namespace; the pod's own when left out.")
    ] = None,
    lease_duration: Annotated[
        float,
        typer.Option(
            min=3.0, help="Seconds after which a replica that is gone is replaced; the same for all."
        ),
    ] = lease.DURATION,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics.")] = 8080,
    health_port: Annotated[int, typer.Option(help="Port of /healthz and /readyz.")] = 8081,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    record: Annotated[
        Path | None, typer.Option(help="Folder for decisions.jsonl, which `modelmend replay` decides again.")
    ] = None,
    resync: Annotated[float, typer.Option(min=1.0, help="Seconds between two lists of everything.")] = 300.0,
    kubeconfig: Annotated[
        str | None, typer.Option(help="Credentials; the pod's service account when left out.")
    ] = None,
) -> None:
    """Run the operator."""
    logs.configure(log_level)
    wanted = engine.Configuration(
        settings=observed.Settings(
            runtime_image=runtime_image,
            allowed_gateway_namespaces=None
            if allow_gateway_namespace is None
            else tuple(allow_gateway_namespace),
            queries=queries,
            backoff=timedelta(seconds=backoff),
        ),
        children=execute.Configuration(runtime_image=runtime_image, trusted_types=tuple(trusted_type or ())),
        source=prometheus.Source(
            url=prometheus_url,
            headers_file=prometheus_header_file,
            ca_file=prometheus_ca_file,
            timeout=prometheus_timeout,
        ),
        namespaces=tuple(namespace or ()),
        lease_namespace=lease_namespace or _own_namespace(),
        lease_name=lease_name,
        lease_duration=lease_duration,
        record=record,
        resync=resync,
    )
    ports = serve.Ports(health=health_port, metrics=metrics_port)
    try:
        asyncio.run(serve.serve(wanted, decision.decide, ports=ports, kubeconfig=kubeconfig))
    except errors.ApiError as error:
        raise typer.Exit(_complain(str(error))) from None


def _own_namespace() -> str:
    if _SERVICE_ACCOUNT.exists():
        return _SERVICE_ACCOUNT.read_text().strip()
    return os.environ.get("POD_NAMESPACE", "modelmend-system")


def _complain(sentence: str) -> int:
    typer.echo(sentence, err=True)
    return 1
