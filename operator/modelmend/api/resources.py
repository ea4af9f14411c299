"""The two resources whole: metadata, spec, status."""

from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, WithJsonSchema

from modelmend.api.fields import Digest, Instant, Lenient, VersionName
from modelmend.api.rules import Rule, whole
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import ModelDeploymentStatus, PairedEvidence, Trigger
from modelmend.contract.manifest import MATRIX_MAX, Holdout, LabelDelay, Task
from modelmend.contract.metrics import CLASSES_MAX
from modelmend.contract.result import Evaluation
from modelmend.contract.slices import NAME_BYTES, SLICES_MAX

GROUP = "modelmend.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


MAX_DEPLOYMENT_NAME: Final = 40
"""Longer names would leave no room for `-v12` and a pod's suffix within 63 characters."""
_NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


class OwnerReference(Lenient):
    """As Kubernetes writes it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(Lenient):
    """The part of an object's metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: Instant | None = None
    deletion_timestamp: Instant | None = None
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


class ModelDeployment(Lenient):
    """The intent, and what became of it."""

    KIND: ClassVar[str] = "ModelDeployment"
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"size(self.metadata.name) <= {MAX_DEPLOYMENT_NAME}",
            sentence=f"metadata.name must be at most {MAX_DEPLOYMENT_NAME} characters, because its versions, Jobs and "
            "pods are named after it: choose a shorter name",
            holds=lambda self: len(self.metadata.name) <= MAX_DEPLOYMENT_NAME,
            field=".metadata.name",
        ),
        Rule(
            cel=f"self.metadata.name.matches('{_NAME_PATTERN}')",
            sentence="metadata.name must begin with a letter and have no dots, because a Service is named after it: "
            "use lower-case letters, digits and dashes",
            holds=lambda self: whole(_NAME_PATTERN, self.metadata.name),
            field=".metadata.name",
        ),
        Rule(
            cel="!has(self.spec.model.pin) || (self.spec.model.pin.startsWith(self.metadata.name + '-v') && "
            "self.spec.model.pin.substring(size(self.metadata.name) + 2).matches('^[1-9][0-9]{0,8}$'))",
            sentence="pin must be a version of this very ModelDeployment: flights-v3 for the ModelDeployment flights",
            holds=lambda self: (
                (pin := self.spec.model.pin) is None
                or (
                    pin.startswith(f"{self.metadata.name}-v")
                    and whole("^[1-9][0-9]{0,8}$", pin.removeprefix(f"{self.metadata.name}-v"))
                )
            ),
            field=".spec.model.pin",
        ),
    )

    metadata: Metadata
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @classmethod
    def parse(cls, body: Any) -> Self:
        """An object as the API server sends it. Raises pydantic.ValidationError, which names the field."""
        return cls.model_validate(body)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name


class VersionReference(Lenient):
    """Another version."""

    version: VersionName | None = None
    """Name of the ModelVersion; missing when it is not one of this ModelDeployment's."""
    digest: Digest
    """Its artifact."""


class DataWindow(Lenient):
    """Rows with from <= time < to."""

    start: Annotated[Instant, Field(alias="from")]
    """First instant."""
    end: Annotated[Instant, Field(alias="to")]
    """First instant no longer in the window."""


LABEL_DELAY: Final = {
    "p50": "Half of the labels have come after so many seconds.",
    "p90": "Nine in ten have come after so many seconds.",
    "p99": "Ninety-nine in a hundred have come after so many seconds.",
}
EVALUATION: Final = {
    "a": "Rows that only the candidate got wrong.",
    "b": "Rows that only the champion got wrong.",
    "c": "The rest of the rows.",
    "slices": "The same of each slice that spec.evaluation.slices named when the Job began.",
}
"""What `kubectl explain` says of the contract's types, which are described for readers of code."""


def _in_words(fields: dict[str, str], kind: str, format_: str, **more: dict[str, Any]) -> WithJsonSchema:
    properties = {
        name: {**more.get(name, {"type": kind, "format": format_}), "description": text}
        for name, text in fields.items()
    }
    required = [name for name in fields if name not in more]
    return WithJsonSchema({"type": "object", "required": required, "properties": properties})


