"""What counts as a heal, and when what went on."""

from collections.abc import Callable

from demo.run import Run
from demo.story import INPUTS, RELATION, ROLLOUT, Story, heals

Told = Callable[..., Story]

HEALED = [
    (0, "Serving", "v1", None, 0, "fine"),
    (10, "Retraining", "v1", None, 0, "below 0.8"),
    (20, "Evaluating", "v1", "v2", 0, ""),
    (21, "Shadow", "v1", "v2", 20, ""),
    (30, "Canary", "v1", "v2", 10, ""),
    (40, "Promoting", "v1", "v2", 10, ""),
    (42, "Promoting", "v2", "v2", 100, ""),
    (50, "CoolingDown", "v2", None, 0, ""),
]


def versions(story: Story, ended: float = 2e9) -> list[str]:
    return [heal.version for heal in heals(story, ended)]


def test_version_that_went_all_the_way_from_breach_to_promotion_is_a_heal(told: Told) -> None:
    story = told(HEALED)

    (heal,) = heals(story, ended=2e9)

    begun = story.moments[0].at
    assert (heal.version, heal.because) == ("v2", "below 0.8")
    times = (heal.breach, heal.trained, heal.shadow, heal.canary, heal.promoting, heal.ended)
    assert [at - begun for at in times] == [10, 20, 21, 30, 40, 50]


def test_heal_counts_while_it_still_bakes_at_the_end(told: Told) -> None:
    story = told(HEALED[:-1])

    (heal,) = heals(story, ended=story.moments[0].at + 45)

    assert heal.ended - story.moments[0].at == 45


def test_version_that_went_back_from_the_bake_is_no_heal(told: Told) -> None:
    back = [(50, "RollingBack", "v1", "v2", 0, "worse"), (55, "CoolingDown", "v1", None, 0, "")]

    assert versions(told([*HEALED[:-1], *back])) == []


def test_version_that_was_rejected_or_rolled_back_is_no_heal(run: Run) -> None:
    assert versions(run.story) == ["flights-v3", "flights-v5"]


def test_version_that_a_person_named_is_no_heal_even_after_a_retraining(told: Told) -> None:
    rejected = [
        (1, "Retraining", "v1", None, 0, ""),
        (2, "Evaluating", "v1", "v2", 0, ""),
        (3, "Serving", "v1", None, 0, ""),
    ]
    named = [(second, stage, "v1", "v3", weight, why) for second, stage, _, _, weight, why in HEALED[2:6]]

    story = told([HEALED[0], *rejected, *named, (60, "Serving", "v3", None, 0, "")])

    assert versions(story) == []


def test_stretches_end_where_the_next_begins_and_the_last_one_at_the_end(told: Told) -> None:
    story = told(HEALED)
    begun = story.moments[0].at

    rollouts = [(first - begun, last - begun) for first, last in story.during(ROLLOUT, begun + 60)]
    stable = [
        (version, last - begun) for version, (_, last) in story.spans(lambda each: each.stable, begun + 60)
    ]

    assert rollouts == [(21, 50)]
    assert stable == [("v1", 42), ("v2", 60)]


def test_object_that_only_counts_on_is_no_new_moment() -> None:
    story = Story()
    for second, because in enumerate(("n = 100", "n = 110")):
        story.take({"status": {"stage": "Serving", "because": because}}, at=float(second))

    assert [moment.because for moment in story.moments] == ["n = 100"]
    assert story.latest["status"]["because"] == "n = 110"


def body(verdict: str, value: float | None, stable: str = "v1", kind: str = INPUTS) -> dict[str, object]:
    signal = {
        "name": "inputs",
        "type": kind,
        "verdict": verdict,
        "value": value,
        "bound": 0.1,
        "because": "told",
    }
    others = {"name": "accuracy", "type": "Accuracy", "verdict": "OK"}
    return {"status": {"stage": "Serving", "stable": {"version": stable}, "signals": [others, signal]}}


def test_word_of_drift_is_kept_when_it_changes_and_of_no_other_signal() -> None:
    story = Story()
    for at, told in enumerate(
        [
            body("Unknown", None),
            body("Unknown", None),
            body("Breached", 0.3),
            body("Breached", 0.3),
            body("Breached", 0.4),
            body("Breached", 0.4, stable="v2"),
        ]
    ):
        story.take(told, float(at))

    assert [(word.at, word.version, word.verdict, word.value) for word in story.words] == [
        (0, "v1", "Unknown", None),
        (2, "v1", "Breached", 0.3),
        (4, "v1", "Breached", 0.4),
        (5, "v2", "Breached", 0.4),
    ]
    assert len(story.moments) == 2


def test_heal_is_told_by_what_the_signals_said_of_the_model_that_it_replaced(run: Run) -> None:
    first, second = (run.moved(heal) for heal in run.heals)

    assert (first.kind, second.kind) == ("data drift", "data and concept drift")
    # The last breach counts, though a later window saw nothing; words about another version do not.
    assert second.inputs is not None
    assert second.inputs.value == 0.22


def test_what_nobody_said_is_not_known_and_what_was_denied_is_not_proven(run: Run) -> None:
    heal = run.heals[0]
    words = list(run.story.words)

    run.story.words[:] = []
    assert run.moved(heal).kind == "not known"
    run.story.words[:] = [word for word in words if word.verdict == "Unknown"]
    assert run.moved(heal).kind == "not known"
    run.story.words[:] = [word for word in words if word.type == RELATION]
    assert run.moved(heal).kind == "not proven"
