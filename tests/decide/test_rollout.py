"""Shadow, canary, approval, promotion, bake: what lets a candidate advance, and what holds it."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Handled, Phase, Stage, Trigger
from modelmend.contract.manifest import LabelDelay
from modelmend.decide import decide, judge, observed, plan, sentences
from modelmend.evidence import ledger

NOT_WORSE, WORSE, EARLY = (40, 90, 1870), (90, 10, 900), (3, 5, 92)
ENOUGH = (50, 60, 1890)
MANUAL = worlds.make_spec(rollout={"approval": "Manual"})
PROMOTE = worlds.make_spec(rollout={"analysis": {"onInconclusive": "Promote"}})

ACTIVE = (Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING, Phase.BAKING)


def silent(world: observed.Observed) -> observed.Observed:
    """Prometheus has not answered for an hour."""
    return replace(world, poll=observed.Poll(at=worlds.NOW - timedelta(hours=1), problem="timeout"))


def unaccepted(world: observed.Observed, message: str | None = "no such listener") -> observed.Observed:
    """The Gateway does not accept the route."""
    return replace(world, front=replace(world.front, accepted=False, message=message, settled_since=None))


# What sends a candidate back, in every phase.


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_candidate_that_is_worse_is_rolled_back(phase: Phase) -> None:
    made = decide(worlds.rolling(phase, pairs=WORSE))

    assert (made.finding, made.status.stage) == ("candidate_is_worse", Stage.ROLLING_BACK)
    assert made.status.candidate is not None
    assert made.status.candidate.reason == "Worse"
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v1"
    (shift,) = worlds.actions(made, plan.ShiftTraffic)
    assert shift.backends == (observed.Backend("flights-v1", worlds.SOLO, 100),)
    assert shift.service == "flights-v1"
    assert "right alone 10 times against 90 in 1,000 pairs" in made.because


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_candidate_is_rolled_back_even_while_prometheus_is_silent_when_it_was_proven_worse(
    phase: Phase,
) -> None:
    assert decide(silent(worlds.rolling(phase, pairs=WORSE))).finding == "candidate_is_worse"


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_candidate_that_breaks_a_guard_is_rolled_back(phase: Phase) -> None:
    made = decide(worlds.rolling(phase, answered=500, failed=500))

    assert made.finding == "candidate_breaks_a_guard"
    assert made.status.candidate is not None
    assert made.status.candidate.reason == "GuardBreached"
    assert "error rate 0.500" in made.because


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_candidate_whose_pods_had_their_time_is_rolled_back(phase: Phase) -> None:
    world = worlds.rolling(phase, ready=0, unready_since=worlds.NOW - timedelta(minutes=3))
    server = replace(world.servers[1], trouble="container server: CrashLoopBackOff")

    made = decide(replace(world, servers=(world.servers[0], server)))

    assert made.finding == "candidate_is_not_ready"
    assert "pods of flights-v2 ready; container server: CrashLoopBackOff within 180 s" in made.because


def test_the_patience_with_pods_begins_when_they_are_first_seen_unready() -> None:
    first = decide(worlds.rolling(Phase.CANARY, ready=0))
    assert first.finding == "candidate_is_tried"
    assert first.status.candidate is not None
    assert first.status.candidate.unready_since == worlds.NOW

    again = decide(worlds.rolling(Phase.CANARY, unready_since=worlds.NOW - timedelta(minutes=9)))
    assert again.status.candidate is not None
    assert again.status.candidate.unready_since is None, "ready pods are forgiven"


def test_a_candidate_is_not_blamed_for_a_cluster_that_is_short_of_room_for_both() -> None:
    since = worlds.NOW - timedelta(minutes=9)
    spec = worlds.make_spec(serving={"replicas": 8})
    short = worlds.rolling(Phase.PROMOTING, spec=spec, step=1, ready=3, champion_ready=5, unready_since=since)
    alone = worlds.rolling(Phase.PROMOTING, spec=spec, step=1, ready=3, unready_since=since)
    broken = worlds.rolling(
        Phase.PROMOTING, spec=spec, step=1, ready=0, champion_ready=5, unready_since=since
    )

    assert decide(short).finding == "candidate_is_tried"
    assert decide(alone).finding == "candidate_is_not_ready"
    assert decide(broken).finding == "candidate_is_not_ready"


def test_the_end_of_the_patience_is_looked_at_in_time() -> None:
    world = worlds.at_rest(worlds.rolling(Phase.SHADOW, ready=0))
    stays = replace(world, front=worlds.front((1, worlds.SOLO, 100)))

    assert decide(worlds.at_rest(stays)).look_again_in == timedelta(minutes=3)


# Shadow.


def test_a_candidate_that_is_not_worse_goes_to_canary() -> None:
    made = decide(worlds.rolling(Phase.SHADOW, pairs=NOT_WORSE))

    assert (made.finding, made.status.stage) == ("candidate_is_not_worse", Stage.CANARY)
    candidate = made.status.candidate
    assert candidate is not None
    assert (candidate.phase, candidate.step, candidate.pairs_at_step) == (Phase.CANARY, 0, 2000)
    assert candidate.since == worlds.NOW
    assert candidate.started == worlds.NOW - timedelta(minutes=20)
    (shift,) = worlds.actions(made, plan.ShiftTraffic)
    assert shift.backends == (
        observed.Backend("flights-v1", worlds.SOLO, 90),
        observed.Backend("flights-v2", worlds.CANARY, 10),
    )
    assert candidate.weight == 10, "as ordered in this very plan"


def holds() -> dict[str, tuple[observed.Observed, str]]:
    """Worlds in which the evidence would do, and something else holds the candidate."""
    base = worlds.rolling(Phase.SHADOW, pairs=NOT_WORSE)
    champion, tried = base.servers
    outage = worlds.counted(
        base.deployment, 2, pairs=NOT_WORSE, answered=500, failed=500, beside=500, beside_failed=500
    )
    return {
        "Prometheus is silent": (silent(base), "Prometheus has not answered since 2026-03-01T11:00:00Z"),
        "the Gateway refuses": (unaccepted(base), "the Gateway does not accept the route: no such listener"),
        "the Gateway is slow": (unaccepted(base, None), "the Gateway has not accepted the new weights yet"),
        "pods are missing": (replace(base, servers=(champion, replace(tried, ready=0))), "0 of 1 pods"),
        "pods are of another template": (
            replace(base, servers=(champion, replace(tried, settled=False))),
            "1 of 1",
        ),
        "the champion is down": (
            replace(base, servers=(replace(champion, ready=0, trouble="evicted"), tried)),
            "flights-v1 has no ready pod; evicted",
        ),
        "no request came": (
            worlds.rolling(Phase.SHADOW, pairs=NOT_WORSE, answered=0),
            "error rate unknown: the candidate has had no request since",
        ),
        "errors that may be a common outage": (
            replace(
                base,
                ledgers=base.ledgers | {worlds.rollout(2): outage},
            ),
            "error rate is above its limit, but not proven worse than the champion's",
        ),
    }


@pytest.mark.parametrize("what", holds())
def test_what_holds_a_candidate_is_said(what: str) -> None:
    world, sentence = holds()[what]

    made = decide(worlds.at_rest(world))

    assert made.status.stage is Stage.SHADOW
    assert made.finding == "candidate_is_tried"
    assert sentence in made.because


def test_progress_is_said_in_pairs_and_in_how_many_are_expected() -> None:
    world = worlds.at_rest(worlds.rolling(Phase.SHADOW, pairs=EARLY))

    because = decide(world).because
    assert because.startswith(
        "flights-v2 is scored beside flights-v1 on 20 % of requests: the candidate was right alone 5 times"
    )
    assert "against 3 in 100 of about " in because


# Canary.


def test_a_step_is_passed_with_enough_new_pairs() -> None:
    made = decide(worlds.rolling(Phase.CANARY, pairs=ENOUGH, pairs_at_step=1700))

    assert (made.finding, made.status.stage) == ("step_is_passed", Stage.CANARY)
    candidate = made.status.candidate
    assert candidate is not None
    assert (candidate.step, candidate.pairs_at_step) == (1, 2000)
    assert "goes to 50 %" in made.because
    (shift,) = worlds.actions(made)
    assert shift.backends[1].weight == 50, "the one pod that it has is its share of two"
    assert [event.reason for event in made.actions if isinstance(event, plan.Notify)] == ["CanaryStep"]


def test_a_step_without_enough_new_pairs_goes_on() -> None:
    made = decide(worlds.at_rest(worlds.rolling(Phase.CANARY, pairs=ENOUGH, pairs_at_step=1750)))

    assert made.finding == "candidate_is_tried"
    assert "flights-v2 answers 10 % of requests, step 1 of 2 with 240 of 300 new pairs" in made.because


def test_pods_come_before_the_weight_of_a_step() -> None:
    spec = worlds.make_spec(serving={"replicas": 10})
    world = worlds.rolling(Phase.CANARY, spec=spec, step=1)
    small = replace(world.servers[1], replicas=1, ready=1)
    before = replace(
        world,
        servers=(world.servers[0], small),
        front=worlds.front((1, worlds.SOLO, 90), (2, worlds.CANARY, 10)),
    )

    made = decide(before)
    grown = replace(before, servers=(world.servers[0], replace(small, replicas=5, ready=5)))

    (pods,) = worlds.actions(made)
    assert (pods.version, pods.replicas) == ("flights-v2", 5)
    (shift,) = worlds.actions(decide(grown))
    assert shift.backends[1].weight == 50


def test_the_last_step_leads_to_promotion() -> None:
    made = decide(worlds.rolling(Phase.CANARY, pairs=ENOUGH, pairs_at_step=1700, step=1))

    assert made.status.stage is Stage.PROMOTING
    (pods,) = worlds.actions(made)
    assert (pods.version, pods.replicas) == ("flights-v2", 2)
    assert "flights-v2 takes over: it has passed every step" in made.because


def test_steps_that_a_person_took_away_do_not_count() -> None:
    spec = worlds.make_spec(rollout={"steps": [{"weight": 30}]})

    made = decide(worlds.rolling(Phase.CANARY, spec=spec, pairs=ENOUGH, pairs_at_step=1700, step=4))

    assert made.status.stage is Stage.PROMOTING


def test_the_last_step_asks_a_person_where_spec_says_so() -> None:
    made = decide(worlds.rolling(Phase.CANARY, spec=MANUAL, pairs=ENOUGH, pairs_at_step=1700, step=1))

    assert made.status.stage is Stage.AWAITING_APPROVAL
    assert f"approve with the annotation modelmend.dev/approve={worlds.digest(2)}" in made.because
    assert worlds.is_(made, "Progressing") == "False (AwaitingApproval)"


def test_an_approved_promotion_goes_on() -> None:
    approved = {"modelmend.dev/approve": worlds.digest(2)}

    made = decide(worlds.rolling(Phase.AWAITING_APPROVAL, spec=MANUAL, annotations=approved, step=1))

    assert (made.finding, made.status.stage) == ("promotion_is_approved", Stage.PROMOTING)
    assert made.status.handled.approve == worlds.digest(2)


@pytest.mark.parametrize("token", ["retrain-4", worlds.digest(3)])
def test_another_token_promotes_nothing(token: str) -> None:
    world = worlds.rolling(
        Phase.AWAITING_APPROVAL, spec=MANUAL, annotations={"modelmend.dev/approve": token}, step=1
    )

    assert decide(world).finding == "candidate_is_tried"


def test_an_approval_that_was_used_promotes_nothing() -> None:
    world = worlds.rolling(
        Phase.AWAITING_APPROVAL,
        spec=MANUAL,
        annotations={"modelmend.dev/approve": worlds.digest(2)},
        step=1,
        status_fields={"handled": Handled(approve=worlds.digest(2))},
    )

    assert decide(world).finding == "candidate_is_tried"


def test_who_waits_for_a_person_is_not_hurried_by_the_deadline() -> None:
    world = worlds.rolling(
        Phase.AWAITING_APPROVAL, spec=MANUAL, step=1, started=worlds.NOW - timedelta(days=3)
    )

    assert decide(world).finding == "candidate_is_tried"


# The deadline.


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY])
def test_the_deadline_rolls_back_by_default(phase: Phase) -> None:
    world = worlds.rolling(phase, pairs=EARLY, started=worlds.NOW - timedelta(hours=24))

    made = decide(world)

    assert (made.finding, made.status.stage) == ("time_is_up", Stage.ROLLING_BACK)
    assert made.status.candidate is not None
    assert made.status.candidate.reason == "Deadline"


LACKING = {
    Phase.SHADOW: "undecided after 100 of about {} pairs: the candidate was right alone 5 times against 3 in 100 pairs",
    Phase.CANARY: (
        "step 1 of 2 had 100 of 300 new pairs, the candidate was right alone 5 times against 3 in 100 of about {} pairs"
    ),
}


@pytest.mark.parametrize("end", ["Rollback", "Promote"])
@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY])
def test_the_deadline_names_the_numbers_that_were_missing_and_what_spec_says_of_it(
    phase: Phase, end: str
) -> None:
    spec = worlds.make_spec(rollout={"analysis": {"onInconclusive": end}})
    made = decide(worlds.rolling(phase, spec=spec, pairs=EARLY, started=worlds.NOW - timedelta(hours=24)))

    comparison = judge.judge(worlds.rolling(phase, spec=spec, pairs=EARLY)).comparison
    assert comparison.expected is not None
    assert comparison.expected > 100
    about = re.escape(f"{sentences.count(comparison.expected):,}")
    lacking = re.escape(LACKING[phase]).replace(re.escape("{}"), about)
    said = rf"no decision by the deadline 2026-03-01T12:00:00Z: {lacking}; analysis.onInconclusive is {end}"
    assert re.search(said, made.because), made.because


def test_the_deadline_says_what_stood_in_the_way_of_pairs() -> None:
    late = {"started": worlds.NOW - timedelta(hours=24)}
    none = decide(worlds.rolling(Phase.SHADOW, **late))
    assert (
        "no pair of candidate and champion has a label yet; analysis.onInconclusive is Rollback"
        in none.because
    )

    blind = silent(worlds.rolling(Phase.CANARY, pairs=EARLY, **late))
    assert "Prometheus has not answered since 2026-03-01T11:00:00Z; analysis.onInc" in decide(blind).because

    unready = decide(worlds.rolling(Phase.SHADOW, pairs=NOT_WORSE, ready=0, **late))
    assert unready.finding == "time_is_up"
    assert "the candidate is not worse than the champion" in unready.because
    assert "; 0 of 1 pods of flights-v2 ready; analysis.onInconclusive" in unready.because


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY])
def test_the_deadline_promotes_where_spec_says_so(phase: Phase) -> None:
    world = worlds.rolling(phase, spec=PROMOTE, pairs=EARLY, started=worlds.NOW - timedelta(hours=24))

    assert decide(world).status.stage is Stage.PROMOTING
    manual = worlds.edited(world, rollout={"approval": "Manual"})
    assert decide(manual).status.stage is Stage.AWAITING_APPROVAL


def test_the_deadline_promotes_nothing_that_is_not_ready_or_not_reached() -> None:
    world = worlds.rolling(Phase.SHADOW, spec=PROMOTE, ready=0, started=worlds.NOW - timedelta(hours=24))
    unreached = unaccepted(
        worlds.rolling(Phase.CANARY, spec=PROMOTE, started=worlds.NOW - timedelta(hours=24))
    )

    assert decide(world).finding == "candidate_is_tried"
    assert decide(unreached).finding == "candidate_is_tried"


def test_the_deadline_begins_with_the_first_expected_label() -> None:
    delay = LabelDelay(p50=600, p90=7200, p99=9000)
    world = worlds.rolling(Phase.SHADOW, pairs=EARLY, started=worlds.NOW - timedelta(hours=25))
    slow = replace(world, versions=(worlds.version(1, label_delay=delay), worlds.version(2)))

    assert decide(world).finding == "time_is_up"
    assert decide(slow).finding == "candidate_is_tried"
    rested = worlds.at_rest(replace(slow, poll=observed.Poll(at=worlds.NOW)))
    assert decide(
        replace(rested, settings=replace(rested.settings, stale_after=timedelta(days=9)))
    ).look_again_in in (
        timedelta(hours=1),
        timedelta(seconds=0),
    )


# Promotion and bake.


def test_a_candidate_with_all_its_pods_takes_all_traffic_on_the_arm_that_still_compares() -> None:
    world = worlds.rolling(Phase.PROMOTING, step=1)

    made = decide(world)

    assert made.finding == "promotion_is_ready"
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v2"
    assert made.status.stable.evidence_since == worlds.NOW
    assert made.status.candidate is not None
    assert made.status.candidate.phase is Phase.BAKING
    (shift, *told) = worlds.actions(made)
    assert shift.backends == (observed.Backend("flights-v2", worlds.CANARY, 100),)
    assert shift.service == "flights-v2"
    assert {(story.name, story.state) for story in told} == {
        ("flights-v1", "Standby"),
        ("flights-v2", "Champion"),
    }
    assert "Promoted" in [event.reason for event in made.actions if isinstance(event, plan.Notify)]


@pytest.mark.parametrize("ready", [0, 1])
def test_a_promotion_waits_for_all_its_pods_and_for_the_gateway(ready: int) -> None:
    waiting = worlds.at_rest(worlds.rolling(Phase.PROMOTING, step=1, ready=ready))
    assert decide(waiting).finding == "candidate_is_tried"
    assert f"{ready} of 2 pods of flights-v2 ready" in decide(waiting).because

    unreached = unaccepted(worlds.rolling(Phase.PROMOTING, step=1))
    assert decide(unreached).finding == "candidate_is_tried"


def test_the_old_champion_stays_in_full_through_the_bake() -> None:
    world = worlds.rolling(Phase.BAKING)

    made = decide(replace(world, now=worlds.NOW - timedelta(minutes=1)))

    assert worlds.actions(made) == []
    assert "flights-v1 stands by until 2026-03-01T12:00:00Z" in made.because
    gone = decide(replace(world, now=worlds.NOW - timedelta(minutes=1), servers=world.servers[1:]))
    assert [(action.version, action.replicas) for action in worlds.actions(gone)] == [("flights-v1", 2)]


def test_the_end_of_a_bake_makes_the_promoted_version_serve_alone() -> None:
    made = decide(worlds.rolling(Phase.BAKING, pairs=EARLY))

    assert (made.finding, made.status.stage) == ("bake_is_over", Stage.COOLING_DOWN)
    assert made.status.candidate is None
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v2"
    assert made.status.retraining.failures == 0
    assert made.status.retraining.cooldown_until == worlds.NOW + timedelta(hours=6)
    (shift, told) = worlds.actions(made)
    assert shift.backends == (observed.Backend("flights-v2", worlds.SOLO, 100),)
    assert (told.name, told.state) == ("flights-v1", "Retired")
    assert made.because.startswith("flights-v2 replaced flights-v1: the candidate was right alone 5 times")


def test_a_success_forgives_the_failures_before_it() -> None:
    base = worlds.rolling(Phase.BAKING)
    failed = base.deployment.status.retraining.model_copy(update={"failures": 4})

    assert decide(worlds.with_status(base, retraining=failed)).status.retraining.failures == 0


@pytest.mark.parametrize(
    "world",
    [
        silent(worlds.rolling(Phase.BAKING)),
        unaccepted(worlds.rolling(Phase.BAKING)),
        replace(
            worlds.rolling(Phase.BAKING), front=worlds.front((1, worlds.SOLO, 50), (2, worlds.CANARY, 50))
        ),
        worlds.rolling(Phase.BAKING, ready=1),
    ],
    ids=["Prometheus is silent", "the Gateway refuses", "the route is overwritten", "a pod is missing"],
)
def test_a_bake_lasts_while_nothing_is_known(world: observed.Observed) -> None:
    made = decide(world)

    assert made.finding == "candidate_is_tried"
    assert made.status.stage is Stage.PROMOTING


def test_a_bake_without_a_way_back_ends() -> None:
    world = worlds.rolling(Phase.BAKING, since=worlds.NOW)

    made = decide(replace(world, versions=world.versions[1:]))

    assert made.finding == "champion_is_lost"
    assert made.status.candidate is None
    assert "flights-v1 was deleted" in made.because


def test_a_promoted_version_is_no_longer_rejected() -> None:
    world = worlds.rolling(
        Phase.PROMOTING,
        step=1,
        trigger=Trigger.SPEC,
        status_fields={"rejected": (worlds.digest(2), worlds.digest(9))},
    )

    assert decide(world).status.rejected == (worlds.digest(9),)


def test_the_end_of_a_bake_is_looked_at_in_time() -> None:
    world = worlds.at_rest(worlds.rolling(Phase.BAKING, since=worlds.NOW - timedelta(minutes=7)))

    assert decide(world).look_again_in == timedelta(minutes=3)


def test_pairs_of_another_life_do_not_count() -> None:
    world = worlds.rolling(Phase.SHADOW)
    other = ledger.Ledger("another", 0.0)

    assert decide(replace(world, ledgers={"another": other})).finding == "candidate_is_tried"


def test_pods_keep_the_spec_they_were_made_from_until_the_rollout_ends() -> None:
    world = worlds.edited(
        worlds.at_rest(worlds.rolling(Phase.CANARY)), serving={"resources": {"memory": "2Gi"}}
    )

    made = decide(world)

    assert worlds.actions(made) == []
    assert worlds.is_(made, "Reconciling") == "True (Canary)"
    after = decide(replace(worlds.with_status(world, candidate=None, stage=Stage.COOLING_DOWN)))
    assert [action.version for action in worlds.actions(after, plan.EnsureServing)] == []
    assert worlds.actions(after, plan.ShiftTraffic)


def test_a_champion_without_a_ready_pod_takes_a_changed_spec_in_the_middle_of_a_rollout() -> None:
    world = worlds.edited(
        worlds.rolling(Phase.CANARY, champion_ready=0), serving={"resources": {"memory": "2Gi"}}
    )
    covered = replace(world, front=worlds.front((2, worlds.SHADOW, 100), service=worlds.name(1)))

    (first, second) = worlds.actions(decide(covered))

    assert (first.version, first.inputs != covered.servers[0].inputs) == ("flights-v1", True)
    assert second.version == "flights-v2"


def test_a_scaling_applies_at_once_to_both() -> None:
    spec = worlds.make_spec(serving={"replicas": 2})
    world = worlds.edited(worlds.rolling(Phase.CANARY, spec=spec, step=1), serving={"replicas": 8})

    made = decide(world)

    assert [(action.version, action.replicas) for action in worlds.actions(made)] == [
        ("flights-v1", 8),
        ("flights-v2", 4),
    ]
    assert worlds.is_(made, "Ready") == "True (Canary)"
