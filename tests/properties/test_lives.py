"""Whatever people and clusters do, in whatever order: every plan is sound, and every world comes to rest.

A life is a list of events with some time between them. They are drawn without regard for sense: pins of versions that
do not exist, aborts of nothing, hand edits in the middle of everything.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decide import modelworld, worlds
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import Stage
from modelmend.contract import result
from modelmend.contract.arms import Arm
from modelmend.decide import decide, invariants, observed, plan


@dataclass(frozen=True)
class Event:
    """Something that happens; named, so that a failing life can be read."""

    name: str
    happens: Callable[[modelworld.World], Any]

    def __repr__(self) -> str:
        return self.name


VERSIONS = ("flights-v1", "flights-v2", "flights-v3", "flights-v9")
TRAFFIC = (
    modelworld.Traffic(),
    modelworld.Traffic(right=100, wrong=100),
    modelworld.Traffic(candidate_only_wrong=100, champion_only_wrong=0),
    modelworld.Traffic(failed=60),
    modelworld.Traffic(starts=False),
    modelworld.Traffic(right=0, wrong=0, pairs=0, candidate_only_wrong=0, champion_only_wrong=0),
)
DATASET = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "at"}
GATEWAY: dict[str, Any] = {
    "parentRef": {"name": "public", "namespace": "infra"},
    "hostnames": [worlds.HOST],
}
EDITS: tuple[dict[str, Any], ...] = (
    {"model": {"uri": "s3://models/flights/v0"}},
    {"model": {"uri": "s3://models/flights/other"}},
    *({"model": {"pin": version}} for version in VERSIONS),
    {"model": {"pin": None}},
    {"suspend": True},
    {"suspend": False},
    {"serving": {"replicas": 1}},
    {"serving": {"replicas": 5}},
    {"serving": {"resources": {"memory": "1Gi"}}},
    {"serving": {"gateway": GATEWAY | {"hostnames": ["other.example.com"]}}},
    {"serving": {"gateway": GATEWAY | {"parentRef": {"name": "public", "namespace": "forbidden"}}}},
    {"serving": {"gateway": GATEWAY}},
    {"serving": {"gateway": None}},
    {"retraining": {"approval": "Manual"}},
    {"retraining": {"approval": "Auto"}},
    {"retraining": {"schedule": "*/7 * * * *"}},
    {"retraining": {"schedule": None}},
    {"retraining": {"cooldown": "0s"}},
    {"retraining": {"budget": {"attempts": 1}}},
    {"rollout": {"approval": "Manual"}},
    {"rollout": {"approval": "Auto"}},
    {"rollout": {"analysis": {"deadline": "3m", "onInconclusive": "Promote"}}},
    {"rollout": {"analysis": {"deadline": "3m", "onInconclusive": "Rollback"}}},
    {"rollout": {"steps": [{"weight": 100}]}},
    {"rollout": {"bake": "0s"}},
    {"history": {"limit": 2}},
    {"model": {"uri": None}, "retraining": {"data": {"log": None, "dataset": DATASET}}},
)
WORDS: tuple[dict[str, str | None], ...] = (
    {"reset": "1"},
    {"reset": None},
    {"reset": "2"},
    {"retrain": "2026-03-01"},
    {"retrain": None},
    *({"abort": word} for word in (*VERSIONS, "retrain-3", "retrain-5", None)),
    *({"approve": word} for word in (worlds.digest(2), worlds.digest(3), "retrain-3", "retrain-5", None)),
    *({"rollback_to": word} for word in (*VERSIONS, None)),
)
RESULTS: tuple[result.Succeeded | result.Failed, ...] = (
    result.Failed(error="too few rows"),
    worlds.succeeded(1),
    *(worlds.succeeded(number) for number in (2, 3, 4)),
    worlds.succeeded(5, evaluation=result.Evaluation(a=60, b=10, c=30)),
    worlds.succeeded(6, evaluation=None),
    worlds.succeeded(7, evaluation=result.Evaluation(a=30, b=200, c=770)),
)


def behave(version: str, traffic: modelworld.Traffic) -> Event:
    return Event(f"{version} {traffic}", lambda world: world.behaviour.__setitem__(version, traffic))


def report(reported: result.Succeeded | result.Failed) -> Event:
    return Event(
        f"report {reported}", lambda world: world.results.__setitem__(slice(world.made, None), [reported])
    )


def edit(parts: dict[str, Any]) -> Event:
    return Event(f"edit {parts}", lambda world: world.edit(**parts))


def say(words: dict[str, str | None]) -> Event:
    return Event(f"say {words}", lambda world: world.annotate(**words))


def set_to(name: str, value: Any) -> Event:
    return Event(f"{name}={value}", lambda world: setattr(world, name, value))


def delete_pods(version: str) -> Event:
    return Event(f"delete pods of {version}", lambda world: world.pods.pop(version, None))


def delete_version(version: str) -> Event:
    return Event(f"delete {version}", lambda world: world.versions.pop(version, None))


def overwrite_weights(version: str) -> Event:
    def act(world: modelworld.World) -> None:
        if world.route is not None:
            backends = (observed.Backend(version, Arm.SOLO, 100),)
            world.route = plan.ShiftTraffic(backends, version, world.route.inputs, "a hand edit")

    return Event(f"overwrite weights for {version}", act)


def die(actions: int) -> Event:
    return Event(f"die after {actions}", lambda world: setattr(world, "dies_after", actions))


events: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from([edit(parts) for parts in EDITS]),
    st.sampled_from([say(words) for words in WORDS]),
    st.sampled_from([behave(version, traffic) for version in VERSIONS[:3] for traffic in TRAFFIC]),
    st.sampled_from([report(reported) for reported in RESULTS]),
    st.sampled_from(
        [
            *(set_to("prometheus_works", works) for works in (True, False)),
            *(set_to("gateway_works", works) for works in (True, False)),
            *(set_to("blocked", blocked) for blocked in ("quota exceeded", None)),
            set_to("foreign", (observed.Foreign("Deployment", "flights-v2", "nobody"),)),
            set_to("foreign", ()),
            *(delete_pods(version) for version in VERSIONS[:3]),
            *(delete_version(version) for version in VERSIONS[:3]),
            *(overwrite_weights(version) for version in VERSIONS[:2]),
            Event("delete jobs", lambda world: world.jobs.clear()),
            set_to("route", None),
            *(die(actions) for actions in range(3)),
        ]
    ),
)
lives = st.lists(st.tuples(events, st.sampled_from((0, 1, 2, 20, 61, 150, 400))), min_size=3, max_size=12)

SPEC = worlds.make_spec(
    retraining={"cooldown": "2m", "trainer": {"deadline": "10m"}},
    rollout={"bake": "1m", "analysis": {"minLabels": 60, "deadline": "2h"}},
)
FROM_DATA = worlds.make_spec(
    model={"uri": None},
    retraining={"cooldown": "2m", "data": {"dataset": DATASET}, "trainer": {"deadline": "10m"}},
    rollout={"bake": "1m", "analysis": {"minLabels": 60, "deadline": "2h"}},
)
BARE = worlds.make_spec(
    serving={"replicas": 3, "gateway": None},
    retraining={"cooldown": "2m", "trainer": {"deadline": "10m"}},
    rollout={"bake": "1m", "analysis": {"minLabels": 60, "deadline": "2h"}},
)
SETTINGS = observed.Settings(runtime_image=worlds.IMAGE, allowed_gateway_namespaces=("infra",))


def is_sound(world: modelworld.World, made: plan.Plan) -> None:
    """Of every plan."""
    seen = world.observe()
    assert "a defect" not in (made.status.because or ""), made.status.because
    assert not invariants.broken(seen, made)
    assert decide(observed.load(observed.dump(seen))) == made, "the same world, the same plan"


def is_quiet(world: modelworld.World) -> None:
    """Of every world at rest: looking again changes nothing, and neither does time, until it was said to."""
    seen = world.observe()
    made = decide(seen)
    assert made.actions == ()
    assert made.status == world.status
    length = timedelta(hours=2) if made.look_again_in is None else made.look_again_in
    for part in (0.5, 0.999):
        later = decide(replace(seen, now=seen.now + length * part))
        assert later.status == made.status, f"{part} of {length}: {later.finding}"
        assert later.actions == ()


@settings(
    max_examples=25 * int(os.environ.get("DEPTH", "1")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(lives, st.sampled_from([SPEC, BARE, FROM_DATA]), st.booleans())
def test_every_plan_of_every_life_is_sound(
    life: list[tuple[Event, int]], wanted: ModelDeploymentSpec, begins_well: bool
) -> None:
    world = modelworld.new_world(spec=wanted, settings=SETTINGS, on_plan=is_sound)
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    if wanted is FROM_DATA and begins_well:
        world.results[0] = worlds.succeeded(1, evaluation=result.Evaluation(a=30, b=200, c=770))
    if wanted is not FROM_DATA or begins_well:
        world.until(Stage.SERVING)
    for event, seconds in life:
        event.happens(world)
        world.run(timedelta(seconds=seconds))
        world.settle()
    if world.dies_after is None:
        is_quiet(world)
