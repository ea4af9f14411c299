"""A small client for a real API server: the answers as they come, and refusals as exceptions that tests can read.

Thinner than the `kubernetes` client on purpose: a test sees the very path, content type and parameters that
matter to it.
"""

import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from localcluster.controlplane import ControlPlane

Object = dict[str, Any]


class Refused(Exception):
    """An answer of 400 or above, with the Status object that came with it."""

    def __init__(self, code: int, status: Object) -> None:
        super().__init__(f"{code} {status.get('reason', '')}: {status.get('message', status)}")
        self.code = code
        self.reason: str = status.get("reason", "")
        self.message: str = status.get("message", "")
        self.status = status

    @property
    def causes(self) -> list[tuple[str, str]]:
        """(field, message) of each thing that is wrong."""
        found = (self.status.get("details") or {}).get("causes") or []
        return [(cause.get("field", ""), cause.get("message", "")) for cause in found]


class ApiServer:
    """One API server, as one user. Objects are plain dicts; where an object lives follows from apiVersion and kind."""

    def __init__(self, plane: ControlPlane, *, headers: Mapping[str, str] | None = None) -> None:
        self._plane = plane
        tls = ssl.create_default_context(cafile=str(plane.keys.ca))
        tls.load_cert_chain(plane.keys.certificate("admin"), plane.keys.key("admin"))
        self._http = httpx.Client(
            base_url=plane.server, verify=tls, headers=headers, timeout=30, trust_env=False
        )
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def impersonating(self, user: str, *groups: str) -> "ApiServer":
        """The same server as another user, such as `system:serviceaccount:ml:modelmend`; close it yourself."""
        other = ApiServer(self._plane, headers={"Impersonate-User": user})
        other._http.headers = httpx.Headers(
            [*other._http.headers.multi_items(), *(("Impersonate-Group", group) for group in groups)]
        )
        return other

    def request(
        self, method: str, path: str, *, body: Any = None, kind: str = "application/json", **params: Any
    ) -> Any:
        """The parsed answer; bytes are sent as they are. Raises Refused."""
        answer = self._http.request(
            method,
            path,
            content=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": kind} if body is not None else {},
            params={name: value for name, value in params.items() if value is not None},
        )
        content = (
            answer.json() if "json" in answer.headers.get("content-type", "") else {"message": answer.text}
        )
        if answer.is_error:
            raise Refused(answer.status_code, content)
        return content

    # -------------------------------------------------------------------------------------------- objects
    def create(self, new: Object, *, dry_run: bool = False) -> Object:
        """POST, with unknown fields refused as kubectl does."""
        return self.request(
            "POST",
            self.path(new, of="list"),
            body=new,
            fieldValidation="Strict",
            dryRun="All" if dry_run else None,
        )

    def get(self, known: Object) -> Object:
        """The object with the identity of another one."""
        return self.request("GET", self.path(known))

    def objects(
        self, api_version: str, kind: str, namespace: str | None = None, **params: Any
    ) -> list[Object]:
        """All objects of a kind."""
        at = self.path(
            {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace}}, of="list"
        )
        return self.request("GET", at, **params)["items"]

    def replace(self, new: Object, *, subresource: str = "") -> Object:
        """PUT."""
        return self.request("PUT", self.path(new, of=subresource), body=new, fieldValidation="Strict")

    def merge(self, known: Object, patch: Object, *, subresource: str = "") -> Object:
        """JSON merge patch: what client-side `kubectl apply` sends for custom resources."""
        at = self.path(known, of=subresource)
        return self.request(
            "PATCH", at, body=patch, kind="application/merge-patch+json", fieldValidation="Strict"
        )

    def apply(self, wanted: Object, *, manager: str, force: bool = False, subresource: str = "") -> Object:
        """Server-side apply. JSON is YAML too, and unlike PyYAML's it means the same to Go."""
        return self.request(
            "PATCH",
            self.path(wanted, of=subresource),
            body=wanted,
            kind="application/apply-patch+yaml",
            fieldManager=manager,
            force="true" if force else None,
            fieldValidation="Strict",
        )

    def delete(self, known: Object) -> None:
        """DELETE, with the dependents in the background."""
        self.request("DELETE", self.path(known), propagationPolicy="Background")

    def table(self, api_version: str, kind: str, namespace: str) -> Object:
        """What `kubectl get` prints."""
        at = self.path(
            {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace}}, of="list"
        )
        accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        return self._http.get(at, headers={"Accept": accept}).raise_for_status().json()

    # ------------------------------------------------------------------------------------------ addresses
    def path(self, known: Object, *, of: str = "") -> str:
        """URL path of an object, of one of its subresources, or (`of="list"`) of its collection."""
        plural, namespaced = self._plural(known["apiVersion"], known["kind"])
        parts = [_group(known["apiVersion"])]
        if namespaced and known["metadata"].get("namespace"):
            parts += ["namespaces", known["metadata"]["namespace"]]
        parts.append(plural)
        if of != "list":
            parts.append(known["metadata"]["name"])
            parts += [of] if of else []
        return "/".join(parts)

    def _plural(self, api_version: str, kind: str) -> tuple[str, bool]:
        if (api_version, kind) not in self._plurals:
            for resource in self.request("GET", _group(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = resource["name"], resource["namespaced"]
        return self._plurals[api_version, kind]


def eventually(what: str, probe: Callable[[], Any], *, seconds: float = 30) -> Any:
    """The first true answer of `probe`; a failure that says what was seen last, when there is none in time.

    A refusal counts as an answer that is not true yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = probe()
        except Refused as refusal:
            seen, good = refusal, False
        else:
            good = bool(seen)
        if good:
            return seen
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s; seen last: {seen!r}"
        time.sleep(0.05)


def _group(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
