"""Windows are disjoint, whole or dropped, and the same after a restart."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from modelmend.evidence import drift, verdict, watch

HOUR = 3600.0
TERMS = watch.Terms("inputs", watch.Kind.INPUTS, length=HOUR, effect=0.1, alpha=0.01, since=0.0)
REFERENCE = {"low": 500, "high": 500}
BEGUN = watch.State(TERMS, 10 * HOUR, 10 * HOUR)


def window(low: int, high: int, *, is_whole: bool = True) -> watch.Window:
    """One feature's counts."""
    return watch.Window(is_whole, (drift.Feature("wind", REFERENCE, {"low": low, "high": high}),))


def at(hours: float) -> float:
    """A moment at which what ended so many hours after the begin of time is settled."""
    return hours * HOUR + watch.SETTLED


def test_windows_begin_on_a_grid_so_that_a_fleet_shares_them() -> None:
    begins = {watch.opened({}, [TERMS], 9.1 * HOUR + 60 * n)["inputs"].begun_at for n in range(5)}

    assert begins == {9.125 * HOUR, 9.25 * HOUR}


def test_window_ends_once_after_its_length_and_a_scrape() -> None:
    assert watch.ending(BEGUN, at(11) - 1) is None
    assert watch.ending(BEGUN, at(11)) == 11 * HOUR
    assert watch.ending(BEGUN, at(11.9)) == 11 * HOUR, "read late, it is the same window"


def test_next_window_begins_where_the_last_one_ended() -> None:
    state, seen = BEGUN, [BEGUN.begun_at]
    for hour in (11, 12, 13):
        end = watch.ending(state, at(hour))
        assert end is not None
        state = watch.judged(state, window(100, 100), end)
        seen.append(state.begun_at)

    assert [later - earlier for earlier, later in pairwise(seen)] == [HOUR] * 3
    assert state.said is not None
    assert state.said.judgement.verdict is verdict.Verdict.OK


def test_moved_inputs_are_breached_and_named_until_a_window_says_otherwise() -> None:
    moved = watch.judged(BEGUN, window(180, 20), 11 * HOUR)
    assert moved.said is not None
    assert moved.said.judgement.verdict is verdict.Verdict.BREACHED
    assert moved.said.drifted == ("wind",)
    assert moved.said.judgement.because.startswith("1 of 1 feature drifted: wind PSI")

    after = watch.judged(moved, window(100, 100), 12 * HOUR)
    assert after.said is not None
    assert (after.said.judgement.verdict, after.said.drifted) == (verdict.Verdict.OK, ())


def test_predictions_are_called_so() -> None:
    state = replace(BEGUN, terms=replace(TERMS, kind=watch.Kind.PREDICTIONS))
    said = watch.judged(state, window(180, 20), 11 * HOUR).said

    assert said is not None
    assert "1 of 1 prediction drifted" in said.judgement.because


def test_window_with_too_few_rows_goes_on_up_to_four_lengths_and_then_says_so() -> None:
    state = BEGUN
    for hour in (11, 12, 13):
        end = watch.ending(state, at(hour))
        assert end == hour * HOUR
        state = watch.judged(state, window(10, 10), end)
        assert (state.begun_at, state.said) == (10 * HOUR, None)
        assert watch.ending(state, at(hour + 0.5)) is None, "each end is read once"
    state = watch.judged(state, window(10, 10), 14 * HOUR)

    assert state.begun_at == 14 * HOUR
    assert state.said is not None
    assert state.said.judgement.verdict is verdict.Verdict.UNKNOWN
    assert "too few rows for a verdict: 20 of 40" in state.said.judgement.because


def test_window_without_any_reference_is_unknown_at_once() -> None:
    said = watch.judged(BEGUN, watch.Window(True, ()), 11 * HOUR).said

    assert said is not None
    assert said.judgement.because == "no reference to compare features with"


def test_downtime_of_a_few_windows_makes_one_long_window() -> None:
    assert watch.ending(BEGUN, at(13.4)) == 13 * HOUR
    assert watch.opened({"inputs": BEGUN}, [TERMS], at(13.4))["inputs"] is BEGUN


def test_longer_downtime_drops_the_window_and_what_was_known() -> None:
    known = watch.judged(BEGUN, window(100, 100), 11 * HOUR)

    still = watch.opened({"inputs": known}, [TERMS], at(16) - 1)["inputs"]
    assert still is known
    assert watch.ending(still, at(16) - 1) == 15 * HOUR
    dropped = watch.opened({"inputs": known}, [TERMS], at(16))["inputs"]
    assert (dropped.said, dropped.lost) == (None, watch.Lost.LATE)
    assert dropped.begun_at >= at(16)


def test_clock_that_was_set_back_begins_anew_and_a_jitter_does_not() -> None:
    assert watch.opened({"inputs": BEGUN}, [TERMS], 9.9 * HOUR)["inputs"] is BEGUN
    assert watch.opened({"inputs": BEGUN}, [TERMS], 8 * HOUR)["inputs"].begun_at == 8 * HOUR


