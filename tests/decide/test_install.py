"""From nothing to a first version that serves, and an artifact that a person names."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Handled, ModelDeploymentStatus, Phase, Refusal, Stage, Trigger
from modelmend.contract import result
from modelmend.decide import decide, observed, plan
from modelmend.decide.observed import JobKind

NEW = observed.Observed(now=worlds.NOW, deployment=worlds.deployment(), settings=worlds.SETTINGS)


def reading(reported: result.Succeeded | result.Failed | None = None, **fields: object) -> observed.Observed:
    """The first artifact is being read."""
    status = ModelDeploymentStatus(
        stage=Stage.INSTALLING,
        sequence=1,
        resolving=worlds.resolving(1, Trigger.INSTALL, uri=worlds.URI, **fields),
        handled=decide(NEW).status.handled,
    )
    return replace(
        NEW, deployment=worlds.deployment(present=status), jobs=(worlds.job(JobKind.RESOLVE, 1, reported),)
    )


def installing(**fields: object) -> observed.Observed:
    """The first version is recorded."""
    first = worlds.candidate(1, Phase.PROMOTING, trigger=Trigger.INSTALL, arm=worlds.SOLO)
    status = decide(reading()).status.model_copy(
        update={"candidate": first, "last_version": 1, "resolving": None}
    )
    world = replace(NEW, deployment=worlds.deployment(present=status), versions=(worlds.version(1),))
    return replace(world, **fields)


def test_a_new_model_begins_by_reading_its_artifact() -> None:
    made = decide(NEW)

    launched = worlds.actions(made)
    assert [type(action) for action in launched] == [plan.LaunchResolve]
    assert launched[0].sequence == 1 == made.status.sequence
    assert launched[0].uri == worlds.URI
    assert launched[0].champion is None
    assert made.status.stage is Stage.INSTALLING
    assert made.status.resolving is not None
    assert made.status.resolving.job == launched[0].job
    assert worlds.is_(made, "Ready") == "False (Installing)"
    assert worlds.is_(made, "Reconciling") == "True (Installing)"
    assert worlds.is_(made, "Healthy") == "Unknown (NothingJudged)"


def test_a_job_that_was_ordered_and_never_made_is_made_under_its_own_number() -> None:
    world = replace(reading(uid=None), jobs=())

    assert [action.sequence for action in worlds.actions(decide(world), plan.LaunchResolve)] == [1]


def test_an_artifact_that_was_read_is_recorded_before_it_gets_pods() -> None:
    made = decide(reading(worlds.succeeded(1, parent=worlds.digest(77))))

    (record,) = worlds.actions(made)
    assert isinstance(record, plan.RecordVersion)
    assert record.name == "flights-v1"
    assert record.spec.image == worlds.IMAGE
    assert record.spec.parent is not None
    assert record.spec.parent.version is None
    assert made.status.candidate is not None
    assert made.status.candidate.phase is Phase.PROMOTING
    assert made.status.last_version == 1
    assert made.status.resolving is not None, "the Job stays until its result is recorded"


def test_the_same_record_is_written_until_it_is_seen() -> None:
    world = reading(worlds.succeeded(1))
    first = decide(world)
    world = replace(
        world, now=world.now + timedelta(seconds=7), deployment=worlds.deployment(present=first.status)
    )

    again = decide(world)

    assert again.finding == "version_is_not_recorded"
    assert worlds.actions(again, plan.RecordVersion) == worlds.actions(first, plan.RecordVersion)


def test_a_first_version_whose_job_is_gone_before_its_record_is_read_again() -> None:
    world = reading(worlds.succeeded(1))
    world = replace(world, deployment=worlds.deployment(present=decide(world).status), jobs=())

    made = decide(world)

    assert [action.sequence for action in worlds.actions(made, plan.LaunchResolve)] == [3]
    assert made.status.candidate is None


def test_a_recorded_version_gets_its_key_and_its_pods_in_one_go() -> None:
    made = decide(installing(jobs=(worlds.job(JobKind.RESOLVE, 1, worlds.succeeded(1)),)))

    key, pods, job = worlds.actions(made)
    assert isinstance(key, plan.EnsureKey)
    assert isinstance(pods, plan.EnsureServing)
    assert (pods.version, pods.replicas, pods.champion) == ("flights-v1", 2, None)
    assert isinstance(job, plan.RemoveJob)


@pytest.mark.parametrize(
    ("ready", "shifts"), [(0, False), (1, True), (2, True)], ids=["none ready", "one ready", "all ready"]
)
def test_the_first_traffic_comes_with_the_first_ready_pod(ready: int, shifts: bool) -> None:
    world = installing(servers=(worlds.server(1, ready=ready),), front=observed.Front(key=True))

    shifted = worlds.actions(decide(world), plan.ShiftTraffic)

    assert bool(shifted) is shifts
    for action in shifted:
        assert action.backends == (observed.Backend("flights-v1", worlds.SOLO, 100),)
        assert action.service == "flights-v1"


@pytest.mark.parametrize(
    ("hostnames", "url"),
    [
        (("*.example.com", "b.example.com", "c.example.com"), "http://b.example.com/v2/models/flights"),
        (("*.example.com",), None),
    ],
)
def test_the_shown_address_is_one_that_somebody_can_call(hostnames: tuple[str, ...], url: str | None) -> None:
    world = worlds.edited(installing(), serving={"gateway": {"hostnames": list(hostnames)}})
    assert decide(world).status.url == url


def test_a_first_version_serves_once_the_gateway_has_accepted_it() -> None:
    world = installing(servers=(worlds.server(1),), front=worlds.front((1, worlds.SOLO, 100)))

    made = decide(world)

    assert made.status.stage is Stage.SERVING
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v1"
    assert made.status.candidate is None
    assert made.status.replicas == 2
    assert made.status.url == "http://flights.example.com/v2/models/flights"
    assert made.status.selector is not None
    assert "modelmend.dev/version=flights-v1" in made.status.selector
    assert worlds.is_(made, "Ready") == "True (Serving)"
    assert worlds.is_(made, "Reconciling") is None


def test_a_gateway_that_refuses_keeps_the_model_installing_and_is_quoted() -> None:
    front = worlds.front((1, worlds.SOLO, 100), accepted=False, message="no such listener")
    made = decide(installing(servers=(worlds.server(1),), front=front))

    assert made.status.stage is Stage.INSTALLING
    assert "no such listener" in made.because
    assert worlds.is_(made, "Ready") == "False (Installing)"


def test_pods_of_a_first_version_that_crash_are_waited_for_and_quoted() -> None:
    server = worlds.server(1, ready=0, trouble="container server: OOMKilled")
    world = installing(servers=(server,))
    late = replace(world, now=world.now + timedelta(hours=1))

    made = decide(late)

    assert made.status.stage is Stage.INSTALLING
    assert "0 of 2 pods of flights-v1 ready; container server: OOMKilled" in made.because


def test_a_first_version_takes_a_changed_spec_at_once_since_it_may_be_the_cure() -> None:
    world = installing(servers=(worlds.server(1, ready=0),), front=observed.Front(key=True))
    world = worlds.edited(world, serving={"resources": {"memory": "2Gi"}})

    (action,) = worlds.actions(decide(world), plan.EnsureServing)

    assert action.inputs != world.servers[0].inputs


def test_another_artifact_replaces_a_first_version_that_does_not_serve_yet() -> None:
    world = worlds.edited(
        installing(servers=(worlds.server(1, ready=0),)), model={"uri": "s3://models/fixed"}
    )

    made = decide(world)

    assert made.status.candidate is None
    assert [action.version for action in worlds.actions(made, plan.Retire)] == ["flights-v1"]
    told = worlds.actions(made, plan.DescribeVersion)
    assert [(story.name, story.state) for story in told] == [("flights-v1", "Retired")]
    again = decide(
        replace(world, deployment=world.deployment.model_copy(update={"status": made.status}), servers=())
    )
    assert [action.uri for action in worlds.actions(again, plan.LaunchResolve)] == ["s3://models/fixed"]


def test_an_invalid_first_artifact_stalls_with_the_sentence_of_the_job() -> None:
    made = decide(reading(result.Failed(error="model.skops: hash differs")))

    assert made.status.stage is Stage.STALLED
    assert worlds.is_(made, "Stalled") == "True (InvalidArtifact)"
    assert worlds.is_(made, "Ready") == "False (InvalidArtifact)"
    assert worlds.is_(made, "Reconciling") is None
    assert "model.skops: hash differs" in made.because
    assert [type(action) for action in worlds.actions(made)] == [plan.RemoveJob]


def test_a_refused_artifact_stays_refused_until_spec_changes_and_is_then_tried_again() -> None:
    world = reading(result.Failed(error="no manifest"))
    refused = replace(world, deployment=worlds.deployment(present=decide(world).status), jobs=())

    still = decide(refused)
    tried = decide(worlds.edited(refused, serving={"replicas": 3}, retraining={"cooldown": "1h"}))
    scaled = decide(worlds.edited(refused, serving={"replicas": 3}))

    assert still.finding == "nothing_can_be_installed"
    assert worlds.actions(still) == []
    assert worlds.actions(tried, plan.LaunchResolve)
    assert scaled.status.refusal is not None, "an autoscaler is no person"


def test_a_reset_tries_a_refused_artifact_again() -> None:
    world = reading(result.Failed(error="no manifest"))
    status = decide(world).status
    owner = worlds.deployment(present=status, annotations={"modelmend.dev/reset": "1"})
    refused = replace(world, deployment=owner, jobs=())

    made = decide(refused)

    assert made.finding == "reset_was_asked"
    assert made.status.stage is Stage.INSTALLING
    again = decide(replace(refused, deployment=owner.model_copy(update={"status": made.status})))
    assert worlds.actions(again, plan.LaunchResolve)


def test_reading_says_why_its_job_cannot_start() -> None:
    job = worlds.job(JobKind.RESOLVE, 1, trouble="0/3 nodes are available")
    made = decide(worlds.at_rest(replace(reading(), jobs=(job,))))

    assert made.finding == "artifact_is_being_read"
    assert "0/3 nodes are available" in made.because
    assert made.look_again_in == timedelta(hours=1)


@pytest.mark.parametrize(
    ("jobs", "blocked", "said"),
    [
        (
            (worlds.job(JobKind.RESOLVE, 1, trouble="image missing"),),
            None,
            "did not end in time: image missing",
        ),
        ((worlds.job(JobKind.RESOLVE, 1),), None, "did not end in time"),
        ((), "quota exceeded", "quota exceeded"),
        ((), None, "could not be made in time"),
    ],
)
def test_reading_that_takes_too_long_is_refused(
    jobs: tuple[observed.Job, ...], blocked: str | None, said: str
) -> None:
    world = replace(reading(uid="job-1" if jobs else None), jobs=jobs, blocked=blocked)
    late = replace(world, now=world.now + timedelta(hours=1))

    made = decide(late)

    assert made.finding == "artifact_is_invalid"
    assert made.status.refusal is not None
    assert said in made.status.refusal.message


def test_a_reading_whose_job_somebody_deleted_begins_again_under_another_number() -> None:
    made = decide(replace(reading(), jobs=()))

    assert made.finding == "reading_was_interrupted"
    assert [action.sequence for action in worlds.actions(made, plan.LaunchResolve)] == [2]


# A person names another artifact while a version serves.

MOVED = worlds.edited(worlds.serving(), model={"uri": "s3://models/flights/other"})


def moving(reported: result.Succeeded | result.Failed, world: observed.Observed = MOVED) -> observed.Observed:
    """The Job that reads it has ended."""
    world = worlds.with_status(
        world,
        resolving=worlds.resolving(),
        stage=Stage.EVALUATING,
        handled=decide(world).status.handled,
    )
    return replace(world, jobs=(worlds.job(JobKind.RESOLVE, 11, reported),))


def test_another_artifact_is_read_and_compared_with_the_champion() -> None:
    made = decide(MOVED)

    (launched,) = worlds.actions(made)
    assert isinstance(launched, plan.LaunchResolve)
    assert launched.champion is not None
    assert launched.champion.version == "flights-v1"
    assert made.status.stage is Stage.EVALUATING
    assert worlds.is_(made, "Ready") == "False (Evaluating)"
    assert worlds.is_(made, "Reconciling") == "True (Evaluating)"


def test_another_artifact_drops_a_retraining_in_flight() -> None:
    world = replace(
        worlds.with_status(MOVED, retraining=worlds.running(), stage=Stage.RETRAINING),
        jobs=(worlds.job(JobKind.RETRAIN, 11),),
    )

    made = decide(world)

    assert made.status.retraining.running is None
    assert made.status.retraining.attempts == ()
    assert [action.name for action in worlds.actions(made, plan.RemoveJob)] == ["flights-retrain-11-6f1c2d3e"]


def test_the_artifact_that_serves_starts_nothing() -> None:
    made = decide(moving(worlds.succeeded(1)))

    assert made.finding == "artifact_serves_already"
    assert made.status.candidate is None
    assert worlds.is_(made, "Ready") == "True (Serving)"
    assert "names the artifact of flights-v1, which serves" in made.because


def test_an_ancestor_of_what_serves_starts_nothing_and_says_how_to_go_back() -> None:
    base = worlds.edited(worlds.serving(3, versions=3), model={"uri": "s3://models/flights/other"})
    world = moving(worlds.succeeded(1), base)

    made = decide(world)
    later = decide(worlds.at_rest(replace(worlds.with_status(world, **dict(made.status)), jobs=())))

    assert made.finding == "artifact_serves_already"
    assert "ancestor of flights-v3" in made.because
    assert "rollback-to" in later.because
    assert worlds.is_(later, "Ready") == "True (Serving)"


def test_parents_that_go_in_a_circle_end() -> None:
    base = worlds.edited(worlds.serving(2, versions=2), model={"uri": "s3://models/flights/other"})
    one, two = base.versions
    circle = one.spec.model_copy(
        update={"parent": two.spec.parent.model_copy(update={"digest": worlds.digest(2)})}
    )
    world = moving(
        worlds.succeeded(9), replace(base, versions=(one.model_copy(update={"spec": circle}), two))
    )

    assert decide(world).finding == "artifact_is_read"


def test_any_other_artifact_becomes_a_candidate() -> None:
    world = moving(worlds.succeeded(2, parent=worlds.digest(1)))
    made = decide(world)

    (record,) = worlds.actions(made, plan.RecordVersion)
    assert made.status.candidate is not None
    assert made.status.candidate.phase is Phase.EVALUATING
    assert made.status.candidate.trigger is Trigger.SPEC
    assert record.spec.parent is not None
    assert record.spec.parent.version == "flights-v1", "known by the digest in its manifest"
    assert record.spec.because == "spec.model.uri names s3://ml/flights/artifacts/2"


def test_an_invalid_artifact_is_refused_while_the_champion_serves_on() -> None:
    made = decide(moving(result.Failed(error="trained with scikit-learn 0.24")))

    assert made.status.stage is Stage.SERVING
    assert made.status.candidate is None
    assert worlds.is_(made, "Stalled") == "True (InvalidArtifact)"
    assert worlds.is_(made, "Ready") == "False (InvalidArtifact)"


def test_a_candidate_that_is_being_recorded_is_not_read_again() -> None:
    world = moving(worlds.succeeded(2))
    made = decide(world)
    again = decide(worlds.with_status(world, **dict(made.status)))

    assert again.finding == "candidate_is_not_recorded"
    assert worlds.actions(again, plan.RecordVersion) == worlds.actions(made, plan.RecordVersion)


def test_a_model_that_is_deleted_is_left_to_its_owner_references() -> None:
    world = replace(NEW, deployment=worlds.deployment(deleted=worlds.NOW))

    made = decide(world)

    assert made.actions == ()
    assert made.status == world.deployment.status
    assert made.look_again_in is None


def test_a_refusal_does_not_outlive_the_uri_it_was_about() -> None:
    refusal = Refusal(generation=1, reason="InvalidArtifact", message="no manifest")
    world = worlds.serving(refusal=refusal, handled=Handled(uri=worlds.URI))

    made = decide(worlds.edited(world, model={"uri": "s3://models/flights/fixed"}))

    assert made.status.refusal is None
    assert worlds.actions(made, plan.LaunchResolve)


def test_nothing_serves_and_nothing_is_on_its_way_begins_anew() -> None:
    status = decide(NEW).status.model_copy(update={"resolving": None})
    made = decide(replace(NEW, deployment=worlds.deployment(present=status)))

    assert [action.sequence for action in worlds.actions(made, plan.LaunchResolve)] == [2]
