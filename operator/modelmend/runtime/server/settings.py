"""What a server is told: the environment the operator sets, and arguments that tests and people change.

Read once, at start; everything that is missing or makes no sense is one sentence that names the variable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypedDict

from modelmend.contract import arms, environment, storage
from modelmend.runtime import errors
from modelmend.runtime.grading import Grading

MINIMUM_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Life:
    """One life of one version: a version that returns after a rollback has another rollout."""

    version: str
    rollout: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    """An artifact to load, and the name under which its predictions are counted."""

    life: Life
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all of them together, may cost. Seconds unless the name says otherwise."""

    body_bytes: int = 4 * 1024 * 1024
    rows: int = 10_000
    concurrency: int = 256
    """Inference requests in flight; one more is answered 503 with Retry-After."""
    header_seconds: float = 10.0
    """Time in which a connection must send the whole head of a request that it began."""
    body_seconds: float = 30.0
    keep_alive_seconds: float = 620.0
    """Longer than the idle time of the usual gateways, so that it is they who close, never both at once."""
    connection_seconds: float = 30.0
    """A connection this old is closed with its next answer. Where a Service splits traffic, it does so by connections:
    clients that keep theirs for ever would follow no change of shares."""
    answer_seconds: float = 30.0
    """A batch that takes longer is answered 504."""
    pair_seconds: float = 1.0
    """How long an answer waits for the model that is scored beside it."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How concurrent requests share one call of the model."""

    requests: int = 64
    """Most requests in one call; 1 switches batching off."""
    rows: int = 2048
    """A batch grows no further than this; a single larger request is a batch of its own."""
    threads: int = 1
    """OpenMP and BLAS threads of one call. Pods are small, and several replicas scale better than threads."""


@dataclass(frozen=True, slots=True)
class Logging:
    """The prediction log."""

    uri: str | None = None
    part_bytes: int = 8 * 1024 * 1024
    """A part is written when this much is buffered (estimated, before compression) …"""
    part_seconds: float = 60.0
    """… or when its oldest row has waited this long."""
    buffer_bytes: int = 64 * 1024 * 1024
    """Rows that find the buffer this full are dropped and counted."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Prediction ids and the labels that come back for them."""

    key: bytes = field(repr=False)
    expiry_seconds: float = 30 * 24 * 3600.0
    """Older prediction ids are answered `expired`."""
    remembered: int = 65_536
    """Labelled requests kept in mind to recognise duplicates; about 200 bytes each."""


@dataclass(frozen=True, slots=True)
class Times:
    """The life of the process, in seconds."""

    lame_duck: float = 5.0
    """After SIGTERM: not ready, but serving, until gateways have taken the pod out."""
    grace: float = 25.0
    """From SIGTERM to the exit, all included; below the pod's terminationGracePeriodSeconds."""
    load: float = 300.0
    """A model that cannot be fetched is tried again for this long."""
    champion_idle: float = 900.0
    """Once the solo port is in use, a champion that nobody asked for this long leaves memory."""


class _Ports(TypedDict):
    ports: Mapping[arms.Arm, int]
    alone_ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server is told."""

    model: str
    own: ModelRef
    feedback: Feedback
    champion: ModelRef | None = None
    grading: Grading | None = None
    """What is right of a model that predicts numbers. Without it their labels are logged, and count as no evidence."""
    trusted: tuple[str, ...] = ()
    host: str = ""
    """Empty: every address of the pod, IPv6 included."""
    ports: Mapping[arms.Arm, int] = field(default_factory=lambda: dict(arms.PORTS))
    alone_ports: tuple[int, ...] = ()
    """More ports on which the pod's own model answers alone: the paired ports of the other side."""
    metrics_port: int = arms.METRICS_PORT
    monitoring: bool = True
    """Whether predictions, bins and estimated accuracy are counted; off only to measure what they cost."""
    limits: Limits = Limits()
    batching: Batching = Batching()
    logging: Logging = Logging()
    times: Times = Times()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Settings of a pod; SettingsError names the variable that is missing or wrong."""
        own = ModelRef(
            Life(_required(environ, environment.VERSION), _required(environ, environment.ROLLOUT)),
            _required(environ, environment.URI),
            _required(environ, environment.DIGEST),
        )
        trusted = environ.get(environment.TRUSTED_TYPES, "").split(",")
        return cls(
            model=_required(environ, environment.MODEL),
            own=own,
            champion=_champion(environ, own),
            **_ports(environ),
            feedback=Feedback(key=_key(environ)),
            grading=Grading.from_environment(environ),
            trusted=tuple(name.strip() for name in trusted if name.strip()),
            logging=Logging(uri=_log_uri(environ)),
        )


def _ports(environ: Mapping[str, str]) -> _Ports:
    told = environ.get(environment.SIDE, "").strip()
    if not told:
        return {"ports": dict(arms.PORTS), "alone_ports": ()}
    if told not in list(arms.Side):
        raise errors.SettingsError(
            f"{environment.SIDE} is {told!r}: it must be one of {', '.join(arms.Side)}"
        )
    side = arms.Side(told)
    return {"ports": dict(arms.SIDES[side]), "alone_ports": arms.alone(side)}


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise errors.SettingsError(f"{name} is not set: a server needs it to know what it serves")
    return value


def _champion(environ: Mapping[str, str], own: ModelRef) -> ModelRef | None:
    names = (
        environment.CHAMPION_VERSION,
        environment.CHAMPION_ROLLOUT,
        environment.CHAMPION_URI,
        environment.CHAMPION_DIGEST,
    )
    values = [environ.get(name, "").strip() for name in names]
    if not any(values):
        return None
    for name, value in zip(names, values, strict=True):
        if not value:
            raise errors.SettingsError(
                f"{name} is not set, but other CHAMPION variables are: set all four or none"
            )
    version, rollout, uri, digest = values
    if version == own.life.version and rollout == own.life.rollout:
        raise errors.SettingsError(
            f"{environment.CHAMPION_VERSION} and {environment.CHAMPION_ROLLOUT} name the model's own life: "
            "a model cannot be compared with itself"
        )
    return ModelRef(Life(version, rollout), uri, digest)


def _key(environ: Mapping[str, str]) -> bytes:
    path = _required(environ, environment.FEEDBACK_KEY_FILE)
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise errors.SettingsError(
            f"{environment.FEEDBACK_KEY_FILE} names {path}, which cannot be read: {error.strerror}"
        ) from None
    if len(key) < MINIMUM_KEY_BYTES:
        raise errors.SettingsError(
            f"{environment.FEEDBACK_KEY_FILE} holds {len(key)} bytes; "
            f"a key that signs prediction ids has {MINIMUM_KEY_BYTES} or more"
        )
    return key


def _log_uri(environ: Mapping[str, str]) -> str | None:
    uri = environ.get(environment.LOG_URI, "").strip()
    # A claim is mounted read-only here, and its log folder, writable, on its own.
    return f"file://{storage.LOG_MOUNT}" if storage.split_pvc(uri) else uri or None
