# ruff: noqa: S310, T201
"""`helm test`: asks the API server, as the operator, whether the operator can do its work.

1. The API server serves both kinds.
2. Every verb of the chart's roles is granted to this service account.
3. One replica answers that it leads.

Standard library only, and it writes nothing. Says what is wrong in one line each; exit code 1 if anything is.
"""

import json
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = "https://kubernetes.default.svc"


def call(path: str, body: object = None) -> dict:
    """One request to the API server, and its answer."""
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(
        SERVER + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        return json.load(answer)


def kinds_missing() -> list[str]:
    """Kinds that the API server does not serve."""
    try:
        served = {resource["kind"] for resource in call("/apis/modelmend.dev/v1alpha1")["resources"]}
    except urllib.error.HTTPError as error:
        return [f"the API server does not serve modelmend.dev/v1alpha1 ({error.code}): set crds.enabled"]
    kinds = ("ModelDeployment", "ModelVersion")
    return [f"the API server does not serve {kind}: set crds.enabled" for kind in kinds if kind not in served]


def verbs_missing(rules: list[dict], namespaces: list[str]) -> list[str]:
    """Verbs that the roles should grant and that are refused."""
    return [
        f"not allowed in {namespace or 'all namespaces'}: {verb} {resource}"
        for namespace in namespaces or [""]
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if not is_allowed(namespace, rule["apiGroups"][0], resource, verb)
    ]


def is_allowed(namespace: str, group: str, resource: str, verb: str) -> bool:
    """Whether this service account may do that; no namespace stands for all of them."""
    name, _, part = resource.partition("/")
    asked = {"namespace": namespace, "group": group, "resource": name, "subresource": part, "verb": verb}
    review = call(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        },
    )
    return review["status"]["allowed"]


def nobody_leads(host: str, port: int, seconds: float) -> list[str]:
    """Whether no replica says, within that time, that it leads."""
    seen = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            found, seen[host] = [], str(error)
        for address in sorted({entry[4][0] for entry in found}):
            seen[address] = leader_line(address, port)
            if seen[address].endswith((" 1", " 1.0")):
                return []
        time.sleep(1)
    return [f"no replica leads after {seconds:.0f} s; seen: {seen}"]


def leader_line(address: str, port: int) -> str:
    """What the replica at this address says about itself."""
    place = f"[{address}]" if ":" in address else address
    try:
        with urllib.request.urlopen(f"http://{place}:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError as error:
        return str(error)
    return next((line for line in lines if line.startswith("modelmend_operator_leader")), "no such series")


def main() -> int:
    """Everything that is wrong, then the verdict."""
    asked = json.loads(os.environ["MODELMEND_CHECK"])
    found = kinds_missing() + verbs_missing(asked["rules"], asked["namespaces"])
    if asked["metrics"]:
        found += nobody_leads(asked["metrics"], 8080, 60)
    for sentence in found:
        print(f"FAILED: {sentence}")
    if not found:
        print("Modelmend can do its work here.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
