"""The Jobs: `resolve` reads an artifact that a person named, `retrain` makes a candidate.

The pod's termination message is the result (contract.result), so a Job has no second try of its own: its number
is never used twice, and whether to try again is decided elsewhere, against a budget. No TTL either: the operator
deletes a Job after it has recorded the result.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelmend.api import fields, names, resources
from modelmend.api.spec import Pipeline
from modelmend.contract import environment, pipelines, slices
from modelmend.contract import storage as places
from modelmend.render import child, own, pod, storage

RESOLVE: Final = "resolve"
RETRAIN: Final = "retrain"
"""Values of the label names.JOB_LABEL."""
TRAIN: Final = "train"
"""The built-in trainer's command."""
SCRATCH: Final = "4Gi"
"""Data on its way in, an artifact on its way out."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The champion that the artifact is compared with, or refitted from."""

    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Job:
    """What both kinds of Job need."""

    name: str
    sequence: int
    version: str
    """Name that the version would get."""
    image: str
    parent: Parent | None = None
    data_from: datetime | None = None
    data_to: datetime | None = None
    """Rows with from <= time < to; None: the runtime takes the latest."""
    trusted_types: tuple[str, ...] = ()
    """Types that skops may build, from the operator's configuration."""


def resolve(owner: resources.ModelDeployment, job: Job, uri: str) -> child.Manifest:
    """The Job that reads the artifact at `uri`, and compares it with the parent where there is one."""
    opaque = None if owner.spec.serving.template is None else "true"
    return _manifest(owner, job, RESOLVE, "resolve", {environment.URI: uri, environment.OPAQUE: opaque})


def retrain(owner: resources.ModelDeployment, job: Job, unreferenced: tuple[str, ...] = ()) -> child.Manifest:
    """The Job that makes a candidate, the first one where there is no parent, and deletes the artifacts with these
    digests."""
    log = owner.spec.retraining.data.log
    return _manifest(
        owner,
        job,
        RETRAIN,
        TRAIN,
        {
            environment.SEED: str(job.sequence),
            environment.PIPELINE: _pipeline(owner) if job.parent is None else None,
            environment.UNREFERENCED: ",".join(unreferenced) or None,
            environment.LOG_RETENTION_SECONDS: None
            if log is None
            else str(int(log.retention.total_seconds())),
        },
    )


def _manifest(
    owner: resources.ModelDeployment, job: Job, kind: str, command: str, further: dict[str, str | None]
) -> child.Manifest:
    labels = names.labels(owner.metadata.name, kind, version=job.version)
    labels |= {names.JOB_LABEL: kind, names.SEQUENCE_LABEL: str(job.sequence)}
    trainer = owner.spec.retraining.trainer
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child.metadata(owner, job.name, labels),
        "spec": {
            "activeDeadlineSeconds": int(trainer.deadline.total_seconds()),
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            # A pod that is being deleted has not ended: never a second one beside it.
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(owner, job, command, further)},
        },
    }


def _pod(
    owner: resources.ModelDeployment, job: Job, command: str, further: dict[str, str | None]
) -> dict[str, Any]:
    trainer = owner.spec.retraining.trainer
    values = _variables(owner, job) | further
    reads = [
        uri
        for name in (environment.URI, environment.PARENT_URI, environment.DATA_URI)
        if (uri := values.get(name))
    ]
    size, attached = pod.Size(trainer.cpu, trainer.memory, SCRATCH), storage.in_job(owner, reads)
    if command == TRAIN and trainer.template is not None:
        described = own.container(trainer.template, values, trainer.cpu, pod.pod_uid(), *_outputs(owner, job))
        found = pod.spec(size, attached, described) | own.pulled(trainer.template)
        return found | {"restartPolicy": "Never"}
    container = {
        "image": job.image,
        "args": [command],
        "env": [pod.pod_uid(), _output(owner, job), *pod.variables(values, trainer.cpu)],
    }
    return pod.spec(size, attached, container) | {"restartPolicy": "Never"}


def _variables(owner: resources.ModelDeployment, job: Job) -> dict[str, str | None]:
    return {
        environment.MODEL: owner.metadata.name,
        environment.NAMESPACE: owner.metadata.namespace,
        environment.VERSION: job.version,
        environment.SEQUENCE: str(job.sequence),
        environment.PARENT_URI: None if job.parent is None else job.parent.uri,
        environment.PARENT_DIGEST: None if job.parent is None else job.parent.digest,
        environment.STORAGE_URI: owner.spec.storage.uri,
        **_data(owner, job),
        environment.HOLDOUT: str(owner.spec.evaluation.holdout),
        **pod.grading(owner),
        environment.SLICES: slices.encode(part.asked for part in owner.spec.evaluation.slices),
        # Set even when empty: a variable of the credentials Secret may not widen the list.
        environment.TRUSTED_TYPES: ",".join(job.trusted_types),
    }


def _data(owner: resources.ModelDeployment, job: Job) -> dict[str, str | None]:
    dataset = owner.spec.retraining.data.dataset
    window = {
        environment.DATA_FROM: None if job.data_from is None else fields.format_instant(job.data_from),
        environment.DATA_TO: None if job.data_to is None else fields.format_instant(job.data_to),
    }
    if dataset is None:
        return {environment.LOG_URI: storage.log_in_job(owner), **window}
    return {
        environment.DATA_URI: dataset.uri,
        environment.DATA_LABEL: dataset.label,
        environment.DATA_TIME: dataset.time,
        environment.DATA_WINDOW_SECONDS: None
        if dataset.window is None
        else str(dataset.window.total_seconds()),
        **window,
    }


def _pipeline(owner: resources.ModelDeployment) -> str | None:
    """What a first version is trained with; a trainer of the user's own knows that by itself."""
    if owner.spec.retraining.trainer.template is not None:
        return None
    asked = owner.spec.retraining.trainer.pipeline or Pipeline()
    told = pipelines.Pipeline(estimator=asked.estimator, parameters=asked.parameters, features=asked.features)
    return told.model_dump_json()


def _output(owner: resources.ModelDeployment, job: Job) -> dict[str, Any]:
    # The one value in which the kubelet is meant to expand something.
    folder = places.join(pod.literal(owner.spec.storage.uri), places.STAGING, str(job.sequence))
    return {"name": environment.OUTPUT_URI, "value": f"{folder}/$({environment.POD_UID})"}


def _outputs(owner: resources.ModelDeployment, job: Job) -> list[dict[str, Any]]:
    """The same for an image of the user's own, which may want a path."""
    found = [_output(owner, job)]
    path = storage.path(owner.spec.storage.uri)
    if path is not None:
        folder = places.join(pod.literal(path), places.STAGING, str(job.sequence))
        name = environment.OUTPUT_URI.removesuffix("_URI") + environment.PATH_SUFFIX
        found.append({"name": name, "value": f"{folder}/$({environment.POD_UID})"})
    return found
