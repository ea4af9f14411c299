"""What is there, in memory: versions, pods, the route, Jobs. It obeys Plans as a cluster does, by simulated time.

Pods become ready a while after they are made, the Gateway accepts a while after a route is written, Jobs end after
their training time with what the real trainer made. What was counted comes from `traffic` through the operator's own
ledgers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from modelmend.api import names, resources
from modelmend.api.status import ModelDeploymentStatus, Phase
from modelmend.contract import arms, result
from modelmend.decide import observed, plan
from modelmend.observe import ledgers
from modelmend.simulate import jobs
from modelmend.simulate.models import Models
from modelmend.simulate.places import Places
from modelmend.simulate.traffic import Route, Side, Traffic

STARTUP: Final = timedelta(seconds=20)
"""From a pod's making until it is ready."""
ACCEPTANCE: Final = timedelta(seconds=2)
"""From a route's writing until the Gateway follows it."""
READING: Final = timedelta(seconds=20)
"""What a Job takes that only reads an artifact."""
IMAGE: Final = "simulated"
SETTINGS: Final = observed.Settings(
    runtime_image=IMAGE,
    # The simulated Prometheus always answers, so no poll ever grows stale between two that matter.
    stale_after=timedelta(days=36_500),
)


@dataclass(frozen=True)
class _Pods:
    action: plan.EnsureServing
    ready_at: datetime
    before: int = 0
    """Pods that are ready until then."""


@dataclass(frozen=True)
class _Job:
    kind: observed.JobKind
    sequence: int
    ends_at: datetime
    result: result.Succeeded | result.Failed


