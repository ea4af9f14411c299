"""One look at one ModelDeployment: observe, decide, write the status, act, and say when to look again.

    one world       what is decided from one ModelDeployment is written over that one, and carried out for that one
    status first    an operator that dies before it acts finds its intent and does the rest
    409             somebody was quicker: nothing is forced, the next look decides anew, from what stands there now
    403, 422        `blocked`: decide says so in the status; tried again every 30 s
    unlisted kind   nothing is decided from half a world: the conditions say so, the rest of the status stays
    foreign child   recorded; decide says so in the status; looked up again at every look
    anything else   this key backs off, the others do not notice

Nothing changed = no write at all, and no line in the log that says again what the last one said.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from modelmend.act import api, errors, events, execute
from modelmend.api import names, ownership, resources, status
from modelmend.decide import judge, observed, plan
from modelmend.loop import record, telemetry
from modelmend.observe import cluster, drift, gather, pods

log = logging.getLogger(__name__)

Decide = Callable[[observed.Observed], plan.Plan]

AT_ONCE: Final = timedelta(0)
SOON: Final = 2.0
"""Seconds until a Job's pod must have said its last word."""
STREAK: Final = 10
"""Looks that may follow each other at once; then they are a second apart, whatever goes round."""
BLOCKED: Final = 30.0
"""Seconds after which what the API server refused is tried again."""
WAITING: Final = frozenset({"ContainerCreating", "CreateContainerConfigError"})
"""What a pod says that waits for a Secret, among other things."""
ENDINGS: Final = (
    (errors.Fenced, "fenced"),
    (errors.Conflict, "conflict"),
    (errors.Refused, "refused"),
    (errors.ApiError, "unavailable"),
)


@dataclass(slots=True)
class _Hands:
    """What one look's actions see of the cluster, and whether they changed anything."""

    observer: gather.Observer
    changed: bool = False

    def live(self, kind: tuple[str, str], namespace: str, name: str) -> api.Object | None:
        return self.observer.seen.live(kind[1], namespace, name)

    def holds(self, manifest: api.Object, live: api.Object) -> bool:
        return drift.holds(manifest, live)

    def wrote(self, written: api.Object) -> None:
        if written["kind"] == execute.SECRET[1]:
            uids = {reference["uid"] for reference in written["metadata"].get("ownerReferences") or ()}
            self.changed = self.changed or not uids <= self.observer.keys
            self.observer.keys |= uids
        elif self.observer.seen.put(written) is not None:
            self.changed = True

    def removed(self, target: api.Object) -> None:
        self.observer.seen.drop(target, for_good=True)
        self.changed = True


