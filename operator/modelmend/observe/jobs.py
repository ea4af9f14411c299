"""Jobs and their pods as `observed.Job`, with a result or one sentence why there is none.

the Job says        the pod says                    result
Complete            a result                        that
Complete            nothing, or is gone             Failed, once the pod's last event must have come
Failed, deadline    (deleted by the controller)     Failed: exceeded its deadline
Failed              {"error": …}                    that
Failed              out of memory, evicted, code    Failed: that, in words

Only the container that is ours is listened to: a sidecar of an admission webhook ends too, and says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from modelmend.api import fields, names, ownership, resources, uris
from modelmend.contract import result
from modelmend.decide import observed
from modelmend.observe import cluster, pods, servers
from modelmend.render.pod import CONTAINER

Object = Mapping[str, Any]

PATIENCE: Final = timedelta(seconds=10)
"""Watches of Jobs and Pods are two streams: so long a Job that ended waits for its pod's last event."""

REMEMBERED: Final = 1000
_READABLE: Final[TypeAdapter[str]] = TypeAdapter(uris.ReadableUri)


@dataclass(slots=True)
class Jobs:
    """Remembers when a Job was first seen ended without its pod's last word."""

    _ended: dict[str, datetime] = field(default_factory=dict)

    def jobs(
        self, seen: cluster.Cluster, owner: resources.ModelDeployment, now: datetime
    ) -> tuple[observed.Job, ...]:
        """One for each Job that is ours and stays."""
        found = []
        for live in seen.children(owner.key, cluster.JOB):
            kind = servers.label(live, names.JOB_LABEL)
            sequence = servers.label(live, names.SEQUENCE_LABEL) or ""
            if (
                kind not in set(observed.JobKind)
                or not sequence.isdigit()
                or not ownership.is_controlled_by(live, owner.metadata.uid)
                or live["metadata"].get("deletionTimestamp")
            ):
                continue
            own = [pod for pod in seen.children(owner.key, cluster.POD) if _is_of(pod, live)]
            state, ended = self._state(live, own, owner, now)
            found.append(
                observed.Job(
                    kind=observed.JobKind(kind),
                    sequence=int(sequence),
                    name=live["metadata"]["name"],
                    uid=live["metadata"]["uid"],
                    state=state,
                    result=ended,
                    trouble=None if ended is not None else _trouble(live, own),
                )
            )
        return tuple(sorted(found, key=lambda job: job.sequence))

    def waits(self, uid: str) -> bool:
        """Whether a Job waits for its pod's last event."""
        return uid in self._ended

    def _state(
        self, live: Object, own: Sequence[Object], owner: resources.ModelDeployment, now: datetime
    ) -> tuple[observed.JobState, result.Succeeded | result.Failed | None]:
        finished = _finished(live)
        if finished is None:
            running = any((pod.get("status") or {}).get("phase") == "Running" for pod in own)
            return (observed.JobState.RUNNING if running else observed.JobState.PENDING), None
        uid = live["metadata"]["uid"]
        ended = _result(finished, own, owner)
        if ended is None:
            since = self._ended.setdefault(uid, now)
            while len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
            if now - since < PATIENCE:
                return observed.JobState.RUNNING, None
            ended = _without_a_word(finished)
        else:
            self._ended.pop(uid, None)
        return observed.JobState.ENDED, ended


def _finished(live: Object) -> Object | None:
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            found: Object = condition
            return found
    return None


def _result(
    finished: Object, own: Sequence[Object], owner: resources.ModelDeployment
) -> result.Succeeded | result.Failed | None:
    """None: the pod has not said its last word yet, as far as has been seen."""
    if finished["type"] == "Failed" and finished.get("reason") == "DeadlineExceeded":
        deadline = fields.format_duration(owner.spec.retraining.trainer.deadline)
        return result.Failed(
            error=f"the Job exceeded its deadline of {deadline}: raise spec.retraining.trainer.deadline, or give it more CPU"
        )
    for pod in own:
        if (pod.get("status") or {}).get("reason") == "Evicted":
            return result.Failed(
                error=pods.short(f"the Job's pod was evicted: {pod['status'].get('message')}")
            )
        for container in pods.containers(pod):
            terminated = (container.get("state") or {}).get("terminated")
            if terminated is not None and container.get("name") == CONTAINER:
                return _said(finished, terminated, owner)
        status = pod.get("status") or {}
        if status.get("phase") == "Failed" and status.get("reason"):
            # The node never ran it: no room after all, a shutdown, a device that is gone.
            said = f"the Job's pod failed: {status['reason']}: {status.get('message') or 'no reason given'}"
            return result.Failed(error=pods.short(said))
    return None


def _said(
    finished: Object, terminated: Object, owner: resources.ModelDeployment
) -> result.Succeeded | result.Failed:
    if terminated.get("reason") == "OOMKilled":
        memory = owner.spec.retraining.trainer.memory
        return result.Failed(
            error=f"the Job ran out of memory (limit {memory}): raise spec.retraining.trainer.memory, or shorten the data window"
        )
    said = result.decode(terminated.get("message") or "")
    if finished["type"] == "Failed" and (
        isinstance(said, result.Succeeded) or not (terminated.get("message") or "").strip()
    ):
        return result.Failed(error=pods.short(f"the Job's pod {pods.ending(terminated)}"))
    if isinstance(said, result.Succeeded) and owner.spec.retraining.trainer.template is not None:
        return _checked(said)
    return said


def _checked(said: result.Succeeded) -> result.Succeeded | result.Failed:
    """A trainer of the user's own may name anything; what pods cannot be told to mount or fetch is no artifact."""
    try:
        _READABLE.validate_python(said.uri)
    except ValidationError as problem:
        why = problem.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        return result.Failed(error=pods.short(f"the trainer names the artifact {said.uri!r}, and it {why}"))
    return said


def _without_a_word(finished: Object) -> result.Failed:
    if finished["type"] == "Complete":
        return result.Failed(error="the Job completed, but its pod was deleted before its result was read")
    said = f"{finished.get('reason') or 'Failed'}: {finished.get('message') or 'no reason given'}"
    return result.Failed(error=pods.short(f"the Job failed and its pod is gone ({said})"))


def _trouble(live: Object, own: Sequence[Object]) -> str | None:
    if (found := pods.trouble(own)) is not None:
        return found
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Suspended" and condition["status"] == "True":
            return "somebody suspended the Job"
    return None


def _is_of(pod: Object, live: Object) -> bool:
    return any(
        reference.get("uid") == live["metadata"]["uid"]
        for reference in pod["metadata"].get("ownerReferences") or ()
    )
