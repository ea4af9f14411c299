"""The few words that this package speaks with an API server: a kubeconfig, a GET, `kubectl apply`.

JSON throughout: it is YAML too, and the standard library writes it.
"""

import base64
import dataclasses
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcluster import commands, pki

Manifest = Mapping[str, Any]


def write_kubeconfig(path: Path, *, server: str, keys: pki.Pki, user: str) -> Path:
    """A kubeconfig that needs no other file, for the certificate `user` of the PKI."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    credentials = {
        "client-certificate-data": inline(keys.certificate(user)),
        "client-key-data": inline(keys.key(user)),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "modelmend-local",
                "cluster": {"server": server, "certificate-authority-data": inline(keys.ca)},
            }
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "modelmend-local", "context": {"cluster": "modelmend-local", "user": user}}],
        "current-context": "modelmend-local",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=1))
    draft.replace(path)
    return path


@dataclasses.dataclass(frozen=True)
class Api:
    """An API server seen as its administrator."""

    server: str
    keys: pki.Pki
    user: str = "admin"

    def get(self, path: str, *, seconds: float = 5.0) -> str | None:
        """The body of a good answer; None if nobody answers, or not well."""
        try:
            with self.open(path, seconds=seconds) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    def open(self, path: str, *, seconds: float) -> http.client.HTTPResponse:
        """The answer as it comes in, for a watch; raises what urllib raises."""
        return _open(self.server + path, seconds=seconds, tls=self._tls())

    def ready(self) -> bool:
        """Whether the API server says so, after all of its start-up hooks."""
        return self.get("/readyz") is not None

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.keys.ca))
        context.load_cert_chain(self.keys.certificate(self.user), self.keys.key(self.user))
        return context


@dataclasses.dataclass(frozen=True)
class Kubectl:
    """kubectl, bound to one cluster."""

    program: Path
    kubeconfig: Path

    def __call__(self, *words: str, purpose: str, stdin: str | None = None, seconds: float = 120.0) -> str:
        return commands.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", *words],
            purpose=purpose,
            stdin=stdin,
            environment={"NO_PROXY": "*", "no_proxy": "*"},
            seconds=seconds,
        )

    def apply(self, manifests: Sequence[Manifest], *, purpose: str) -> None:
        """Server-side apply, so that a second `up` changes nothing and takes over what a person edited."""
        content = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self(
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
            purpose=purpose,
            stdin=json.dumps(content),
        )

    def get(self, *words: str) -> Any:
        """Objects as parsed JSON."""
        return json.loads(self("get", *words, "-o", "json", purpose=f"read {' '.join(words)}"))


def _open(url: str, *, seconds: float, tls: ssl.SSLContext | None = None) -> http.client.HTTPResponse:
    # No proxy: what we talk to is on this machine, whatever the environment says of the rest of the world.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    )
    answer = direct.open(url, timeout=seconds)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def answers(url: str) -> bool:
    """Whether a plain GET gets a good answer."""
    try:
        with _open(url, seconds=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
