"""What kstatus, Argo CD and Flux are told, at every moment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import modelworld, worlds
from modelmend.api.status import ConditionStatus, Phase, Refusal, Stage, Trigger
from modelmend.decide import announce, decide, observed, plan
from modelmend.decide.upkeep import actions

SERVING = worlds.serving()


def stale(world: observed.Observed) -> observed.Observed:
    """Prometheus has been silent for an hour."""
    return replace(world, poll=observed.Poll(at=worlds.NOW - timedelta(hours=1)))


# Ready, Reconciling, Stalled.


@pytest.mark.parametrize("phase", list(Phase))
def test_healing_keeps_the_model_ready(phase: Phase) -> None:
    made = decide(worlds.rolling(phase))

    assert (worlds.is_(made, "Ready") or "").startswith("True")
    assert worlds.is_(made, "Reconciling") is None
    assert worlds.is_(made, "Stalled") is None


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY, Phase.BAKING, Phase.ROLLING_BACK])
def test_a_persons_artifact_is_reconciling_until_it_serves_or_is_refused(phase: Phase) -> None:
    made = decide(worlds.rolling(phase, trigger=Trigger.SPEC, failure="f", reason="Worse", since=worlds.NOW))

    assert (worlds.is_(made, "Ready") or "").startswith("False")
    assert (worlds.is_(made, "Reconciling") or "").startswith("True")


def test_a_changed_spec_is_reconciling_until_the_pods_are_of_it() -> None:
    edited = worlds.edited(SERVING, serving={"resources": {"memory": "2Gi"}})
    made = decide(edited)
    assert worlds.is_(made, "Reconciling") == "True (Serving)"
    (action,) = worlds.actions(made)

    rolling = replace(
        worlds.with_status(edited, **dict(made.status)),
        servers=(replace(edited.servers[0], inputs=action.inputs, settled=False),),
    )
    assert worlds.is_(decide(rolling), "Reconciling") == "True (Serving)"

    done = replace(rolling, servers=(replace(rolling.servers[0], settled=True),))
    assert worlds.is_(decide(done), "Reconciling") is None
    assert worlds.is_(decide(done), "Ready") == "True (Serving)"


def test_a_changed_hostname_is_reconciling_until_the_gateway_accepts_it() -> None:
    edited = worlds.edited(SERVING, serving={"gateway": {"hostnames": ["new.example.com"]}})
    made = decide(edited)
    (shift,) = worlds.actions(made)
    assert worlds.is_(made, "Reconciling") == "True (Serving)"

    shifted = replace(
        worlds.with_status(edited, **dict(made.status)),
        front=replace(edited.front, inputs=shift.inputs, accepted=False),
    )
    assert worlds.is_(decide(shifted), "Reconciling") == "True (Serving)"
    accepted = replace(shifted, front=replace(shifted.front, accepted=True))
    assert worlds.is_(decide(accepted), "Reconciling") is None


def test_pods_that_restart_by_themselves_are_not_reconciling() -> None:
    unsettled = replace(SERVING, servers=(replace(SERVING.servers[0], settled=False),))

    assert worlds.is_(decide(unsettled), "Reconciling") is None
    assert worlds.is_(decide(replace(SERVING, servers=())), "Reconciling") is None
    assert worlds.is_(decide(replace(SERVING, versions=())), "Reconciling") is None


def test_every_condition_carries_the_generation_and_its_date_moves_only_with_its_status() -> None:
    world = worlds.at_rest(SERVING)
    edited = replace(
        worlds.edited(world, monitoring={"interval": "20s"}), now=worlds.NOW + timedelta(seconds=5)
    )

    made = decide(edited)

    assert {held.observed_generation for held in made.status.conditions} == {2}
    assert {held.last_transition_time for held in made.status.conditions} == {worlds.NOW}
    assert made.status.observed_generation == 2


def test_a_gateway_that_has_not_spoken_yet_takes_no_readiness_away() -> None:
    world = worlds.at_rest(SERVING)
    waiting = replace(world, front=replace(world.front, accepted=False))
    refused = replace(waiting, front=replace(waiting.front, message="listener is gone"))

    assert worlds.is_(decide(waiting), "Ready") == "True (Serving)"
    assert worlds.is_(decide(refused), "Ready") == "False (NotServing)"
    assert worlds.is_(decide(replace(SERVING, front=waiting.front)), "Ready") == "False (NotServing)", (
        "never was"
    )


def test_no_route_is_not_serving() -> None:
    made = decide(replace(SERVING, front=observed.Front(key=True)))

    assert worlds.is_(made, "Ready") == "False (NotServing)"
    assert worlds.actions(made, plan.ShiftTraffic)


# Healthy.


def test_unknown_is_healthy_for_a_while_and_never_true_for_long() -> None:
    world = worlds.at_rest(worlds.serving(spec=worlds.make_spec(monitoring={"interval": "60s"})))
    few = replace(world, ledgers={worlds.rollout(1): worlds.counted(world.deployment, 1, right=9, wrong=1)})
    made = decide(few)
    assert worlds.is_(made, "Healthy") == "True (OK)"
    held = worlds.with_status(few, **dict(made.status))
    assert decide(held).look_again_in == timedelta(minutes=3)

    after = replace(held, now=worlds.NOW + timedelta(minutes=3), poll=observed.Poll(at=worlds.NOW))
    assert worlds.is_(decide(after), "Healthy") == "Unknown (Unknown)"
    events = [event.reason for event in decide(after).actions if isinstance(event, plan.Notify)]
    assert events == ["HealthUnknown"]


def test_a_breach_that_becomes_unknown_is_not_health() -> None:
    world = worlds.serving(
        labels=worlds.BAD,
        spec=worlds.make_spec(
            monitoring={"signals": [{"name": "accuracy", "minimum": 0.85, "action": "Alert"}]}
        ),
    )
    breached = worlds.at_rest(world)
    few = replace(
        breached, ledgers={worlds.rollout(1): worlds.counted(world.deployment, 1, right=9, wrong=1)}
    )

    assert worlds.is_(decide(few), "Healthy") == "False (Breached)"


def test_silence_of_prometheus_is_unknown_at_once_and_warned_of() -> None:
    made = decide(stale(worlds.at_rest(SERVING)))

    assert worlds.is_(made, "Healthy") == "Unknown (PrometheusSilent)"
    assert [event.reason for event in made.actions if isinstance(event, plan.Notify)] == ["HealthUnknown"]


def test_the_worst_signal_is_the_condition() -> None:
    bodies = [
        {"name": "loose", "minimum": 0.5, "action": "Alert"},
        {"name": "strict", "minimum": 0.99, "action": "Alert"},
        {"name": "ignored", "minimum": 0.999, "action": "Ignore"},
    ]
    made = decide(worlds.serving(spec=worlds.make_spec(monitoring={"signals": bodies})))

    assert worlds.is_(made, "Healthy") == "False (Breached)"
    condition = worlds.condition(made, "Healthy")
    assert condition is not None
    assert condition.message == made.status.signals[1].because
    assert "0.990" in made.because


def test_a_recovery_is_told() -> None:
    spec = worlds.make_spec(
        monitoring={"signals": [{"name": "accuracy", "minimum": 0.85, "action": "Alert"}]}
    )
    breached = worlds.at_rest(worlds.serving(spec=spec, labels=worlds.BAD))
    well = replace(
        breached, ledgers={worlds.rollout(1): worlds.counted(breached.deployment, 1, **worlds.GOOD)}
    )

    assert [event.reason for event in decide(well).actions if isinstance(event, plan.Notify)] == [
        "SignalRecovered"
    ]


def test_nothing_is_news_to_a_status_that_stays() -> None:
    status = worlds.at_rest(SERVING).deployment.status

    assert announce.news(status, status) == ()


# What a person must put right.


def test_what_the_api_server_refuses_is_said_and_is_a_person_s_matter() -> None:
    made = decide(replace(SERVING, blocked="deployments.apps is forbidden"))

    assert made.because == "deployments.apps is forbidden"
    assert worlds.is_(made, "Stalled") == "True (Blocked)"
    assert worlds.is_(made, "Ready") == "False (Blocked)"


@pytest.mark.parametrize(
    ("foreign", "world"),
    [
        (
            observed.Foreign("HTTPRoute", "flights", "nobody"),
            replace(SERVING, front=observed.Front(key=True)),
        ),
        (
            observed.Foreign("Service", "flights", "Service web"),
            replace(SERVING, front=observed.Front(key=True)),
        ),
        (
            observed.Foreign("Secret", "flights-feedback", "nobody"),
            replace(SERVING, front=replace(SERVING.front, key=False)),
        ),
        (observed.Foreign("Deployment", "flights-v1", "nobody"), replace(SERVING, servers=())),
        (observed.Foreign("Service", "flights-v1", "nobody"), replace(SERVING, servers=())),
        (observed.Foreign("ModelVersion", "flights-v1", "nobody"), replace(SERVING, versions=())),
        (
            observed.Foreign("Job", "flights-retrain-11-6f1c2d3e", "nobody"),
            worlds.serving(stage=Stage.RETRAINING, retraining=worlds.running(uid=None)),
        ),
        (
            observed.Foreign("Job", "flights-resolve-11-6f1c2d3e", "nobody"),
            worlds.serving(stage=Stage.EVALUATING, resolving=worlds.resolving(uid=None)),
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, observed.Foreign) else "",
)
def test_a_name_that_somebody_else_owns_is_left_alone_and_named(
    foreign: observed.Foreign, world: observed.Observed
) -> None:
    assert worlds.actions(decide(world)), "without the namesake something would be done"

    made = decide(replace(world, foreign=(foreign,)))

    assert worlds.actions(made) == []
    assert worlds.is_(made, "Stalled") == "True (NameTaken)"
    assert made.because.startswith(
        f"{foreign.kind} {foreign.name} belongs to {foreign.owner}: it is left alone"
    )


def test_a_gateway_that_the_operator_does_not_allow_is_refused_and_nobody_is_cut_off() -> None:
    allowing = replace(worlds.SETTINGS, allowed_gateway_namespaces=("other",))
    attached = replace(worlds.at_rest(SERVING), settings=allowing)
    made = decide(attached)
    assert worlds.is_(made, "Stalled") == "True (GatewayNotAllowed)"
    assert worlds.actions(made) == []
    assert "namespace infra" in (worlds.condition(made, "Stalled") or made).message  # type: ignore[union-attr]

    overwritten = replace(attached, front=worlds.front((2, worlds.SOLO, 100)))
    assert worlds.actions(decide(overwritten), plan.ShiftTraffic), "its weights are kept right"

    fresh = replace(attached, front=observed.Front(key=True))
    assert worlds.actions(decide(fresh), plan.ShiftTraffic) == [], "and it is not attached anew"


@pytest.mark.parametrize(
    ("namespace", "allowed", "is_allowed"),
    [
        ("infra", None, True),
        ("infra", (), False),
        ("infra", ("infra",), True),
        ("ml", (), True),
        (None, (), True),
    ],
)
def test_which_gateways_a_route_may_attach_to(
    namespace: str | None, allowed: tuple[str, ...] | None, is_allowed: bool
) -> None:
    spec = worlds.make_spec(serving={"gateway": {"parentRef": {"namespace": namespace}}})
    world = replace(
        worlds.serving(spec=spec), settings=replace(worlds.SETTINGS, allowed_gateway_namespaces=allowed)
    )

    assert actions.is_allowed(world) is is_allowed


def test_a_schedule_that_never_comes_due_is_refused() -> None:
    spec = worlds.make_spec(retraining={"schedule": "0 0 1 1 *"})
    retraining = spec.retraining.model_copy(update={"schedule": "0 0 31 2 *"})
    made = decide(worlds.serving(spec=spec.model_copy(update={"retraining": retraining})))

    assert worlds.is_(made, "Stalled") == "True (InvalidSchedule)"
    assert made.finding == "model_serves"


def test_a_refusal_is_posted_once() -> None:
    refusal = Refusal(generation=1, reason="RolloutRejected", message="it was worse")
    world = worlds.serving(refusal=refusal)
    first = decide(world)
    again = decide(worlds.with_status(world, **dict(first.status)))

    events = [event for event in first.actions if isinstance(event, plan.Notify)]
    assert [(event.reason, event.message) for event in events] == [("RolloutRejected", "it was worse")]
    assert again.actions == ()


# A whole life.


def test_conditions_obey_kstatus_at_every_moment_of_a_life() -> None:
    world = modelworld.new_world(spec=worlds.make_spec(rollout={"bake": "1m"}, retraining={"cooldown": "2m"}))
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.COOLING_DOWN)
    world.edit(model={"uri": "s3://models/flights/other"}, suspend=False)
    world.until(Stage.CANARY)
    world.edit(suspend=True)
    world.until(Stage.SUSPENDED)

    serving = False
    for seen, made in world.plans:
        held = {condition.type: condition for condition in made.status.conditions}
        assert {"Ready", "Healthy", "Progressing"} <= held.keys()
        assert not {"Reconciling", "Stalled"} <= held.keys()
        assert all(
            held[kind].status is ConditionStatus.TRUE for kind in ("Reconciling", "Stalled") if kind in held
        )
        assert all(
            condition.observed_generation == seen.deployment.metadata.generation
            for condition in held.values()
        )
        if "Reconciling" in held or "Stalled" in held:
            assert held["Ready"].status is ConditionStatus.FALSE
        elif serving:
            assert held["Ready"].status is ConditionStatus.TRUE, made.because
        serving = serving or held["Ready"].status is ConditionStatus.TRUE
