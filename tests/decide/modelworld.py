"""A small world that obeys plans as a cluster does: pods become ready, Jobs end, Gateways accept, labels arrive.

No clock of its own, no threads: time moves when a test says so, and everything that happens is a function of it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from decide import worlds
from modelmend.api import names, resources, spec
from modelmend.api import status as statuses
from modelmend.contract import arms, metrics, result
from modelmend.decide import decide, observed, plan, terms
from modelmend.evidence import ledger

POLL = timedelta(seconds=30)
STARTUP = timedelta(seconds=20)
ACCEPTANCE = timedelta(seconds=2)
JOB_TIME = timedelta(minutes=1)


@dataclass
class Pods:
    """A Deployment."""

    action: plan.EnsureServing
    ready_at: datetime
    before: int = 0
    """Pods that are ready until then."""


@dataclass
class Traffic:
    """What one version does with its requests. Counts per poll, whole numbers: no randomness."""

    right: int = 190
    wrong: int = 10
    candidate_only_wrong: int = 10
    champion_only_wrong: int = 20
    pairs: int = 200
    failed: int = 0
    starts: bool = True
    """Its pods become ready."""


@dataclass
class World:
    """One ModelDeployment and its children."""

    deployment: resources.ModelDeployment
    now: datetime = worlds.NOW
    settings: observed.Settings = worlds.SETTINGS
    versions: dict[str, resources.ModelVersion] = field(default_factory=dict)
    pods: dict[str, Pods] = field(default_factory=dict)
    key: bool = False
    route: plan.ShiftTraffic | None = None
    routed_at: datetime = worlds.NOW
    gateway_works: bool = True
    jobs: dict[str, tuple[plan.LaunchResolve | plan.LaunchRetraining, datetime]] = field(default_factory=dict)
    results: list[result.Succeeded | result.Failed] = field(default_factory=list)
    """What the Jobs report, in the order of their making; the last one goes on."""
    made: int = 0
    reported: dict[str, result.Succeeded | result.Failed] = field(default_factory=dict)
    behaviour: dict[str, Traffic] = field(default_factory=dict)
    """By version; what is not named is healthy."""
    ledgers: dict[str, ledger.Ledger] = field(default_factory=dict)
    counters: dict[str, Counter[str]] = field(default_factory=dict)
    polled: datetime | None = None
    prometheus_works: bool = True
    foreign: tuple[observed.Foreign, ...] = ()
    blocked: str | None = None
    creates: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: list[plan.Notify] = field(default_factory=list)
    stages: list[statuses.Stage] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    writes: int = 0
    plans: list[tuple[observed.Observed, plan.Plan]] = field(default_factory=list)
    script: tuple[tuple[statuses.Stage, Callable[["World"], None]], ...] = ()
    """What happens when a stage is reached, in this order: so that a life is a function of the world alone."""
    dies_after: int | None = None
    """The operator dies in its next plan that acts, after so many actions."""
    on_plan: Callable[["World", plan.Plan], None] = lambda world, made: None
    on_rest: Callable[["World"], None] = lambda world: None
    restarted_at: datetime | None = None

    # What the operator sees.

    def observe(self) -> observed.Observed:
        return observed.Observed(
            now=self.now,
            deployment=self.deployment,
            settings=self.settings,
            versions=tuple(sorted(self.versions.values(), key=lambda version: version.spec.number)),
            servers=tuple(self._server(name) for name in sorted(self.pods)),
            front=self._front(),
            jobs=tuple(self._job(name) for name in sorted(self.jobs)),
            ledgers=dict(self.ledgers),
            foreign=self.foreign,
            blocked=self.blocked,
            poll=observed.Poll(
                at=self.polled, problem=None if self.prometheus_works else "connection refused"
            ),
        )

    def _server(self, name: str) -> observed.Server:
        pods = self.pods[name]
        starts = self.behaviour.get(name, Traffic()).starts
        ready = pods.action.replicas if self.now >= pods.ready_at else min(pods.before, pods.action.replicas)
        return observed.Server(
            version=name,
            rollout=pods.action.rollout,
            inputs=pods.action.inputs,
            replicas=pods.action.replicas,
            ready=ready if starts else 0,
            settled=True,
            trouble=None if starts else "container server: CrashLoopBackOff",
            champion=None if pods.action.champion is None else pods.action.champion.version,
            side=pods.action.side,
        )

    def _front(self) -> observed.Front:
        if self.route is None:
            return observed.Front(key=self.key)
        reached = observed.Front(
            key=self.key,
            service=self.route.service,
            shared=self.route.service is None,
            inputs=self.route.inputs,
        )
        if self.deployment.spec.serving.gateway is None:
            return replace(reached, backends=self._behind(self.route), accepted=True)
        if self.route.inputs is None:
            return reached
        accepted = self.gateway_works and self.now >= self.routed_at + ACCEPTANCE
        return replace(
            reached,
            backends=self.route.backends,
            accepted=accepted,
            message=None if self.gateway_works else "no such listener",
            settled_since=self._settled_since() if accepted else None,
        )

    def _behind(self, told: plan.ShiftTraffic) -> tuple[observed.Backend, ...]:
        """Who gets requests from the Service alone."""
        if told.service is not None:
            arm = arms.Arm.SOLO if told.inputs is not None else told.backends[0].arm
            return (observed.Backend(told.service, arm, 100),)
        servers = [server for server in map(self._server, sorted(self.pods)) if server.ready]
        total, found = sum(server.ready for server in servers), []
        for server in servers:
            arm_or_none = arms.at(told.port or 0, server.side)
            assert arm_or_none is not None, "the Service asks a port that is there"
            weight = observed.percent(server.ready, total) if len(servers) > 1 else 100
            found.append(observed.Backend(server.version, arm_or_none, weight))
        return tuple(sorted(found, key=lambda backend: backend.arm is not arms.Arm.SOLO))

    @property
    def carried(self) -> tuple[observed.Backend, ...]:
        """Who gets requests now."""
        return self._front().backends or ()

    def _settled_since(self) -> datetime:
        """As far as this process has seen: a new process counts from its own start."""
        since = self.routed_at + ACCEPTANCE
        return since if self.restarted_at is None else max(since, self.restarted_at)

    def _job(self, name: str) -> observed.Job:
        action, ends = self.jobs[name]
        kind = (
            observed.JobKind.RESOLVE if isinstance(action, plan.LaunchResolve) else observed.JobKind.RETRAIN
        )
        ended = self.now >= ends
        number = int(name.split("-")[2])
        return observed.Job(
            kind=kind,
            sequence=action.sequence,
            name=name,
            uid=f"job-{number}",
            state=observed.JobState.ENDED if ended else observed.JobState.RUNNING,
            result=self.reported[name] if ended else None,
        )

    # What the operator does.

    def write(self, wanted: statuses.ModelDeploymentStatus) -> None:
        if wanted == self.deployment.status:
            return
        self.writes += 1
        body = json.loads(json.dumps(wanted.to_object()))
        kept = statuses.ModelDeploymentStatus.model_validate(body)
        assert kept == wanted, "a status survives the API server"
        if kept.stage is not None and kept.stage is not self.deployment.status.stage:
            self.stages.append(kept.stage)
        self.deployment = self.deployment.model_copy(update={"status": kept})

    def perform(self, action: plan.Action) -> None:
        match action:
            case plan.EnsureKey():
                self._create("Secret", "feedback", not self.key)
                self.key = True
            case plan.EnsureServing():
                self._ensure(action)
            case plan.ShiftTraffic():
                had_route = self.route is not None and self.route.inputs is not None
                self._create("HTTPRoute", worlds.NAME, action.inputs is not None and not had_route)
                self._check_arms(action)
                weights = [backend.weight for backend in action.backends]
                assert sum(weights) == 100
                for backend in action.backends:
                    assert self._server(backend.version).ready, (
                        f"{backend.version} gets traffic and is not ready"
                    )
                if (
                    self.route is None
                    or self.route.backends != action.backends
                    or self.route.service != action.service
                ):
                    self.routed_at = self.now
                self.route = action
            case plan.LaunchResolve() | plan.LaunchRetraining():
                if action.job not in self.jobs:
                    self._create("Job", action.job, True)
                    self.jobs[action.job] = (action, self.now + JOB_TIME)
                    self.reported[action.job] = self.results[min(self.made, len(self.results) - 1)]
                    self.made += 1
            case plan.RecordVersion():
                self._record(action)
            case plan.DescribeVersion():
                self._describe(action)
            case plan.ForgetVersion():
                self.versions.pop(action.name, None)
            case plan.Retire():
                reached = [b.version for b in self.carried]
                assert action.version not in reached, f"{action.version} goes before its traffic"
                assert not self._front().shared, f"{action.version} goes while the Service is for all"
                self.pods.pop(action.version, None)
            case plan.RemoveJob():
                self.jobs.pop(action.name, None)
            case plan.Notify():
                self.events.append(action)

    def _check_arms(self, action: plan.ShiftTraffic) -> None:
        """A Service for all versions asks the right arm of each, and there is nobody else to be asked."""
        assert (action.service is None) == (action.port is not None)
        if action.port is not None:
            asked = {name: arms.at(action.port, self._server(name).side) for name in self.pods}
            assert asked == {backend.version: backend.arm for backend in action.backends}

    def _ensure(self, action: plan.EnsureServing) -> None:
        present = self.pods.get(action.version)
        self._create("Deployment", action.version, present is None)
        if present is None:
            self.pods[action.version] = Pods(action, self.now + STARTUP)
            return
        grows = action.replicas > present.action.replicas
        before = self._server(action.version).ready if action.inputs == present.action.inputs else 0
        ready_at = self.now + STARTUP if grows or not before else present.ready_at
        kept = replace(action, champion=present.action.champion, side=present.action.side)
        self.pods[action.version] = Pods(kept, ready_at, before)

    def _record(self, action: plan.RecordVersion) -> None:
        if action.name in self.versions:
            assert self.versions[action.name].spec == action.spec, "a record is written again as it was"
            return
        self._create("ModelVersion", action.name, True)
        metadata = resources.Metadata(name=action.name, namespace="ml", uid=f"uid-{action.name}")
        self.versions[action.name] = resources.ModelVersion(metadata=metadata, spec=action.spec)

    def _describe(self, action: plan.DescribeVersion) -> None:
        version = self.versions[action.name]
        told = resources.ModelVersionStatus(
            state=action.state, because=action.because, since=self.now, evidence=action.evidence
        )
        self.versions[action.name] = version.model_copy(update={"status": told})

    def _create(self, kind: str, name: str, new: bool) -> None:
        if new:
            self.creates[kind, name] += 1

    # What happens by itself.

    def step(self) -> plan.Plan:
        """One look: decide, write, act; or die in between, and start again."""
        seen = self.observe()
        made = decide(seen)
        self.plans.append((seen, made))
        self.findings.append(made.finding)
        self.on_plan(self, made)
        self.write(made.status)
        for done, action in enumerate(made.actions):
            if done == self.dies_after:
                self.restarted_at, self.dies_after = self.now, None
                break
            self.perform(action)
        return made

    def settle(self, *, limit: int = 50) -> plan.Plan:
        """Look again until there is nothing to do at this moment."""
        for _ in range(limit):
            made = self.step()
            if not made.actions and made.look_again_in != timedelta(0):
                return made
        raise AssertionError(f"never at rest: {self.findings[-10:]}")

    def run(self, length: timedelta, until: Callable[["World"], bool] | None = None) -> None:
        """Let time pass, looking at every poll and whenever a plan said so."""
        end = self.now + length
        while self.now <= end:
            made = self.settle()
            if self.script and self.script[0][0] is self.status.stage:
                act, self.script = self.script[0][1], self.script[1:]
                act(self)
                continue
            self.on_rest(self)
            if until is not None and until(self):
                return
            if self.now == end:
                break
            ahead = [moment - self.now for moment in (*self._moments(), end) if moment > self.now]
            if made.look_again_in is not None:
                ahead.append(made.look_again_in)
            self.pass_time(min(ahead))
        if until is not None:
            raise AssertionError(
                f"not within {length}: {self.deployment.status.stage} {self.deployment.status.because}"
            )

    def until(self, stage: statuses.Stage, within: timedelta = timedelta(days=2)) -> "World":
        """Let time pass until this stage is shown."""
        self.run(within, lambda world: world.deployment.status.stage is stage)
        return self

    def _moments(self) -> Iterator[datetime]:
        """When something happens by itself."""
        if self.prometheus_works:
            yield self.now + POLL if self.polled is None else self.polled + POLL
        yield self.routed_at + ACCEPTANCE
        yield from (pods.ready_at for pods in self.pods.values())
        yield from (ends for _, ends in self.jobs.values())

    def pass_time(self, length: timedelta) -> None:
        self.now += length
        if self.polled is None or self.now >= self.polled + POLL:
            self._poll()

    def _poll(self) -> None:
        if not self.prometheus_works:
            return
        self.polled = self.now
        present = self.deployment.status
        for name in self.pods:
            self._count(name, present)

    def _count(self, name: str, present: statuses.ModelDeploymentStatus) -> None:
        rollout = self.pods[name].action.rollout
        counted = self.counters.setdefault(rollout, Counter())
        does, share = self.behaviour.get(name, Traffic()), self._share(name)
        if share:
            counted[metrics.Evidence.RIGHT] += does.right
            counted[metrics.Evidence.WRONG] += does.wrong
            counted[ledger.ANSWERED] += 100
            counted[ledger.FAILED] += does.failed
        if any(b.version == name and b.arm is not arms.Arm.SOLO for b in self.carried):
            rest = does.pairs - does.candidate_only_wrong - does.champion_only_wrong
            counted[metrics.Paired.CANDIDATE_ONLY_WRONG] += does.candidate_only_wrong
            counted[metrics.Paired.CHAMPION_ONLY_WRONG] += does.champion_only_wrong
            counted[metrics.Paired.BOTH_RIGHT] += rest
        asked = terms.of(self.deployment, self.versions.get(name), rollout)
        reading = ledger.Reading(self.now.timestamp(), {"process": dict(counted)})
        before = self.ledgers.get(rollout, ledger.Ledger(rollout, asked.evidence_since))
        champion = self.ledgers.get((present.candidate and present.candidate.champion_rollout) or "")
        labels = None if champion is None else champion.labels
        self.ledgers[rollout], _ = ledger.advance(before, reading, asked, {ledger.ANSWERED: 100}, labels)

    def _share(self, name: str) -> int:
        return sum(b.weight for b in self.carried if b.version == name)

    # What people do.

    def edit(self, **parts: Any) -> None:
        """Change spec; a new generation."""
        body = self.deployment.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        worlds._merge(body, parts)
        self._replace(spec=spec.ModelDeploymentSpec.model_validate(body))

    def annotate(self, **annotations: str | None) -> None:
        """Set (or with None remove) annotations, given by the constant's name in api.names."""
        present = dict(self.deployment.metadata.annotations)
        for constant, value in annotations.items():
            key = getattr(names, constant.upper())
            if value is None:
                present.pop(key, None)
            else:
                present[key] = value
        metadata = self.deployment.metadata.model_copy(update={"annotations": present})
        self.deployment = self.deployment.model_copy(update={"metadata": metadata})

    def _replace(self, spec: spec.ModelDeploymentSpec) -> None:
        metadata = self.deployment.metadata
        metadata = metadata.model_copy(update={"generation": metadata.generation + 1})
        self.deployment = self.deployment.model_copy(update={"spec": spec, "metadata": metadata})

    # What is there.

    def fork(self) -> "World":
        """A world of its own, in the same state."""
        own = {name: value.copy() for name, value in vars(self).items() if isinstance(value, (dict, list))}
        own["counters"] = {rollout: counted.copy() for rollout, counted in self.counters.items()}
        return replace(self, **own)

    def state(self) -> dict[str, Any]:
        """Everything that the future depends on, and everything that was created."""
        seen = self.observe()
        drained = (
            seen.front.settled_since is not None and seen.front.settled_since + self.settings.drain < self.now
        )
        return {
            "seen": replace(seen, front=replace(seen.front, settled_since=None)) if drained else seen,
            "pods": {name: pods.ready_at for name, pods in self.pods.items() if pods.ready_at > self.now},
            "jobs": self.jobs.copy(),
            "script": len(self.script),
            "creates": self.creates.copy(),
            "stages": self.stages.copy(),
        }

    @property
    def status(self) -> statuses.ModelDeploymentStatus:
        return self.deployment.status

    @property
    def weights(self) -> dict[str, int]:
        return {b.version: b.weight for b in self.carried}

    def condition(self, kind: str) -> statuses.Condition | None:
        return next((held for held in self.status.conditions if held.type == kind), None)


def new_world(**fields: Any) -> World:
    """A world with one ModelDeployment that nobody has looked at, whose Jobs make good artifacts."""
    wanted = fields.pop("spec", None) or worlds.make_spec()
    results = fields.pop("results", None) or [worlds.succeeded(number) for number in range(1, 9)]
    return World(worlds.deployment(wanted), results=results, **fields)


def serving_world(**fields: Any) -> World:
    """A world in which version 1 serves."""
    world = new_world(**fields)
    world.until(statuses.Stage.SERVING, timedelta(hours=1))
    return world
