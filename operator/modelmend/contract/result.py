"""What a Job tells the operator: one JSON line on its termination message.

The termination message needs no API access, no sidecar and no shared store; the kubelet cuts it at 4,096
bytes, so `encode` leaves out warnings, classes and what was measured of single ones before it lets that happen;
the counts that a verdict needs fit always. The operator believes the reported uri and
digest, and computes every verdict itself.
"""

import json
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from modelmend.contract.manifest import Holdout, LabelDelay, Sha256, Task, Window
from modelmend.contract.slices import NAME_BYTES, SLICES_MAX

LIMIT: Final = 4096
TERMINATION_PATH: Final = "/dev/termination-log"


OF_CLASS: Final = "_of_"
"""In the name of a metric of a single class: `recall_of_late`."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""What every reader of JSON on the way keeps as it is."""


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "the Job failed and gave no reason: see the log of its pod"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SliceCounts(_Frozen):
    """The counts of `Evaluation` within one slice."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_BYTES)]
    """`contract.slices.Slice.name`."""
    a: Count
    b: Count
    c: Count


class Evaluation(_Frozen):
    """Champion and candidate on the same holdout rows, later in time than anything either was fitted on."""

    a: Count
    """Rows that only the candidate got wrong; of a regressor, where it is farther from the truth."""
    b: Count
    """Rows that only the champion got wrong; of a regressor, where it is farther from the truth."""
    c: Count
    """The rest."""
    slices: Annotated[tuple[SliceCounts, ...], Field(max_length=SLICES_MAX)] = ()
    """The same within each slice that was asked for."""


class Succeeded(_Frozen):
    """An artifact that exists, was read back and verified."""

    kind: Literal["Succeeded"] = "Succeeded"
    digest: Sha256
    uri: Annotated[str, Field(min_length=1)]
    rows: Count = 0
    metrics: dict[str, FiniteFloat] = {}
    task: Task = Task.CLASSIFICATION
    classes: tuple[str, ...] = ()
    """As feedback and the labels of series name them; none where they are too many to be counted apart."""
    parent: Sha256 | None = None
    window: Window | None = None
    label_delay: LabelDelay | None = None
    holdout: Holdout | None = None
    """What is judged without labels needs it."""
    evaluation: Evaluation | None = None
    """Missing when there was no parent, or (with a warning) too little labelled data to compare on."""
    warnings: tuple[str, ...] = ()


class Failed(_Frozen):
    """No artifact, and one sentence that says why and what to do."""

    kind: Literal["Failed"] = "Failed"
    error: Annotated[str, AfterValidator(_one_line)]


JobResult = Annotated[Succeeded | Failed, Field(discriminator="kind")]
_ADAPTER: Final[TypeAdapter[Succeeded | Failed]] = TypeAdapter(JobResult)


def encode(result: Succeeded | Failed) -> str:
    """One line of JSON that fits the termination message."""
    line = result.model_dump_json(exclude_none=True)
    while len(line.encode()) > LIMIT:
        if isinstance(result, Failed):
            result = result.model_copy(update={"error": result.error[: len(result.error) // 2] + "…"})
        elif result.warnings:
            result = result.model_copy(update={"warnings": result.warnings[:-1]})
        elif result.holdout is not None and result.holdout.confusion:
            # An explanation the less; the classes decide which signals can be judged.
            result = result.model_copy(
                update={"holdout": result.holdout.model_copy(update={"confusion": ()})}
            )
        elif result.classes:
            result = result.model_copy(update={"classes": ()})
        elif any(OF_CLASS in name for name in result.metrics):
            kept = {name: value for name, value in result.metrics.items() if OF_CLASS not in name}
            result = result.model_copy(update={"metrics": kept})
        elif result.holdout is not None:
            result = result.model_copy(update={"holdout": None})
        else:
            result = Failed(
                error=f"the result has {len(line.encode())} bytes and the limit is {LIMIT}: report fewer metrics"
            )
        line = result.model_dump_json(exclude_none=True)
    return line


def decode(message: str) -> Succeeded | Failed:
    """The result in a termination message; garbage becomes a `Failed` that quotes its beginning."""
    text = message.strip()
    if not text:
        return Failed(error="the Job ended without a result on its termination message")
    try:
        payload = json.loads(text.splitlines()[-1])
        if isinstance(payload, dict) and "kind" not in payload:
            # A trainer in another language need not know our discriminator: an error is a failure.
            payload["kind"] = "Failed" if "error" in payload else "Succeeded"
        found = _ADAPTER.validate_python(payload)
        # Half a surrogate pair is text to Python, and to nobody else.
        _ADAPTER.dump_json(found)
    except (ValueError, RecursionError):
        return Failed(error=f"the Job's termination message is not a result: {text[:120]!r}")
    return found
