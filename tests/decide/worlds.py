"""Terse worlds: an Observed written by hand, with everything that a test does not speak of left at its quiet best."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmend.api import names, resources, spec, status
from modelmend.contract import arms, metrics, result
from modelmend.contract.manifest import LabelDelay, Task
from modelmend.decide import decide, inputs, observed, plan, stages, terms
from modelmend.decide.upkeep import servers
from modelmend.evidence import confusion, ledger

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "6f1c2d3e-0000-4000-8000-000000000001"
NAME = "flights"
URI = "s3://models/flights/v0"
STORAGE = "s3://ml/flights"
IMAGE = "registry.example/modelmend/runtime:1"
HOST = "flights.example.com"
SOLO, SHADOW, CANARY = arms.Arm.SOLO, arms.Arm.SHADOW, arms.Arm.CANARY

SETTINGS = observed.Settings(runtime_image=IMAGE)


def digest(number: int) -> str:
    """The digest of the artifact of version `number`."""
    return f"sha256:{number:064x}"


def name(number: int) -> str:
    """The name of version `number`."""
    return names.version(NAME, number)


def rollout(number: int) -> str:
    """The rollout identity with sequence `number`."""
    return names.rollout(UID, number)


def make_spec(**parts: Any) -> spec.ModelDeploymentSpec:
    """A whole spec; parts are given by camelCase-free field names, nested as dicts."""
    body: dict[str, Any] = {
        "model": {"uri": URI},
        "storage": {"uri": STORAGE},
        "serving": {
            "replicas": 2,
            "gateway": {"parentRef": {"name": "public", "namespace": "infra"}, "hostnames": [HOST]},
        },
        "monitoring": {"signals": [{"name": "accuracy", "minimum": 0.85, "minLabels": 200}]},
    }
    _merge(body, parts)
    return spec.ModelDeploymentSpec.model_validate(body)


OWN: dict[str, Any] = {
    "serving": {"template": {"image": "registry.example/team/server:1"}},
    "monitoring": {
        "metrics": {
            "requests": {"name": "http_requests_total", "code": "status"},
            "outcomes": {"correct": "correct_total", "total": "labelled_total"},
        }
    },
    "retraining": {"trainer": {"template": {"image": "registry.example/team/trainer:1"}}},
}
"""Parts of a spec with images of the user's own."""


def own_spec(**parts: Any) -> spec.ModelDeploymentSpec:
    """A whole spec with images of the user's own."""
    body = copy.deepcopy(OWN)
    _merge(body, parts)
    return make_spec(**body)


def _merge(body: dict[str, Any], parts: dict[str, Any]) -> None:
    for key, value in parts.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        elif value is None:
            body.pop(key, None)
        else:
            body[key] = value


def deployment(
    wanted: spec.ModelDeploymentSpec | None = None,
    present: status.ModelDeploymentStatus | None = None,
    *,
    generation: int = 1,
    annotations: dict[str, str] | None = None,
    deleted: datetime | None = None,
) -> resources.ModelDeployment:
    """A ModelDeployment."""
    metadata = resources.Metadata(
        name=NAME,
        namespace="ml",
        uid=UID,
        generation=generation,
        annotations=annotations or {},
        deletion_timestamp=deleted,
    )
    return resources.ModelDeployment(
        metadata=metadata, spec=wanted or make_spec(), status=present or status.ModelDeploymentStatus()
    )


def version(number: int, **fields: Any) -> resources.ModelVersion:
    """The record of version `number`, refitted from the one before; `state` and others go where they belong."""
    told = {key: fields.pop(key) for key in ("state", "since", "because") if key in fields}
    parent = (
        None
        if number == 1
        else resources.VersionReference(version=name(number - 1), digest=digest(number - 1))
    )
    body: dict[str, Any] = {
        "deployment": NAME,
        "number": number,
        "uri": f"{STORAGE}/artifacts/{number}" if number > 1 else URI,
        "digest": digest(number),
        "parent": parent,
        "trigger": status.Trigger.INSTALL if number == 1 else status.Trigger.BREACH,
        "because": "a test wants it",
        "created_at": NOW - timedelta(days=1),
        "metrics": {"accuracy": 0.9},
        "classes": ("no", "yes"),
        "image": IMAGE,
    } | fields
    return resources.ModelVersion(
        metadata=resources.Metadata(name=name(number), namespace="ml", uid=f"version-{number}"),
        spec=resources.ModelVersionSpec(**body),
        status=resources.ModelVersionStatus(**told),
    )


