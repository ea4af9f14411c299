"""Evaluating: the candidate against the champion on a holdout, before any traffic."""

from dataclasses import replace

import pytest

from decide import worlds
from modelmend.api.status import Phase, Stage, Trigger
from modelmend.contract.result import Evaluation, SliceCounts
from modelmend.decide import decide, observed, plan
from modelmend.decide.observed import JobKind

WIN, TIE, LOSS = Evaluation(a=10, b=60, c=930), Evaluation(a=30, b=30, c=940), Evaluation(a=60, b=10, c=930)
EQUAL = Evaluation(a=40, b=40, c=20_000)


def evaluating(
    evaluation: Evaluation | None,
    trigger: Trigger = Trigger.BREACH,
    *,
    state: str = "Candidate",
    **fields: object,
) -> observed.Observed:
    """Version 2 is recorded with these counts."""
    spec = fields.pop("spec", None)
    status_fields = fields.pop("status_fields", None)
    world = worlds.rolling(
        Phase.EVALUATING, trigger=trigger, spec=spec, status_fields=status_fields, **fields
    )
    candidate = worlds.version(
        2,
        trigger=trigger,
        evaluation=evaluation,
        state=state,
        digest=world.deployment.status.candidate.digest,
    )
    return replace(world, versions=(world.versions[0], candidate))


@pytest.mark.parametrize(
    ("trigger", "evaluation", "passes"),
    [
        (Trigger.BREACH, WIN, True),
        (Trigger.BREACH, TIE, False),
        (Trigger.BREACH, LOSS, False),
        (Trigger.SCHEDULE, TIE, False),
        (Trigger.BREACH, None, False),
        (Trigger.SPEC, WIN, True),
        (Trigger.SPEC, TIE, True),
        (Trigger.SPEC, None, True),
        (Trigger.SPEC, LOSS, False),
    ],
)
def test_a_retrained_candidate_must_be_better_and_a_persons_only_not_proven_worse(
    trigger: Trigger, evaluation: Evaluation | None, passes: bool
) -> None:
    made = decide(evaluating(evaluation, trigger))

    assert made.finding == ("candidate_passes_the_gate" if passes else "candidate_fails_the_gate")
    assert made.status.candidate is not None
    assert made.status.candidate.phase is (Phase.SHADOW if passes else Phase.EVALUATING)


def test_not_worse_passes_a_candidate_that_is_as_good() -> None:
    spec = worlds.make_spec(evaluation={"require": "NotWorse", "margin": 0.01})

    assert decide(evaluating(EQUAL, spec=spec)).finding == "candidate_passes_the_gate"
    assert decide(evaluating(EQUAL)).finding == "candidate_fails_the_gate"


def test_a_candidate_that_passes_goes_to_shadow_and_gets_pods_that_load_both() -> None:
    made = decide(evaluating(WIN))

    assert made.status.stage is Stage.SHADOW
    (pods,) = worlds.actions(made, plan.EnsureServing)
    assert (pods.version, pods.replicas) == ("flights-v2", 1)
    assert pods.champion == plan.Champion("flights-v1", worlds.rollout(1), worlds.URI, worlds.digest(1))
    candidate = made.status.candidate
    assert candidate is not None
    assert (candidate.started, candidate.champion, candidate.weight) == (worlds.NOW, "flights-v1", 0)
    assert "the candidate is better than the champion: right alone 60 against 10" in made.because


def test_a_rejected_candidate_is_described_before_it_is_forgotten() -> None:
    made = decide(evaluating(TIE))
    (told,) = worlds.actions(made)
    assert (told.name, told.state) == ("flights-v2", "Rejected")
    assert "not proven better" in told.because
    events = [action.reason for action in made.actions if isinstance(action, plan.Notify)]
    assert events == ["Rejected"]

    untold = worlds.with_status(evaluating(TIE), **dict(made.status))
    assert decide(untold).finding == "candidate_was_rejected"
    assert decide(untold).status.candidate is not None

    then = decide(worlds.with_status(evaluating(TIE, state="Rejected"), **dict(made.status)))
    assert then.status.candidate is None
    assert then.status.stage is Stage.COOLING_DOWN
    assert then.status.rejected == (worlds.digest(2),)
    assert then.status.retraining.cooldown_because == then.because


@pytest.mark.parametrize(
    ("trigger", "attempts"), [(Trigger.BREACH, 1), (Trigger.SCHEDULE, 0), (Trigger.REQUEST, 0)]
)
def test_a_rejection_spends_budget_only_after_a_breach(trigger: Trigger, attempts: int) -> None:
    rejected = worlds.with_status(
        evaluating(TIE, trigger, state="Rejected"),
        **dict(decide(evaluating(TIE, trigger)).status),
    )

    made = decide(rejected)

    assert len(made.status.retraining.attempts) == attempts
    assert made.status.refusal is None
    assert made.status.stable is not None
    assert made.status.stable.evidence_since == worlds.NOW, "the breach is to be proven anew"


