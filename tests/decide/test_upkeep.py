"""The world that a status wants: servers, front, Jobs, records, history; whatever came in between."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Phase, RetrainingStatus, Stage, Trigger
from modelmend.contract.arms import Arm
from modelmend.decide import decide, inputs, observed, plan
from modelmend.decide.observed import Backend, JobKind
from modelmend.decide.upkeep import history, records, servers

SERVING = worlds.at_rest(worlds.serving())
CHAMPION = Backend("flights-v1", Arm.SOLO, 100)


# Servers.


@pytest.mark.parametrize(
    "fields",
    [{"replicas": 1}, {"drifted": True}, {"rollout": "another"}, {"inputs": "another"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_server_that_is_not_as_it_should_be_is_put_right(fields: dict[str, object]) -> None:
    world = replace(SERVING, servers=(replace(SERVING.servers[0], **fields),))

    (action,) = worlds.actions(decide(world))

    assert isinstance(action, plan.EnsureServing)
    assert (action.version, action.rollout, action.replicas) == ("flights-v1", worlds.rollout(1), 2)
    assert action.inputs == SERVING.servers[0].inputs


def test_a_server_that_somebody_deleted_is_made_again_and_traffic_waits_for_it() -> None:
    made = decide(replace(SERVING, servers=()))

    assert [type(action) for action in worlds.actions(made)] == [plan.EnsureServing]
    assert made.because == "flights-v1 has no ready pod"


def test_a_key_that_somebody_deleted_is_made_again() -> None:
    world = replace(SERVING, front=replace(SERVING.front, key=False))

    assert worlds.actions(decide(world)) == [plan.EnsureKey()]


@pytest.mark.parametrize(
    ("phase", "step", "replicas", "pods"),
    [
        (Phase.SHADOW, 0, 10, 2),
        (Phase.SHADOW, 0, 1, 1),
        (Phase.CANARY, 0, 10, 1),
        (Phase.CANARY, 0, 11, 2),
        (Phase.CANARY, 1, 10, 5),
        (Phase.CANARY, 9, 10, 5),
        (Phase.AWAITING_APPROVAL, 1, 10, 5),
        (Phase.PROMOTING, 1, 10, 10),
        (Phase.BAKING, 1, 10, 10),
    ],
)
def test_a_candidate_has_its_share_of_the_champions_pods(
    phase: Phase, step: int, replicas: int, pods: int
) -> None:
    spec = worlds.make_spec(serving={"replicas": replicas})

    assert servers.share(worlds.candidate(2, phase, step=step), spec) == pods


def test_the_end_of_a_bake_restarts_no_pod() -> None:
    baking, alone = worlds.rolling(Phase.BAKING), worlds.serving(2)

    during = servers.wanted(baking.deployment.status, baking).serving[0]
    after = servers.wanted(alone.deployment.status, alone).serving[0]

    assert during.champion is not None
    assert during.champion.version == "flights-v1"
    assert after.champion is None
    assert during.inputs == after.inputs


def test_pods_of_a_bake_whose_champion_is_not_recorded_load_no_champion() -> None:
    world = worlds.rolling(Phase.BAKING)
    lost = replace(world, versions=world.versions[1:])

    (only,) = servers.wanted(lost.deployment.status, lost).serving

    assert (only.version, only.champion) == ("flights-v2", None)


def test_a_first_version_has_no_champion_to_load() -> None:
    world = worlds.rolling(Phase.SHADOW, status_fields={"stable": None}, champion=None)
    bare = replace(world, servers=world.servers[1:])

    assert all(wish.champion is None for wish in servers.wanted(bare.deployment.status, bare).serving)


# Front.


@pytest.mark.parametrize(
    "fields",
    [
        {"drifted": True},
        {"service": "flights-v9"},
        {"service": None},
        {"inputs": "another"},
        {"backends": None},
        {"backends": (Backend("flights-v9", Arm.SOLO, 100),)},
        {"backends": (Backend("flights-v1", Arm.CANARY, 100),)},
        {"backends": (Backend("flights-v1", Arm.SOLO, 60), Backend("flights-v9", Arm.SOLO, 40))},
    ],
    ids=str,
)
def test_a_front_that_is_not_as_it_should_be_is_put_right(fields: dict[str, object]) -> None:
    made = decide(replace(SERVING, front=replace(SERVING.front, **fields)))

    (action,) = worlds.actions(made)
    assert isinstance(action, plan.ShiftTraffic)
    assert (action.backends, action.service) == ((CHAMPION,), "flights-v1")
    assert action.inputs == inputs.of_front(SERVING.deployment)


def shift(world: observed.Observed) -> tuple[tuple[str, str, int], ...] | None:
    """Where traffic is sent now; None when it stays as it is."""
    for action in worlds.actions(decide(world), plan.ShiftTraffic):
        return tuple((backend.version[-2:], backend.arm.value, backend.weight) for backend in action.backends)
    return None


def with_ready(
    world: observed.Observed, champion: int, candidate: int, *carried: tuple[int, Arm, int]
) -> observed.Observed:
    """So many ready pods, and this traffic."""
    one, two = world.servers
    pods = (replace(one, ready=champion), replace(two, ready=candidate))
    service = world.front.service
    return replace(world, servers=pods, front=worlds.front(*carried, service=service))


SOLO, SHADOW, CANARY = Arm.SOLO, Arm.SHADOW, Arm.CANARY


@pytest.mark.parametrize(
    ("phase", "champion", "candidate", "carried", "wanted"),
    [
        # Weights rise only to pods that are all ready.
        (Phase.SHADOW, 10, 2, [(1, SOLO, 100)], (("v1", "solo", 80), ("v2", "shadow", 20))),
        (Phase.SHADOW, 10, 1, [(1, SOLO, 100)], None),
        (Phase.CANARY, 10, 5, [(1, SOLO, 90), (2, CANARY, 10)], (("v1", "solo", 50), ("v2", "canary", 50))),
        (Phase.CANARY, 10, 4, [(1, SOLO, 90), (2, CANARY, 10)], None),
        # They are kept while some are, and taken away when none is.
        (Phase.CANARY, 10, 1, [(1, SOLO, 50), (2, CANARY, 50)], None),
        (Phase.CANARY, 10, 0, [(1, SOLO, 50), (2, CANARY, 50)], (("v1", "solo", 100),)),
        (Phase.CANARY, 10, 1, [(2, CANARY, 100)], (("v1", "solo", 50), ("v2", "canary", 50))),
        # The candidate's pods hold the champion's model as well.
        (Phase.SHADOW, 0, 2, [(1, SOLO, 80), (2, SHADOW, 20)], (("v2", "shadow", 100),)),
        (Phase.CANARY, 0, 1, [(1, SOLO, 50), (2, CANARY, 50)], (("v2", "shadow", 100),)),
        (Phase.AWAITING_APPROVAL, 0, 1, [(1, SOLO, 50), (2, CANARY, 50)], (("v2", "shadow", 100),)),
        (Phase.ROLLING_BACK, 0, 1, [(1, SOLO, 50), (2, CANARY, 50)], (("v2", "shadow", 100),)),
        (Phase.ROLLING_BACK, 1, 1, [(2, SHADOW, 100)], (("v1", "solo", 100),)),
        # Nothing is sent to nothing.
        (Phase.CANARY, 0, 0, [(1, SOLO, 50), (2, CANARY, 50)], None),
        (Phase.ROLLING_BACK, 0, 0, [(1, SOLO, 50), (2, CANARY, 50)], None),
        (Phase.BAKING, 0, 0, [(2, CANARY, 100)], None),
        # In its bake the promoted version has everything, and the old champion stands in for it.
        (Phase.BAKING, 10, 10, [(1, SOLO, 50), (2, CANARY, 50)], (("v2", "canary", 100),)),
        (Phase.BAKING, 10, 3, [(1, SOLO, 50), (2, CANARY, 50)], None),
        (Phase.BAKING, 10, 3, [(2, CANARY, 100)], None),
        (Phase.BAKING, 10, 0, [(2, CANARY, 100)], (("v1", "solo", 100),)),
        (Phase.BAKING, 0, 3, [(1, SOLO, 50), (2, CANARY, 50)], (("v2", "canary", 100),)),
    ],
    ids=str,
)
def test_who_answers(
    phase: Phase,
    champion: int,
    candidate: int,
    carried: list[tuple[int, Arm, int]],
    wanted: tuple[tuple[str, str, int], ...] | None,
) -> None:
    spec = worlds.make_spec(serving={"replicas": 10})
    world = worlds.rolling(phase, spec=spec, step=1, since=worlds.NOW, failure="f", reason="Worse")

    assert shift(with_ready(world, champion, candidate, *carried)) == wanted


def test_a_shadow_of_everything_needs_no_champion_pod() -> None:
    spec = worlds.make_spec(rollout={"shadow": {"traffic": 100}})
    world = with_ready(worlds.rolling(Phase.SHADOW, spec=spec), 0, 2, (2, SHADOW, 100))

    assert shift(world) is None


def test_the_service_of_a_bake_follows_who_answers() -> None:
    world = with_ready(worlds.rolling(Phase.BAKING, since=worlds.NOW), 2, 0, (2, CANARY, 100))

    (action,) = worlds.actions(decide(world), plan.ShiftTraffic)

    assert action.service == "flights-v1"


# What is no longer needed.


def test_pods_that_nobody_needs_go_at_once_where_there_is_no_route() -> None:
    world = replace(SERVING, servers=(*SERVING.servers, worlds.server(7)))

    assert worlds.actions(decide(world)) == [plan.Retire("flights-v7")]
    bare = replace(world, servers=(worlds.server(7),), front=observed.Front(key=True))
    assert plan.Retire("flights-v7") not in worlds.actions(decide(bare)), "one thing at a time"
    served = replace(bare, front=observed.Front(key=True, service="flights-v7"))
    assert worlds.actions(decide(served), plan.Retire) == []


def test_jobs_that_nobody_waits_for_are_removed() -> None:
    jobs = (worlds.job(JobKind.RETRAIN, 3, worlds.succeeded(2)), worlds.job(JobKind.RESOLVE, 2))

    assert [action.uid for action in worlds.actions(decide(replace(SERVING, jobs=jobs)))] == [
        "job-3",
        "job-2",
    ]


# Records.


def test_the_record_of_what_serves_is_written_again_when_somebody_deleted_it() -> None:
    world = worlds.serving(3)

    (record,) = worlds.actions(decide(replace(world, versions=world.versions[:2])))

    assert isinstance(record, plan.RecordVersion)
    assert (record.name, record.spec.number, record.spec.digest) == ("flights-v3", 3, worlds.digest(3))
    assert record.spec.because == "recorded again: somebody deleted the ModelVersion that serves"


def test_a_version_of_an_unknown_name_is_recorded_again_under_the_last_number() -> None:
    world = worlds.serving(2, stable=worlds.stable(2, version="another-name"))

    (record, *_) = worlds.actions(decide(world), plan.RecordVersion)

    assert (record.name, record.spec.number) == ("another-name", 2)


@pytest.mark.parametrize(
    ("state", "rejected", "told"),
    [
        ("Champion", False, "Retired"),
        ("Standby", False, "Retired"),
        ("Candidate", False, "Retired"),
        ("Champion", True, "RolledBack"),
        ("Retired", True, None),
        ("Rejected", True, None),
        ("RolledBack", True, None),
    ],
)
def test_every_version_has_its_story(state: str, rejected: bool, told: str | None) -> None:
    digests = (worlds.digest(1),) if rejected else ()
    world = worlds.serving(2, rejected=digests)
    world = replace(world, versions=(worlds.version(1, state=state), world.versions[1]))

    stories = worlds.actions(decide(world), plan.DescribeVersion)

    assert [(story.name, story.state) for story in stories] == (
        [] if told is None else [("flights-v1", told)]
    )


def test_a_result_with_a_window_is_recorded_with_it() -> None:
    window = {"start": worlds.NOW - timedelta(days=30), "end": worlds.NOW}
    world = worlds.serving(
        labels=worlds.BAD, stage=Stage.RETRAINING, sequence=11, retraining=worlds.running()
    )
    reported = worlds.succeeded(2, window=window, label_delay=worlds.DELAY)
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11, reported),))

    (record,) = worlds.actions(decide(world))

    assert record.spec.window is not None
    assert (record.spec.window.start, record.spec.window.end) == (window["start"], window["end"])
    assert record.spec.label_delay == worlds.DELAY
    assert record.spec.rows == 1000


def test_nothing_is_recorded_without_a_result() -> None:
    world = worlds.rolling(Phase.EVALUATING, status_fields={"retraining": worlds.running()})
    bare = replace(world, versions=world.versions[:1], jobs=(worlds.job(JobKind.RETRAIN, 11),))

    assert records.missing(bare.deployment.status, bare) is None
    assert records.result_of(bare.deployment.status, bare) is None
    assert records.result_of(SERVING.deployment.status, SERVING) is None


# History.

SHORT = worlds.make_spec(history={"limit": 2})


def long_history(**fields: object) -> observed.Observed:
    """Five versions, the fifth serves, and two may be kept."""
    return worlds.serving(5, spec=SHORT, versions=5, **fields)


def test_the_oldest_versions_are_forgotten_and_their_artifacts_listed_first() -> None:
    made = decide(long_history())

    assert [action.name for action in worlds.actions(made)] == ["flights-v1", "flights-v2", "flights-v3"]
    assert made.status.retraining.unreferenced == (worlds.digest(2), worlds.digest(3)), (
        "the first lies elsewhere"
    )

    again = decide(worlds.with_status(long_history(), **dict(made.status)))
    assert again.status.retraining.unreferenced == made.status.retraining.unreferenced
    assert worlds.actions(again) == worlds.actions(made)


def test_versions_that_may_be_needed_are_kept() -> None:
    world = long_history()
    loads_two = replace(world, servers=(replace(world.servers[0], champion="flights-v2"),))
    runs_one = replace(world, servers=(*world.servers, worlds.server(1)))

    def forgotten(seen: observed.Observed) -> list[str]:
        return [action.name for action in worlds.actions(decide(seen), plan.ForgetVersion)]

    assert forgotten(loads_two) == ["flights-v1", "flights-v3"]
    assert forgotten(runs_one) == ["flights-v2", "flights-v3"]
    untold = tuple(worlds.version(each, state="RolledBack") for each in range(1, 5))
    assert forgotten(replace(world, versions=(*untold, world.versions[4]))) == [
        "flights-v1",
        "flights-v2",
        "flights-v3",
    ]


def test_the_last_champion_is_kept_however_old_it_is() -> None:
    world = long_history()
    tried = tuple(worlds.version(each, state="RolledBack", since=worlds.NOW) for each in range(2, 5))
    first = worlds.version(1, state="Retired", since=worlds.NOW - timedelta(days=9))

    made = decide(replace(world, versions=(first, *tried, world.versions[4])))

    assert [action.name for action in worlds.actions(made)] == ["flights-v2", "flights-v3", "flights-v4"]


def test_nothing_is_forgotten_in_a_rollout_that_is_needed_by_it() -> None:
    world = worlds.edited(worlds.rolling(Phase.BAKING, since=worlds.NOW), history={"limit": 2})

    assert worlds.actions(decide(world), plan.ForgetVersion) == []


def test_nothing_is_forgotten_while_a_job_runs_that_was_told_what_to_delete() -> None:
    world = long_history(stage=Stage.RETRAINING, retraining=worlds.running())
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11),))

    assert worlds.actions(decide(world)) == []


def test_an_artifact_that_two_versions_share_is_not_listed() -> None:
    world = long_history()
    twice = worlds.version(2, digest=worlds.digest(5), state="Retired", since=worlds.NOW - timedelta(days=5))

    made = decide(replace(world, versions=(world.versions[0], twice, *world.versions[2:])))

    assert made.status.retraining.unreferenced == (worlds.digest(3),)


def test_what_a_retraining_was_told_to_delete_is_crossed_off_with_its_success() -> None:
    told = worlds.running().model_copy(update={"unreferenced": (worlds.digest(7),)})
    world = worlds.serving(stage=Stage.RETRAINING, sequence=11, retraining=told)
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11, worlds.succeeded(2)),))

    assert decide(world).status.retraining.unreferenced == ()


def test_a_person_s_artifact_crosses_nothing_off() -> None:
    listed = RetrainingStatus(unreferenced=(worlds.digest(7),))
    world = worlds.serving(stage=Stage.EVALUATING, resolving=worlds.resolving(), retraining=listed)
    world = replace(world, jobs=(worlds.job(JobKind.RESOLVE, 11, worlds.succeeded(2)),))

    made = decide(world)

    assert made.status.candidate is not None
    assert made.status.candidate.trigger is Trigger.SPEC
    assert made.status.retraining.unreferenced == (worlds.digest(7),)


def test_what_never_served_is_forgotten_too() -> None:
    world = replace(worlds.with_status(long_history(), stable=None), servers=())

    assert [version.metadata.name for version in history.prunable(world.deployment.status, world)] == [
        "flights-v1",
        "flights-v2",
        "flights-v3",
    ]


def test_history_keeps_at_most_a_hundred_digests() -> None:
    listed = RetrainingStatus(unreferenced=tuple(worlds.digest(1000 + each) for each in range(100)))
    world = long_history(retraining=listed)

    kept = history.forget(world.deployment.status, world).retraining.unreferenced

    assert len(kept) == 100
    assert kept[-1] == worlds.digest(3)
