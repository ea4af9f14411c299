"""Carries out a Plan: one `match` over its actions, in their order.

Every action may be half done already, or done twice:

1. What exists and is as it should be is not written.
2. What exists is changed by server-side apply with its uid and resourceVersion: if it moved or vanished since it
   was seen, that is a Conflict, and the next look decides anew.
3. What does not exist is created by POST under a name that says which object it is. If the name is taken, the
   present holder is accepted only when it is ours and the same.
4. The first failure ends the Plan: what follows may rely on it (traffic leaves before pods do). Only what is said
   to people is said in any case, since the status that says it is written already.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, assert_never

from modelmend.act import api, errors, secrets
from modelmend.api import names, ownership, resources
from modelmend.contract import arms
from modelmend.decide import plan
from modelmend.render import child, deployment, job, modelversion, route, secret, service

Object = api.Object

APPS: Final = ("apps/v1", "Deployment")
SERVICE: Final = ("v1", "Service")
ROUTE: Final = ("gateway.networking.k8s.io/v1", "HTTPRoute")
JOB: Final = ("batch/v1", "Job")
SECRET: Final = ("v1", "Secret")
VERSION: Final = (resources.API_VERSION, resources.ModelVersion.KIND)


class World(Protocol):
    """What was seen of the cluster, and who wants to know what is written."""

    def live(self, kind: tuple[str, str], namespace: str, name: str) -> Object | None:
        """The object as it was last seen."""

    def holds(self, manifest: Object, live: Object) -> bool:
        """Whether every field of the manifest has its value in the live object."""

    def wrote(self, written: Object) -> None:
        """The API server answered a write with this object."""

    def removed(self, target: Object) -> None:
        """The API server accepted the deletion of this object."""


class Taken(errors.ApiError):
    """A name of ours belongs to somebody else: nothing of it is touched."""

    def __init__(self, holder: Object) -> None:
        self.kind = str(holder["kind"])
        self.name = str(holder["metadata"]["name"])
        self.namespace = str(holder["metadata"]["namespace"])
        self.owner = ownership.controller(holder)
        super().__init__(
            f"{self.kind} {self.name} exists and belongs to {self.owner}: delete it, or rename the ModelDeployment"
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the operator's own flags say about children."""

    runtime_image: str
    trusted_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Executor:
    """Carries out Plans."""

    server: api.Api
    world: World
    configuration: Configuration
    notify: Callable[[resources.Metadata, plan.Notify], None]
    count: Callable[[str], None]
    """Told the name of every action that was carried out."""

    async def carry_out(self, owner: resources.ModelDeployment, wanted: plan.Plan, now: datetime) -> int:
        """All actions of a Plan made at `now`; returns how many there were beside what is told to people.

        Raises errors.ApiError or errors.Fenced at the first that fails.
        """
        for action in wanted.actions:
            if isinstance(action, plan.Notify):
                self.notify(owner.metadata, action)
        done = 0
        for action in wanted.actions:
            await self._perform(owner, wanted, action, now)
            self.count(type(action).__name__)
            done += not isinstance(action, plan.Notify)
        return done

    async def _perform(
        self, owner: resources.ModelDeployment, wanted: plan.Plan, action: plan.Action, now: datetime
    ) -> None:
        match action:
            case plan.Notify():
                pass
            case plan.EnsureKey():
                await self._ensure_key(owner)
            case plan.EnsureServing():
                await self._ensure_serving(owner, action)
            case plan.ShiftTraffic():
                await self._shift_traffic(owner, action)
            case plan.LaunchResolve():
                parent = None if action.champion is None else _parent(action.champion)
                await self._create(owner, job.resolve(owner, self._job(action, parent), action.uri))
            case plan.LaunchRetraining():
                await self._launch_retraining(owner, wanted, action)
            case plan.RecordVersion():
                await self._create(owner, modelversion.manifest(owner, action.name, action.spec))
            case plan.DescribeVersion():
                await self._describe(owner, action, now)
            case plan.ForgetVersion():
                await self._remove(owner, VERSION, action.name)
            case plan.Retire():
                await self._remove(owner, APPS, action.version)
                await self._remove(owner, SERVICE, action.version)
            case plan.RemoveJob():
                await self._remove(owner, JOB, action.name, uid=action.uid)
            case _:
                assert_never(action)

    async def _ensure_key(self, owner: resources.ModelDeployment) -> None:
        name = names.feedback_secret(owner.metadata.name)
        try:
            found = await self.server.get(*SECRET, owner.metadata.namespace, name, metadata_only=True)
        except errors.Missing:
            await self._create(owner, secret.manifest(owner, secrets.key()))
        else:
            self._accept(owner, found | {"apiVersion": SECRET[0], "kind": SECRET[1]}, None)

    async def _ensure_serving(self, owner: resources.ModelDeployment, action: plan.EnsureServing) -> None:
        live = self.world.live(APPS, owner.metadata.namespace, action.version)
        await self._bring(owner, service.of_version(owner, action.version))
        await self._bring(owner, self._deployment(owner, action, live))

    def _deployment(
        self, owner: resources.ModelDeployment, action: plan.EnsureServing, live: Object | None
    ) -> Object:
        """The manifest; what was rendered once from the same inputs is not rendered again, only scaled."""
        if live is not None and _annotation(live, names.INPUTS) == action.inputs:
            rendered = child.rendered(live)
            if rendered is not None and _label(rendered, names.ROLLOUT_LABEL) == action.rollout:
                return deployment.scaled(rendered, action.replicas)
        champion = action.champion
        return deployment.manifest(
            owner,
            deployment.Server(
                version=action.version,
                rollout=action.rollout,
                uri=action.uri,
                digest=action.digest,
                image=action.image,
                replicas=action.replicas,
                inputs=action.inputs,
                champion=None
                if champion is None
                else deployment.Champion(champion.version, champion.rollout, champion.uri, champion.digest),
                side=action.side,
                trusted_types=self.configuration.trusted_types,
            ),
        )

    async def _shift_traffic(self, owner: resources.ModelDeployment, action: plan.ShiftTraffic) -> None:
        backends = [
            route.Backend(backend.version, backend.arm, backend.weight) for backend in action.backends
        ]
        if action.inputs is not None:
            await self._bring(owner, route.manifest(owner, backends, action.inputs))
            await self._bring(owner, service.front(owner, action.service, arms.Arm.SOLO.value))
            return
        # The Service first: who knows both ways in finds this one as it shall be before the other ends.
        port = action.port if action.port is not None else backends[0].arm.value
        await self._bring(owner, service.front(owner, action.service, port))
        await self._remove(owner, ROUTE, owner.metadata.name)

    async def _launch_retraining(
        self, owner: resources.ModelDeployment, wanted: plan.Plan, action: plan.LaunchRetraining
    ) -> None:
        running = wanted.status.retraining.running
        parent = None if action.champion is None else _parent(action.champion)
        described = self._job(action, parent)
        if running is not None:
            described = dataclasses.replace(described, data_from=running.data_from, data_to=running.data_to)
        await self._create(owner, job.retrain(owner, described, action.unreferenced))

    def _job(self, action: plan.LaunchResolve | plan.LaunchRetraining, parent: job.Parent | None) -> job.Job:
        return job.Job(
            name=action.job,
            sequence=action.sequence,
            version=action.version,
            image=self.configuration.runtime_image,
            parent=parent,
            trusted_types=self.configuration.trusted_types,
        )

    async def _describe(
        self, owner: resources.ModelDeployment, action: plan.DescribeVersion, now: datetime
    ) -> None:
        live = self.world.live(VERSION, owner.metadata.namespace, action.name)
        if live is None:
            raise errors.Conflict(f"ModelVersion {action.name} has not been seen yet")
        self._refuse_unless_ours(owner, live)
        present = resources.ModelVersion.parse(live).status
        story = resources.ModelVersionStatus(
            state=action.state,
            because=action.because,
            since=present.since if present.since and present.state == action.state else now,
            # How a rollout ended stays told in later states. The checkpoint has another field manager.
            evidence=action.evidence or present.evidence,
        )
        if story == present.model_copy(update={"checkpoint": None}):
            return
        described = {
            "apiVersion": VERSION[0],
            "kind": VERSION[1],
            "metadata": {name: live["metadata"][name] for name in ("name", "namespace", "uid")},
            "status": story.to_object(),
        }
        self.world.wrote(await self.server.apply(described, status=True))

    async def _bring(self, owner: resources.ModelDeployment, manifest: Object) -> None:
        """Create it, or apply it where anything differs."""
        kind = manifest["apiVersion"], manifest["kind"]
        live = self.world.live(kind, owner.metadata.namespace, manifest["metadata"]["name"])
        if live is None:
            try:
                self.world.wrote(await self.server.create(manifest))
                return
            except errors.Exists:
                # Seldom a watch that is late: watches go by label, and somebody may have taken ours away.
                live = await self._holder(manifest)
                self._accept(owner, live, None)
        self._refuse_unless_ours(owner, live)
        if self.world.holds(manifest, live):
            return
        pinned = copy.deepcopy(manifest)
        pinned["metadata"] |= {
            "uid": live["metadata"]["uid"],
            "resourceVersion": live["metadata"]["resourceVersion"],
        }
        try:
            self.world.wrote(await self.server.apply(pinned))
        except errors.Conflict:
            # It moved on, and a watch that is late or silent would let the next look meet the same.
            with contextlib.suppress(errors.Missing):
                self.world.wrote(await self._holder(manifest))
            raise

    async def _create(self, owner: resources.ModelDeployment, manifest: Object) -> None:
        try:
            self.world.wrote(await self.server.create(manifest))
        except errors.Exists:
            self._accept(owner, await self._holder(manifest), manifest)

    async def _holder(self, manifest: Object) -> Object:
        """What has the manifest's name now."""
        api_version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        found = await self.server.get(
            api_version, kind, metadata["namespace"], metadata["name"], metadata_only=kind == SECRET[1]
        )
        return found | {"apiVersion": api_version, "kind": kind}

    def _accept(self, owner: resources.ModelDeployment, found: Object, wanted: Object | None) -> None:
        """Take what stands there for what was wanted: only when it is ours, stays, and is the same."""
        self._refuse_unless_ours(owner, found)
        self.world.wrote(found)
        what = f"{found['kind']} {found['metadata']['name']}"
        if found["metadata"].get("deletionTimestamp"):
            raise errors.Conflict(f"{what} is still being deleted")
        if wanted is not None and _identity(found) != _identity(wanted):
            raise errors.Conflict(f"{what} exists already, made from other inputs")

    def _refuse_unless_ours(self, owner: resources.ModelDeployment, found: Object) -> None:
        if ownership.is_controlled_by(found, owner.metadata.uid):
            return
        if any(
            (reference.get("kind"), reference.get("name")) == (owner.KIND, owner.metadata.name)
            for reference in found["metadata"].get("ownerReferences") or ()
        ):
            # A child of a deleted ModelDeployment of this name: garbage collection is on its way.
            what = f"{found['kind']} {found['metadata']['name']}"
            raise errors.Conflict(
                f"{what} belongs to a deleted ModelDeployment of this name and is about to go"
            )
        raise Taken(found)

    async def _remove(
        self, owner: resources.ModelDeployment, kind: tuple[str, str], name: str, *, uid: str | None = None
    ) -> None:
        live = self.world.live(kind, owner.metadata.namespace, name)
        if (
            live is None
            or not ownership.is_controlled_by(live, owner.metadata.uid)
            or uid not in (None, live["metadata"]["uid"])
        ):
            return
        with contextlib.suppress(errors.Missing):
            await self.server.delete(live)
        self.world.removed(live)


def _identity(found: Object) -> tuple[object, ...]:
    """What tells two children of one name apart: the inputs, the number of a Job, the artifact of a version."""
    spec = found.get("spec") or {}
    return (
        _annotation(found, names.INPUTS),
        _label(found, names.SEQUENCE_LABEL),
        spec.get("digest") if found["kind"] == VERSION[1] else None,
    )


def _annotation(found: Object, name: str) -> str | None:
    value = (found["metadata"].get("annotations") or {}).get(name)
    return None if value is None else str(value)


def _label(found: Object, name: str) -> str | None:
    value = (found["metadata"].get("labels") or {}).get(name)
    return None if value is None else str(value)


def _parent(champion: plan.Champion) -> job.Parent:
    return job.Parent(uri=champion.uri, digest=champion.digest)
