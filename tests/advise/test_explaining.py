"""Every stage has an answer: what it waits for, what would change its mind, what a person could do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import worlds
from modelmend.advise import explained, explaining, story
from modelmend.api import resources, status
from modelmend.api.spec import SignalType
from modelmend.decide import decide, memory, observed, terms
from modelmend.evidence import confusion, counts, divided, ledger, query, watch

Phase, Stage = status.Phase, status.Stage
UNTIL = worlds.NOW + timedelta(hours=2)


def told(world: observed.Observed, **at: Any) -> explaining.Explanation:
    """The explanation of a world, whose ledgers are in its versions' checkpoints."""
    kept = []
    for version in world.versions:
        counted = world.ledgers.get(worlds.rollout(version.spec.number))
        if counted is not None:
            saved = resources.Checkpoint(rollout=counted.rollout, at=world.now, ledger=counted.to_json())
            version = version.model_copy(
                update={"status": version.status.model_copy(update={"checkpoint": saved})}
            )
        kept.append(version)
    return explaining.explain(story.Story.of(world.deployment, kept, at.get("now", world.now)))


def everything(found: explaining.Explanation) -> str:
    return explained.text(found)


def with_history(world: observed.Observed, number: int, per_hour: int) -> observed.Observed:
    """The same world, after labels have come at this rate for an hour."""
    counted = world.ledgers[worlds.rollout(number)]
    assert counted.polled_at is not None
    begin = ledger.Snapshot(
        counted.polled_at - 3600, confusion.Confusion.of_labels(counts.Tally(counted.labels.n - per_hour, 0))
    )
    kept = replace(counted, history={"accuracy": (begin,)})
    return replace(world, ledgers={**world.ledgers, worlds.rollout(number): kept})


def resting() -> status.RetrainingStatus:
    return status.RetrainingStatus(cooldown_until=UNTIL, cooldown_because="a test wants it")


def pending(trigger: status.Trigger = status.Trigger.BREACH) -> status.RetrainingStatus:
    asked = status.PendingApproval(
        token="retrain-11", trigger=trigger, since=worlds.NOW - timedelta(hours=3), because="accuracy fell"
    )
    return status.RetrainingStatus(pending=asked)


def installing() -> observed.Observed:
    world = worlds.serving(stage=Stage.INSTALLING, resolving=worlds.resolving(trigger=status.Trigger.INSTALL))
    return worlds.with_status(world, stable=None, candidate=None)


def training() -> observed.Observed:
    """Nothing serves and no artifact is named."""
    dataset = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "at"}
    spec = worlds.make_spec(model={"uri": None}, retraining={"data": {"dataset": dataset}})
    new = observed.Observed(now=worlds.NOW, deployment=worlds.deployment(spec), settings=worlds.SETTINGS)
    return worlds.with_status(new, **dict(decide(new).status))


