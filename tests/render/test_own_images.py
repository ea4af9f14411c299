"""Images of users' own: what they run is theirs; as whom, where and beside what is ours."""

from typing import Any

import pytest

from modelmend.api import names
from modelmend.render import child, deployment, job, service
from render import owners, restricted


def pods() -> dict[str, Any]:
    owner = owners.with_own_images()
    return {
        "server": deployment.manifest(owner, owners.server()),
        "trainer": job.retrain(owner, owners.described()),
    }


def spec(manifest: child.Manifest) -> Any:
    return manifest["spec"]["template"]["spec"]


def environment(manifest: child.Manifest) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in spec(manifest)["containers"][0]["env"]}


@pytest.mark.parametrize("which", ["server", "trainer"])
def test_own_image_runs_restricted_whatever_its_template_says(which: str) -> None:
    assert restricted.violations(spec(pods()[which])) == []


def test_what_a_template_writes_is_never_expanded_by_the_kubelet() -> None:
    server = pods()["server"]
    assert environment(server)["LEVEL"] == "$$(HOME) is no home"
    assert spec(server)["containers"][0]["args"] == ["--price", "5$$(US)"]


def test_user_may_say_how_many_threads_and_nothing_about_the_model() -> None:
    told = environment(pods()["server"])
    assert told["OMP_NUM_THREADS"] == "4"
    assert told["MODELMEND_ROLLOUT"] == owners.CHAMPION.rollout


def test_what_lies_on_a_claim_has_a_path_beside_its_uri() -> None:
    server, trainer = environment(pods()["server"]), environment(pods()["trainer"])
    assert server["MODELMEND_URI"] == "pvc://models/flights/v1"
    assert server["MODELMEND_PATH"] == "/mnt/pvc/models/flights/v1"
    assert server["MODELMEND_LOG_PATH"] == "/mnt/log"
    assert trainer["MODELMEND_PARENT_PATH"] == "/mnt/pvc/models/flights/v1"
    assert trainer["MODELMEND_OUTPUT_PATH"] == "/mnt/pvc/models/flights/staging/2/$(MODELMEND_POD_UID)"
    assert trainer["MODELMEND_OUTPUT_URI"] == "pvc://models/flights/staging/2/$(MODELMEND_POD_UID)"


def test_what_lies_in_a_bucket_has_no_path() -> None:
    own = owners.with_own_images()
    storage = own.spec.storage.model_copy(update={"uri": "s3://ml/flights"})
    bucket = own.model_copy(update={"spec": own.spec.model_copy(update={"storage": storage})})
    told = environment(job.retrain(bucket, owners.described()))
    assert "MODELMEND_OUTPUT_PATH" not in told
    assert "MODELMEND_STORAGE_PATH" not in told


def test_own_server_is_told_nothing_of_how_the_built_in_one_works() -> None:
    told = environment(pods()["server"])
    assert (
        not {"MODELMEND_TRUSTED_TYPES", "MODELMEND_FEEDBACK_KEY_FILE", "MODELMEND_CHAMPION_URI"} & told.keys()
    )


def test_variables_that_others_refer_to_stand_first() -> None:
    first = next(iter(environment(pods()["trainer"])))
    assert first == "MODELMEND_POD_UID"


@pytest.mark.parametrize(
    ("template", "ports", "named"),
    [
        ({}, {"http": 8000}, "http"),
        ({"metricsPort": 8000}, {"http": 8000}, "http"),
        ({"metricsPort": 9100}, {"http": 8000, "metrics": 9100}, "metrics"),
    ],
)
def test_prometheus_is_told_where_the_metrics_are(
    template: dict[str, Any], ports: dict[str, int], named: str
) -> None:
    owner = owners.with_own_images(metricsPath="/prometheus", **template)
    made = deployment.manifest(owner, owners.server())
    container = spec(made)["containers"][0]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports
    annotations = made["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {names.METRICS_PATH: "/prometheus", names.METRICS_PORT: named}


def test_both_arms_of_a_version_reach_its_one_port_and_there_is_no_shadow() -> None:
    ports = service.of_version(owners.with_own_images(), "flights-v1")["spec"]["ports"]
    assert [(port["name"], port["targetPort"]) for port in ports] == [("solo", "http"), ("canary", "http")]


def test_artifact_in_a_format_of_its_own_may_be_read_as_it_is() -> None:
    described = owners.described(parent=None)
    read = job.resolve(owners.with_own_images(), described, "pvc://models/flights/v1")
    assert environment(read)["MODELMEND_OPAQUE"] == "true"
    assert spec(read)["containers"][0]["image"] == described.image
    assert "MODELMEND_OPAQUE" not in environment(job.resolve(owners.owner(), described, "pvc://models/v1"))
