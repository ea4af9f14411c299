"""What a pod must mount, and be given, to reach the URIs it works with.

    pvc://claim/path    the claim at contract.storage.mount_path(claim); the runtime reads the same URI there
    s3://, gs://, …     nothing to mount; the credentials Secret becomes environment variables

A server reads artifacts and writes its log, so a claim has two mounts there: whole and read-only, and the log
folder alone, writable. A Job writes artifacts below `spec.storage.uri`; any other claim it only reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from modelmend.api import resources
from modelmend.contract import storage

LOG_IN_SERVER: Final = f"file://{storage.LOG_MOUNT}"
"""Where a server finds the log folder of a claim."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Parts of a pod; empty where nothing is needed."""

    volumes: tuple[dict[str, Any], ...]
    mounts: tuple[dict[str, Any], ...]
    environment_from: tuple[dict[str, Any], ...]


def in_server(owner: resources.ModelDeployment, artifacts: Iterable[str]) -> Attached:
    """For a pod that serves the artifacts at these URIs."""
    own = storage.split_pvc(owner.spec.storage.uri) if logs(owner) else None
    reads = _claims(artifacts)
    volumes = _volumes(reads | ({own[0]} if own else set()))
    mounts = [_mount(volumes[claim], claim, read_only=True) for claim in sorted(reads)]
    if own is not None:
        claim, path = own
        mounts.append(
            {
                "name": volumes[claim],
                "mountPath": str(storage.LOG_MOUNT),
                "subPath": storage.join(path, storage.LOG).lstrip("/"),
            }
        )
    return _attached(owner, volumes, mounts)


def in_job(owner: resources.ModelDeployment, uris: Iterable[str]) -> Attached:
    """For a Job that reads these URIs and writes below `spec.storage.uri`."""
    writes = _claims([owner.spec.storage.uri])
    volumes = _volumes(_claims(uris) | writes)
    mounts = [_mount(volumes[claim], claim, read_only=claim not in writes) for claim in volumes]
    return _attached(owner, volumes, mounts)


def path(uri: str) -> str | None:
    """Where a pod of ours finds what lies at a URI on a claim; None for a URI that is no path."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    found = storage.split_pvc(uri)
    return None if found is None else storage.join(str(storage.mount_path(found[0])), found[1]).rstrip("/")


def logs(owner: resources.ModelDeployment) -> bool:
    """Whether servers keep a prediction log: nobody would read, compact or delete it beside a dataset."""
    return owner.spec.retraining.data.dataset is None


def log_in_server(owner: resources.ModelDeployment) -> str | None:
    """URI of the log folder as a server's pod reaches it; None: nothing is logged."""
    if not logs(owner):
        return None
    return LOG_IN_SERVER if storage.split_pvc(owner.spec.storage.uri) else log_in_job(owner)


def log_in_job(owner: resources.ModelDeployment) -> str:
    """URI of the log folder as a Job's pod reaches it."""
    return storage.join(owner.spec.storage.uri, storage.LOG)


def _claims(uris: Iterable[str]) -> set[str]:
    return {found[0] for uri in uris if (found := storage.split_pvc(uri)) is not None}


def _volumes(claims: Iterable[str]) -> dict[str, str]:
    # A claim's name may be longer than a volume's, so volumes are numbered.
    return {claim: f"claim-{number}" for number, claim in enumerate(sorted(claims))}


def _mount(volume: str, claim: str, *, read_only: bool) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": volume, "mountPath": str(storage.mount_path(claim))}
    if read_only:
        mount["readOnly"] = True
    return mount


def _attached(
    owner: resources.ModelDeployment, volumes: dict[str, str], mounts: list[dict[str, Any]]
) -> Attached:
    secret = owner.spec.storage.credentials_secret_ref
    return Attached(
        volumes=tuple(
            {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
            for claim, volume in volumes.items()
        ),
        mounts=tuple(mounts),
        environment_from=() if secret is None else ({"secretRef": {"name": secret.name}},),
    )