def kind(wanted: spec.ModelDeploymentSpec) -> dict[str, Any]:
    """Fields of a version, or of a Job's result, that this spec asks for: a model of numbers with a tolerance."""
    tolerance = wanted.evaluation.tolerance
    if tolerance is None:
        return {}
    measured = {"accuracy": 0.9, "tolerance": tolerance, "mae": 8.0, "rmse": 12.0}
    return {"task": Task.REGRESSION, "classes": (), "metrics": measured}


def server(number: int, *, of: resources.ModelDeployment | None = None, **fields: Any) -> observed.Server:
    """The server of version `number`: two pods, both ready, made from the present spec."""
    hashed = inputs.of_server(of or deployment(), version(number))
    body = {"rollout": rollout(number), "inputs": hashed, "replicas": 2, "ready": 2} | fields
    return observed.Server(version=name(number), **body)


def front(
    *backends: tuple[int, arms.Arm, int], of: resources.ModelDeployment | None = None, **fields: Any
) -> observed.Front:
    """A front in place: (number of the version, arm, weight) each, accepted long ago; service: the first backend."""
    body = {
        "key": True,
        "service": name(backends[0][0]),
        "backends": tuple(observed.Backend(name(number), arm, weight) for number, arm, weight in backends),
        "inputs": inputs.of_front(of or deployment()),
        "accepted": True,
        "settled_since": NOW - timedelta(hours=1),
    } | fields
    return observed.Front(**body)


def succeeded(number: int, **fields: Any) -> result.Succeeded:
    """What a Job reports that made or read the artifact of version `number`."""
    body = {
        "digest": digest(number),
        "uri": f"{STORAGE}/artifacts/{number}" if number > 1 else URI,
        "rows": 1000,
        "metrics": {"accuracy": 0.9},
        "classes": ("no", "yes"),
        "evaluation": result.Evaluation(a=10, b=60, c=930) if number > 1 else None,
    } | fields
    return result.Succeeded(**body)


DELAY = LabelDelay(p50=60, p90=600, p99=3600)


# Whole worlds.

POLLED = NOW - timedelta(seconds=10)


def stable(number: int = 1, **fields: Any) -> status.Stable:
    """Version `number` as the stable one, for a day."""
    body = {
        "version": name(number),
        "digest": digest(number),
        "uri": version(number).spec.uri,
        "rollout": rollout(number),
        "since": NOW - timedelta(days=1),
    } | fields
    return status.Stable(**body)


def candidate(number: int, phase: status.Phase, **fields: Any) -> status.Candidate:
    """Version `number` as the candidate beside the one before, ten minutes in its phase."""
    body = {
        "version": name(number),
        "digest": digest(number),
        "uri": version(number).spec.uri,
        "rollout": rollout(number),
        "phase": phase,
        "trigger": status.Trigger.BREACH,
        "arm": SHADOW if phase in (status.Phase.EVALUATING, status.Phase.SHADOW) else CANARY,
        "since": NOW - timedelta(minutes=10),
        "started": NOW - timedelta(minutes=20),
        "champion": name(number - 1) if number > 1 else None,
        "champion_rollout": rollout(number - 1) if number > 1 else None,
    } | fields
    return status.Candidate(**body)


def counted(
    owner: resources.ModelDeployment,
    number: int,
    *,
    right: int = 0,
    wrong: int = 0,
    table: dict[tuple[str, str], int] | None = None,
    errors: tuple[int, int, int] = (0, 0, 0),
    pairs: tuple[int, int, int] = (0, 0, 0),
    answered: int = 0,
    failed: int = 0,
    beside: int = 0,
    beside_failed: int = 0,
    polled: datetime = POLLED,
) -> ledger.Ledger:
    """The ledger of version `number` after one poll with these counts. `table`: (predicted, actual) -> labels, in place
    of right and wrong; `errors`: rows, and millionths of the bound; `beside`: answers of the champion."""
    cells = table or {}
    right += sum(rows for (predicted, actual), rows in cells.items() if predicted == actual)
    wrong += sum(rows for (predicted, actual), rows in cells.items() if predicted != actual)
    of = version(number, **kind(owner.spec))
    asked = terms.of(owner, of, rollout(number))
    a, b, c = pairs
    counters: dict[str, int] = {confusion.result_name(*cell): rows for cell, rows in cells.items()}
    counters |= {
        metrics.Evidence.RIGHT: right,
        metrics.Evidence.WRONG: wrong,
        **dict(zip(metrics.Errors, errors, strict=True)),
        metrics.Paired.CANDIDATE_ONLY_WRONG: a,
        metrics.Paired.CHAMPION_ONLY_WRONG: b,
        metrics.Paired.BOTH_RIGHT: c,
        ledger.ANSWERED: answered,
        ledger.FAILED: failed,
    }
    begun = ledger.Ledger(rollout(number), asked.evidence_since)
    reading = ledger.Reading(
        polled.timestamp(), {"process": {str(key): value for key, value in counters.items()}}
    )
    return ledger.advance(begun, reading, asked, {ledger.ANSWERED: beside, ledger.FAILED: beside_failed})[0]


