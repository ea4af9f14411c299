"""One look at one ModelDeployment: observe, decide, write the status, act, and say when to look again.

    status first    an operator that dies before it acts finds its intent and does the rest
    409             somebody was quicker: nothing is forced, the next look decides anew
    403, 422        `blocked`: decide says so in the status; tried again every 30 s
    unlisted kind   nothing is decided from half a world: the conditions say so, the rest of the status stays
    foreign child   recorded; decide says so in the status; looked up again at every look
    anything else   this key backs off, the others do not notice

Nothing changed = no write at all.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from modelmend.act import api, errors, events, execute
from modelmend.api import names, resources, status
from modelmend.decide import observed, plan
from modelmend.loop import record, telemetry
from modelmend.observe import cluster, drift, gather

log = logging.getLogger(__name__)

Decide = Callable[[observed.Observed], plan.Plan]

AT_ONCE: Final = timedelta(0)
SOON: Final = 2.0
"""Seconds until a Job's pod must have said its last word."""
STREAK: Final = 10
"""Looks that may follow each other at once; then they are a second apart, whatever goes round."""
BLOCKED: Final = 30.0
"""Seconds after which what the API server refused is tried again."""
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
        self.observer.seen.drop(target)
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
    _uids: dict[cluster.Key, str] = field(default_factory=dict)
    _asked_for_key: set[str] = field(default_factory=set)
    _streak: dict[cluster.Key, int] = field(default_factory=dict)
    _cut: dict[cluster.Key, tuple[status.ModelDeploymentStatus, Any]] = field(default_factory=dict)
    """Statuses of which the API server kept only a part."""
    _blocked_at: dict[cluster.Key, float] = field(default_factory=dict)

    async def look(self, key: cluster.Key) -> float | None:
        """Reconcile once. Returns the seconds until the next look; None: an event will bring it."""
        begun, result = time.monotonic(), "ok"
        try:
            return await self._look(key)
        except (errors.ApiError, errors.Fenced) as error:
            result = next(name for kind, name in ENDINGS if isinstance(error, kind))
            level = logging.INFO if result in ("conflict", "fenced") else logging.WARNING
            log.log(level, "%s", error, extra=_named(key, result=result))
            raise
        except ValidationError as error:
            result = "invalid"
            await self._say(key, "InvalidSpec", _sentence(error))
            return None
        except Exception as error:
            result = "error"
            log.exception("%s: %s", type(error).__name__, error, extra=_named(key, result=result))
            await self._say(
                key, "InternalError", f"the operator failed on this object: {type(error).__name__}: {error}"
            )
            raise
        finally:
            self.figures.reconciled(result, time.monotonic() - begun)

    async def _look(self, key: cluster.Key) -> float | None:
        owner = self.observer.seen.model(key)
        self._notice_namesake(key, owner)
        if owner is None or owner.metadata.deletion_timestamp is not None:
            return None
        if self.observer.unreadable:
            await self._say(key, "Blocked", next(iter(self.observer.unreadable.values())))
            return BLOCKED
        await self._find_key(owner)
        await self._look_up_foreign(owner)
        now = datetime.now(UTC)
        found = self.observer.observe(key, now)
        if found is None:
            return None
        if await self._ask_for_last_words(found):
            return 0.0
        wanted = self.decide(found)
        if self.tape is not None:
            self.tape.write(found, wanted)
        said = await self._write_status(owner, found, wanted)
        changed = await self._act(owner, wanted, now)
        self.observer.books.forget(key, keep=owner.model_copy(update={"status": wanted.status}))
        return self._next(key, found, wanted, at_once=said or changed)

    async def _write_status(
        self, owner: resources.ModelDeployment, found: observed.Observed, wanted: plan.Plan
    ) -> bool:
        """Whether the status was written: only when it changes, and only over the version that was read."""
        live = self.observer.seen.live(cluster.MODEL.name, *owner.key)
        if wanted.status == owner.status or live is None or self._was_cut(owner.key, live, wanted):
            self.figures.shows(owner, found.ledgers)
            return False
        if (wanted.status.stage, wanted.because) != (owner.status.stage, owner.status.because):
            log.info("%s", wanted.because, extra=_named(owner.key, stage=wanted.status.stage))
        answer = await self._put_status(live, wanted.status.to_object())
        self._notice_cut(owner.key, answer, wanted)
        self.figures.shows(owner.model_copy(update={"status": wanted.status}), found.ledgers)
        return True

    def _notice_cut(self, key: cluster.Key, answer: api.Object, wanted: plan.Plan) -> None:
        """CRDs that are older than the operator cut fields off: writing them at every look would help nobody."""
        self._cut.pop(key, None)
        if type(wanted.status).model_validate(answer.get("status") or {}) != wanted.status:
            log.warning(
                "the status of %s/%s was not kept whole: apply the CustomResourceDefinitions of this version "
                "(modelmend crds)",
                *key,
            )
            self._cut[key] = (wanted.status, answer.get("status"))

    def _was_cut(self, key: cluster.Key, live: api.Object, wanted: plan.Plan) -> bool:
        return self._cut.get(key) == (wanted.status, live.get("status"))

    async def _put_status(self, live: api.Object, written: dict[str, Any]) -> api.Object:
        metadata = {name: live["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        named = {"apiVersion": cluster.MODEL.api_version, "kind": cluster.MODEL.name, "metadata": metadata}
        answer = await self.server.apply(named | {"status": written}, status=True)
        self.observer.seen.put(answer)
        return answer

    async def _act(self, owner: resources.ModelDeployment, wanted: plan.Plan, now: datetime) -> bool:
        """Whether anything changed that asks for another look at once."""
        hands = _Hands(self.observer)
        executor = execute.Executor(
            server=self.server,
            world=hands,
            configuration=self.configuration,
            notify=self._notify,
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
            is_new = self.observer.blocked.get(owner.key) != str(refused)
            self.observer.blocked[owner.key] = str(refused)
            self._blocked_at[owner.key] = time.monotonic()
            if not is_new:
                raise
            return True
        # What was refused may have been left out since; that is known when nothing was asked for some time.
        if done or time.monotonic() - self._blocked_at.get(owner.key, 0.0) > BLOCKED:
            hands.changed = self.observer.blocked.pop(owner.key, None) is not None or hands.changed
        return hands.changed

    def _notify(self, regarding: resources.Metadata, event: plan.Notify) -> None:
        level = logging.WARNING if event.tone is plan.Tone.WARNING else logging.INFO
        key = regarding.namespace, regarding.name
        log.log(level, "%s", event.message, extra=_named(key, reason=event.reason))
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
            waits.append(BLOCKED)
        return max(min(waits), 0.1) if waits else None

    def _notice_namesake(self, key: cluster.Key, owner: resources.ModelDeployment | None) -> None:
        """What is remembered belongs to one uid: a namesake that came after begins with nothing."""
        before, uid = self._uids.get(key), None if owner is None else owner.metadata.uid
        if before is not None and before != uid:
            self.observer.forget(key, before)
            self._asked_for_key.discard(before)
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
        """Learn once whether the feedback Secret exists: Secrets are neither listed nor watched."""
        uid, name = owner.metadata.uid, names.feedback_secret(owner.metadata.name)
        if uid in self._asked_for_key:
            if not self._pods_miss(owner, name):
                return
            self.observer.keys.discard(uid)
        try:
            found = await self.server.get(*execute.SECRET, owner.metadata.namespace, name, metadata_only=True)
            if cluster.is_controlled_by(found, uid):
                self.observer.keys.add(uid)
        except errors.Missing:
            pass
        except errors.Refused as refused:
            self.observer.blocked[owner.key] = str(refused)
        self._asked_for_key.add(uid)

    def _pods_miss(self, owner: resources.ModelDeployment, name: str) -> bool:
        """Whether a pod waits for the Secret, that was there once."""
        return owner.metadata.uid in self.observer.keys and any(
            f'secret "{name}" not found' in str(pod.get("status"))
            for pod in self.observer.seen.children(owner.key, cluster.POD)
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
                if cluster.is_controlled_by(found, owner.metadata.uid):
                    del held[place]

    async def _say(self, key: cluster.Key, reason: str, sentence: str) -> None:
        """Conditions for an object that cannot be decided upon; the rest of its status stays as it is."""
        live = self.observer.seen.live(cluster.MODEL.name, *key)
        if live is None:
            return
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
            return
        try:
            await self._put_status(live, written)
        except (errors.ApiError, errors.Fenced) as error:
            log.warning("%s", error, extra=_named(key))


def _named(key: cluster.Key, **more: Any) -> dict[str, Any]:
    return {"fields": {"namespace": key[0], "name": key[1], **more}}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field_name = ".".join(str(part) for part in first["loc"])
    return f"{field_name}: {first['msg']}; correct it with kubectl apply"
