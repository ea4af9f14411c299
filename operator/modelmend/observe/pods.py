"""What is wrong with some pods, as one sentence for people who do not read pod statuses."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Object = Mapping[str, Any]

_IMAGE: Final = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONFIGURATION: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
LIMIT: Final = 300


def trouble(pods: Iterable[Object]) -> str | None:
    """The first trouble found, by name of the pod; None when all is well or merely young."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for sentence in _troubles(pod):
            return short(sentence)
    return None


def _troubles(pod: Object) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("reason") == "Evicted":
        yield f"pod {name} was evicted: {status.get('message') or 'no reason given'}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield f"pod {name} cannot be scheduled: {condition.get('message') or 'no reason given'}"
    for container in containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason"), waiting.get("message") or "no reason given"
        if reason in _IMAGE:
            yield f"pod {name} cannot start: image {container.get('image') or ''} ({reason}): {message}"
        elif reason in _CONFIGURATION:
            yield f"pod {name} cannot start ({reason}): {message}"
        elif reason == "CrashLoopBackOff":
            yield f"pod {name} {ending((container.get('lastState') or {}).get('terminated'))}, again and again"
    if status.get("phase") == "Failed":
        yield f"pod {name} failed: {status.get('message') or status.get('reason') or 'no reason given'}"


def ending(terminated: Object | None) -> str:
    """How a container ended: `ran out of memory`, `exited with code 1: …`."""
    if not terminated:
        return "ends soon after its start"
    if terminated.get("reason") == "OOMKilled":
        return "ran out of memory"
    said = (terminated.get("message") or "").strip()
    code = f"exited with code {terminated.get('exitCode')}"
    return f"{code}: {said}" if said else code


def containers(pod: Object) -> list[Object]:
    """Statuses of its containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def short(sentence: str) -> str:
    """On one line, and not endless."""
    line = " ".join(sentence.split())
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"
