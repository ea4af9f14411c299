"""Pods are restricted, and what is rendered is what servers and Jobs understand."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from modelmend.api import resources
from modelmend.contract import arms, environment, storage
from modelmend.render import child, deployment, job
from modelmend.runtime import job as runtime_job
from modelmend.runtime.server import settings
from render import owners, restricted

POD_UID = "7e57ab1e-0000-4000-8000-000000000000"
OWNERS = {"claim": owners.owner(), "object store": owners.on_object_store()}


def pods(owner: resources.ModelDeployment) -> list[dict[str, Any]]:
    """Every pod spec of an owner."""
    return [
        each["spec"]["template"]["spec"]
        for each in owners.everything(owner)
        if each["kind"] in ("Deployment", "Job")
    ]


def told(manifest: child.Manifest) -> dict[str, str]:
    """The environment as the process sees it: the kubelet expands $(NAME) from what stands before, and $$ is $."""
    found: dict[str, str] = {}
    for variable in manifest["spec"]["template"]["spec"]["containers"][0]["env"]:
        if "valueFrom" in variable:
            assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
            found[variable["name"]] = POD_UID
            continue
        found[variable["name"]] = re.sub(
            r"\$(\$|\(([^)]*)\))",
            lambda match: "$" if match[1] == "$" else found.get(match[2], match[0]),
            variable["value"],
        )
    return found


def mounts(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Mounts of the one container, by path, each with its volume."""
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"])
    return {
        mount["mountPath"]: mount | {"volume": volumes[mount["name"]]}
        for mount in spec["containers"][0]["volumeMounts"]
    }


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_every_pod_is_restricted(owner: resources.ModelDeployment) -> None:
    found = pods(owner)

    assert len(found) == 4
    for spec in found:
        assert restricted.violations(spec) == []


