"""Of every world that can be: the plan is sound, the same for the same world, and leads to rest."""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from decide import worlds
from modelmend.api.status import Phase, RetrainingStatus, Stage, Trigger
from modelmend.contract import result
from modelmend.contract.arms import Arm
from modelmend.decide import decide, invariants, observed, plan, stages
from modelmend.decide.observed import Backend, JobKind
from properties import consistency

DEPTH = int(os.environ.get("DEPTH", "1"))
"""How many times the usual number of examples: for a long night."""

pairs = st.sampled_from([(0, 0, 0), (3, 5, 92), (40, 90, 1870), (90, 10, 900), (300, 310, 9000)])
ages = st.sampled_from([timedelta(seconds=s) for s in (0, 20, 200, 4000, 90_000)])
triggers = st.sampled_from([Trigger.BREACH, Trigger.SCHEDULE, Trigger.REQUEST, Trigger.SPEC])
reported = st.sampled_from(
    [
        None,
        worlds.succeeded(2),
        worlds.succeeded(1),
        worlds.succeeded(3, evaluation=None),
        result.Failed(error="no"),
    ]
)
specs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "serving": st.sampled_from([{"replicas": 1}, {"replicas": 7}]),
        "retraining": st.sampled_from(
            [{"approval": "Manual"}, {"schedule": "*/5 * * * *"}, {"budget": {"attempts": 1}}]
        ),
        "rollout": st.sampled_from(
            [
                {"approval": "Manual"},
                {"analysis": {"onInconclusive": "Promote", "deadline": "15m"}},
                {"steps": [{"weight": 100}]},
            ]
        ),
        "model": st.sampled_from(
            [{"pin": "flights-v1"}, {"pin": "flights-v9"}, {"uri": "s3://models/other"}]
        ),
        "suspend": st.booleans(),
    },
)
annotations = st.dictionaries(
    st.sampled_from(["retrain-requested-at", "approve", "abort", "rollback-to", "reset"]),
    st.sampled_from(["1", "flights-v1", "flights-v2", worlds.digest(2), "retrain-11"]),
    max_size=2,
)


@st.composite
def rolling(draw: st.DrawFn) -> observed.Observed:
    """A candidate in some phase."""
    phase = draw(st.sampled_from(list(Phase)))
    failed = phase is Phase.ROLLING_BACK
    return worlds.rolling(
        phase,
        trigger=draw(triggers),
        pairs=draw(pairs),
        pairs_at_step=draw(st.sampled_from([0, 1800])),
        step=draw(st.sampled_from([0, 1, 5])),
        since=worlds.NOW - draw(ages),
        started=worlds.NOW - draw(ages),
        unready_since=draw(st.none() | ages.map(lambda age: worlds.NOW - age)),
        failed=draw(st.sampled_from([0, 900])),
        failure="it was worse" if failed else None,
        reason=draw(st.sampled_from(["Worse", "Suspended", "Aborted"])) if failed else None,
        status_fields={"rejected": draw(st.sampled_from([(), (worlds.digest(2),)]))},
    )


@st.composite
def serving(draw: st.DrawFn) -> observed.Observed:
    """One version serves, and something may be in flight."""
    fields = draw(
        st.sampled_from(
            [
                {},
                {"retraining": worlds.running()},
                {"resolving": worlds.resolving()},
                {
                    "retraining": RetrainingStatus(
                        cooldown_until=worlds.NOW + timedelta(minutes=1), cooldown_because="…"
                    )
                },
                {"retraining": RetrainingStatus(cooldown_until=worlds.NOW, attempts=(worlds.NOW,) * 3)},
                {"stalled": "3 attempts failed"},
            ]
        )
    )
    labels = draw(st.sampled_from([worlds.GOOD, worlds.BAD, {}]))
    world = worlds.serving(draw(st.sampled_from([1, 2])), labels=labels, versions=2, **fields)
    stage = stages.natural(world.deployment.status)
    kind = JobKind.RESOLVE if "resolving" in fields else JobKind.RETRAIN
    jobs = draw(st.sampled_from([(), (worlds.job(kind, 11, draw(reported)),)]))
    return replace(worlds.with_status(world, stage=stage), jobs=jobs)


sometimes = st.sampled_from([False, False, False, True])
"""One time in four: were everything disturbed at once, nothing would ever advance."""


@st.composite
def possible(draw: st.DrawFn) -> observed.Observed:
    """A world, disturbed here and there: pods, records, route, Prometheus, spec, annotations."""
    world = draw(st.one_of(rolling(), serving()))
    for disturb in (_pods, _records, _route, _prometheus, _spec, _words):
        if draw(sometimes):
            world = disturb(draw, world)
    return world


