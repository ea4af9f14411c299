"""`modelmend explain`: why a model is in its stage, read with the caller's own kubeconfig. It writes nothing."""

import asyncio
import difflib
import enum
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from modelmend.act import api, errors
from modelmend.advise import explained, explaining
from modelmend.advise.story import Story
from modelmend.api import resources

FORBIDDEN = 403


class Output(enum.StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


class Unexplained(Exception):
    """One sentence."""


def explain(
    name: Annotated[str, typer.Argument(help="Name of the ModelDeployment.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Left out: the kubeconfig's own.")
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="Left out: $KUBECONFIG, or ~/.kube/config.")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Say why a model is in its stage, what it waits for, what would change its mind, and what you could do.

    Reads the ModelDeployment and its ModelVersions, and writes nothing.
    """
    try:
        found = asyncio.run(_found(name, namespace, kubeconfig))
    except (Unexplained, errors.ApiError) as problem:
        typer.echo(f"modelmend explain: {problem}", err=True)
        raise typer.Exit(1) from None
    typer.echo(explained.as_json(found) if output is Output.JSON else explained.text(found))


async def _found(name: str, namespace: str | None, kubeconfig: str | None) -> explaining.Explanation:
    settings = await api.configuration(kubeconfig)
    where = namespace or api.present_namespace(kubeconfig)
    async with api.connected(settings) as server:
        return await read(server, where, name)


async def read(server: api.Api, namespace: str, name: str) -> explaining.Explanation:
    """The explanation of one object. Raises Unexplained, or errors.ApiError when the server does not answer."""
    try:
        body = await server.get(resources.API_VERSION, resources.ModelDeployment.KIND, namespace, name)
        owner = resources.ModelDeployment.parse(body)
        listing = await server.list(resources.API_VERSION, resources.ModelVersion.KIND, namespace, None)
        versions = [resources.ModelVersion.parse(item) for item in listing.items if _is_of(item, owner)]
    except errors.Missing:
        raise Unexplained(await _missing(server, namespace, name)) from None
    except errors.Refused as problem:
        raise Unexplained(_refused(namespace, problem)) from None
    except ValidationError as problem:
        where = ".".join(str(part) for part in problem.errors()[0]["loc"])
        raise Unexplained(
            f"{namespace}/{name} was written for another release ({where}): use the operator's own release"
        ) from None
    return explaining.explain(Story.of(owner, versions, datetime.now(UTC)))


def _is_of(item: api.Object, owner: resources.ModelDeployment) -> bool:
    references = item["metadata"].get("ownerReferences") or ()
    return any(reference.get("uid") == owner.metadata.uid for reference in references)


async def _missing(server: api.Api, namespace: str, name: str) -> str:
    """What is there instead."""
    try:
        listing = await server.list(resources.API_VERSION, resources.ModelDeployment.KIND, namespace, None)
    except errors.Missing:
        return (
            "this cluster does not know ModelDeployments: install the operator, or `modelmend crds | kubectl apply "
            "--server-side -f -`"
        )
    except errors.ApiError:
        return f"there is no ModelDeployment {name} in the namespace {namespace}: give another name, or -n"
    names = sorted(item["metadata"]["name"] for item in listing.items)
    if not names:
        return f"there is no ModelDeployment in the namespace {namespace}: give another one with -n"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
    return (
        f"there is no ModelDeployment {name} in the namespace {namespace}: did you mean {' or '.join(close)}?"
    )


def _refused(namespace: str, problem: errors.Refused) -> str:
    if problem.status != FORBIDDEN:
        return str(problem)
    return (
        f"you may not read Modelmend's objects in the namespace {namespace}: ask for the verbs get and list on "
        f"modeldeployments and modelversions in {resources.GROUP} ({problem})"
    )