@dataclass(slots=True)
class Reconciler:
    """Looks at keys; called by the queue, for one key at a time at most."""

    observer: gather.Observer
    server: api.Api
    decide: Decide
    configuration: execute.Configuration
    recorder: events.Recorder
    figures: telemetry.Telemetry
    tape: record.Tape | None = None
    patience: float = BLOCKED
    """Seconds after which what was refused, or belongs to somebody else, is tried again."""
    _uids: dict[cluster.Key, str] = field(default_factory=dict)
    _asked_for_key: dict[str, float] = field(default_factory=dict)
    """uid -> when the feedback Secret was looked for last."""
    _streak: dict[cluster.Key, int] = field(default_factory=dict)
    _cut: dict[cluster.Key, tuple[status.ModelDeploymentStatus, status.ModelDeploymentStatus]] = field(
        default_factory=dict
    )
    """Statuses of which the API server kept only a part: what was wanted, what was kept."""
    _blocked_at: dict[cluster.Key, float] = field(default_factory=dict)
    _complaints: dict[cluster.Key, dict[str, str]] = field(default_factory=dict)
    """What was logged last about a key whose looks fail, by how they ended."""

    async def look(self, key: cluster.Key) -> float | None:
        """Reconcile once. Returns the seconds until the next look; None: an event will bring it."""
        begun, result = time.monotonic(), "ok"
        try:
            again = await self._look(key)
        except (errors.ApiError, errors.Fenced) as error:
            result = next(name for kind, name in ENDINGS if isinstance(error, kind))
            level = logging.INFO if result in ("conflict", "fenced") else logging.WARNING
            self._complain(key, level, str(error), result)
            raise
        except ValidationError as error:
            result = "invalid"
            return await self._say(key, "InvalidSpec", _sentence(error))
        except Exception as error:
            result, what = "error", f"{type(error).__name__}: {error}"
            self._complain(key, logging.ERROR, what, result, with_trace=True)
            await self._say(key, "InternalError", f"the operator failed on this object: {what}")
            raise
        else:
            self._complaints.pop(key, None)
            return again
        finally:
            self.figures.reconciled(result, time.monotonic() - begun)

    def _complain(
        self, key: cluster.Key, level: int, sentence: str, result: str, *, with_trace: bool = False
    ) -> None:
        """Once: what stands in the way may stay for days, and every look meets it."""
        told = self._complaints.setdefault(key, {})
        if told.get(result) == sentence:
            level, with_trace = logging.DEBUG, False
        told[result] = sentence
        log.log(level, "%s", sentence, exc_info=with_trace, extra=_named(key, result=result))

    async def _look(self, key: cluster.Key) -> float | None:
        owner = self.observer.seen.model(key)
        self._notice_namesake(key, owner)
        if owner is None or owner.metadata.deletion_timestamp is not None:
            return None
        if (unreadable := self.observer.unreadable_for(owner)) is not None:
            await self._say(key, "Blocked", unreadable)
            return self.patience
        await self._find_key(owner)
        await self._look_up_foreign(owner)
        now = datetime.now(UTC)
        found = self.observer.observe(key, now)
        if found is None:
            return None
        if await self._ask_for_last_words(found) or self.observer.seen.model(key) is not found.deployment:
            return 0.0
        wanted, owner = self.decide(found), found.deployment
        if self.tape is not None:
            self.tape.write(found, wanted)
        said = await self._write_status(found, wanted)
        logged = wanted.because if said and _is_news(owner, wanted) else None
        changed = await self._act(owner, wanted, now, logged)
        self.observer.books.forget(key, keep=owner.model_copy(update={"status": wanted.status}))
        return self._next(key, found, wanted, at_once=said or changed)

    async def _write_status(self, found: observed.Observed, wanted: plan.Plan) -> bool:
        """Whether the status was written: only when it changes, and only over the version that was decided upon."""
        owner = found.deployment
        if wanted.status == owner.status or self._cut.get(owner.key) == (wanted.status, owner.status):
            self.figures.shows(owner, judge.shown(found))
            return False
        named = {
            "name": owner.metadata.name,
            "namespace": owner.metadata.namespace,
            "uid": owner.metadata.uid,
            "resourceVersion": owner.metadata.resource_version,
        }
        answer = await self._put_status(named, wanted.status.to_object())
        if _is_news(owner, wanted):
            event = _event_of(wanted)
            level, reason = (logging.INFO, None) if event is None else (_level(event), event.reason)
            log.log(
                level, "%s", wanted.because, extra=_named(owner.key, stage=wanted.status.stage, reason=reason)
            )
        self._notice_cut(owner.key, answer, wanted)
        self.figures.shows(owner.model_copy(update={"status": wanted.status}), judge.shown(found))
        return True

    def _notice_cut(self, key: cluster.Key, answer: api.Object, wanted: plan.Plan) -> None:
        """CRDs that are older than the operator cut fields off: writing them at every look would help nobody."""
        before, kept = (
            self._cut.pop(key, None),
            type(wanted.status).model_validate(answer.get("status") or {}),
        )
        if kept == wanted.status:
            return
        if before is None:
            log.warning(
                "the status of %s/%s was not kept whole: apply the CustomResourceDefinitions of this version "
                "(modelmend crds)",
                *key,
            )
        self._cut[key] = (wanted.status, kept)

    async def _put_status(self, metadata: dict[str, Any], written: dict[str, Any]) -> api.Object:
        named = {"apiVersion": cluster.MODEL.api_version, "kind": cluster.MODEL.name, "metadata": metadata}
        try:
            answer = await self.server.apply(named | {"status": written}, status=True)
        except errors.Conflict:
            # A watch that is late or silent would let the next look meet the same.
            with contextlib.suppress(errors.ApiError):
                place = metadata["namespace"], metadata["name"]
                self.observer.seen.put(
                    await self.server.get(cluster.MODEL.api_version, cluster.MODEL.name, *place)
                )
            raise
        self.observer.seen.put(answer)
        return answer

    async def _act(
        self, owner: resources.ModelDeployment, wanted: plan.Plan, now: datetime, logged: str | None
    ) -> bool:
        """Whether anything changed that asks for another look at once. `logged`: what the log says already."""
        hands = _Hands(self.observer)
        executor = execute.Executor(
            server=self.server,
            world=hands,
            configuration=self.configuration,
            notify=lambda regarding, event: self._notify(regarding, event, logged),
            count=self.figures.acted,
        )
        try:
            done = await executor.carry_out(owner, wanted, now)
        except execute.Taken as taken:
            held = self.observer.foreign.setdefault(owner.key, {})
            is_new = (taken.kind, taken.name) not in held
            held[taken.kind, taken.name] = observed.Foreign(taken.kind, taken.name, taken.owner)
            if not is_new:
                raise
            return True
        except errors.Refused as refused:
            # Another sentence is none of another trouble: it may hold a number, or a time, that is never the same.
            is_new = owner.key not in self.observer.blocked
            self.observer.blocked[owner.key] = str(refused)
            self._blocked_at[owner.key] = time.monotonic()
            if not is_new:
                raise
            return True
        # What was refused may have been left out since; that is known when nothing was asked for some time.
        if done or time.monotonic() - self._blocked_at.get(owner.key, 0.0) > self.patience:
            hands.changed = self.observer.blocked.pop(owner.key, None) is not None or hands.changed
        return hands.changed

    def _notify(self, regarding: resources.Metadata, event: plan.Notify, logged: str | None) -> None:
        if event.message != logged:
            key = regarding.namespace, regarding.name
            log.log(_level(event), "%s", event.message, extra=_named(key, reason=event.reason))
        self.recorder.post(regarding, event)

    def _next(
        self, key: cluster.Key, found: observed.Observed, wanted: plan.Plan, *, at_once: bool
    ) -> float | None:
        if at_once or wanted.look_again_in == AT_ONCE:
            self._streak[key] = self._streak.get(key, 0) + 1
            return 0.0 if self._streak[key] <= STREAK else 1.0
        self._streak.pop(key, None)
        waits = [wanted.look_again_in.total_seconds()] if wanted.look_again_in is not None else []
        if self.observer.wordless(found):
            waits.append(SOON)
        if found.foreign or found.blocked:
            waits.append(self.patience)
        return max(min(waits), 0.1) if waits else None

    def _notice_namesake(self, key: cluster.Key, owner: resources.ModelDeployment | None) -> None:
        """What is remembered belongs to one uid: a namesake that came after begins with nothing."""
        before, uid = self._uids.get(key), None if owner is None else owner.metadata.uid
        if before is not None and before != uid:
            self.observer.forget(key, before)
            self._asked_for_key.pop(before, None)
            self._streak.pop(key, None)
            self._blocked_at.pop(key, None)
            self._cut.pop(key, None)
            del self._uids[key]
            if uid is None:
                self.figures.forgets(*key)
        if uid is not None:
            self._uids[key] = uid

    async def _ask_for_last_words(self, found: observed.Observed) -> bool:
        """Whether pods of ended Jobs were found that no watch has told of: a late watch must not pass for a lost result."""
        news = False
        for job in self.observer.wordless(found):
            listing = await self.server.list(
                cluster.POD.api_version,
                cluster.POD.name,
                found.deployment.metadata.namespace,
                f"batch.kubernetes.io/job-name={job.name}",
            )
            for pod in listing.items:
                news = self.observer.seen.put(pod) is not None or news
        return news

    async def _find_key(self, owner: resources.ModelDeployment) -> None:
        """Learn once whether the feedback Secret exists: Secrets are neither listed nor watched. Again when pods wait
        for something: for a Secret that cannot be mounted, their status does not say more than that."""
        uid, name = owner.metadata.uid, names.feedback_secret(owner.metadata.name)
        asked = self._asked_for_key.get(uid)
        if asked is not None:
            is_young = time.monotonic() - asked < self.patience
            if is_young or uid not in self.observer.keys or not self._pods_wait(owner):
                return
            self.observer.keys.discard(uid)
        try:
            found = await self.server.get(*execute.SECRET, owner.metadata.namespace, name, metadata_only=True)
            if ownership.is_controlled_by(found, uid):
                self.observer.keys.add(uid)
        except errors.Missing:
            pass
        except errors.Refused as refused:
            self.observer.blocked[owner.key] = str(refused)
        self._asked_for_key[uid] = time.monotonic()

    def _pods_wait(self, owner: resources.ModelDeployment) -> bool:
        """Whether a pod has a node, and its containers are not made."""
        return any(
            ((container.get("state") or {}).get("waiting") or {}).get("reason") in WAITING
            for pod in self.observer.seen.children(owner.key, cluster.POD)
            for container in pods.containers(pod)
        )

    async def _look_up_foreign(self, owner: resources.ModelDeployment) -> None:
        """Forget foreign children that have gone meanwhile."""
        held = self.observer.foreign.get(owner.key)
        if not held:
            return
        versions = {kind.name: kind.api_version for kind in cluster.WATCHED} | {
            execute.SECRET[1]: execute.SECRET[0]
        }
        for place in list(held):
            kind, name = place
            try:
                found = await self.server.get(
                    versions[kind], kind, owner.metadata.namespace, name, metadata_only=True
                )
            except errors.Missing:
                del held[place]
            else:
                if ownership.is_controlled_by(found, owner.metadata.uid):
                    del held[place]

    async def _say(self, key: cluster.Key, reason: str, sentence: str) -> float | None:
        """Conditions for an object that cannot be decided upon; the rest of its status stays as it is.

        Returns in how many seconds to try again when they could not be written.
        """
        live = self.observer.seen.live(cluster.MODEL.name, *key)
        if live is None:
            return None
        written = dict(live.get("status") or {})
        kept = {condition["type"]: condition for condition in written.get("conditions") or ()}
        generation = live["metadata"].get("generation", 1)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for kind, value in (("Ready", "False"), ("Stalled", "True")):
            before = kept.get(kind)
            since = before["lastTransitionTime"] if before and before["status"] == value else now
            kept[kind] = {
                "type": kind,
                "status": value,
                "reason": reason,
                "message": sentence,
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        kept.pop("Reconciling", None)
        written |= {"observedGeneration": generation, "conditions": list(kept.values())}
        if written == live.get("status"):
            return None
        named = {name: live["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        try:
            await self._put_status(named, written)
        except (errors.ApiError, errors.Fenced) as error:
            self._complain(key, logging.WARNING, str(error), "unsaid")
            return SOON if isinstance(error, errors.Conflict) else self.patience
        return None


def _is_news(owner: resources.ModelDeployment, wanted: plan.Plan) -> bool:
    """Whether the log has not said it yet."""
    return (wanted.status.stage, wanted.because) != (owner.status.stage, owner.status.because)


def _event_of(wanted: plan.Plan) -> plan.Notify | None:
    """The Event that says the very sentence of the status: the log says it once, for both."""
    events_of_plan = (action for action in wanted.actions if isinstance(action, plan.Notify))
    return next((event for event in events_of_plan if event.message == wanted.because), None)


def _level(event: plan.Notify) -> int:
    return logging.WARNING if event.tone is plan.Tone.WARNING else logging.INFO


def _named(key: cluster.Key, **more: Any) -> dict[str, Any]:
    return {"fields": {"namespace": key[0], "name": key[1], **more}}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field_name = ".".join(str(part) for part in first["loc"])
    return f"{field_name}: {first['msg']}; correct it with kubectl apply"