def _pods(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    servers = tuple(
        replace(
            server,
            ready=min(draw(st.sampled_from([0, 1, server.replicas])), server.replicas),
            settled=draw(st.booleans()),
            drifted=draw(sometimes),
        )
        for server in world.servers
        if not draw(sometimes)
    )
    return replace(world, servers=servers)


def _records(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    return replace(world, versions=tuple(version for version in world.versions if draw(st.booleans())))


def _route(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    route = draw(
        st.sampled_from(
            [
                world.front.backends,
                None,
                (Backend("flights-v1", Arm.SOLO, 100),),
                (Backend("flights-v2", Arm.SHADOW, 100),),
                (Backend("flights-v1", Arm.SOLO, 50), Backend("flights-v2", Arm.CANARY, 50)),
            ]
        )
    )
    accepted = draw(st.booleans()) and route is not None
    front = replace(
        world.front,
        backends=route,
        accepted=accepted,
        settled_since=world.now - draw(ages) if accepted else None,
        message=draw(st.none() | st.just("no such listener")),
        drifted=draw(sometimes),
    )
    return replace(world, front=front)


def _prometheus(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    poll = observed.Poll(
        at=draw(st.none() | ages.map(lambda age: worlds.NOW - age)),
        problem=draw(st.none() | st.just("timeout")),
    )
    blocked = draw(st.none() | st.just("quota exceeded"))
    return replace(world, poll=poll, blocked=blocked)


def _spec(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    return worlds.edited(world, **draw(specs))


def _words(draw: st.DrawFn, world: observed.Observed) -> observed.Observed:
    given_words = {f"modelmend.dev/{name}": word for name, word in draw(annotations).items()}
    metadata = world.deployment.metadata.model_copy(update={"annotations": given_words})
    return replace(world, deployment=world.deployment.model_copy(update={"metadata": metadata}))


def looked_at(world: observed.Observed, made: plan.Plan) -> observed.Observed:
    """The same world, with the status of a plan."""
    return replace(world, deployment=world.deployment.model_copy(update={"status": made.status}))


@settings(max_examples=250 * DEPTH, deadline=None, suppress_health_check=list(HealthCheck))
@given(possible())
def test_every_plan_is_sound_and_leads_to_rest(world: observed.Observed) -> None:
    assume(not consistency.contradictions(world))

    made = decide(world)

    event(made.finding)
    assert invariants.broken(world, made) == ()
    assert "a defect" not in made.because, made.because
    assert decide(observed.load(observed.dump(world))) == made, "the same world, the same plan"
    for _ in range(12):
        world = looked_at(world, made)
        made = decide(world)
        assert invariants.broken(world, made) == ()
        assert "a defect" not in made.because, made.because
        if made.status == world.deployment.status:
            break
    else:
        raise AssertionError(f"a world that stands still is decided anew for ever: {made.finding}")
    news = [action for action in made.actions if isinstance(action, plan.Notify)]
    assert news == [], "nothing is news twice"


@settings(max_examples=100 * DEPTH, deadline=None, suppress_health_check=list(HealthCheck))
@given(possible())
def test_time_changes_nothing_before_it_was_said_to(world: observed.Observed) -> None:
    assume(not consistency.contradictions(world))
    world = worlds.at_rest(world)
    made = decide(world)
    assume(made.look_again_in != timedelta(0))

    length = timedelta(days=3) if made.look_again_in is None else made.look_again_in
    for part in (0.3, 0.999):
        later = decide(replace(world, now=world.now + length * part))
        assert later.status == made.status, f"{part} of {length}: {later.finding}"
        assert later.actions == made.actions


@settings(max_examples=150 * DEPTH, deadline=None, suppress_health_check=list(HealthCheck))
@given(possible())
def test_unknown_never_promotes_and_never_retrains(world: observed.Observed) -> None:
    assume(not consistency.contradictions(world))
    blind = replace(world, poll=observed.Poll(at=worlds.NOW - timedelta(days=1)), ledgers={})
    before, made = blind.deployment.status, decide(blind)

    assert all(signal.verdict == "Unknown" for signal in made.status.signals)
    if made.status.retraining.running is not None and before.retraining.running is None:
        assert made.status.retraining.running.trigger is not Trigger.BREACH or before.retraining.pending
    promoted = made.status.stage in (Stage.CANARY, Stage.PROMOTING) and made.status.stage is not before.stage
    waved = blind.deployment.spec.rollout.analysis.on_inconclusive == "Promote"
    by_a_person = made.finding in ("promotion_is_approved", "pin_was_asked", "rollback_was_asked")
    assert not promoted or waved or by_a_person
