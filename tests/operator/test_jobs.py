"""A Job and its pods become a state and a result, or one sentence why there is none."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelmend.api import resources
from modelmend.contract import result
from modelmend.decide import observed
from modelmend.observe import cluster, jobs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = resources.ModelDeployment.parse(
    {
        "metadata": {"name": "flights", "namespace": "ml", "uid": "owner"},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
        },
    }
)
ARTIFACT = {"digest": "sha256:" + "a" * 64, "uri": "s3://ml/flights/artifacts/a", "rows": 10}
Object = dict[str, Any]


def job(*conditions: Object, owner: str = "owner", **metadata: Any) -> Object:
    """A retraining Job."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "flights-retrain-3-owner",
            "namespace": "ml",
            "uid": "job",
            "resourceVersion": "1",
            "labels": {
                "app.kubernetes.io/instance": "flights",
                "modelmend.dev/job": "retrain",
                "modelmend.dev/sequence": "3",
            },
            "ownerReferences": [
                {"kind": "ModelDeployment", "name": "flights", "uid": owner, "controller": True}
            ],
            **metadata,
        },
        "status": {"conditions": list(conditions)},
    }


def pod(**status: Any) -> Object:
    """The Job's pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "flights-retrain-3-owner-x",
            "namespace": "ml",
            "uid": "pod",
            "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": "flights", "modelmend.dev/job": "retrain"},
            "ownerReferences": [
                {"kind": "Job", "name": "flights-retrain-3-owner", "uid": "job", "controller": True}
            ],
        },
        "status": status,
    }


def terminated(message: str = "", **more: Any) -> Object:
    """A container that ended."""
    return {
        "phase": "Succeeded",
        "containerStatuses": [
            {"name": "model", "state": {"terminated": {"exitCode": 0, "message": message, **more}}}
        ],
    }


COMPLETE = {"type": "Complete", "status": "True"}
FAILED = {
    "type": "Failed",
    "status": "True",
    "reason": "BackoffLimitExceeded",
    "message": "it has reached the limit",
}
LATE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "was active too long"}


def seen(*found: Object) -> cluster.Cluster:
    """A registry with these."""
    made = cluster.Cluster()
    for live in found:
        made.put(live)
    return made


def only(*found: Object, later: timedelta = timedelta(0)) -> observed.Job:
    """The one Job, seen now and once more later."""
    remembered, registry = jobs.Jobs(), seen(*found)
    remembered.jobs(registry, OWNER, NOW)
    (made,) = remembered.jobs(registry, OWNER, NOW + later)
    return made


def test_job_without_a_running_pod_is_pending() -> None:
    assert only(job()).state is observed.JobState.PENDING
    assert only(job(), pod(phase="Pending")).state is observed.JobState.PENDING


def test_job_with_a_running_pod_runs() -> None:
    assert only(job(), pod(phase="Running")).state is observed.JobState.RUNNING


def test_job_that_reports_an_artifact_has_succeeded() -> None:
    found = only(job(COMPLETE), pod(**terminated(json.dumps(ARTIFACT))))

    assert found.state is observed.JobState.ENDED
    assert isinstance(found.result, result.Succeeded)
    assert found.result.digest == ARTIFACT["digest"]


@pytest.mark.parametrize(
    "uri", ["pvc://storage/a", "s3://ml/a", "staging/3", "file:///etc", "pvc://Claim/../a", "s3://a?b"]
)
def test_own_trainer_that_names_what_no_pod_can_reach_has_failed(uri: str) -> None:
    own = {"retraining": {"trainer": {"template": {"image": "trainer:1"}}}}
    body = {"metadata": OWNER.metadata.to_object(), "spec": OWNER.spec.to_object() | own}
    registry = seen(job(COMPLETE), pod(**terminated(json.dumps(ARTIFACT | {"uri": uri}))))
    ((found),) = jobs.Jobs().jobs(registry, resources.ModelDeployment.parse(body), NOW)

    if uri in ("pvc://storage/a", "s3://ml/a"):
        assert isinstance(found.result, result.Succeeded)
    else:
        assert isinstance(found.result, result.Failed)
        assert f"the trainer names the artifact {uri!r}, and it must" in found.result.error


def test_job_that_completed_waits_for_its_pods_last_word_but_not_for_ever() -> None:
    assert only(job(COMPLETE), pod(phase="Running")).state is observed.JobState.RUNNING
    found = only(job(COMPLETE), pod(phase="Running"), later=timedelta(seconds=11))
    assert isinstance(found.result, result.Failed)
    assert "its pod was deleted" in found.result.error


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            (job(FAILED), pod(**terminated('{"error": "column delay is missing"}', exitCode=1))),
            "column delay is missing",
        ),
        (
            (job(FAILED), pod(**terminated(exitCode=137, reason="OOMKilled"))),
            "raise spec.retraining.trainer.memory",
        ),
        ((job(FAILED), pod(**terminated(exitCode=3))), "exited with code 3"),
        ((job(FAILED), pod(**terminated(json.dumps(ARTIFACT), exitCode=1))), "exited with code 1"),
        ((job(FAILED), pod(phase="Failed", reason="Evicted", message="low on disk")), "evicted: low on disk"),
        ((job(COMPLETE), pod(**terminated("garbage"))), "not a result: 'garbage'"),
        ((job(COMPLETE), pod(**terminated(""))), "without a result"),
        ((job(LATE),), "exceeded its deadline of 1h"),
    ],
)
def test_job_that_failed_says_why_in_one_sentence(found: tuple[Object, ...], sentence: str) -> None:
    ended = only(*found)

    assert ended.state is observed.JobState.ENDED
    assert isinstance(ended.result, result.Failed)
    assert sentence in ended.result.error
    assert "\n" not in ended.result.error


def test_job_whose_pod_is_gone_says_so_after_a_while() -> None:
    ended = only(job(FAILED), later=timedelta(seconds=11))

    assert isinstance(ended.result, result.Failed)
    assert "its pod is gone (BackoffLimitExceeded" in ended.result.error


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes",
                    }
                ]
            },
            "cannot be scheduled: 0/3 nodes",
        ),
        (
            {
                "containerStatuses": [
                    {"image": "x:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}
                ]
            },
            "image x:1 (ImagePullBackOff)",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {
                            "waiting": {
                                "reason": "CreateContainerConfigError",
                                "message": 'secret "s3" not found',
                            }
                        }
                    }
                ]
            },
            'secret "s3" not found',
        ),
    ],
)
def test_job_that_cannot_start_says_why(status: Object, sentence: str) -> None:
    found = only(job(), pod(phase="Pending", **status))

    assert found.state is observed.JobState.PENDING
    assert found.trouble is not None
    assert sentence in found.trouble


def test_jobs_of_others_and_jobs_on_their_way_out_are_no_jobs() -> None:
    assert jobs.Jobs().jobs(seen(job(owner="somebody")), OWNER, NOW) == ()
    assert jobs.Jobs().jobs(seen(job(deletionTimestamp="2026-01-01T00:00:00Z")), OWNER, NOW) == ()


def test_only_the_container_that_is_ours_is_listened_to() -> None:
    """Sidecars of a mesh end too, before it or after it, with nothing to say."""
    proxy = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    status = terminated(json.dumps(ARTIFACT))
    status["containerStatuses"] = [proxy, *status["containerStatuses"]]
    status["initContainerStatuses"] = [{**proxy, "name": "istio-init"}]

    assert isinstance(only(job(COMPLETE), pod(**status)).result, result.Succeeded)


def test_pod_that_its_node_never_ran_says_why() -> None:
    status = {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}
    found = only(job(FAILED), pod(**status)).result

    assert isinstance(found, result.Failed)
    assert "OutOfcpu: Node didn't have enough resource" in found.error
