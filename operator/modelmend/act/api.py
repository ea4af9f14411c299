"""The API server, behind one Protocol.

Everything that Modelmend reads or writes in the cluster goes through `Api`; watching is kopf's. `KubernetesApi`
is it over kubernetes.aio's transport (credentials, TLS, connections), with plain dicts and without its thousands
of generated models. Nothing is retried here: whoever calls knows whether the reason for the call still holds.

    write    precondition                        what a stale or repeated one meets
    create   the name is free                    Exists
    apply    metadata.uid, resourceVersion       Conflict; never a re-creation (a ModelVersion's status: the uid)
    delete   metadata.uid                        Conflict or Missing

A leader that was frozen wakes in the middle of anything. So the fence is asked in the last moment, when the
first byte of a write would go out: one thread runs, so at most one write is between the question and the wire.
"""

import copy
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from types import SimpleNamespace
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import kubernetes.aio.config
import orjson
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from modelmend.act import errors

Object = dict[str, Any]

MANAGER: Final = "modelmend"
PAGE: Final = 500
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=10)
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind, and the resource version at which they were read."""

    items: list[Object]
    resource_version: str


class Fence(Protocol):
    """Says whether a write may go out now."""

    def check(self) -> None:
        """Raises errors.Fenced when it may not."""


class Api(Protocol):
    """What Modelmend asks of an API server. Every method raises errors.ApiError, the writes errors.Fenced too."""

    async def get(
        self, api_version: str, kind: str, namespace: str, name: str, *, metadata_only: bool = False
    ) -> Object:
        """One object; `metadata_only` never brings its content into this process (Secrets)."""

    async def list(self, api_version: str, kind: str, namespace: str | None, selector: str | None) -> Listing:
        """All objects of a kind, in pages; of all namespaces when `namespace` is None."""

    async def create(self, manifest: Object) -> Object:
        """POST."""

    async def apply(self, manifest: Object, *, manager: str = MANAGER, status: bool = False) -> Object:
        """Server-side apply of an object that exists: metadata carries its uid, so a vanished one is a Conflict."""

    async def replace(self, manifest: Object) -> Object:
        """PUT; metadata carries the resourceVersion. For the Lease, whose holder must not be merged."""

    async def delete(self, target: Object) -> None:
        """Delete exactly this object: its uid is the precondition. Dependants go in the background."""


class KubernetesApi:
    """`Api` over kubernetes.aio."""

    def __init__(self, configuration: client.Configuration, fence: Fence | None = None) -> None:
        settings = copy.deepcopy(configuration)
        if fence is not None:
            settings.trace_configs = [_ask_at_the_last_moment(fence)]
        self._client = client.ApiClient(settings)
        self._client.user_agent = f"modelmend/{metadata.version('modelmend')}"

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(
        self, api_version: str, kind: str, namespace: str, name: str, *, metadata_only: bool = False
    ) -> Object:
        accept = _METADATA_ONLY if metadata_only else "application/json"
        return await self._request("GET", _path(api_version, kind, namespace, name), accept=accept)

    async def list(self, api_version: str, kind: str, namespace: str | None, selector: str | None) -> Listing:
        items: list[Object] = []
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request("GET", _path(api_version, kind, namespace), query)
            for item in page.get("items") or ():
                # Items of a list carry neither.
                items.append({"apiVersion": api_version, "kind": kind} | item)
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return Listing(items, page["metadata"]["resourceVersion"])

    async def create(self, manifest: Object) -> Object:
        path = _path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["namespace"])
        return await self._request("POST", path, {"fieldManager": MANAGER}, body=manifest)

    async def apply(self, manifest: Object, *, manager: str = MANAGER, status: bool = False) -> Object:
        return await self._request(
            "PATCH",
            _path_of(manifest) + ("/status" if status else ""),
            {"fieldManager": manager, "force": "true"},
            body=manifest,
            content="application/apply-patch+yaml",
        )

    async def replace(self, manifest: Object) -> Object:
        return await self._request("PUT", _path_of(manifest), {"fieldManager": MANAGER}, body=manifest)

    async def delete(self, target: Object) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": target["metadata"]["uid"]},
        }
        await self._request("DELETE", _path_of(target), body=options)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        accept: str = "application/json",
        content: str = "application/json",
    ) -> Object:
        what = f"{method} {path}"
        headers = {"Accept": accept, "Content-Type": content}
        try:
            method, url, headers, text, _ = await self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            url += "?" + urlencode(query) if query else ""
            answer = await self._client.call_api(method, url, headers, text, _request_timeout=_TIMEOUT)
            content_read = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if (fenced := _fenced(error)) is not None:
                raise fenced from error
            reason = str(error) or type(error).__name__
            raise errors.Unavailable(f"{what}: the API server did not answer: {reason}") from error
        except ApiException as error:
            raise errors.Unavailable(f"{what}: {error.reason}") from error
        except kubernetes.aio.config.ConfigException as error:
            # The token's file, in the moment in which it is replaced.
            raise errors.Unavailable(f"{what}: no credentials: {error}") from error
        if 200 <= answer.status < 300:
            return _parsed(content_read, what)
        raise _error(what, answer.status, answer.headers, content_read)


def _ask_at_the_last_moment(fence: Fence) -> aiohttp.TraceConfig:
    """aiohttp holds back the headers until the first chunk of the body, and reports that chunk before it writes
    any byte. Every write of ours has a body."""

    async def begin(_: Any, context: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        context.writes = request.method not in ("GET", "HEAD")

    async def send(_: Any, context: SimpleNamespace, __: Any) -> None:
        if context.writes:
            fence.check()

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begin)
    trace.on_request_chunk_sent.append(send)
    return trace


def _fenced(error: BaseException | None) -> errors.Fenced | None:
    while error is not None:
        if isinstance(error, errors.Fenced):
            return error
        error = error.__cause__ or error.__context__
    return None


def _path(api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    # Every kind that we touch has a regular plural.
    parts = [root, *(("namespaces", quote(namespace)) if namespace else ()), f"{kind.lower()}s"]
    return "/".join([*parts, quote(name)] if name is not None else parts)


def _path_of(manifest: Object) -> str:
    named = manifest["metadata"]
    return _path(manifest["apiVersion"], manifest["kind"], named["namespace"], named["name"])


def _parsed(content: bytes, what: str) -> Object:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise errors.Unavailable(f"{what}: the answer is not JSON: {content[:80]!r}") from error
    if not isinstance(parsed, dict):
        raise errors.Unavailable(f"{what}: the answer is not an object: {content[:80]!r}")
    return parsed


def _error(what: str, status: int, headers: Mapping[str, str], content: bytes) -> errors.ApiError:
    try:
        answer = json.loads(content)
        message, reason = str(answer["message"]), str(answer.get("reason", ""))
    except (ValueError, KeyError, TypeError):
        message, reason = content[:200].decode(errors="replace").strip() or "no explanation", ""
    sentence = f"{what}: {status} {message}"
    if status == 409:
        return (errors.Exists if reason == "AlreadyExists" else errors.Conflict)(sentence, status=status)
    if status == 404:
        return errors.Missing(sentence, status=status)
    if status in (400, 403, 405, 413, 415, 422):
        return errors.Refused(message, status=status)
    return errors.Unavailable(sentence, status=status, retry_after=_seconds(headers.get("Retry-After")))


def _seconds(header: str | None) -> float | None:
    return min(float(header), 60.0) if header is not None and header.isdigit() else None


async def configuration(kubeconfig: str | None = None) -> client.Configuration:
    """Credentials: of the given kubeconfig; else the pod's service account; else the usual kubeconfig.

    Raises errors.Refused with a sentence when there are none.
    """
    found = client.Configuration()
    config: Any = kubernetes.aio.config  # It has no types.
    try:
        if kubeconfig is not None:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=found)
            return found
        try:
            config.load_incluster_config(client_configuration=found)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=found)
    except (config.ConfigException, OSError) as error:
        raise errors.Refused(f"no credentials for a cluster: {error}; give --kubeconfig") from error
    return found


def present_namespace(kubeconfig: str | None = None) -> str:
    """The namespace of the kubeconfig's present context; `default` where it names none."""
    config: Any = kubernetes.aio.config
    try:
        _, present = config.list_kube_config_contexts(kubeconfig)
    except (config.ConfigException, OSError):
        return "default"
    return (present or {}).get("context", {}).get("namespace") or "default"


@asynccontextmanager
async def connected(
    settings: client.Configuration, fence: Fence | None = None
) -> AsyncIterator[KubernetesApi]:
    """An Api whose connections end with the block."""
    api = KubernetesApi(settings, fence)
    try:
        yield api
    finally:
        await api.close()