GOOD: dict[str, Any] = {"right": 950, "wrong": 50}
BAD: dict[str, Any] = {"right": 700, "wrong": 300}
NO_LABELS: dict[str, Any] = {}


def serving(
    number: int = 1,
    *,
    spec: spec.ModelDeploymentSpec | None = None,
    labels: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    generation: int = 1,
    versions: int | None = None,
    server_fields: dict[str, Any] | None = None,
    **fields: Any,
) -> observed.Observed:
    """Version `number` serves alone, and everything is in place. Other fields are the status's."""
    wanted = spec or make_spec()
    told = {
        "stage": status.Stage.SERVING,
        "observed_generation": generation,
        "sequence": 10,
        "last_version": versions or number,
        "stable": stable(number),
    } | fields
    told.setdefault("handled", status.Handled())
    bare = deployment(wanted, generation=generation, annotations=annotations)
    if told["handled"].spec is None:
        seen = told["handled"].model_copy(update={"spec": inputs.of_spec(bare)})
        told["handled"] = seen.model_copy(update={"uri": seen.uri or wanted.model.uri})
    line = wanted.retraining.schedule
    retraining = told.get("retraining", status.RetrainingStatus())
    if line is not None and retraining.schedule is None:
        told["retraining"] = retraining.model_copy(
            update={"schedule": line, "scheduled": NOW - timedelta(minutes=1)}
        )
    owner = deployment(
        wanted, status.ModelDeploymentStatus(**told), generation=generation, annotations=annotations
    )
    replicas = wanted.serving.replicas
    pods = {"replicas": replicas, "ready": replicas} | (server_fields or {})
    return observed.Observed(
        now=NOW,
        deployment=owner,
        settings=SETTINGS,
        versions=tuple(
            version(
                each,
                **kind(wanted),
                state="Champion" if each == number else "Retired",
                since=NOW - timedelta(days=1, hours=-each),
            )
            for each in range(1, (versions or number) + 1)
        ),
        servers=(server(number, of=owner, **pods),),
        front=front((number, SOLO, 100), of=owner),
        ledgers={rollout(number): counted(owner, number, **(GOOD if labels is None else labels))},
        poll=observed.Poll(at=POLLED),
    )


_SHARES = {status.Phase.SHADOW: (SHADOW, 20), status.Phase.BAKING: (CANARY, 100)}


def rolling(
    phase: status.Phase,
    *,
    spec: spec.ModelDeploymentSpec | None = None,
    annotations: dict[str, str] | None = None,
    pairs: tuple[int, int, int] = (0, 0, 0),
    answered: int = 1000,
    failed: int = 0,
    ready: int | None = None,
    champion_ready: int | None = None,
    status_fields: dict[str, Any] | None = None,
    trigger: status.Trigger = status.Trigger.BREACH,
    **fields: Any,
) -> observed.Observed:
    """Version 2 in this phase beside version 1, in place and ready. Other fields are the candidate's."""
    wanted = spec or make_spec()
    tried = candidate(2, phase, trigger=trigger, **fields)
    bakes = phase is status.Phase.BAKING
    told = {
        "stage": stages.natural(status.ModelDeploymentStatus(stable=stable(1), candidate=tried)),
        "stable": stable(2, since=tried.since, evidence_since=tried.since) if bakes else stable(1),
        "candidate": tried,
        "last_version": 2,
    } | (status_fields or {})
    base = serving(spec=wanted, annotations=annotations, versions=2, **told)
    owner = base.deployment
    share, beside = servers.share(tried, wanted), servers.beside(tried, wanted)
    arm, weight = _SHARES.get(phase, (CANARY, servers.step_weight(tried, wanted)))
    backends = [(1, SOLO, 100 - weight), (2, arm, weight)]
    without_pods = phase in (status.Phase.EVALUATING, status.Phase.ROLLING_BACK)
    if without_pods:
        backends = [(1, SOLO, 100)]
    pods = [
        server(1, of=owner, replicas=beside, ready=beside if champion_ready is None else champion_ready),
        server(
            2,
            of=owner,
            replicas=share,
            ready=share if ready is None else ready,
            champion=name(1),
            side=arms.Side.RIGHT,
        ),
    ]
    in_place = front(
        *(backend for backend in backends if backend[2]), of=owner, service=name(2 if bakes else 1)
    )
    if wanted.serving.gateway is None:
        in_place = behind_service(in_place, tuple(pods))
    states = ("Standby" if bakes else "Champion", "Champion" if bakes else "Candidate")
    return replace(
        base,
        versions=tuple(
            version(each, **kind(wanted), state=state) for each, state in enumerate(states, start=1)
        ),
        servers=tuple(pods[:1] if phase is status.Phase.EVALUATING else pods),
        front=in_place,
        ledgers={
            rollout(1): counted(owner, 1, **GOOD),
            rollout(2): counted(owner, 2, **GOOD, pairs=pairs, answered=answered, failed=failed, beside=1000),
        },
    )


