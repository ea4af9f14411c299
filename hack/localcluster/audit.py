"""What the operator writes, told by the API server itself: a line for each write, without its content.

Metrics count only what one thinks of counting, and resourceVersions miss a write that changes nothing. `bench.idle`
reads this log. Reads and everybody else's requests are not recorded, so it costs nothing to speak of.
"""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

OPERATOR_NAMESPACE = "modelmend-system"
MEGABYTES = 8
LOG = "audit.log"


@dataclasses.dataclass(frozen=True)
class Write:
    """One request that asked for a change, granted or not."""

    at: float  # when it was answered, in seconds since the epoch
    verb: str
    resource: str  # with its subresource: modeldeployments/status
    namespace: str
    name: str
    code: int


def policy() -> dict[str, Any]:
    """Whose requests are recorded: every service account of the operator's namespace, whatever the chart calls it."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        # One line a request, once it is answered.
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {
                "level": "Metadata",
                "userGroups": [f"system:serviceaccounts:{OPERATOR_NAMESPACE}"],
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            },
            {"level": "None"},
        ],
    }


def ensure_policy(state: Path) -> Path:
    """The policy's file, untouched if it says so already."""
    path, text = state / "audit.json", json.dumps(policy(), indent=1)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def flags(state: Path) -> list[str | Path]:
    """For the API server. It writes a line before it answers, so a count misses nothing."""
    return [
        f"--audit-policy-file={state / 'audit.json'}",
        f"--audit-log-path={state / 'log' / LOG}",
        f"--audit-log-maxsize={MEGABYTES}",
        "--audit-log-maxbackup=1",
    ]


def writes(log: Path, since: float) -> list[Write]:
    """The writes answered since then, in order, from the log and the one before it."""
    rotated = log.parent.glob(f"{log.stem}-*{log.suffix}")
    found = [write for path in (*rotated, log) if path.exists() for write in _read(path) if write.at >= since]
    return sorted(found, key=lambda write: write.at)


def _read(path: Path) -> Iterator[Write]:
    for line in path.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line, half written
        target = event.get("objectRef", {})
        parts = (target.get("resource", "?"), target.get("subresource"))
        yield Write(
            at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
            verb=event["verb"],
            resource="/".join(part for part in parts if part),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
        )