def test_server_understands_what_it_is_told(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    manifest = deployment.manifest(owners.owner(), owners.candidate(trusted_types=("a.B", "c.D")))

    understood = settings.Settings.from_environment(
        told(manifest) | {environment.FEEDBACK_KEY_FILE: str(key)}
    )

    assert understood.model == "flights"
    assert understood.own == settings.ModelRef(
        settings.Life("flights-v2", "0f2c1a34-3"), "pvc://models/flights/staging/2/5a0e", owners.DIGEST
    )
    assert understood.champion == settings.ModelRef(
        settings.Life("flights-v1", "0f2c1a34-1"), "pvc://models/flights/v1", owners.CHAMPION.digest
    )
    assert understood.trusted == ("a.B", "c.D")
    assert understood.logging.uri == "file:///mnt/log"
    assert understood.times.grace < manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_trainer_understands_what_it_is_told() -> None:
    understood = runtime_job.Task.from_environment(
        told(
            job.retrain(
                owners.owner(), owners.described(), unreferenced=(owners.DIGEST, owners.CHAMPION.digest)
            )
        )
    )

    assert understood.model == "flights"
    assert understood.version == "flights-v2"
    assert understood.sequence == understood.seed == 2
    assert understood.parent == runtime_job.Origin(owners.CHAMPION.uri, owners.CHAMPION.digest)
    assert understood.output_uri == f"pvc://models/flights/staging/2/{POD_UID}"
    assert understood.storage_uri == "pvc://models/flights"
    assert understood.data.log_uri == "pvc://models/flights/log"
    assert (understood.data.start, understood.data.end) == (
        owners.described().data_from,
        owners.described().data_to,
    )
    assert understood.holdout == 0.2
    assert understood.trusted == ("xgboost.core.Booster",)
    assert understood.chores.retention is not None
    assert understood.chores.retention.days == 90
    assert understood.chores.unreferenced == (owners.DIGEST, owners.CHAMPION.digest)


def test_trainer_of_a_dataset_is_told_its_columns_and_keeps_no_log() -> None:
    variables = told(job.retrain(owners.on_object_store(), owners.described()))
    understood = runtime_job.Task.from_environment(variables)

    assert understood.data.uri == "pvc://warehouse/flights.parquet"
    assert (understood.data.label, understood.data.time) == ("late", "departed")
    assert understood.data.window is None
    assert environment.LOG_URI not in variables
    assert understood.chores.retention is None
    assert environment.LOG_URI not in told(deployment.manifest(owners.on_object_store(), owners.server()))


@pytest.mark.parametrize("kind", [job.RESOLVE, job.RETRAIN])
def test_window_of_a_dataset_reaches_whoever_reads_it(kind: str) -> None:
    columns = {"uri": "pvc://warehouse/flights.parquet", "label": "late", "time": "departed"}
    owner = owners.owner(retraining={"data": {"dataset": {**columns, "window": "12345h1500ms"}}})
    rendered = (
        job.resolve(owner, owners.described(), "pvc://imported/flights")
        if kind == job.RESOLVE
        else job.retrain(owner, owners.described())
    )

    window = runtime_job.Task.from_environment(told(rendered)).data.window

    assert window == timedelta(hours=12345, seconds=1.5)


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_whatever_a_pod_is_told_to_read_is_mounted(owner: resources.ModelDeployment) -> None:
    for each in owners.everything(owner):
        if each["kind"] not in ("Deployment", "Job"):
            continue
        mounted = mounts(each["spec"]["template"]["spec"])
        writable = {path for path, mount in mounted.items() if not mount.get("readOnly")}
        for name, value in told(each).items():
            if (found := storage.split_pvc(value)) is not None:
                mount = mounted[str(storage.mount_path(found[0]))]
                assert mount["volume"]["persistentVolumeClaim"] == {"claimName": found[0]}
                if name == environment.OUTPUT_URI:
                    assert mount["mountPath"] in writable
            if value.startswith("file://"):
                assert value.removeprefix("file://") in writable
            if name == environment.FEEDBACK_KEY_FILE:
                assert str(PurePosixPath(value).parent) in mounted


def test_server_may_write_its_log_and_no_artifact() -> None:
    mounted = mounts(pods(owners.owner())[0])

    assert mounted["/mnt/pvc/models"]["readOnly"] is True
    assert mounted["/mnt/log"]["subPath"] == "flights/log"
    assert mounted["/mnt/log"]["volume"] == mounted["/mnt/pvc/models"]["volume"]
    assert {path for path, mount in mounted.items() if not mount.get("readOnly")} == {"/tmp", "/mnt/log"}


def test_log_of_a_claim_without_a_path_lies_at_its_root() -> None:
    owner = owners.owner(storage={"uri": "pvc://models"})

    assert mounts(pods(owner)[0])["/mnt/log"]["subPath"] == "log"
    assert (
        told(job.retrain(owner, owners.described()))[environment.OUTPUT_URI]
        == f"pvc://models/staging/2/{POD_UID}"
    )


def test_job_writes_to_storage_and_only_reads_other_claims() -> None:
    owner = owners.owner(storage={"uri": "pvc://data/ml/flights"})
    mounted = mounts(job.retrain(owner, owners.described())["spec"]["template"]["spec"])

    assert "readOnly" not in mounted["/mnt/pvc/data"]
    assert mounted["/mnt/pvc/models"]["readOnly"] is True


def test_credentials_reach_every_pod_by_reference_and_widen_nothing() -> None:
    for spec in pods(owners.on_object_store()):
        container = spec["containers"][0]

        assert container["envFrom"] == [{"secretRef": {"name": "flights-s3"}}]
        # What stands in env wins over envFrom, so the Secret cannot bring a list of its own.
        assert environment.TRUSTED_TYPES in {variable["name"] for variable in container["env"]}


def test_a_candidate_gets_twice_the_memory_since_it_loads_two_models() -> None:
    owner = owners.owner(
        serving={
            **owners.owner().spec.model_dump(mode="json", by_alias=True)["serving"],
            "resources": {"memory": "768Mi"},
        }
    )

    alone, both = (
        deployment.manifest(owner, wanted)["spec"]["template"]["spec"]["containers"][0]["resources"]
        for wanted in (owners.server(), owners.candidate())
    )

    assert alone == {"requests": {"cpu": "250m", "memory": "768Mi"}, "limits": {"memory": "768Mi"}}
    assert both == {"requests": {"cpu": "250m", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}}


@pytest.mark.parametrize(
    ("cpu", "threads"), [("100m", "1"), ("1", "1"), ("1001m", "2"), ("2.5", "3"), ("4", "4")]
)
def test_libraries_take_as_many_threads_as_cores_were_asked_for(cpu: str, threads: str) -> None:
    owner = owners.owner(retraining={"trainer": {"cpu": cpu}})

    variables = told(job.retrain(owner, owners.described()))

    assert variables["OMP_NUM_THREADS"] == variables["OPENBLAS_NUM_THREADS"] == threads


def test_a_uri_that_looks_like_a_variable_stays_a_uri() -> None:
    uri = "s3://models/$(MODELMEND_DIGEST)/$(AWS_SECRET_ACCESS_KEY)/$$v1"
    owner = owners.owner(storage={"uri": "s3://ml/$(AWS_SECRET_ACCESS_KEY)"})

    served = told(deployment.manifest(owner, owners.server(uri=uri)))
    trained = told(job.retrain(owner, owners.described(parent=job.Parent(uri, owners.DIGEST))))

    assert served[environment.URI] == trained[environment.PARENT_URI] == uri
    assert served[environment.LOG_URI] == "s3://ml/$(AWS_SECRET_ACCESS_KEY)/log"
    assert trained[environment.OUTPUT_URI] == f"s3://ml/$(AWS_SECRET_ACCESS_KEY)/staging/2/{POD_UID}"


def test_ports_are_the_arms_and_the_metrics() -> None:
    container = pods(owners.owner())[0]["containers"][0]

    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "solo": 8080,
        "shadow": 8081,
        "canary": 8082,
        arms.METRICS_PORT_NAME: arms.METRICS_PORT,
    }
    for probe, path in (("startup", "live"), ("readiness", "ready"), ("liveness", "live")):
        assert container[f"{probe}Probe"]["httpGet"] == {
            "path": f"/v2/health/{path}",
            "port": "solo",
            "scheme": "HTTP",
        }


def test_a_job_runs_once_and_stays_until_its_result_is_recorded() -> None:
    for each in owners.everything(owners.on_object_store()):
        if each["kind"] != "Job":
            continue
        assert each["spec"]["backoffLimit"] == 0
        assert each["spec"]["activeDeadlineSeconds"] == 1800
        assert "ttlSecondsAfterFinished" not in each["spec"]
        assert each["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert each["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] == "File"
