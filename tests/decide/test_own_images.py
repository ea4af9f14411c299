"""Servers of users' own: no pair, no shadow, each request answered by one of the two; labels of both decide."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from decide import modelworld, worlds
from modelmend.api.spec import Inconclusive
from modelmend.api.status import PairedEvidence, Phase, SplitEvidence, Stage
from modelmend.contract import arms
from modelmend.decide import decide, inputs, invariants, plan
from modelmend.decide.upkeep import front, servers
from modelmend.evidence import counts, divided, ledger, split

WORSE = modelworld.Traffic(right=140, wrong=60)
BETTER = modelworld.Traffic(right=198, wrong=2)


def healed(candidate: modelworld.Traffic, **parts: object) -> modelworld.World:
    """The model fails, and this candidate comes."""
    world = modelworld.serving_world(spec=worlds.own_spec(**parts))
    world.behaviour["flights-v1"], world.behaviour["flights-v2"] = WORSE, candidate
    return world


def in_canary(
    candidate: counts.Tally, champion: counts.Tally, **fields: object
) -> "worlds.observed.Observed":
    """A candidate on its last step, beside these labels."""
    world = worlds.rolling(Phase.CANARY, spec=worlds.own_spec(), step=1, arm=arms.Arm.CANARY, **fields)
    state = divided.State(candidate=candidate, champion=champion, seen=champion)
    counted = replace(world.ledgers[worlds.rollout(2)], split=state)
    return replace(world, ledgers={**world.ledgers, worlds.rollout(2): counted})


def test_better_candidate_goes_from_the_gate_to_canary_and_is_promoted() -> None:
    world = healed(BETTER)
    world.until(Stage.COOLING_DOWN)
    assert world.status.stable is not None
    assert world.status.stable.version == "flights-v2"
    assert Stage.SHADOW not in world.stages
    passed = [Stage.RETRAINING, Stage.EVALUATING, Stage.CANARY, Stage.PROMOTING, Stage.COOLING_DOWN]
    assert [stage for stage in world.stages if stage in passed][-5:] == passed
    told = world.versions["flights-v2"].status.evidence
    assert told is not None
    assert told.split is not None
    assert told.split.candidate_labels >= 300
    assert told.verdict == "NotWorse"


def test_its_pods_hold_one_model_and_no_port_answers_for_another() -> None:
    world = healed(BETTER)
    seen: set[arms.Arm] = set()
    world.on_plan = lambda world, made: seen.update(
        backend.arm for action in worlds.actions(made, plan.ShiftTraffic) for backend in action.backends
    )
    world.until(Stage.COOLING_DOWN)
    assert seen == {arms.Arm.SOLO, arms.Arm.CANARY}
    assert all(pods.action.champion is None for pods in world.pods.values())


def test_candidate_that_is_worse_is_rolled_back_by_labels_alone() -> None:
    world = modelworld.serving_world(spec=worlds.own_spec())
    world.behaviour["flights-v2"] = WORSE
    world.annotate(retrain="now")
    world.until(Stage.ROLLING_BACK)
    assert "the candidate is worse than the champion: wrong 0.3" in (world.status.because or "")
    world.until(Stage.COOLING_DOWN)
    assert world.status.stable is not None
    assert world.status.stable.version == "flights-v1"
    assert worlds.digest(2) in world.status.rejected


def test_deadline_says_which_labels_are_missing_and_does_what_spec_says() -> None:
    world = modelworld.serving_world(spec=worlds.own_spec(rollout={"analysis": {"deadline": "2h"}}))
    world.behaviour["flights-v2"] = modelworld.Traffic(right=0, wrong=0)
    world.annotate(retrain="now")
    world.until(Stage.ROLLING_BACK)
    assert "the candidate was wrong 0 times in 0 labels" in (world.status.because or "")
    assert "where at least 300 labels of each are needed" in (world.status.because or "")

    analysis = {"deadline": "2h", "onInconclusive": Inconclusive.PROMOTE.value}
    world = modelworld.serving_world(spec=worlds.own_spec(rollout={"analysis": analysis}))
    world.behaviour["flights-v2"] = modelworld.Traffic(right=0, wrong=0)
    world.annotate(retrain="now")
    said: list[str] = []
    world.on_plan = lambda world, made: said.append(made.because)
    world.until(Stage.PROMOTING)
    assert any(
        "where at least 300 labels of each are needed; analysis.onInconclusive is Promote" in each
        for each in said
    )


def test_last_step_waits_for_proof_and_not_only_for_labels() -> None:
    undecided = in_canary(counts.Tally(400, 40), counts.Tally(400, 40))
    made = decide(undecided)
    assert made.status.stage is Stage.CANARY
    assert "300 of 300 new labels of its own" in made.because
    assert "where about" in made.because
    assert "labels in all are needed" in made.because

    proven = in_canary(counts.Tally(4000, 40), counts.Tally(4000, 400))
    made = decide(proven)
    assert made.status.stage is Stage.PROMOTING
    assert invariants.broken(proven, made) == ()


def test_promotion_without_proof_breaks_an_invariant() -> None:
    undecided = in_canary(counts.Tally(400, 40), counts.Tally(400, 40))
    wished = decide(in_canary(counts.Tally(4000, 40), counts.Tally(4000, 400)))
    assert "a candidate advances without evidence" in invariants.broken(undecided, wished)


def test_figures_in_the_status_move_only_when_they_say_something_else() -> None:
    world = in_canary(counts.Tally(400, 40), counts.Tally(4000, 400))
    first = decide(world).status
    assert first.candidate is not None
    assert first.candidate.evidence == PairedEvidence(
        split=SplitEvidence(
            candidate_labels=400, candidate_wrong=40, champion_labels=4000, champion_wrong=400,
            expected_labels=first.candidate.evidence.split and first.candidate.evidence.split.expected_labels,
        )
    )  # fmt: skip
    moved = in_canary(counts.Tally(410, 41), counts.Tally(4100, 410), evidence=first.candidate.evidence)
    later = decide(moved).status
    assert later.candidate is not None
    assert later.candidate.evidence == first.candidate.evidence
    far = in_canary(counts.Tally(800, 80), counts.Tally(8000, 800), evidence=first.candidate.evidence)
    latest = decide(far).status
    assert latest.candidate is not None
    assert latest.candidate.evidence.split is not None
    assert latest.candidate.evidence.split.candidate_labels == 800


def test_champion_without_pods_is_not_covered_by_a_candidate_that_lacks_its_model() -> None:
    world = worlds.rolling(Phase.CANARY, spec=worlds.own_spec(), champion_ready=0)
    assert front.wanted(world.deployment.status, world) is None
    builtin = worlds.rolling(Phase.CANARY, champion_ready=0)
    assert front.wanted(builtin.deployment.status, builtin) is not None


def test_bake_loads_nothing_beside() -> None:
    world = worlds.rolling(Phase.BAKING, spec=worlds.own_spec())
    assert all(each.champion is None for each in servers.wanted(world.deployment.status, world).serving)


def test_changed_template_is_another_pod_and_another_path_another_route() -> None:
    one, version = worlds.deployment(worlds.own_spec()), worlds.version(1)
    image = worlds.deployment(
        worlds.own_spec(serving={"template": {"image": "registry.example/team/server:2"}})
    )
    path = worlds.deployment(worlds.own_spec(serving={"template": {"path": "/predict"}}))
    assert inputs.of_server(one, version) != inputs.of_server(image, version)
    assert inputs.of_front(one) == inputs.of_front(image) != inputs.of_front(path)


def test_url_is_the_path_that_the_template_names() -> None:
    world = worlds.serving(spec=worlds.own_spec(serving={"template": {"path": "/predict"}}))
    assert decide(world).status.url == "http://flights.example.com/predict"


def test_guard_of_latency_says_the_limit_that_spec_gives() -> None:
    metrics = {**worlds.OWN["monitoring"]["metrics"], "latency": "http_request_seconds"}
    spec = worlds.own_spec(monitoring={"metrics": metrics}, rollout={"guards": {"p99Latency": "200ms"}})
    world = worlds.rolling(Phase.CANARY, spec=spec)
    asked = worlds.terms.of_guards(world.deployment)[ledger.SLOW]
    assert asked.name == "share of requests over p99Latency 200 ms"


def test_version_outlives_its_evidence_in_json() -> None:
    state = divided.State(split.State((0.5, 0.0, 0.0, 0.0, 0.0)), counts.Tally(3, 1), counts.Tally(9, 2))
    kept = ledger.Ledger("r", 0.0, split=state)
    assert ledger.Ledger.from_json(json.loads(json.dumps(kept.to_json()))) == kept


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.PROMOTING])
def test_time_alone_never_promotes(phase: Phase) -> None:
    world = worlds.rolling(phase, spec=worlds.own_spec(), step=1, ready=0)
    later = replace(world, now=world.now + timedelta(minutes=1))
    made = decide(later)
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v1"