def test_window_whose_begin_is_forgotten_is_dropped_and_never_guessed() -> None:
    state = watch.judged(
        watch.judged(BEGUN, window(180, 20), 11 * HOUR), window(9000, 0, is_whole=False), 12 * HOUR
    )

    assert (state.said, state.lost, state.begun_at) == (None, watch.Lost.FORGOTTEN, 12 * HOUR)
    assert watch.judged(state, window(100, 100), 13 * HOUR).lost is None


@pytest.mark.parametrize(
    "changed",
    [{"effect": 0.2}, {"length": 2 * HOUR}, {"kind": watch.Kind.PREDICTIONS}, {"since": 5.0}],
    ids=str,
)
def test_who_asks_something_else_begins_anew(changed: dict[str, float]) -> None:
    known = watch.judged(BEGUN, window(180, 20), 11 * HOUR)
    state = watch.opened({"inputs": known, "gone": BEGUN}, [replace(TERMS, **changed)], at(11))  # type: ignore[arg-type]

    assert list(state) == ["inputs"]
    assert (state["inputs"].said, state["inputs"].lost) == (None, None)


def test_names_of_drifted_features_are_bounded() -> None:
    features = tuple(
        drift.Feature(f"f{number}", REFERENCE, {"low": 900, "high": 100}) for number in range(50)
    )
    said = watch.judged(BEGUN, watch.Window(True, features), 11 * HOUR).said

    assert said is not None
    assert len(said.drifted) == watch.NAMED
    assert "50 of 50 features drifted" in said.judgement.because


SUMS = watch.State(watch.Terms("estimate", watch.Kind.SCORES, HOUR, 0.0, needed=100), 10 * HOUR, 10 * HOUR)


def counted(state: watch.State, hour: float, **sums: float) -> watch.State:
    """The state after a window of sums that ended at that hour."""
    return watch.judged(state, watch.Window(True, sums=sums), hour * HOUR)


def test_sums_of_a_window_with_enough_rows_are_kept_and_the_next_begins() -> None:
    state = counted(SUMS, 11, rows=100, scored=100, expected=83.5)

    assert state.counted == watch.Counted(
        10 * HOUR, 11 * HOUR, {"rows": 100, "scored": 100, "expected": 83.5}
    )
    assert (state.begun_at, state.said, state.counted.rows("scored")) == (11 * HOUR, None, 100)
    assert state.counted.rows("nobody") == 0


def test_window_of_sums_goes_on_with_too_few_rows_and_ends_even_without_traffic() -> None:
    state = SUMS
    for hour in (11, 12, 13):
        state = counted(state, hour, rows=99)
        assert (state.begun_at, state.counted) == (10 * HOUR, None)
    assert counted(state, 14).counted == watch.Counted(10 * HOUR, 14 * HOUR, {})


def test_rows_of_classes_are_those_of_all_classes() -> None:
    classes = replace(SUMS, terms=replace(SUMS.terms, kind=watch.Kind.CLASSES))

    assert counted(classes, 11, yes=60, no=39).counted is None
    assert counted(classes, 11, yes=60, no=40).counted is not None


def test_window_of_labels_waits_until_those_that_come_are_typical() -> None:
    labels = watch.Terms("concept", watch.Kind.LABELS, HOUR, 0.0, needed=5, not_before=20.1 * HOUR)
    first = watch.opened({}, [labels], 10 * HOUR)

    assert first["concept"].begun_at == 20.125 * HOUR
    assert watch.opened(first, [labels], 15 * HOUR) == first, "a begin to come is no clock that was set back"
    assert watch.ending(first["concept"], at(15)) is None
    assert watch.ending(first["concept"], at(21.125)) == 21.125 * HOUR


@pytest.mark.parametrize(
    "state",
    [
        BEGUN,
        SUMS,
        watch.judged(SUMS, watch.Window(True, sums={"rows": 100.0, "expected": 0.25}), 11 * HOUR),
        replace(BEGUN, lost=watch.Lost.LATE),
        watch.judged(BEGUN, window(180, 20), 11 * HOUR),
        watch.judged(BEGUN, watch.Window(True, ()), 11 * HOUR),
    ],
    ids=["begun", "begun sums", "sums", "lost", "judged", "unknown"],
)
def test_state_goes_through_json(state: watch.State) -> None:
    saved = json.loads(json.dumps(state.to_json()))

    assert watch.State.from_json(saved) == state


def test_sums_that_became_null_are_read_as_none() -> None:
    saved = watch.judged(SUMS, watch.Window(True), 14 * HOUR).to_json()
    saved["counted"]["sums"] = None

    assert watch.State.from_json(saved) == watch.judged(SUMS, watch.Window(True), 14 * HOUR)


def test_state_of_another_making_is_refused() -> None:
    with pytest.raises(KeyError):
        watch.State.from_json({"begunAt": 1})
