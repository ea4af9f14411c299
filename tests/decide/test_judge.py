"""What the numbers say about the stable version, and how seldom the sentence changes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Phase, Verdict
from modelmend.decide import decide, judge, observed
from modelmend.evidence import confusion

DROP = worlds.make_spec(monitoring={"signals": [{"name": "accuracy", "maxDrop": 0.05}]})
THRESHOLD = worlds.make_spec(
    monitoring={"signals": [{"name": "accuracy", "minimum": 0.85, "evidence": "Threshold", "minLabels": 200}]}
)


def first(world: observed.Observed) -> tuple[Verdict, str]:
    """Verdict and sentence of the only signal."""
    (signal,) = decide(world).status.signals
    return signal.verdict, signal.because


def test_max_drop_starts_from_the_holdout_of_the_version() -> None:
    world = worlds.serving(spec=DROP, labels={"right": 950, "wrong": 50})
    (signal,) = decide(world).status.signals

    assert (signal.verdict, signal.bound) == (Verdict.OK, 0.85)


@pytest.mark.parametrize("metrics", [{}, {"accuracy": float("nan")}, {"accuracy": 91.0}])
def test_max_drop_without_a_holdout_is_unknown_and_says_what_to_give(metrics: dict[str, float]) -> None:
    world = worlds.serving(spec=DROP)
    world = replace(world, versions=(worlds.version(1, metrics=metrics, state="Champion"),))

    assert first(world) == (
        Verdict.UNKNOWN,
        "accuracy not judged: flights-v1 has no accuracy on a holdout for maxDrop to start from, give minimum",
    )


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        (worlds.GOOD, Verdict.OK),
        (worlds.BAD, Verdict.BREACHED),
        ({"right": 90, "wrong": 10}, Verdict.UNKNOWN),
    ],
)
def test_threshold_judges_its_window_alone(labels: dict[str, int], verdict: Verdict) -> None:
    assert first(worlds.serving(spec=THRESHOLD, labels=labels))[0] is verdict


def test_labels_that_come_before_their_time_are_not_judged_until_a_moment() -> None:
    world = worlds.serving(stable=worlds.stable(since=worlds.NOW - timedelta(minutes=4)))
    world = replace(world, versions=(worlds.version(1, label_delay=worlds.DELAY, state="Champion"),))

    assert first(world) == (
        Verdict.UNKNOWN,
        "accuracy not judged before 2026-03-01T12:06:00Z: the labels that arrive first are not typical",
    )
    rested = replace(worlds.at_rest(world), poll=observed.Poll(at=worlds.NOW + timedelta(minutes=4)))
    assert decide(worlds.at_rest(rested)).look_again_in == timedelta(minutes=6)


def later(world: observed.Observed, hours: float) -> observed.Observed:
    """The same counts, so many hours later; Prometheus answers."""
    now = world.now + timedelta(hours=hours)
    return replace(world, now=now, poll=observed.Poll(at=now))


def test_silence_beyond_the_window_is_unknown_since_the_last_label() -> None:
    world = worlds.serving()

    assert first(later(world, 5.9))[0] is Verdict.OK
    assert first(later(world, 6.1)) == (
        Verdict.UNKNOWN,
        "accuracy unknown: no label since 2026-03-01T11:59:50Z",
    )


def test_too_few_labels_and_silence_are_said_together() -> None:
    world = worlds.serving(labels={"right": 50, "wrong": 5})

    assert first(world)[1] == "accuracy unknown: 40 of 200 labels needed for a verdict"
    assert first(later(world, 7))[1] == (
        "accuracy unknown: 40 of 200 labels needed for a verdict and none since 2026-03-01T11:59:50Z"
    )


def test_slow_labels_make_patience_longer() -> None:
    slow = worlds.version(
        1, state="Champion", label_delay=worlds.DELAY.model_copy(update={"p99": 100_000.0, "p90": 60.0})
    )
    world = replace(worlds.serving(), versions=(slow,))

    assert first(later(world, 20))[0] is Verdict.OK


def test_a_breach_outlives_silence_and_says_since_when() -> None:
    world = worlds.serving(labels=worlds.BAD)
    (rollout, book), *_ = world.ledgers.items()
    empty = {
        "accuracy": (replace(book.history["accuracy"][0], labels=confusion.Confusion.of_labels(book.labels)),)
    }
    silent = later(replace(world, ledgers={rollout: replace(book, history=empty)}), 48)

    assert first(silent) == (
        Verdict.BREACHED,
        "accuracy fell below the limit 0.850, and no label since 2026-03-01T11:59:50Z says otherwise",
    )


def test_prometheus_that_is_silent_is_said_without_its_error_which_may_differ_each_time() -> None:
    at = worlds.NOW - timedelta(minutes=5)
    one = replace(worlds.serving(), poll=observed.Poll(at=at, problem="timeout"))
    other = replace(one, poll=observed.Poll(at=at, problem="connection refused"))

    assert first(one) == first(other)
    assert first(one)[1] == "accuracy unknown: Prometheus has not answered since 2026-03-01T11:55:00Z"
    never = replace(one, poll=observed.Poll())
    assert first(never)[1] == "accuracy unknown: Prometheus has not answered yet"


def test_labels_that_are_awaited_while_prometheus_fails_are_not_told_from_those_that_it_does_not_tell() -> (
    None
):
    at = worlds.NOW - timedelta(minutes=1)
    world = replace(worlds.serving(labels={"right": 9}), poll=observed.Poll(at=at, problem="timeout"))

    assert first(world)[1] == (
        "accuracy unknown: 0 of 200 labels needed for a verdict; "
        "Prometheus has not answered since 2026-03-01T11:59:00Z"
    )


def test_long_intervals_make_patience_with_prometheus_longer() -> None:
    spec = worlds.make_spec(monitoring={"interval": "10m"})
    world = replace(worlds.serving(spec=spec), poll=observed.Poll(at=worlds.NOW - timedelta(minutes=29)))

    assert judge.is_fresh(world)
    assert not judge.is_fresh(replace(world, now=world.now + timedelta(minutes=1)))


def test_a_detector_that_is_about_to_restart_judges_nothing() -> None:
    world = worlds.serving(labels=worlds.BAD)
    assert first(world)[0] is Verdict.BREACHED

    restarted = worlds.with_status(world, stable=worlds.stable(evidence_since=worlds.NOW))
    other_limit = worlds.edited(world, monitoring={"signals": [{"name": "accuracy", "minimum": 0.6}]})
    for changed in (restarted, other_limit):
        assert first(changed) == (Verdict.UNKNOWN, "accuracy unknown: 0 of 200 labels needed for a verdict")


def test_a_verdict_keeps_its_date_while_it_stays_the_same() -> None:
    world = worlds.at_rest(worlds.serving())
    more = later(
        replace(
            world, ledgers={worlds.rollout(1): worlds.counted(world.deployment, 1, right=2800, wrong=200)}
        ),
        1,
    )

    (before,), (after,) = world.deployment.status.signals, decide(more).status.signals

    assert before.since == after.since
    assert (before.value, after.value) == (0.95, 0.933)


def test_a_changed_limit_is_shown_at_once() -> None:
    world = worlds.at_rest(worlds.serving(spec=THRESHOLD))
    edited = worlds.edited(
        world, monitoring={"signals": [{"name": "accuracy", "minimum": 0.84, "evidence": "Threshold"}]}
    )

    assert decide(edited).status.signals[0].bound == 0.84


def test_signals_stand_in_the_order_of_spec() -> None:
    bodies = [{"name": name, "minimum": 0.8, "action": "Alert"} for name in ("z", "a")]
    spec = worlds.make_spec(monitoring={"signals": bodies})

    assert [signal.name for signal in decide(worlds.serving(spec=spec)).status.signals] == ["z", "a"]


def test_the_evidence_of_a_candidate_is_rounded_and_changes_seldom() -> None:
    world = worlds.at_rest(worlds.rolling(Phase.SHADOW, pairs=(30, 40, 1170)))
    held = world.deployment.status.candidate
    assert held is not None
    assert (held.evidence.pairs, held.evidence.candidate_only_wrong) == (1200, 30)
    assert held.evidence.expected_pairs is not None

    def evidence(a: int, b: int, c: int) -> object:
        ledgers = {
            worlds.rollout(2): worlds.counted(
                world.deployment, 2, pairs=(a, b, c), answered=1000, beside=1000
            )
        }
        candidate = decide(replace(world, ledgers=world.ledgers | ledgers)).status.candidate
        assert candidate is not None
        return candidate.evidence

    assert evidence(31, 41, 1228) == held.evidence
    assert evidence(31, 41, 1828) != held.evidence
    assert evidence(45, 40, 1170) != held.evidence