WORLDS: dict[str, tuple[Stage, observed.Observed]] = {
    "installing": (Stage.INSTALLING, installing()),
    "first pods": (
        Stage.INSTALLING,
        worlds.with_status(
            installing(),
            resolving=None,
            candidate=worlds.candidate(1, Phase.PROMOTING, trigger=status.Trigger.INSTALL),
        ),
    ),
    "first training": (Stage.INSTALLING, training()),
    "first training failed": (
        Stage.INSTALLING,
        worlds.with_status(training(), retraining=resting().model_copy(update={"failures": 1})),
    ),
    "serving": (Stage.SERVING, worlds.serving()),
    "pinned": (Stage.SERVING, worlds.serving(spec=worlds.make_spec(model={"pin": "flights-v1"}))),
    "retraining to approve": (
        Stage.AWAITING_APPROVAL,
        worlds.serving(stage=Stage.AWAITING_APPROVAL, retraining=pending()),
    ),
    "promotion to approve": (Stage.AWAITING_APPROVAL, worlds.rolling(Phase.AWAITING_APPROVAL)),
    "retraining": (Stage.RETRAINING, worlds.serving(stage=Stage.RETRAINING, retraining=worlds.running())),
    "reading": (Stage.EVALUATING, worlds.serving(stage=Stage.EVALUATING, resolving=worlds.resolving())),
    "gate": (Stage.EVALUATING, worlds.rolling(Phase.EVALUATING)),
    "shadow": (Stage.SHADOW, worlds.rolling(Phase.SHADOW, pairs=(4, 9, 300))),
    "canary": (Stage.CANARY, worlds.rolling(Phase.CANARY, pairs=(10, 60, 500), pairs_at_step=400)),
    "promoting": (Stage.PROMOTING, worlds.rolling(Phase.PROMOTING)),
    "baking": (Stage.PROMOTING, worlds.rolling(Phase.BAKING)),
    "pin comes up": (
        Stage.PROMOTING,
        worlds.rolling(
            Phase.PROMOTING,
            spec=worlds.make_spec(model={"pin": "flights-v2"}),
            trigger=status.Trigger.PIN,
        ),
    ),
    "rolling back": (Stage.ROLLING_BACK, worlds.rolling(Phase.ROLLING_BACK, failure="it was worse")),
    "cooling down": (Stage.COOLING_DOWN, worlds.serving(stage=Stage.COOLING_DOWN, retraining=resting())),
    "stalled": (Stage.STALLED, worlds.serving(stage=Stage.STALLED, stalled="3 attempts failed")),
    "suspended": (
        Stage.SUSPENDED,
        worlds.serving(stage=Stage.SUSPENDED, spec=worlds.make_spec(suspend=True)),
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_every_stage_says_what_it_waits_for_what_would_turn_it_and_what_to_do(name: str) -> None:
    stage, world = WORLDS[name]

    found = told(world)

    assert found.stage == stage.value
    assert found.because
    assert found.waits
    assert found.turns
    if stage is not Stage.ROLLING_BACK:
        assert found.ways
    for sentence in (*found.waits, *found.turns, *found.notes):
        assert not sentence.endswith(".")
        assert "None" not in sentence


def test_no_stage_was_forgotten() -> None:
    assert {stage for stage, _ in WORLDS.values()} == set(Stage) == set(explaining.ANSWERS)


@pytest.mark.parametrize("name", WORLDS)
def test_every_stage_has_an_answer_without_checkpoints_and_long_after(name: str) -> None:
    _, world = WORLDS[name]

    found = told(replace(world, ledgers={}), now=world.now + timedelta(days=400))

    assert found.waits
    assert found.turns


def test_a_status_that_is_empty_has_an_answer_at_every_stage() -> None:
    for stage in Stage:
        bare = worlds.deployment(None, status.ModelDeploymentStatus(stage=stage))

        assert explaining.explain(story.Story.of(bare, (), worlds.NOW)).stage == stage.value


def test_new_object_waits_for_the_operator() -> None:
    found = explaining.explain(story.Story.of(worlds.deployment(), (), worlds.NOW))

    assert found.stage == "none yet"
    assert "operator" in found.waits[0]


def test_shadow_counts_its_pairs_and_says_how_long_they_take() -> None:
    world = worlds.rolling(Phase.SHADOW, pairs=(4, 9, 300))
    found = everything(told(world))

    assert "pairs: 313 so far, about" in found
    assert "more pairs for a decision, some" in found
    assert "17 more pairs in which only one of the two errs" in found
    assert "evidence" in found
    assert "modelmend.dev/abort=flights-v2" in found
    assert "the deadline 2026-03-02T11:40:00Z (in 23 h 40 min): undecided by then, it is rolled back" in found


def test_shadow_without_pairs_expects_them_at_the_labels_rate_times_the_traffics_share() -> None:
    world = with_history(worlds.rolling(Phase.SHADOW, weight=20), 1, 500)

    assert "some 2,400 a day are to be expected" in everything(told(world))


def test_shadow_that_no_number_of_pairs_decides_says_so() -> None:
    spec = worlds.make_spec(rollout={"analysis": {"margin": 0.0, "onInconclusive": "Promote"}})
    found = everything(told(worlds.rolling(Phase.SHADOW, spec=spec, pairs=(20, 20, 300))))

    assert "no number would; only the deadline ends it" in found
    assert "it is promoted all the same" in found


def test_enough_pairs_wait_for_the_next_look_only() -> None:
    shadow = told(worlds.rolling(Phase.SHADOW, pairs=(5, 90, 900)))
    canary = told(worlds.rolling(Phase.CANARY, pairs=(5, 90, 900)))

    assert "the operator's next look" in shadow.waits[0]
    assert "the operator's next look" in canary.waits[0]


def test_canary_counts_the_pairs_of_its_step() -> None:
    found = everything(told(worlds.rolling(Phase.CANARY, pairs=(10, 60, 500), pairs_at_step=400)))

    assert "step 1 of 2 has 170 of 300 new ones, about 130 more pairs" in found
    assert "to the next step" in found


def test_first_training_says_what_it_must_reach_and_how_to_begin_at_once() -> None:
    running, failed = everything(told(training())), everything(told(WORLDS["first training failed"][1]))

    assert "the Job flights-retrain-1-6f1c2d3e, begun" in running
    assert "better than always answering the same, on the holdout (alpha 0.05)" in running
    assert "the next attempt to train a first version at" in failed or "the next attempt to train" in failed
    assert "modelmend.dev/retrain-requested-at" in failed
    assert "the artifact cannot be used" not in running + failed


def test_slices_that_the_gate_asks_for_are_named() -> None:
    parts = [{"column": "carrier", "value": "HA", "margin": 0.02}]
    spec = worlds.make_spec(evaluation={"slices": parts})

    found = everything(told(worlds.rolling(Phase.EVALUATING, spec=spec)))

    assert "and on no slice worse by more than its margin: carrier = HA (0.02)" in found


def test_last_step_before_a_person_says_so() -> None:
    spec = worlds.make_spec(rollout={"approval": "Manual"})

    assert "before a person" in everything(told(worlds.rolling(Phase.CANARY, spec=spec, step=1)))
    assert "to its promotion" in everything(told(worlds.rolling(Phase.CANARY, step=1)))


def test_pods_that_are_not_ready_are_waited_for_with_a_limit() -> None:
    found = told(worlds.rolling(Phase.SHADOW, unready_since=worlds.NOW - timedelta(minutes=1)))
    direct = told(
        worlds.rolling(
            Phase.PROMOTING,
            trigger=status.Trigger.PIN,
            unready_since=worlds.NOW - timedelta(minutes=1),
        )
    )

    assert "after 180 s without them it goes back" in found.waits[0]
    assert "not ready since" in direct.waits[1]


@pytest.mark.parametrize("name", ["promotion to approve", "retraining to approve"])
def test_what_waits_for_approval_comes_with_the_command_that_gives_it(name: str) -> None:
    first = told(WORLDS[name][1]).ways[0]
    token = worlds.digest(2) if name == "promotion to approve" else "retrain-11"

    assert first.how == f"kubectl -n ml annotate mend flights modelmend.dev/approve={token} --overwrite"


def test_young_signal_says_how_many_labels_are_missing_and_how_long_they_take() -> None:
    world = worlds.serving(labels={"right": 110, "wrong": 10})
    signal = status.SignalStatus(
        name="accuracy", verdict=status.Verdict.UNKNOWN, since=worlds.NOW, because="accuracy unknown"
    )
    world = worlds.with_status(with_history(world, 1, 40), signals=(signal,))

    assert "accuracy: about 80 more labels until a verdict, some 2 h at the present rate" in told(world).waits


def test_signal_of_a_version_whose_labels_are_not_typical_yet_says_from_when() -> None:
    world = worlds.serving(stable=worlds.stable(since=worlds.NOW - timedelta(minutes=1)))
    late = worlds.version(1, label_delay=worlds.DELAY)
    found = told(replace(world, versions=(late,), ledgers={}))

    assert "first typical labels, from 2026-03-01T12:09:00Z" in found.waits[0]


@pytest.mark.parametrize(
    ("verdict", "value", "sentence"),
    [
        (status.Verdict.OK, 0.95, "if the accuracy fell to 0.8, a breach would be proven after about"),
        (status.Verdict.OK, 0.8, "at the present 0.8 a breach is proven after about"),
        (status.Verdict.OK, 0.8499, "more labels than can be foreseen"),
        (status.Verdict.BREACHED, 0.7, "its breach ends after"),
    ],
)
def test_signal_says_what_would_turn_it(
    verdict: status.Verdict, value: float, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelmend.advise.detection.LONGEST", 3000)
    shown = status.SignalStatus(
        name="accuracy", verdict=verdict, value=value, since=worlds.NOW, because="it is so"
    )
    labels = worlds.BAD if verdict is status.Verdict.BREACHED else worlds.NO_LABELS
    world = worlds.with_status(worlds.serving(labels=labels), signals=(shown,))

    assert sentence in told(world).turns[0]


def test_breach_asks_a_person_where_spec_says_so() -> None:
    manual = worlds.make_spec(retraining={"approval": "Manual"})

    assert "it asks a person to approve" in told(worlds.serving(spec=manual)).turns[0]


def test_signal_that_is_unknown_for_want_of_prometheus_says_so() -> None:
    shown = status.SignalStatus(
        name="accuracy", verdict=status.Verdict.UNKNOWN, since=worlds.NOW, because="Prometheus is silent"
    )

    assert "(Prometheus is silent)" in told(worlds.with_status(worlds.serving(), signals=(shown,))).waits[0]


def test_signal_judged_by_a_window_or_without_a_limit_says_so() -> None:
    threshold = worlds.make_spec(
        monitoring={"signals": [{"name": "a", "minimum": 0.8, "evidence": "Threshold"}]}
    )
    dropped = worlds.make_spec(monitoring={"signals": [{"name": "a", "maxDrop": 0.05}]})
    world = worlds.serving(spec=dropped)
    unknown = replace(world, versions=(worlds.version(1, metrics={}),))

    assert "4 standard errors" in told(worlds.serving(spec=threshold)).turns[0]
    assert "give minimum" in told(unknown).turns[0]


def test_errors_are_foreseen_in_polls_and_the_other_way_round() -> None:
    mae = {"name": "errors", "type": "MAE", "maximum": 20.0}

    def world(**signal: str) -> observed.Observed:
        spec = worlds.make_spec(evaluation={"tolerance": 15}, monitoring={"signals": [mae | signal]})
        return worlds.serving(spec=spec, labels={"right": 900, "wrong": 100, "errors": (1000, 10**8, 10**8)})

    said = (
        "errors: if MAE (errors counted up to 150) rose above 20, a breach would be proven after enough polls"
    )
    assert told(world()).turns[0].startswith(said)
    assert (
        "the lower bound (4 standard errors) of its window is at or above 20"
        in told(world(evidence="Threshold")).turns[0]
    )
    breached = status.SignalStatus(
        name="errors",
        type=SignalType.MAE,
        verdict=status.Verdict.BREACHED,
        value=30.0,
        since=worlds.NOW,
        because="it rose",
    )
    assert (
        "once MAE (errors counted up to 150) is below 20 again"
        in told(worlds.with_status(world(), signals=(breached,))).turns[0]
    )


def test_rest_says_until_when_and_what_follows() -> None:
    shown = status.SignalStatus(
        name="accuracy", verdict=status.Verdict.BREACHED, value=0.7, since=worlds.NOW, because="it fell"
    )
    world = worlds.serving(stage=Stage.COOLING_DOWN, retraining=resting(), signals=(shown,))
    found = everything(told(world))

    assert "2026-03-01T14:00:00Z (in 2 h)" in found
    assert "it retrains as soon as the rest is over (0 of 3 failed attempts within 24 h are spent)" in found
    assert "retrain now" in found


def test_schedule_is_waited_for() -> None:
    found = told(worlds.serving(spec=worlds.make_spec(retraining={"schedule": "0 6 * * *"})))

    assert "its schedule 0 6 * * *, due at 2026-03-02T06:00:00Z (in 18 h)" in found.waits


def test_earlier_version_may_be_gone_back_to() -> None:
    found = told(worlds.serving(2, versions=2))

    assert any(way.what == "go back to flights-v1" for way in found.ways)


def test_stale_or_unreadable_numbers_are_noted() -> None:
    world = worlds.serving()
    broken = resources.Checkpoint(rollout=worlds.rollout(1), at=worlds.NOW, ledger={"rollout": "x"})
    version = worlds.version(1)
    version = version.model_copy(update={"status": version.status.model_copy(update={"checkpoint": broken})})

    assert (
        "no checkpoint yet"
        in explaining.explain(story.Story.of(world.deployment, (version,), worlds.NOW)).notes[0]
    )
    assert told(world).notes == ("numbers are from the checkpoint of 0 min ago",)


def test_spec_that_the_operator_has_not_seen_and_what_it_refuses_are_noted() -> None:
    world = worlds.edited(worlds.serving(), history={"limit": 5})
    pinned = worlds.serving(spec=worlds.make_spec(model={"pin": "flights-v9"}))
    refused = worlds.with_status(pinned, conditions=decide(pinned).status.conditions)

    assert "the operator has not seen the latest spec yet" in told(world).notes
    assert any("flights-v9, which is not known" in note for note in told(refused).notes)


def test_refusal_that_is_not_the_reason_is_told() -> None:
    refusal = status.Refusal(generation=1, reason="InvalidArtifact", message="no such folder")
    world = worlds.serving(stage=Stage.STALLED, because="stopped", stalled="stopped", refusal=refusal)

    assert "what was refused: no such folder" in told(world).turns


def test_json_holds_the_same_sentences() -> None:
    found = told(WORLDS["shadow"][1])

    body = explained.as_json(found)

    assert all(sentence.split('"')[0] in body for sentence in (*found.waits, *found.turns))
    assert '"youCould"' in body


@pytest.mark.parametrize("name", WORLDS)
def test_every_annotation_that_is_offered_would_be_acted_on(name: str) -> None:
    _, world = WORLDS[name]
    for way in told(world).ways:
        if not way.how.startswith("kubectl"):
            continue
        annotation, token = way.how.split()[6].split("=", 1)
        token = token.strip('"')
        owner = world.deployment
        metadata = owner.metadata.model_copy(update={"annotations": {annotation: token}})
        asked = replace(world, deployment=owner.model_copy(update={"metadata": metadata}))

        plan = decide(asked)

        assert getattr(plan.status.handled, memory.HANDLED[annotation]) == token, way
        assert plan.finding not in ("abort_names_nothing", "rollback_target_is_unknown"), way
        assert plan.status.refusal is None, way


@pytest.mark.parametrize("name", ["shadow", "canary"])
def test_edits_that_are_offered_to_a_rollout_do_not_end_it(name: str) -> None:
    stage, world = WORLDS[name]
    edits = {"deadline": "48h", "margin": 0.02, "minLabels": 100}
    edited = worlds.edited(world, rollout={"analysis": edits, "shadow": {"traffic": 50}})

    assert decide(edited).status.stage is stage
    assert "2026-03-03T11:40:00Z" in everything(told(edited))


def test_signal_whose_labels_are_not_one_vote_each_foresees_no_number_of_labels() -> None:
    spec = worlds.make_spec(monitoring={"signals": [{"name": "a", "minimum": 0.8, "block": "1h"}]})
    breached = status.SignalStatus(
        name="a", verdict=status.Verdict.BREACHED, value=0.7, since=worlds.NOW, because="it fell"
    )
    healthy = worlds.serving(spec=spec)

    assert "proven after enough blocks that vote; then it retrains" in told(healthy).turns[0]
    assert (
        "its breach ends after enough blocks that vote"
        in told(worlds.with_status(healthy, signals=(breached,))).turns[0]
    )


def drifting(shown: status.Verdict | None, *, kind: str = "FeatureDrift", **fields: Any) -> observed.Observed:
    """A model that serves and watches its inputs, 2 h after the begin of a window of 6 h."""
    signals = [{"name": "accuracy", "minimum": 0.85}, {"name": "moved", "type": kind, **fields}]
    world = worlds.serving(spec=worlds.make_spec(monitoring={"signals": signals}))
    rollout = worlds.rollout(1)
    (asked,) = terms.of(world.deployment, world.versions[0], rollout).drift
    begun = worlds.NOW.timestamp() - 7200
    kept = replace(world.ledgers[rollout], drift={"moved": watch.State(asked, begun, begun)})
    world = replace(world, ledgers={rollout: kept})
    if shown is None:
        return world
    said = status.SignalStatus(
        name="moved",
        type=status.SignalType(kind),
        verdict=shown,
        value=0.3,
        since=worlds.NOW,
        because="it is so",
    )
    return worlds.with_status(world, signals=(*world.deployment.status.signals, said))


ENDS = "the end of its window, 2026-03-01T16:00:00Z (in 4 h)"


def test_drift_without_a_verdict_waits_for_the_end_of_its_window() -> None:
    for shown in (None, status.Verdict.UNKNOWN):
        assert f"moved: {ENDS}, then the rows counted in it" in told(drifting(shown)).waits

    assert not any(each.startswith("moved") for each in told(drifting(status.Verdict.OK)).waits)


def test_window_with_too_few_rows_is_waited_for_until_its_next_end() -> None:
    world = drifting(None)
    (rollout, kept) = next(iter(world.ledgers.items()))
    state = kept.drift["moved"]
    late = replace(state, asked_at=state.asked_at + state.terms.length)
    world = replace(world, ledgers={rollout: replace(kept, drift={"moved": late})})

    assert "moved: the end of its window, 2026-03-01T22:00:00Z (in 10 h)" in everything(told(world))


@pytest.mark.parametrize(
    ("kind", "verdict", "action", "sentence"),
    [
        (
            "FeatureDrift",
            status.Verdict.OK,
            "Alert",
            "moved: breached by a window in which a feature moves beyond chance and by more than effect 0.1; looked at "
            f"again after {ENDS}; then it only tells: action is Alert",
        ),
        (
            "PredictionDrift",
            status.Verdict.UNKNOWN,
            "Retrain",
            "moved: breached by a window in which the score or the predicted class moves beyond chance and by more than "
            f"effect 0.1; looked at again after {ENDS}; then it retrains, after any rest",
        ),
        (
            "FeatureDrift",
            status.Verdict.BREACHED,
            "Alert",
            "moved: its breach ends with the first window in which nothing moves beyond chance and by more than effect 0.1; "
            f"looked at again after {ENDS}",
        ),
    ],
)
def test_drift_says_what_would_turn_it(
    kind: str, verdict: status.Verdict, action: str, sentence: str
) -> None:
    assert sentence in told(drifting(verdict, kind=kind, action=action)).turns


def test_drift_that_nobody_has_counted_yet_waits_for_its_first_window() -> None:
    world = replace(drifting(None), ledgers={})
    other = drifting(None, window="3h")
    (rollout, kept) = next(iter(drifting(None).ledgers.items()))
    of_before = replace(other, ledgers={rollout: kept})

    assert "moved: the end of its first window, 6 h after the next poll that finds its pods" in everything(
        told(world)
    )
    assert "moved: the end of its first window, 3 h after" in everything(told(of_before))


def test_candidate_of_an_own_server_waits_for_labels_and_says_which_are_missing() -> None:
    world = worlds.rolling(Phase.CANARY, spec=worlds.own_spec(), step=1, pairs_at_step=100)
    state = divided.State(candidate=counts.Tally(150, 15), champion=counts.Tally(900, 90))
    kept = replace(world.ledgers[worlds.rollout(2)], split=state)
    said = everything(told(replace(world, ledgers={**world.ledgers, worlds.rollout(2): kept})))
    assert "labels: step 2 of 2 has 50 of 300 new ones" in said
    assert "its evidence: undecided" in said
    assert "the last step passes when it is proven not worse by 0.01 or more" in said
    assert "need fewer labels a step" in said
    assert "pairs" not in said


def test_candidate_of_an_own_server_without_a_checkpoint_has_no_label_yet() -> None:
    world = worlds.rolling(Phase.CANARY, spec=worlds.own_spec(), step=1)
    assert "labels: step 2 of 2 has 0 of 300 new ones" in everything(told(replace(world, ledgers={})))


def together(when: str, approval: str = "Auto", **fields: Any) -> observed.Observed:
    """Two signals that retrain; the accuracy is breached, and `lower` is not."""
    signals = [
        {"name": "accuracy", "minimum": 0.85, "minLabels": 200},
        {"name": "lower", "minimum": 0.6, "minLabels": 200},
    ]
    retraining = {"when": when, "approval": approval}
    spec = worlds.make_spec(monitoring={"signals": signals}, retraining=retraining)
    shown = tuple(
        status.SignalStatus(name=name, verdict=verdict, value=0.7, since=worlds.NOW, because="it is so")
        for name, verdict in (("accuracy", status.Verdict.BREACHED), ("lower", status.Verdict.OK))
    )
    return worlds.serving(spec=spec, labels=worlds.BAD, signals=shown, **fields)


def test_several_signals_say_how_far_they_are_from_a_retraining_together() -> None:
    found = told(together("All")).turns

    assert found[0] == (
        "a retraining begins when all of 2 signals are breached (retraining.when): accuracy is Breached, lower is OK"
    )
    assert any(turn.endswith("then it retrains, after any rest") for turn in found), "lower alone is lacking"
    assert "when any of 2 signals are breached" in told(together("Any")).turns[0]


def test_breach_that_waits_for_another_says_for_which() -> None:
    signals = tuple(
        status.SignalStatus(name=name, verdict=status.Verdict.OK, value=0.9, since=worlds.NOW, because="so")
        for name in ("accuracy", "lower")
    )
    for approval, answer in (("Auto", "it retrains, after any rest"), ("Manual", "it asks a person")):
        found = everything(told(worlds.with_status(together("All", approval), signals=signals)))
        assert answer in found
        assert "once lower is breached too: retraining.when is All" in found


@pytest.mark.parametrize(("when", "begins"), [("Any", True), ("All", False)])
def test_rest_promises_a_retraining_only_where_one_would_begin(when: str, begins: bool) -> None:
    world = together(when, stage=Stage.COOLING_DOWN, retraining=resting())

    assert ("accuracy is breached: it retrains as soon as" in everything(told(world))) is begins


def test_question_under_all_is_withdrawn_as_soon_as_one_signal_is_fine() -> None:
    found = told(together("All", "Manual", stage=Stage.AWAITING_APPROVAL, retraining=pending()))

    assert "one of its signals is not breached any more" in found.turns[0]


def querying(*shown: status.SignalStatus, **signal: Any) -> observed.Observed:
    """A model with a query."""
    asked = {"name": "refunds", "type": "Query", "query": "sum(refunds)", "above": 12, **signal}
    spec = worlds.make_spec(monitoring={"signals": [asked]})
    return worlds.with_status(worlds.serving(spec=spec), signals=shown)


def said(verdict: status.Verdict, because: str = "it is so") -> status.SignalStatus:
    return status.SignalStatus(name="refunds", verdict=verdict, value=13, since=worlds.NOW, because=because)


def test_query_says_what_it_waits_for_and_what_would_turn_it() -> None:
    unknown = said(status.Verdict.UNKNOWN, "refunds unknown: the query has no result")
    found = told(querying(unknown, **{"for": "10m"}))

    assert found.waits == (
        "refunds: one number as the answer to its query (refunds unknown: the query has no result)",
    )
    assert found.turns == (
        "refunds: breached once its number is at or above 12 for 10 min; then it only tells: action is Alert",
    )
    assert "refunds: one number as the answer to its query" in told(querying()).waits
    assert "at or below 3; then" in told(querying(above=None, below=3)).turns[0]
    over = told(querying(said(status.Verdict.BREACHED))).turns
    assert over == ("refunds: its breach ends with the first number that is not at or above 12",)


def test_query_that_is_beyond_says_since_when() -> None:
    world = querying(said(status.Verdict.OK), **{"for": "10m"})
    asked = terms.of_query(world.deployment, world.deployment.spec.monitoring.signals[0])
    state = query.step(asked, None, query.Answer((13.0,)), worlds.NOW.timestamp() - 300)
    kept = replace(world.ledgers[worlds.rollout(1)], queries={"refunds": state})
    (turn,) = told(replace(world, ledgers={worlds.rollout(1): kept})).turns

    assert "for 10 min, as it has been since 2026-03-01T11:55:00Z (5 min ago); then it only tells" in turn


def test_model_without_a_gateway_waits_for_none_and_is_told_its_shares() -> None:
    spec = worlds.make_spec(serving={"gateway": None}, rollout={"shadow": {"traffic": 50}})
    phases = {phase: worlds.rolling(phase, spec=spec) for phase in (Phase.SHADOW, Phase.PROMOTING)}
    split = decide(phases[Phase.SHADOW]).status.split
    assert split is not None

    promoting = everything(told(phases[Phase.PROMOTING]))
    assert "2 ready pods of flights-v2, and the Service to name them" in promoting
    shadow = everything(told(worlds.with_status(phases[Phase.SHADOW], split=split)))
    assert "a candidate gets 25 % instead of 10 %: serving.replicas of 4" in shadow
    assert "get pairs sooner" not in shadow, "more than half is out of reach"
    assert "Gateway" not in promoting + shadow.partition("note:")[0]
