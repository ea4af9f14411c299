"""What the operator costs while nothing happens: API writes, and resident memory.

Watches the local cluster as it is, for some minutes, and expects at least one ModelDeployment that serves and gets
no labels. Writes to our own kinds are counted by the API server itself; children are compared by resourceVersion.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

RSS_LIMIT_MB = 150
CHILDREN = "modeldeployments,modelversions,deployments,services,httproutes,jobs,secrets"
WRITE = re.compile(
    r'^apiserver_request_total\{.*group="modelmend\.dev".*verb="(?:POST|PUT|PATCH|APPLY|DELETE)"\S*\} (\S+)',
    re.MULTILINE,
)


def status() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "localcluster", "status", "-o", "json"],
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"no local cluster: {done.stderr.strip()}; run `make cluster-up`")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--namespace", default="modelmend-system", help="the operator's namespace")
    options = parser.parse_args()
    told = status()

    def kubectl(*arguments: str) -> str:
        command = [told["kubectl"], f"--kubeconfig={told['kubeconfig']}", *arguments]
        return subprocess.run(command, text=True, capture_output=True, check=True, env={**os.environ}).stdout

    def writes() -> float:
        return sum(float(found) for found in WRITE.findall(kubectl("get", "--raw", "/metrics")))

    def versions() -> dict[str, str]:
        items = json.loads(kubectl("get", CHILDREN, "-A", "-o", "json"))["items"]
        ours = [
            item
            for item in items
            if item["kind"].startswith("Model") or item["metadata"].get("ownerReferences")
        ]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in ours}

    models = json.loads(kubectl("get", "modeldeployments", "-A", "-o", "json"))["items"]
    serving = [model for model in models if model.get("status", {}).get("stage") == "Serving"]
    if not serving:
        raise SystemExit("no ModelDeployment serves: run `make demo` with --keep first")
    before, children = writes(), versions()
    end = time.monotonic() + options.minutes * 60
    while (left := end - time.monotonic()) > 0:
        print(f"\r{left:4.0f} s left, {writes() - before:.0f} writes so far", end="", flush=True)
        time.sleep(min(left, 10))
    written, changed = (
        writes() - before,
        sum(children.get(uid) != version for uid, version in versions().items()),
    )
    memory = kubectl("-n", options.namespace, "exec", "deploy/modelmend", "--", "cat", "/proc/1/status")
    rss = int(re.findall(r"VmRSS:\s+(\d+) kB", memory)[0]) / 1024
    print(f"\n{len(serving)} serving, {options.minutes:g} minutes without labels")
    print(f"writes to modelmend.dev: {written:.0f}; children changed: {changed}; operator RSS: {rss:.0f} MB")
    return 0 if not written and not changed and rss < RSS_LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
