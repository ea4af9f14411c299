"""What a decision asks for: a status to write first, then actions to carry out.

Intent before action: `act` is called only after the status was written, so that an operator that dies in
between finds its intent and does the rest. Every action is safe to repeat.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from modelmend.api.resources import ModelVersionSpec
from modelmend.api.status import ModelDeploymentStatus, PairedEvidence
from modelmend.contract.arms import Side
from modelmend.decide.observed import Backend


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that a candidate's pods load beside their own."""

    version: str
    rollout: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class EnsureKey:
    """Create the Secret that signs prediction ids, unless it is there."""


@dataclass(frozen=True, slots=True)
class EnsureServing:
    """Bring one version's Deployment and Service to this state."""

    version: str
    rollout: str
    uri: str
    digest: str
    image: str
    replicas: int
    inputs: str
    champion: Champion | None = None
    side: Side = Side.LEFT
    """Which ports the arms of its pods have."""


@dataclass(frozen=True, slots=True)
class ShiftTraffic:
    """Bring the route to exactly these backends (weights add up to 100), and the front Service to this version.

    Without inputs there shall be no route: the front Service alone sends requests, to the one backend, or to the pods of
    all versions.
    """

    backends: tuple[Backend, ...]
    service: str | None
    """None: the Service is for the pods of all versions."""
    inputs: str | None
    because: str
    port: int | None = None
    """Where the Service is for all versions: the port that it asks of each pod (`arms.at`)."""


@dataclass(frozen=True, slots=True)
class LaunchResolve:
    """Create the Job that reads an artifact, and compares it with the champion where there is one."""

    sequence: int
    job: str
    uri: str
    version: str
    """Name the version would get."""
    champion: Champion | None


@dataclass(frozen=True, slots=True)
class LaunchRetraining:
    """Create the Job that makes a candidate; the first version where there is no champion."""

    sequence: int
    job: str
    version: str
    """Name the version would get."""
    champion: Champion | None
    unreferenced: tuple[str, ...] = ()
    """Digests below storage that no version needs any more: the trainer deletes them."""


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """Create a ModelVersion."""

    name: str
    spec: ModelVersionSpec


@dataclass(frozen=True, slots=True)
class DescribeVersion:
    """Write the story of a ModelVersion to its status."""

    name: str
    state: str
    because: str
    evidence: PairedEvidence | None = None


@dataclass(frozen=True, slots=True)
class ForgetVersion:
    """Delete a ModelVersion beyond the history limit."""

    name: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete one version's Deployment and Service. Its traffic has left before."""

    version: str


@dataclass(frozen=True, slots=True)
class RemoveJob:
    """Delete a Job whose result is recorded, or that nobody waits for."""

    name: str
    uid: str


class Tone(StrEnum):
    """Event type."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Notify:
    """Post an Event, and log the same sentence."""

    tone: Tone
    reason: str
    message: str


Action = (
    EnsureKey
    | EnsureServing
    | ShiftTraffic
    | LaunchResolve
    | LaunchRetraining
    | RecordVersion
    | DescribeVersion
    | ForgetVersion
    | Retire
    | RemoveJob
    | Notify
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, what to do, and when to look again."""

    actions: tuple[Action, ...]
    status: ModelDeploymentStatus
    because: str
    look_again_in: timedelta | None
    """None: nothing changes by time alone; an event or a poll brings the next look."""
    finding: str = ""
    """Name of the finding that won, for `explain` and the log."""


_KINDS: Final[dict[str, type[Action]]] = {kind.__name__: kind for kind in Action.__args__}
_ACTIONS: Final = {name: TypeAdapter(kind) for name, kind in _KINDS.items()}
_STATUS: Final = TypeAdapter(ModelDeploymentStatus)


def dump(plan: Plan) -> dict[str, Any]:
    """Plain JSON types, for recordings: every action with its kind."""
    return {
        "finding": plan.finding,
        "because": plan.because,
        "lookAgainIn": None if plan.look_again_in is None else plan.look_again_in.total_seconds(),
        "status": plan.status.to_object(),
        "actions": [
            {"kind": kind, **_ACTIONS[kind].dump_python(action, mode="json", by_alias=True)}
            for kind, action in ((type(action).__name__, action) for action in plan.actions)
        ],
    }


def load(recorded: dict[str, Any]) -> Plan:
    """What `dump` wrote."""
    seconds = recorded["lookAgainIn"]
    return Plan(
        actions=tuple(
            _ACTIONS[action["kind"]].validate_python(
                {key: value for key, value in action.items() if key != "kind"}
            )
            for action in recorded["actions"]
        ),
        status=_STATUS.validate_python(recorded["status"]),
        because=recorded["because"],
        look_again_in=None if seconds is None else timedelta(seconds=seconds),
        finding=recorded["finding"],
    )
