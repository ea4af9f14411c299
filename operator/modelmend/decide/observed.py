"""Everything a decision may know, as one value.

`observe` fills it, `decide` reads it, tests write it by hand, and a recorded run is a list of them. Facts
only: what exists and what was counted, never what it means. Frozen, comparable, and JSON both ways through
`dump` and `load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.contract.arms import Arm, Side
from modelmend.contract.result import Failed, Succeeded
from modelmend.evidence.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Server:
    """One version's Deployment and Service, as they are."""

    version: str
    rollout: str
    """Which life of the version the Deployment was made for."""
    inputs: str
    """Hash of the spec fields it was rendered from (see decide.inputs)."""
    replicas: int
    """spec.replicas."""
    ready: int
    """Pods that are ready, of the present template: expected digests loaded and a smoke inference passed."""
    settled: bool = True
    """The controllers have seen the present spec, and every pod is of the present template."""
    drifted: bool = False
    """Somebody changed a field of the Deployment or the Service that is ours, or deleted the Service."""
    trouble: str | None = None
    """One sentence when pods cannot become ready: crash loop, out of memory, unschedulable, image missing."""
    champion: str | None = None
    """Version that its pods load beside their own (environment.CHAMPION_VERSION of the template)."""
    side: Side = Side.LEFT
    """Which ports the arms of its pods have."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One weighted target of the route; without a route, one version behind the front Service."""

    version: str
    arm: Arm
    weight: int
    """Percent; all weights add up to 100."""


def percent(part: int, whole: int) -> int:
    """A share as a whole percent, never 0 and never 100 while there is another part."""
    return min(max(round(100 * part / whole), 1), 99)


@dataclass(frozen=True, slots=True)
class Front:
    """How requests come in: the HTTPRoute, the front Service, the key that signs prediction ids."""

    key: bool = False
    """The feedback Secret exists."""
    service: str | None = None
    """Version that the front Service points to; None while there is no such Service, or while it is shared."""
    shared: bool = False
    """The front Service is for the pods of all versions."""
    backends: tuple[Backend, ...] | None = None
    """The route's backends with a weight above 0, in their order; None while there is no route. Where spec names no
    gateway: the versions behind the front Service, weighted by ready pods; None while there is no Service."""
    inputs: str | None = None
    """Hash of the spec fields the route was rendered from; None while there is no route."""
    accepted: bool = False
    """The Gateway reports Accepted and ResolvedRefs for the route's present generation. Where spec names no gateway:
    there is a front Service, which needs nobody's consent."""
    message: str | None = None
    """What the Gateway says when it does not accept."""
    drifted: bool = False
    """Somebody changed a field of ours on the route or the front Service."""
    settled_since: datetime | None = None
    """Since when the present backends have been accepted, as far as this process has seen."""


class JobKind(StrEnum):
    """What a Job is for; the value of the label."""

    RESOLVE = "resolve"
    RETRAIN = "retrain"


class JobState(StrEnum):
    """How far a Job has come."""

    PENDING = "Pending"
    RUNNING = "Running"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Job:
    """A Job of ours that exists."""

    kind: JobKind
    sequence: int
    name: str
    uid: str
    state: JobState
    result: Succeeded | Failed | None = None
    """Set when ENDED. What the pod reported; or why there is no report: deadline, eviction, image missing."""
    trouble: str | None = None
    """One sentence while it cannot start: unschedulable, image missing, volume missing."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A child name of ours that somebody else owns: nothing of it is touched."""

    kind: str
    name: str
    owner: str
    """Who owns it, for the sentence: `Deployment web` or `nobody`."""


@dataclass(frozen=True, slots=True)
class Poll:
    """How the last look at Prometheus went."""

    at: datetime | None = None
    """Last look that succeeded."""
    problem: str | None = None
    """One sentence while looks fail; None when the last one succeeded."""


BACKOFF: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's configuration, as far as decisions depend on it."""

    runtime_image: str
    allowed_gateway_namespaces: tuple[str, ...] | None = None
    """Namespaces of Gateways that may be attached to, beside the object's own; None: any."""
    drain: timedelta = timedelta(seconds=5)
    """From traffic leaving a version to its pods leaving."""
    backoff: timedelta = BACKOFF
    """Added to the cooldown after a failure; doubles with each failure in a row, up to `backoff_limit`."""
    backoff_limit: timedelta = timedelta(hours=6)
    unready_limit: timedelta = timedelta(minutes=3)
    """How long a candidate's pods may be unready before it is rolled back."""
    queries: bool = True
    """Whether signals of type Query are asked: each reads whatever Prometheus holds."""
    stale_after: timedelta = timedelta(minutes=5)
    """Age of the last successful poll from which every verdict is Unknown; at least three intervals."""


def _ledger(recorded: Any) -> Ledger:
    return recorded if isinstance(recorded, Ledger) else Ledger.from_json(recorded)


Recorded = Annotated[Ledger, PlainValidator(_ledger), PlainSerializer(Ledger.to_json)]
"""A ledger, in JSON as its checkpoint: a table of labels has keys that JSON cannot have."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The world of one ModelDeployment at one moment."""

    now: datetime
    deployment: ModelDeployment
    settings: Settings
    versions: tuple[ModelVersion, ...] = ()
    """Owned ModelVersions, by number."""
    servers: tuple[Server, ...] = ()
    front: Front = Front()
    jobs: tuple[Job, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    ledgers: Mapping[str, Recorded] = field(default_factory=dict)
    """What was counted, by rollout."""
    poll: Poll = Poll()
    blocked: str | None = None
    """One sentence when the API server refuses what was last tried (RBAC, quota, admission): nothing else can help."""

    def version(self, name: str) -> ModelVersion | None:
        """The owned ModelVersion of that name."""
        return next((version for version in self.versions if version.metadata.name == name), None)

    def server(self, name: str) -> Server | None:
        """The server of that version."""
        return next((server for server in self.servers if server.version == name), None)

    def job(self, kind: JobKind, sequence: int) -> Job | None:
        """The Job with that number."""
        return next((job for job in self.jobs if job.kind is kind and job.sequence == sequence), None)


_ADAPTER: Final[TypeAdapter[Observed]] = TypeAdapter(Observed)


def dump(observed: Observed) -> Any:
    """Plain JSON types."""
    return _ADAPTER.dump_python(observed, mode="json", by_alias=True)


def load(recorded: Any) -> Observed:
    """What `dump` wrote."""
    return _ADAPTER.validate_python(recorded)
