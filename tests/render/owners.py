"""ModelDeployments to render from, and every manifest that can be rendered from one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from modelmend.api import names, resources, status
from modelmend.contract import arms
from modelmend.render import child, deployment, job, modelversion, route, secret, service

UID = "0f2c1a34-9b7d-4e05-8a66-3d1f5e7c9b20"
CHAMPION = deployment.Champion(
    version="flights-v1",
    rollout="0f2c1a34-1",
    uri="pvc://models/flights/v1",
    digest="sha256:" + "a" * 64,
)
DIGEST = "sha256:" + "b" * 64


def owner(name: str = "flights", **spec: Any) -> resources.ModelDeployment:
    """A ModelDeployment; keywords replace parts of its spec. Its labels and annotations are those of GitOps tools."""
    return resources.ModelDeployment.parse(
        {
            "metadata": {
                "name": name,
                "namespace": "ml",
                "uid": UID,
                "labels": {
                    "app.kubernetes.io/instance": "argo-app",
                    "kustomize.toolkit.fluxcd.io/name": "models",
                },
                "annotations": {
                    "argocd.argoproj.io/tracking-id": "argo-app:modelmend.dev/ModelDeployment:ml/flights"
                },
            },
            "spec": {
                "model": {"uri": "pvc://models/flights/v1"},
                "storage": {"uri": "pvc://models/flights"},
                "serving": {
                    "gateway": {
                        "parentRef": {"name": "public", "namespace": "infra"},
                        "hostnames": ["flights.example.com"],
                    }
                },
                **spec,
            },
        }
    )


def on_object_store(name: str = "flights") -> resources.ModelDeployment:
    """Model and storage in a bucket, data from a dataset on a claim."""
    return owner(
        name,
        model={"uri": "s3://models/flights/v1"},
        storage={"uri": "s3://ml/flights/", "credentialsSecretRef": {"name": "flights-s3"}},
        retraining={
            "data": {
                "dataset": {"uri": "pvc://warehouse/flights.parquet", "label": "late", "time": "departed"}
            },
            "trainer": {"cpu": "2500m", "memory": "3Gi", "deadline": "30m"},
        },
        evaluation={"slices": [{"column": "carrier", "value": "$(HA)"}]},
    )


def from_data(**pipeline: Any) -> resources.ModelDeployment:
    """Without an artifact: the first version is trained."""
    dataset = {"uri": "pvc://models/rows.parquet", "label": "late", "time": "departed"}
    return owner(
        model={},
        retraining={
            "data": {"dataset": dataset},
            "trainer": {"pipeline": pipeline} if pipeline else {},
        },
    )


METRICS = {
    "requests": {"name": "http_requests_total", "code": "status"},
    "outcomes": {"correct": "correct_total", "total": "labelled_total"},
}


def with_own_images(name: str = "flights", **template: Any) -> resources.ModelDeployment:
    """A server and a trainer of the user's own, on a claim; keywords replace parts of the server's template."""
    gateway = {"parentRef": {"name": "public", "namespace": "infra"}, "hostnames": ["flights.example.com"]}
    own = {
        "image": "registry.example/team/server:1.4",
        "args": ["--price", "5$(US)"],
        "env": [{"name": "OMP_NUM_THREADS", "value": "4"}, {"name": "LEVEL", "value": "$(HOME) is no home"}],
        "imagePullSecrets": ["registry"],
        "port": 8000,
        "path": "/predict",
        "readyPath": "/ready",
        **template,
    }
    trainer = {"image": "registry.example/team/trainer:1.4", "command": ["python", "train.py"]}
    return owner(
        name,
        serving={"gateway": gateway, "template": own},
        monitoring={"metrics": METRICS},
        retraining={"trainer": {"template": trainer}},
    )


def server(**changes: Any) -> deployment.Server:
    """The champion's server; keywords replace its fields."""
    fields: dict[str, Any] = {
        "version": CHAMPION.version,
        "rollout": CHAMPION.rollout,
        "uri": CHAMPION.uri,
        "digest": CHAMPION.digest,
        "image": "modelmend/runtime:0.1.0",
        "replicas": 2,
        "inputs": "5d1c0e2f9a7b4c36",
    }
    return deployment.Server(**fields | changes)


def candidate(**changes: Any) -> deployment.Server:
    """A candidate's server, on staging of the same claim."""
    return server(
        version="flights-v2",
        rollout="0f2c1a34-3",
        uri="pvc://models/flights/staging/2/5a0e",
        digest=DIGEST,
        replicas=1,
        champion=CHAMPION,
        **changes,
    )


def described(**changes: Any) -> job.Job:
    """A Job with a parent and a window; keywords replace its fields."""
    fields: dict[str, Any] = {
        "name": names.job("flights", UID, "retrain", 2),
        "sequence": 2,
        "version": "flights-v2",
        "image": "modelmend/runtime:0.1.0",
        "parent": job.Parent(CHAMPION.uri, CHAMPION.digest),
        "data_from": datetime(2013, 2, 1, tzinfo=UTC),
        "data_to": datetime(2013, 3, 15, 6, 30, tzinfo=UTC),
        "trusted_types": ("xgboost.core.Booster",),
    }
    return job.Job(**fields | changes)


def version_spec() -> resources.ModelVersionSpec:
    """The record of a retrained version."""
    return resources.ModelVersionSpec(
        deployment="flights",
        number=2,
        uri="pvc://models/flights/staging/2/5a0e",
        digest=DIGEST,
        parent=resources.VersionReference(version="flights-v1", digest=CHAMPION.digest),
        trigger=status.Trigger.BREACH,
        because="accuracy 0.74 is at or below 0.75 (n = 1,200)",
        created_at=datetime(2013, 3, 15, 6, 31, tzinfo=UTC),
        rows=41_000,
        metrics={"accuracy": 0.81},
        image="modelmend/runtime:0.1.0",
    )


def backends(*weights: tuple[str, arms.Arm, int]) -> list[route.Backend]:
    """Backends of a route."""
    return [route.Backend(version, arm, weight) for version, arm, weight in weights]


CANARY = (("flights-v1", arms.Arm.SOLO, 90), ("flights-v2", arms.Arm.CANARY, 10))


def everything(owned_by: resources.ModelDeployment) -> Iterator[child.Manifest]:
    """One manifest of each shape, of one owner."""
    first, second = names.version(owned_by.metadata.name, 1), names.version(owned_by.metadata.name, 2)
    yield deployment.manifest(owned_by, server(version=first, uri=owned_by.spec.model.uri))
    yield deployment.manifest(owned_by, candidate())
    yield service.of_version(owned_by, first)
    yield service.front(owned_by, first, "solo")
    yield route.manifest(
        owned_by, backends((first, arms.Arm.SOLO, 80), (second, arms.Arm.SHADOW, 20)), "5d1c0e2f9a7b4c36"
    )
    yield job.resolve(
        owned_by,
        described(name=names.job(owned_by.metadata.name, UID, "resolve", 1), sequence=1, parent=None),
        owned_by.spec.model.uri,
    )
    yield job.retrain(
        owned_by,
        described(name=names.job(owned_by.metadata.name, UID, "retrain", 2)),
        unreferenced=(DIGEST,),
    )
    yield secret.manifest(owned_by, b"k" * 32)
    yield modelversion.manifest(owned_by, second, version_spec())