def test_a_persons_artifact_that_is_rejected_is_refused_and_healing_goes_on() -> None:
    world = evaluating(LOSS, Trigger.SPEC, state="Rejected")
    world = worlds.with_status(world, **dict(decide(world).status))

    made = decide(world)
    then = decide(worlds.at_rest(worlds.with_status(world, **dict(made.status))))

    assert made.status.refusal is not None
    assert made.status.refusal.message == (
        "flights-v2 rejected: the candidate is worse than the champion: right alone 10 against 60 times on the "
        "holdout of 1,000 (alpha 0.05); flights-v1 serves on"
    )
    assert worlds.is_(then, "Stalled") == "True (RolloutRejected)"
    assert worlds.is_(then, "Ready") == "False (RolloutRejected)"
    assert then.finding == "model_cools_down"
    assert then.status.stable is not None
    assert then.status.stable.evidence_since is None, "a person's failure does not slow the healing"


def test_a_rejected_artifact_never_returns_by_itself() -> None:
    made = decide(evaluating(WIN, status_fields={"rejected": (worlds.digest(2),)}))

    assert made.finding == "candidate_fails_the_gate"
    assert "rejected before" in made.because


def test_a_person_may_try_a_rejected_artifact_again() -> None:
    made = decide(evaluating(WIN, Trigger.SPEC, status_fields={"rejected": (worlds.digest(2),)}))

    assert made.finding == "candidate_passes_the_gate"


def test_a_retraining_that_makes_what_serves_has_made_nothing() -> None:
    world = evaluating(WIN, digest=worlds.digest(1))
    made = decide(world)
    assert "the very artifact that serves" in made.because

    told = replace(
        world, versions=(world.versions[0], worlds.version(2, digest=worlds.digest(1), state="Rejected"))
    )
    then = decide(worlds.with_status(told, **dict(made.status)))

    assert then.finding == "candidate_was_rejected"
    assert then.status.rejected == (), "what serves is not remembered as rejected"


def test_a_result_that_is_lost_before_it_is_recorded_ends_the_candidate() -> None:
    world = evaluating(WIN, status_fields={"retraining": worlds.running(), "stage": Stage.EVALUATING})
    lost = replace(world, versions=world.versions[:1])

    made = decide(lost)

    assert made.finding == "candidate_is_not_recorded"
    assert made.status.candidate is None
    assert made.status.retraining.running is None
    assert made.status.retraining.attempts == ()


def test_a_recorded_result_is_no_longer_waited_for() -> None:
    world = evaluating(WIN, status_fields={"retraining": worlds.running(), "stage": Stage.EVALUATING})
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11, worlds.succeeded(2)),))

    made = decide(world)

    assert made.status.retraining.running is None
    assert [action.name for action in worlds.actions(made, plan.RemoveJob)] == ["flights-retrain-11-6f1c2d3e"]


HAWAIIAN = {"column": "carrier", "value": "HA", "margin": 0.02}


def sliced(counts: tuple[int, int, int] | None) -> Evaluation:
    """Better on the whole; these counts on the slice, or a Job that was not asked for it."""
    parts = (
        () if counts is None else (SliceCounts(name="carrier = HA", a=counts[0], b=counts[1], c=counts[2]),)
    )
    return WIN.model_copy(update={"slices": parts})


@pytest.mark.parametrize(
    ("counts", "trigger", "on_inconclusive", "passes", "said"),
    [
        ((60, 9, 231), Trigger.BREACH, "Accept", False, "worse on carrier = HA by more than 0.02: right alone 9 against 60"),
        ((60, 9, 231), Trigger.SPEC, "Accept", False, "worse on carrier = HA by more than 0.02"),
        ((0, 30, 970), Trigger.BREACH, "Reject", True, "not worse on any of 1 slice by more than its margin"),
        ((1, 0, 9), Trigger.BREACH, "Accept", True, "proven worse; Unknown, with too few rows to tell, on carrier = HA"),
        ((1, 0, 9), Trigger.BREACH, "Reject", False, "not proven within 0.02 on carrier = HA: right alone 0 against 1"),
        ((1, 0, 9), Trigger.SPEC, "Reject", True, "Unknown, with too few rows to tell, on carrier = HA"),
        ((0, 0, 0), Trigger.BREACH, "Reject", False, "on carrier = HA: no compared row is in it"),
        (None, Trigger.BREACH, "Accept", True, "Unknown, with too few rows to tell, on carrier = HA"),
        (None, Trigger.BREACH, "Reject", False, "on carrier = HA: no compared row is in it"),
    ],
)  # fmt: skip
def test_a_candidate_that_is_better_on_the_whole_must_not_be_worse_on_a_named_slice(
    counts: tuple[int, int, int] | None, trigger: Trigger, on_inconclusive: str, passes: bool, said: str
) -> None:
    spec = worlds.make_spec(evaluation={"slices": [HAWAIIAN], "onInconclusiveSlice": on_inconclusive})

    made = decide(evaluating(sliced(counts), trigger, spec=spec))

    assert made.finding == ("candidate_passes_the_gate" if passes else "candidate_fails_the_gate")
    assert said in made.because


def test_a_person_may_name_slices_for_an_artifact_that_nothing_was_compared_on() -> None:
    spec = worlds.make_spec(evaluation={"slices": [HAWAIIAN]})

    made = decide(evaluating(None, Trigger.SPEC, spec=spec))

    assert made.finding == "candidate_passes_the_gate"
    assert "live traffic alone decides; on no slice" in made.because


def test_what_is_worse_on_the_whole_is_not_asked_for_slices() -> None:
    spec = worlds.make_spec(evaluation={"slices": [HAWAIIAN]})

    assert "slice" not in decide(evaluating(TIE, spec=spec)).because
