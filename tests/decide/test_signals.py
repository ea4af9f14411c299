"""Every type of signal from counted labels to a verdict, a sentence and a retraining; and where errors come in bursts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import worlds
from decide.test_judge import later
from modelmend.api.resources import ModelVersion
from modelmend.api.status import Phase, SignalStatus, Verdict
from modelmend.decide import compared, decide, judge, observed, terms
from modelmend.evidence import confusion, family, ledger

HOUR = 3600.0
GOOD = {("yes", "yes"): 90, ("no", "yes"): 10, ("no", "no"): 890, ("yes", "no"): 10}
MISSES = {("yes", "yes"): 40, ("no", "yes"): 60, ("no", "no"): 1890, ("yes", "no"): 10}
"""An accuracy of .965, and a recall of .4."""
NO_YES = {("no", "no"): 990, ("yes", "no"): 10}


def watching(type_: str, table: dict[tuple[str, str], int], **signal: Any) -> observed.Observed:
    body = {"name": "watched", "type": type_, "minimum": 0.8, "minLabels": 50, **signal}
    body = {key: value for key, value in body.items() if value is not None}
    spec = worlds.make_spec(monitoring={"signals": [body]})
    return worlds.serving(spec=spec, labels={"table": table})


def status(world: observed.Observed) -> SignalStatus:
    (signal,) = decide(world).status.signals
    return signal


def of_version(world: observed.Observed, **fields: Any) -> observed.Observed:
    versions: tuple[ModelVersion, ...] = (worlds.version(1, state="Champion", **fields),)
    return replace(world, versions=versions)


@pytest.mark.parametrize(
    ("type_", "value", "told"),
    [
        ("Precision", 0.9, "precision of yes 0.900 over 100 rows predicted yes"),
        ("Recall", 0.9, "recall of yes 0.900 over 100 rows that are yes"),
        ("F1", 0.9, "f1 of yes 0.900 over 110 rows that are or were predicted yes"),
        ("BalancedAccuracy", 0.944, "balancedAccuracy 0.944 over 1,000 labels"),
        ("Accuracy", 0.98, "accuracy 0.980 over 1,000 labels"),
    ],
)
@pytest.mark.parametrize("evidence", ["Lifelong", "Threshold"])
def test_each_type_shows_its_own_measure_of_a_healthy_model(
    type_: str, value: float, told: str, evidence: str
) -> None:
    found = status(watching(type_, GOOD, minimum=0.7, evidence=evidence))

    assert (found.verdict, found.value, found.bound) == (Verdict.OK, value, 0.7)
    assert found.because.startswith(told)


@pytest.mark.parametrize("evidence", ["Lifelong", "Threshold"])
@pytest.mark.parametrize("type_", ["Recall", "F1"])
def test_a_class_that_is_missed_breaches_and_retrains_though_accuracy_is_fine(
    type_: str, evidence: str
) -> None:
    world = watching(type_, MISSES, evidence=evidence)
    fine = watching("Accuracy", MISSES, evidence=evidence)

    assert status(world).verdict is Verdict.BREACHED
    assert decide(world).status.retraining.running is not None
    assert status(fine).verdict is Verdict.OK
    assert decide(fine).status.retraining.running is None


def test_balanced_accuracy_needs_several_polls_since_each_has_one_vote() -> None:
    found = status(watching("BalancedAccuracy", MISSES))

    assert found.verdict is Verdict.OK
    assert "is not proven below the limit 0.800" in found.because


def test_the_class_in_question_may_be_any() -> None:
    assert status(watching("Recall", MISSES, positiveClass="no")).because.startswith("recall of no 0.995")


@pytest.mark.parametrize(
    ("signal", "classes", "because"),
    [
        (
            {"type_": "Recall"},
            ("a", "b", "c"),
            "recall of 3 classes is not one number: name positiveClass (one of a, b, c), "
            "or watch balancedAccuracy, the mean recall of all",
        ),
        (
            {"type_": "F1", "positiveClass": "maybe"},
            ("no", "yes"),
            "f1: positiveClass maybe is not one of the model's classes no, yes",
        ),
        (
            {"type_": "BalancedAccuracy"},
            (),
            "balancedAccuracy needs the classes of the model, and 0 are on record for this version: none are of more "
            "than 50 classes, or where an older Modelmend made the record; the next version's is complete",
        ),
    ],
)
def test_what_cannot_be_judged_of_this_model_is_unknown_and_says_what_to_write(
    signal: dict[str, Any], classes: tuple[str, ...], because: str
) -> None:
    world = of_version(watching(table=GOOD, **signal), classes=classes)

    found = status(world)

    assert (found.verdict, found.bound, found.because) == (Verdict.UNKNOWN, None, because)
    assert judge.shown(world) == {}


@pytest.mark.parametrize(
    ("type_", "positive", "measured", "bound"),
    [
        ("Recall", None, {"recall_of_yes": 0.9, "recall": 0.1}, 0.8),
        ("Recall", None, {"recall": 0.9}, 0.8),
        ("Recall", "no", {"recall_of_no": 0.7, "recall": 0.9}, 0.6),
        ("F1", "yes", {"f1": 0.7}, 0.6),
        ("BalancedAccuracy", None, {"balanced_accuracy": 0.65}, 0.55),
    ],
)
def test_max_drop_starts_from_the_holdouts_metric_of_that_name(
    type_: str, positive: str | None, measured: dict[str, float], bound: float
) -> None:
    world = watching(type_, GOOD, minimum=None, maxDrop=0.1, positiveClass=positive)

    assert status(of_version(world, metrics=measured)).bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("positive", "measured", "because"),
    [
        ("no", {"recall": 0.9}, "recall of no not judged: flights-v1 has no recall of no on a holdout"),
        ("yes", {"recall": 1.5}, "recall of yes not judged: flights-v1 has no recall of yes on a holdout"),
        (
            "yes",
            {"recall": 0.1},
            "recall of yes not judged: it was 0.100 on the holdout, and maxDrop 0.1 below",
        ),
    ],
)
def test_max_drop_from_nothing_is_unknown(positive: str, measured: dict[str, float], because: str) -> None:
    world = watching("Recall", GOOD, minimum=None, maxDrop=0.1, positiveClass=positive)

    found = status(of_version(world, metrics=measured))

    assert found.verdict is Verdict.UNKNOWN
    assert found.because.startswith(because)
    assert found.because.endswith("give minimum")


def test_max_drop_of_a_version_without_a_record_is_unknown() -> None:
    world = watching("Accuracy", GOOD, minimum=None, maxDrop=0.1)

    found = terms.asked(world.deployment, world.deployment.spec.monitoring.signals[0], None)

    assert isinstance(found, str)
    assert "the version has no accuracy on a holdout" in found


@pytest.mark.parametrize(
    ("type_", "table", "because"),
    [
        ("Recall", NO_YES, "recall of yes unknown: 0 of 50 rows that are yes needed for a verdict"),
        (
            "BalancedAccuracy",
            NO_YES,
            "balancedAccuracy unknown: 0 of 50 labels needed for a verdict, no label of yes has come of late",
        ),
        (
            "Precision",
            {},
            "precision of yes unknown: 0 of 50 rows predicted yes needed for a verdict and none since 2026-02-28T12:00:00Z",
        ),
    ],
)
def test_labels_that_say_nothing_about_the_measure_leave_it_unknown(
    type_: str, table: dict[tuple[str, str], int], because: str
) -> None:
    assert (status(watching(type_, table)).verdict, status(watching(type_, table)).because) == (
        Verdict.UNKNOWN,
        because,
    )


def test_older_pods_that_tell_no_classes_are_named_and_their_accuracy_is_judged() -> None:
    recall = worlds.make_spec(monitoring={"signals": [{"name": "watched", "type": "Recall", "minimum": 0.8}]})

    found = status(worlds.serving(spec=recall, labels={"right": 900, "wrong": 100}))

    assert found.verdict is Verdict.UNKNOWN
    assert found.because.startswith(
        "recall of yes unknown: the pods of this version count labels without their"
    )
    assert status(worlds.serving(labels={"right": 900, "wrong": 100})).verdict is Verdict.OK


def without_window(world: observed.Observed) -> observed.Observed:
    """The same world after a window without a row that votes."""
    ((rollout, book),) = world.ledgers.items()
    (snapshots,) = book.history.values()
    asked = terms.asked(world.deployment, world.deployment.spec.monitoring.signals[0], world.versions[0])
    assert isinstance(asked, family.Signal)
    begin = replace(snapshots[0], labels=book.shown("watched", asked))
    return replace(world, ledgers={rollout: replace(book, history={"watched": (begin,)})})


@pytest.mark.parametrize(
    ("type_", "table", "because"),
    [
        (
            "Recall",
            MISSES,
            "recall of yes fell below the limit 0.800, and no rows that are yes in its window say otherwise",
        ),
        ("Recall", GOOD, "recall of yes unknown: no rows that are yes in its window"),
        ("Accuracy", GOOD, "accuracy unknown: no label since 2026-03-01T11:59:50Z"),
    ],
)
def test_a_window_without_such_rows_is_said(
    type_: str, table: dict[tuple[str, str], int], because: str
) -> None:
    assert status(without_window(watching(type_, table))).because == because


def test_a_window_that_lost_a_class_says_which() -> None:
    world = watching("BalancedAccuracy", GOOD)
    ((rollout, book),) = world.ledgers.items()
    (snapshots,) = book.history.values()
    had = confusion.Confusion({("yes", "yes"): 90, (confusion.ELSE, "yes"): 10})
    begun = replace(book, history={"watched": (replace(snapshots[0], labels=had),)})

    found = status(replace(world, ledgers={rollout: begun}))

    assert found.because == "balancedAccuracy unknown: no label of yes has come of late"


def test_a_signal_that_comes_to_ask_something_else_begins_anew() -> None:
    world = watching("Recall", MISSES)
    assert status(world).verdict is Verdict.BREACHED

    for other in ({"positiveClass": "no"}, {"type": "Precision"}, {"block": "1h"}):
        body = {"name": "watched", "type": "Recall", "minimum": 0.8, "minLabels": 50, **other}
        assert status(worlds.edited(world, monitoring={"signals": [body]})).verdict is Verdict.UNKNOWN


def test_figures_for_metrics_are_exact() -> None:
    world = watching("Recall", MISSES)

    assert judge.shown(world)["watched"].value == pytest.approx(0.4)
    assert judge.shown(without_window(world)) == {}
    assert judge.shown(replace(world, ledgers={})) == {}
    assert judge.shown(worlds.with_status(world, stable=None)) == {}
    assert terms.need_classes(world.deployment.spec)
    assert not terms.need_classes(worlds.make_spec())


# Blocks.


def polled(
    world: observed.Observed, *polls: tuple[float, int, int], rollout: int = 1, **pairs: tuple[int, int, int]
) -> observed.Observed:
    """The world after polls at (hours from now, right, wrong), each new at that poll."""
    number = worlds.rollout(rollout)
    asked = terms.of(world.deployment, world.version(worlds.name(rollout)), number)
    book, right, wrong, at = ledger.Ledger(number, asked.evidence_since), 0, 0, 0.0
    for at, new_right, new_wrong in polls:
        right, wrong = right + new_right, wrong + new_wrong
        counters = {"process": {"right": float(right), "wrong": float(wrong)}}
        moment = worlds.NOW.timestamp() + at * HOUR
        book, _ = ledger.advance(book, ledger.Reading(moment, counters), asked)
    now = worlds.NOW + timedelta(hours=at)
    return replace(world, now=now, poll=observed.Poll(at=now), ledgers={**world.ledgers, number: book})


HOURLY = {"block": "1h", "falseAlarmEvery": "12h"}


def test_labels_in_a_block_wait_for_its_end() -> None:
    world = watching("Accuracy", GOOD, **HOURLY)

    assert status(polled(world, (0.1, 900, 100))).because == (
        "accuracy unknown: 0 of 50 labels needed for a verdict, counted when their block of 1 h ends"
    )
    assert status(polled(world, (0.1, 900, 100), (1.0, 0, 0))).verdict is Verdict.OK


def test_blocks_breach_later_and_say_so_in_blocks() -> None:
    world = watching("Accuracy", GOOD, **HOURLY)
    bad = [(hour + 0.5, 60, 40) for hour in range(24)]

    found = status(polled(world, *bad))

    assert found.verdict is Verdict.BREACHED
    assert found.warning is None


def test_bursts_are_warned_of_without_blocks_and_only_once() -> None:
    swings = [(0.01 * poll, 100, 0) if poll // 10 % 2 else (0.01 * poll, 88, 12) for poll in range(200)]
    plain = polled(watching("Accuracy", GOOD, minimum=0.85), *swings)
    warned = status(plain)

    assert warned.warning is not None
    assert warned.warning.startswith("errors come in bursts")
    assert warned.warning.endswith("set block to a time longer than a burst")
    assert status(polled(watching("Accuracy", GOOD, minimum=0.85, block="1d"), *swings)).warning is None
    threshold = watching("Accuracy", GOOD, minimum=0.85, evidence="Threshold")
    assert status(polled(threshold, *swings)).warning is None

    # How much they correlate moves with every label, and a status must not.
    settled = worlds.at_rest(plain)
    more = polled(plain, *swings, (2.0, 99, 1), (2.01, 99, 1))
    again = replace(settled, ledgers=more.ledgers, now=more.now, poll=more.poll)
    assert status(again) == settled.deployment.status.signals[0]


def test_a_warning_that_comes_later_is_written_though_the_figures_stayed() -> None:
    world = worlds.at_rest(
        polled(watching("Accuracy", GOOD, minimum=0.85), *[(0.0, 94, 6)] * 3, (0.1, 94, 6))
    )
    swings = [(0.01 * poll, 100, 0) if poll // 10 % 2 else (0.01 * poll, 88, 12) for poll in range(200)]
    plain = polled(world, *swings)

    assert status(plain).warning is not None


def paired_world(block: str | None, polls: list[tuple[int, int, int]]) -> observed.Observed:
    """A shadow with pairs (candidate only wrong, champion only wrong, rest), one poll an hour."""
    analysis = {"margin": 0.1, "deadline": "1000h", **({"block": block} if block else {})}
    world = worlds.rolling(Phase.SHADOW, spec=worlds.make_spec(rollout={"analysis": analysis}))
    number = worlds.rollout(2)
    asked = terms.of(world.deployment, world.version(worlds.name(2)), number)
    book, total = ledger.Ledger(number, asked.evidence_since), [0, 0, 0]
    begin = worlds.NOW.timestamp() - HOUR * len(polls)
    for hour, new in enumerate(polls):
        total = [a + b for a, b in zip(total, new, strict=True)]
        counters = {
            "process": dict(
                zip(
                    ("candidate_only_wrong", "champion_only_wrong", "both_right"),
                    map(float, total),
                    strict=True,
                )
            )
        }
        book, _ = ledger.advance(book, ledger.Reading(begin + hour * HOUR, counters), asked)
    return replace(world, ledgers={**world.ledgers, number: book})


BURST = [(0, 0, 100)] * 3 + [(60, 0, 40)] + [(0, 0, 100)] * 3


def test_one_burst_of_errors_rolls_a_candidate_back_unless_pairs_vote_by_blocks() -> None:
    assert judge.judge(paired_world(None, BURST)).comparison.finding is compared.Outcome.WORSE
    found = judge.judge(paired_world("1h", BURST)).comparison

    assert found.finding is compared.Outcome.UNDECIDED
    assert "blocks" in found.because


@pytest.mark.parametrize(
    ("polls", "finding"),
    [
        ([(20, 5, 75)] * 40, compared.Outcome.WORSE),
        ([(5, 20, 75)] * 40, compared.Outcome.NOT_WORSE),
        ([], compared.Outcome.UNDECIDED),
    ],
)
def test_blocks_of_pairs_decide_when_there_are_many(
    polls: list[tuple[int, int, int]], finding: compared.Outcome
) -> None:
    world = paired_world("1h", polls)

    assert judge.judge(world).comparison.finding is finding


def test_silence_is_said_in_blocks_too() -> None:
    world = polled(watching("Accuracy", GOOD, **HOURLY), (0.1, 9, 1))

    assert status(later(world, 7)).because == (
        "accuracy unknown: 0 of 50 labels needed for a verdict and none since 2026-03-01T12:06:00Z, "
        "counted when their block of 1 h ends"
    )