_SLICES: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": SLICES_MAX,
    "items": {
        "type": "object",
        "required": ["name", "a", "b", "c"],
        "properties": {
            "name": {
                "type": "string",
                "maxLength": NAME_BYTES,
                "description": "Column = value; a hash of it where that is long.",
            },
            **{
                name: {"type": "integer", "format": "int64", "description": EVALUATION[name]}
                for name in "abc"
            },
        },
    },
}


def _holdout() -> WithJsonSchema:
    count = {"type": "integer", "format": "int64"}
    row = {"type": "array", "items": count, "maxItems": MATRIX_MAX}
    words = {
        "rows": {**count, "description": "Rows of the holdout."},
        "right": {**count, "description": "Rows that it predicted rightly."},
        "expected": {
            "type": "number",
            "format": "double",
            "description": "Sum of its largest probability on each row; missing for a model without probabilities.",
        },
        "confusion": {
            "type": "array",
            "items": row,
            "maxItems": MATRIX_MAX,
            "description": "Row i, column j: how often the class i was predicted where j was true, in the order of "
            f"`classes`; missing for more than {MATRIX_MAX} classes.",
        },
    }
    return WithJsonSchema({"type": "object", "required": ["rows", "right"], "properties": words})


class ModelVersionSpec(Lenient):
    """One immutable trained artifact. Written once by Modelmend."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            sentence="a ModelVersion never changes: its spec is the record of one artifact",
        ),
    )

    deployment: str
    """Name of the ModelDeployment it belongs to."""
    number: int
    """Its number; versions of one ModelDeployment count up from 1."""
    uri: str
    """Where the artifact lies."""
    digest: Digest
    """sha256 of its manifest."""
    parent: VersionReference | None = None
    """What it was refitted from."""
    trigger: Trigger
    """Why it exists."""
    because: str
    """The sentence of the trigger."""
    created_at: Instant
    """When it was recorded."""
    rows: int = 0
    """Rows it was fitted on."""
    window: DataWindow | None = None
    """The data it was fitted on."""
    metrics: dict[str, float] = {}
    """Measured on its holdout."""
    task: Task = Task.CLASSIFICATION
    """What it predicts: one of its classes (Classification), or a number (Regression)."""
    classes: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=CLASSES_MAX)] = ()
    """Its classes, as labels of feedback name them; none where there are more than 50."""
    label_delay: Annotated[LabelDelay, _in_words(LABEL_DELAY, "number", "double")] | None = None
    """Quantiles of the time from prediction to label, in seconds."""
    holdout: Annotated[Holdout, _holdout()] | None = None
    """What its scores promised on its holdout, and what came true: signals that need no label start from there."""
    evaluation: Annotated[Evaluation, _in_words(EVALUATION, "integer", "int64", slices=_SLICES)] | None = None
    """Paired counts of the offline gate."""
    image: str
    """Runtime image its pods run, fixed here so that an upgrade of the operator restarts no model pod."""


class Checkpoint(Lenient):
    """The numbers that move with every label, of one rollout, written in one piece at most every five minutes."""

    rollout: str
    """Which life of this version."""
    at: Instant
    """When Prometheus was read."""
    ledger: dict[str, Any] = {}
    """Totals per process and the state of every detector."""


class ModelVersionStatus(Lenient):
    """The story of a version."""

    state: str = "Candidate"
    """Candidate, Champion, Standby, Retired, Rejected or RolledBack."""
    because: str | None = None
    """Why it is in this state."""
    since: Instant | None = None
    """Since when."""
    evidence: PairedEvidence | None = None
    """How it compared with the champion when its rollout ended."""
    checkpoint: Checkpoint | None = None
    """The evidence counted so far."""


class ModelVersion(Lenient):
    """One immutable trained artifact and its story."""

    KIND: ClassVar[str] = "ModelVersion"

    metadata: Metadata
    spec: ModelVersionSpec
    status: ModelVersionStatus = ModelVersionStatus()

    @classmethod
    def parse(cls, body: Any) -> Self:
        """An object as the API server sends it."""
        return cls.model_validate(body)