def behind_service(routed: observed.Front, pods: tuple[observed.Server, ...]) -> observed.Front:
    """The same without a gateway: the Service is for one version, or shared by the pods of two."""
    backends = routed.backends or ()
    alone = {"inputs": None, "settled_since": None}
    if len(backends) == 1:
        return replace(routed, service=backends[0].version, **alone)
    ready = {server.version: server.ready for server in pods}
    weighed = tuple(
        replace(backend, weight=observed.percent(ready[backend.version], sum(ready.values()) or 1))
        for backend in backends
    )
    return replace(routed, service=None, shared=True, backends=weighed, **alone)


def with_status(world: observed.Observed, **fields: Any) -> observed.Observed:
    """The same world with other fields of the status."""
    owner = world.deployment
    return replace(
        world, deployment=owner.model_copy(update={"status": owner.status.model_copy(update=fields)})
    )


def edited(world: observed.Observed, **parts: Any) -> observed.Observed:
    """The same world after a person's edit of spec."""
    owner = world.deployment
    body = owner.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    _merge(body, parts)
    metadata = owner.metadata.model_copy(update={"generation": owner.metadata.generation + 1})
    changed = {"spec": spec.ModelDeploymentSpec.model_validate(body), "metadata": metadata}
    return replace(world, deployment=owner.model_copy(update=changed))


def job(
    kind: observed.JobKind,
    sequence: int,
    reported: result.Succeeded | result.Failed | None = None,
    **fields: Any,
) -> observed.Job:
    """A Job of ours: ended when it reports something, running otherwise."""
    state = observed.JobState.RUNNING if reported is None else observed.JobState.ENDED
    body = {
        "kind": kind,
        "sequence": sequence,
        "name": names.job(NAME, UID, kind.value, sequence),
        "uid": f"job-{sequence}",
        "state": state,
        "result": reported,
    } | fields
    return observed.Job(**body)


def running(sequence: int = 11, **fields: Any) -> status.RetrainingStatus:
    """A retraining in flight."""
    body = {
        "sequence": sequence,
        "job": names.job(NAME, UID, "retrain", sequence),
        "trigger": status.Trigger.BREACH,
        "because": "accuracy fell",
        "started_at": NOW - timedelta(minutes=5),
        "uid": f"job-{sequence}",
    } | fields
    return status.RetrainingStatus(running=status.Running(**body))


def resolving(
    sequence: int = 11, trigger: status.Trigger = status.Trigger.SPEC, **fields: Any
) -> status.Resolving:
    """An artifact that is being read."""
    body = {
        "sequence": sequence,
        "job": names.job(NAME, UID, "resolve", sequence),
        "uri": "s3://models/flights/other",
        "trigger": trigger,
        "started_at": NOW - timedelta(minutes=1),
        "uid": f"job-{sequence}",
    } | fields
    return status.Resolving(**body)


def at_rest(world: observed.Observed) -> observed.Observed:
    """The same world after as many looks as it takes for the status to stay as it is."""
    for _ in range(20):
        made = decide(world)
        if made.status == world.deployment.status:
            return world
        world = replace(world, deployment=world.deployment.model_copy(update={"status": made.status}))
    raise AssertionError(f"never at rest: {made.finding}")


def actions(made: plan.Plan, *kinds: type) -> list[Any]:
    """The actions of these kinds; all but news when none is given."""
    return [
        action
        for action in made.actions
        if (isinstance(action, kinds) if kinds else not isinstance(action, plan.Notify))
    ]


def condition(made: plan.Plan, kind: str) -> status.Condition | None:
    """One condition of the status."""
    return next((held for held in made.status.conditions if held.type == kind), None)


def is_(made: plan.Plan, kind: str) -> str | None:
    """`True (Reason)` of a condition; None when it is absent."""
    held = condition(made, kind)
    return None if held is None else f"{held.status.value} ({held.reason})"
