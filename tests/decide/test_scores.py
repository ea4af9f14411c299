"""What is judged without labels starts from the holdout, and is told apart: harm, concept drift, label shift, data drift."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import worlds
from modelmend.api import status
from modelmend.api.status import Stage, Verdict
from modelmend.contract.manifest import Holdout, Task
from modelmend.decide import decide, observed, plan, terms
from modelmend.evidence import drift, watch

HOUR = 3600.0
ACCURACY = {"name": "accuracy", "minimum": 0.85, "minLabels": 200}
SHIFT = {"name": "mix", "type": "LabelShift"}
ESTIMATE = {"name": "guess", "type": "EstimatedAccuracy", "minimum": 0.85}
CONCEPT = {"name": "rule", "type": "ConceptDrift"}
INPUTS = {"name": "inputs", "type": "FeatureDrift"}
HOLDOUT = Holdout(rows=4000, right=3600, expected=3600.0, confusion=((1800, 200), (200, 1800)))
Sums = Mapping[str, float]

STILL: dict[str, Sums] = {
    "mix": {"no": 5000.0, "yes": 5000.0},
    "guess": {"rows": 10_000.0, "scored": 10_000.0, "expected": 9000.0},
    "rule": {"rows": 1000.0, "right": 895.0, "expected": 900.0},
}
MOVED: dict[str, Sums] = {
    "mix": {"no": 7400.0, "yes": 2600.0},
    "guess": {"rows": 10_000.0, "scored": 10_000.0, "expected": 8000.0},
    "rule": {"rows": 1000.0, "right": 800.0, "expected": 900.0},
}


def world(
    wanted: tuple[dict[str, Any], ...] = (SHIFT, ESTIMATE, CONCEPT),
    sums: Mapping[str, Sums] | None = None,
    holdout: Holdout | None = HOLDOUT,
    *,
    version: dict[str, Any] | None = None,
    moved: bool = False,
    **fields: Any,
) -> observed.Observed:
    """A model that serves, whose last windows counted `sums`; the window of a signal that is not there still runs.
    moved: what inputs did."""
    spec = worlds.make_spec(monitoring={"signals": [ACCURACY, *wanted]})
    found = worlds.serving(spec=spec, **fields)
    found = replace(found, versions=(worlds.version(1, holdout=holdout, **(version or {})),))
    (rollout, book) = next(iter(found.ledgers.items()))
    states = {}
    end = found.now.timestamp() - HOUR
    for asked in terms.of(found.deployment, found.versions[0], rollout).drift:
        begun = end - watch.STRETCH * asked.length
        state = watch.State(asked, begun, begun)
        if asked.kind.is_binned:
            live = {"low": 900, "high": 100} if moved else {"low": 500, "high": 500}
            feature = drift.Feature("wind", {"low": 500, "high": 500}, live)
            state = watch.judged(state, watch.Window(True, (feature,)), end)
        elif asked.name in (STILL if sums is None else sums):
            state = watch.judged(state, watch.Window(True, sums=(STILL | dict(sums or {}))[asked.name]), end)
        states[asked.name] = state
    return replace(found, ledgers={rollout: replace(book, drift=states)})


def signals(found: observed.Observed) -> dict[str, status.SignalStatus]:
    """What is said, by name of the signal."""
    return {signal.name: signal for signal in decide(found).status.signals}


def condition(found: observed.Observed, kind: str = "Healthy") -> status.Condition:
    """One condition."""
    return next(each for each in decide(found).status.conditions if each.type == kind)


def events(found: observed.Observed) -> Iterator[str]:
    """Reasons of what is announced."""
    return (each.reason for each in decide(found).actions if isinstance(each, plan.Notify))


def test_terms_say_how_many_rows_a_window_needs_and_when_labels_are_typical() -> None:
    delay = {"p50": 60.0, "p90": 7200.0, "p99": 9000.0}
    found = world(version={"label_delay": delay})
    asked = {
        each.name: each for each in terms.of(found.deployment, found.versions[0], worlds.rollout(1)).drift
    }

    stable = found.deployment.status.stable
    assert stable is not None
    since = stable.since.timestamp()
    assert asked == {
        "mix": watch.Terms("mix", watch.Kind.CLASSES, 6 * HOUR, since, needed=40),
        "guess": watch.Terms("guess", watch.Kind.SCORES, 6 * HOUR, since, needed=200),
        "rule": watch.Terms(
            "rule", watch.Kind.LABELS, 6 * HOUR, since, needed=200, not_before=since + 7200.0
        ),
    }
    (unseen,) = terms.of(world((SHIFT,)).deployment, None, worlds.rollout(1)).drift
    assert unseen.needed == 0


def test_a_world_that_stays_is_healthy_by_every_signal() -> None:
    found = signals(world())

    assert {name: each.verdict for name, each in found.items()} == dict.fromkeys(
        ("accuracy", "mix", "guess", "rule"), Verdict.OK
    )
    assert condition(world()).status is status.ConditionStatus.TRUE
    assert found["guess"].because == (
        "estimated accuracy 0.900 over 10,000 predictions without labels is within the limit 0.850 "
        "(3 standard errors at least 0.885)"
    )
    assert (found["guess"].value, found["guess"].bound, found["guess"].n) == (0.9, 0.85, 10_000)
    assert found["rule"].because.startswith(
        "no concept drift: accuracy 0.895 over 1,000 labels against 0.900"
    )
    assert found["mix"].because.startswith("no label shift: the share of ")


def test_shift_of_labels_lists_the_classes_before_and_now() -> None:
    found = signals(world(sums=MOVED))["mix"]

    assert found.verdict is Verdict.BREACHED
    assert found.because.startswith("labels shifted: the share of ")
    shares = [(each.name, each.before, each.now) for each in found.shares]
    assert shares == [("no", 0.5, 0.8), ("yes", 0.5, 0.2)]
    assert found.value is not None
    assert found.bound is not None
    assert abs(found.value) > found.bound > 0.05


@pytest.mark.parametrize(
    ("name", "event", "reason", "because"),
    [
        ("mix", "LabelShiftDetected", "LabelsShifted", "labels shifted"),
        ("guess", "EstimateBreached", "EstimateBreached", "estimated accuracy 0.800"),
        ("rule", "ConceptDriftDetected", "ConceptDrifted", "the rule from inputs to outcome has moved"),
    ],
)
def test_each_is_told_by_words_of_its_own_and_heals_nothing(
    name: str, event: str, reason: str, because: str
) -> None:
    found = world(sums={name: MOVED[name]} | {other: STILL[other] for other in STILL if other != name})
    decided = decide(found)

    assert decided.status.stage is Stage.SERVING
    assert event in set(events(found))
    assert (condition(found).reason, condition(found).message[: len(because)]) == (reason, because)
    assert condition(found, "Ready").status is status.ConditionStatus.TRUE
    assert decided.status.because is not None
    assert "accuracy 0.95" in decided.status.because, "whether it does harm is what people ask next"
    ended = world(sums=STILL)
    present = ended.deployment.status.model_copy(update={"signals": decided.status.signals})
    ended = replace(ended, deployment=worlds.deployment(ended.deployment.spec, present))
    assert {"LabelShiftEnded", "EstimateRecovered", "ConceptDriftEnded"} & set(events(ended))


def test_harm_comes_first_and_what_else_is_seen_is_told_with_it() -> None:
    found = world((SHIFT, ESTIMATE, CONCEPT, INPUTS), MOVED, moved=True, labels=worlds.BAD)

    assert condition(found).reason == "Breached"
    assert condition(found).message.endswith(
        "; also seen: concept drift (rule), a low estimated accuracy (guess), label shift (mix), data drift (inputs)"
    )
    data = world((CONCEPT, INPUTS), moved=True, labels=worlds.BAD)
    assert condition(data).message.endswith("; also seen: data drift (inputs)")


def test_concept_drift_heals_where_somebody_wants_it_to() -> None:
    decided = decide(world(({**CONCEPT, "action": "Retrain"},), MOVED))

    assert decided.status.stage is Stage.RETRAINING
    assert decided.status.retraining.running is not None
    assert decided.status.retraining.running.because.startswith(
        "1 of 2 signals is breached (rule: the rule from inputs to outcome has moved"
    )


def test_a_drop_is_measured_from_the_holdout() -> None:
    drop = {"name": "guess", "type": "EstimatedAccuracy", "maxDrop": 0.08}

    assert signals(world((drop,), MOVED))["guess"].bound == 0.82
    assert signals(world((drop,), MOVED))["guess"].verdict is Verdict.BREACHED
    poor = Holdout(rows=1000, right=50, expected=500.0)
    assert signals(world((drop,), holdout=poor))["guess"].because == (
        "estimated accuracy not judged: it was 0.050 on the holdout, and maxDrop 0.08 below that nothing is left, give "
        "minimum"
    )


@pytest.mark.parametrize(
    ("holdout", "version", "said"),
    [
        (
            None,
            {},
            dict.fromkeys(("mix", "guess", "rule"), "flights-v1 has no record of its holdout, as artifacts"),
        ),
        (
            HOLDOUT.model_copy(update={"expected": None}),
            {},
            dict.fromkeys(
                ("guess", "rule"), "flights-v1 gives no probabilities; pack a model with predict_proba"
            ),
        ),
        (
            HOLDOUT.model_copy(update={"confusion": ()}),
            {},
            {
                "mix": "flights-v1 has no record of which class it takes for which, as is kept for up to 20 classes"
            },
        ),
        (HOLDOUT, {"classes": ()}, {"mix": "flights-v1 has no record of which class it takes for which"}),
        (
            Holdout(rows=30, right=27, expected=27.0, confusion=((14, 1), (2, 13))),
            {},
            {
                "mix": "the holdout has 16 rows of no, and 20 are needed",
                "guess": "the holdout has 30 rows, and 100 are needed to know what scores are worth",
                "rule": "the holdout has 30 rows, and 100 are needed to know what scores are worth",
            },
        ),
        (
            Holdout(rows=1000, right=990, expected=980.0, confusion=((990, 10), (0, 0))),
            {},
            {"mix": "the holdout has 10 rows of yes, and 20 are needed"},
        ),
    ],
    ids=["no holdout", "no probabilities", "no matrix", "too many classes", "30 rows", "one class only"],
)
def test_holdout_that_tells_too_little_is_unknown_with_a_remedy(
    holdout: Holdout | None, version: dict[str, Any], said: dict[str, str]
) -> None:
    found = signals(world(sums=MOVED, holdout=holdout, version=version))

    for name, because in said.items():
        assert found[name].verdict is Verdict.UNKNOWN
        assert because in found[name].because
        assert (found[name].value, found[name].shares) == (None, ())


def test_model_of_numbers_has_no_classes_to_judge() -> None:
    found = signals(world(holdout=None, version={"task": Task.REGRESSION, "classes": ()}))

    for name in ("mix", "guess", "rule"):
        assert found[name].verdict is Verdict.UNKNOWN
        assert "not judged: flights-v1 predicts numbers, and this is of classes" in found[name].because


def test_version_that_nobody_has_seen_yet_is_unknown() -> None:
    found = signals(replace(world(), versions=()))

    assert "not judged: the version has no record of its holdout" in found["guess"].because


@pytest.mark.parametrize(
    ("name", "sums", "because"),
    [
        ("mix", {}, "label shift unknown: 0 of 40 predictions needed"),
        ("mix", {"elsewhere": 9000.0}, "label shift unknown: 0 of 40 predictions needed"),
        (
            "mix",
            {"no": 10_000.0},
            "label shift alone does not explain the predictions: the share of yes comes out at -0.125",
        ),
        ("guess", {}, "estimated accuracy unknown: no predictions in the window"),
        (
            "guess",
            {"rows": 0.0, "scored": 0.0, "expected": 0.0},
            "estimated accuracy unknown: no predictions in the window",
        ),
        (
            "guess",
            {"rows": 500.0, "scored": 0.0, "expected": 0.0},
            "estimated accuracy unknown: 500 of 500 predictions have no number for a score (NaN or infinite)",
        ),
        (
            "guess",
            {"rows": 500.0},
            "estimated accuracy unknown: the pods of this version do not count scores, as older runtime images do not; "
            "those of the next version count them",
        ),
        (
            "rule",
            {"rows": 0.0, "right": 0.0, "expected": 0.0},
            "concept drift unknown: 0 of 200 labels of predictions with a score needed in a window",
        ),
        (
            "rule",
            {},
            "concept drift unknown: no pod of this version has counted labels beside scores, as none does whose runtime "
            "image is an older one; those of the next version count them",
        ),
    ],
)
def test_window_that_tells_too_little_is_unknown_with_a_sentence(name: str, sums: Sums, because: str) -> None:
    found = signals(world(sums=STILL | {name: sums}))[name]

    assert (found.verdict, found.because) == (Verdict.UNKNOWN, because)


def test_many_classes_are_no_hindrance_to_an_estimate() -> None:
    found = signals(world((ESTIMATE,), MOVED, version={"classes": ()}))["guess"]

    assert found.verdict is Verdict.BREACHED


def test_first_window_is_waited_for_and_labels_for_as_long_as_they_take() -> None:
    found = signals(world(sums={}))
    waited = "the window from 2026-02-28T11:00:00Z is judged after 2026-02-28T17:00:00Z"
    assert {each.because for name, each in found.items() if name != "accuracy"} == {
        f"label shift unknown: {waited}",
        f"estimated accuracy unknown: {waited}",
        f"concept drift unknown: {waited}",
    }
    assert condition(world(sums={})).status is status.ConditionStatus.TRUE, "accuracy is known"

    delay = {"p50": 60.0, "p90": 7200.0, "p99": 36_000.0}
    present = signals(world((CONCEPT,), {}, version={"label_delay": delay})).values()
    for hours, known in ((39.9, "True"), (40.1, "Unknown")):
        made = world((CONCEPT,), {}, version={"label_delay": delay}, signals=tuple(present))
        now = made.now + timedelta(hours=hours)
        made = replace(
            made,
            now=now,
            poll=observed.Poll(at=now),
            ledgers={key: replace(each, labels_at=now.timestamp()) for key, each in made.ledgers.items()},
        )
        assert condition(made).status.value == known


def test_silent_prometheus_makes_them_unknown_too() -> None:
    poll = observed.Poll(at=worlds.NOW - timedelta(hours=1), problem="away")
    found = signals(replace(world(sums=MOVED), poll=poll))

    assert {each.verdict for each in found.values()} == {Verdict.UNKNOWN}
    assert (
        found["rule"].because
        == "concept drift unknown: Prometheus has not answered since 2026-03-01T11:00:00Z"
    )
    assert found["mix"].shares == ()


def test_status_is_written_anew_only_when_it_says_something_else() -> None:
    first = world(sums=MOVED)
    held = decide(first).status.signals

    def again(mix: Sums) -> status.SignalStatus:
        return signals(world(sums=MOVED | {"mix": mix}, signals=held))["mix"]

    before = next(signal for signal in held if signal.name == "mix")
    assert again(MOVED["mix"]) == before
    assert again({"no": 7300.0, "yes": 2700.0}) != before
    added = before.model_copy(update={"shares": before.shares[:1]})
    assert signals(world(sums=MOVED, signals=(added,)))["mix"].shares == before.shares


@pytest.mark.parametrize("name", ["mix", "guess", "rule"])
def test_states_outlive_the_checkpoint(name: str) -> None:
    (book,) = world(sums=MOVED).ledgers.values()
    saved = json.loads(json.dumps(book.to_json()))

    assert type(book).from_json(saved).drift[name] == book.drift[name]


def test_guarantee_stands_with_its_condition() -> None:
    found = signals(world())

    assert found["guess"].guarantee == (
        "at least 720h between false alarms on average, while its scores are worth what they were on its holdout and rows "
        "are alike"
    )
    assert "takes classes for each other as on its holdout" in (found["mix"].guarantee or "")