@dataclass
class World:
    """One ModelDeployment and its children."""

    deployment: resources.ModelDeployment
    now: datetime
    traffic: Traffic
    models: Models
    workshop: jobs.Workshop
    places: Places
    training_time: timedelta
    books: ledgers.Ledgers = field(default_factory=ledgers.Ledgers)
    polled: datetime | None = None
    _versions: dict[str, resources.ModelVersion] = field(default_factory=dict)
    _pods: dict[str, _Pods] = field(default_factory=dict)
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _key: bool = False
    _route: plan.ShiftTraffic | None = None
    _accepted_at: datetime | None = None

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.deployment.status

    def versions(self) -> tuple[resources.ModelVersion, ...]:
        """By number."""
        return tuple(sorted(self._versions.values(), key=lambda version: version.spec.number))

    def observe(self) -> observed.Observed:
        """Everything that a decision may know now."""
        versions = self.versions()
        self.books.open(self.deployment, versions)
        return observed.Observed(
            now=self.now,
            deployment=self.deployment,
            settings=SETTINGS,
            versions=versions,
            servers=tuple(self._server(name) for name in sorted(self._pods)),
            front=self._front(),
            jobs=tuple(self._job(name) for name in sorted(self._jobs)),
            ledgers=self.books.of(self.deployment),
            poll=observed.Poll(at=self.polled),
        )

    def moments(self) -> Iterator[datetime]:
        """When something happens by itself."""
        if self._accepted_at is not None:
            yield self._accepted_at
        yield from (pods.ready_at for pods in self._pods.values())
        yield from (job.ends_at for job in self._jobs.values())

    def write(self, status: ModelDeploymentStatus) -> None:
        """The status, as the API server keeps it."""
        self.deployment = self.deployment.model_copy(update={"status": status})
        self.books.forget(self.deployment.key, keep=self.deployment)

    def annotate(self, annotation: str, value: str) -> None:
        """A person's command."""
        metadata = self.deployment.metadata
        annotations = {**metadata.annotations, annotation: value}
        self.deployment = self.deployment.model_copy(
            update={"metadata": metadata.model_copy(update={"annotations": annotations})}
        )

    def perform(self, action: plan.Action) -> None:
        """Carry out one action. Raises SentenceError when a model cannot be loaded or cannot predict."""
        match action:
            case plan.EnsureKey():
                self._key = True
            case plan.EnsureServing():
                self._ensure(action)
            case plan.ShiftTraffic():
                self._shift(action)
            case plan.LaunchResolve():
                made = self.workshop.resolve(action)
                self._jobs.setdefault(
                    action.job,
                    _Job(observed.JobKind.RESOLVE, action.sequence, self.now + READING, made),
                )
            case plan.LaunchRetraining():
                self._retrain(action)
            case plan.RecordVersion():
                self._record(action)
            case plan.DescribeVersion():
                self._describe(action)
            case plan.ForgetVersion():
                self._versions.pop(action.name, None)
            case plan.Retire():
                self._pods.pop(action.version, None)
                self.models.unload(action.version)
            case plan.RemoveJob():
                self._jobs.pop(action.name, None)
            case plan.Notify():
                pass
            case _:
                assert_never(action)

    def _server(self, name: str) -> observed.Server:
        pods = self._pods[name]
        wanted = pods.action.replicas
        return observed.Server(
            version=name,
            rollout=pods.action.rollout,
            inputs=pods.action.inputs,
            replicas=wanted,
            ready=wanted if self.now >= pods.ready_at else min(pods.before, wanted),
            champion=None if pods.action.champion is None else pods.action.champion.version,
            side=pods.action.side,
        )

    def _front(self) -> observed.Front:
        if self._route is None or self._accepted_at is None:
            return observed.Front(key=self._key)
        accepted = self.now >= self._accepted_at
        return observed.Front(
            key=self._key,
            service=self._route.service,
            shared=self._route.service is None,
            backends=self._route.backends,
            inputs=self._route.inputs,
            accepted=accepted,
            settled_since=self._accepted_at if accepted else None,
        )

    def _job(self, name: str) -> observed.Job:
        found = self._jobs[name]
        ended = self.now >= found.ends_at
        return observed.Job(
            kind=found.kind,
            sequence=found.sequence,
            name=name,
            uid=f"job-{found.sequence}",
            state=observed.JobState.ENDED if ended else observed.JobState.RUNNING,
            result=found.result if ended else None,
        )

    def _ensure(self, action: plan.EnsureServing) -> None:
        self.models.load(action.version, self.places.here(action.uri), action.digest)
        if action.champion is not None:
            champion = action.champion
            self.models.load(champion.version, self.places.here(champion.uri), champion.digest)
        present = self._pods.get(action.version)
        if present is None:
            self._pods[action.version] = _Pods(action, self.now + STARTUP)
            return
        ready = self._server(action.version).ready
        grows = action.replicas > present.action.replicas
        # The champion beside is given at birth: the end of a bake restarts no pod.
        kept = replace(action, champion=present.action.champion)
        self._pods[action.version] = _Pods(
            kept, self.now + STARTUP if grows or not ready else present.ready_at, ready
        )

    def _shift(self, action: plan.ShiftTraffic) -> None:
        if self._route is None or self._route.backends != action.backends:
            self._accepted_at = self.now + ACCEPTANCE
            self.traffic.route(self._accepted_at.timestamp(), self._as_route(action))
        self._route = action

    def _as_route(self, action: plan.ShiftTraffic) -> Route:
        solo = [backend for backend in action.backends if backend.arm is arms.Arm.SOLO]
        paired = [backend for backend in action.backends if backend.arm is not arms.Arm.SOLO]
        main = self._side(solo[0].version) if solo else None
        if not paired:
            return Route(main)
        pods = self._pods[paired[0].version].action
        beside = None if pods.champion is None else Side(pods.champion.version, pods.champion.rollout)
        return Route(main, Side(pods.version, pods.rollout), beside, paired[0].arm, paired[0].weight / 100)

    def _side(self, version: str) -> Side:
        return Side(version, self._pods[version].action.rollout)

    def _retrain(self, action: plan.LaunchRetraining) -> None:
        running = self.status.retraining.running
        if running is None or action.job in self._jobs:
            return
        deadline = self.deployment.spec.retraining.trainer.deadline
        made: result.Succeeded | result.Failed = jobs.too_late(self.deployment)
        if self.training_time <= deadline:
            made = self.workshop.retrain(self.deployment, action, running, self.now.timestamp())
        ends_at = self.now + min(self.training_time, deadline)
        self._jobs[action.job] = _Job(observed.JobKind.RETRAIN, action.sequence, ends_at, made)

    def _record(self, action: plan.RecordVersion) -> None:
        metadata = resources.Metadata(
            name=action.name, namespace=self.deployment.metadata.namespace, uid=f"uid-{action.name}"
        )
        self._versions.setdefault(action.name, resources.ModelVersion(metadata=metadata, spec=action.spec))

    def _describe(self, action: plan.DescribeVersion) -> None:
        version = self._versions[action.name]
        told = resources.ModelVersionStatus(
            state=action.state,
            because=action.because,
            since=self.now,
            evidence=action.evidence or version.status.evidence,
        )
        self._versions[action.name] = version.model_copy(update={"status": told})


def approvals(status: ModelDeploymentStatus) -> Iterator[tuple[str, str]]:
    """Annotation and token of what waits for a person."""
    if status.retraining.pending is not None:
        yield names.APPROVE, status.retraining.pending.token
    candidate = status.candidate
    if candidate is not None and candidate.phase is Phase.AWAITING_APPROVAL:
        yield names.APPROVE, candidate.digest
