"""Every outcome is counted once, whichever pods come, go, hide and return."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmend.evidence import counts

names = st.sampled_from(["a", "b", "c", "d", "e", "f"])
values = st.one_of(st.integers(0, 10**12).map(float), st.sampled_from([float("nan"), float("inf"), -1.0]))
readings = st.dictionaries(names, st.dictionaries(st.sampled_from(["right", "wrong"]), values))


def absorb_all(*several: counts.Reading) -> counts.Checkpoint:
    checkpoint = counts.Checkpoint()
    for reading in several:
        checkpoint, _ = counts.absorb(checkpoint, reading)
    return checkpoint


def test_an_unknown_process_starts_at_zero() -> None:
    checkpoint, delta = counts.absorb(counts.Checkpoint(), {"a": {"right": 7.0, "wrong": 0.0}})

    assert delta == {"right": 7}
    assert checkpoint.totals == {"right": 7}


def test_only_what_is_new_since_the_last_reading_counts() -> None:
    before = absorb_all({"a": {"right": 7, "wrong": 1}})

    checkpoint, delta = counts.absorb(before, {"a": {"right": 9, "wrong": 1}, "b": {"wrong": 2}})

    assert delta == {"right": 2, "wrong": 2}
    assert checkpoint.totals == {"right": 9, "wrong": 3}


def test_results_that_a_reading_leaves_out_keep_their_values() -> None:
    """One of several queries failed: the other families go on."""
    checkpoint = absorb_all(
        {"a": {"right": 7, "errors": 3}}, {"a": {"errors": 4}}, {"a": {"right": 8, "errors": 4}}
    )

    assert checkpoint.totals == {"right": 8, "errors": 4}


def test_a_process_that_was_away_and_returns_is_not_counted_twice() -> None:
    checkpoint = absorb_all({"a": {"right": 9}, "b": {"right": 2}}, {"b": {"right": 3}}, {"a": {"right": 11}})

    assert checkpoint.totals == {"right": 14}


def test_a_dead_process_that_a_longer_look_back_shows_again_is_not_counted_twice() -> None:
    checkpoint = absorb_all(
        {"dead": {"right": 9}}, {"b": {"right": 1}}, {"b": {"right": 2}, "dead": {"right": 9}}
    )

    assert checkpoint.totals == {"right": 11}


def test_an_older_answer_counts_nothing_until_its_old_height_is_passed() -> None:
    """Two Prometheus replicas behind one address, one a scrape behind the other."""
    checkpoint = absorb_all(*({"a": {"right": value}} for value in (1000, 990, 1010, 1000, 1020)))

    assert checkpoint.totals == {"right": 1020}


def test_values_that_no_counter_can_have_count_as_not_reported() -> None:
    before = absorb_all({"a": {"right": 5}})

    checkpoint, delta = counts.absorb(
        before, {"a": {"right": float("nan")}, "b": {"right": -1.0, "wrong": float("inf")}}
    )

    assert checkpoint == before
    assert delta == {}


def test_the_longest_missing_processes_are_settled_first() -> None:
    checkpoint = absorb_all(*({f"p{i}": {"right": 1}} for i in range(70)))

    assert len(checkpoint.live) == counts.VANISHED_KEPT + 1
    assert checkpoint.settled == ("p0", "p1", "p2", "p3", "p4")
    assert checkpoint.totals == {"right": 70}


def test_a_settled_process_is_never_counted_again() -> None:
    before = absorb_all(*({f"p{i}": {"right": 5}} for i in range(70)))

    checkpoint, delta = counts.absorb(before, {"p0": {"right": 9}, "p69": {"right": 5}})

    assert delta == {}
    assert checkpoint.totals == {"right": 350}


def test_a_settled_process_that_is_still_reported_is_remembered_longest() -> None:
    checkpoint = absorb_all(*({f"p{i}": {"right": 1}} for i in range(70)))
    for i in range(70, 1000):
        checkpoint, _ = counts.absorb(checkpoint, {f"p{i}": {"right": 1}, "p0": {"right": 3}})

    assert len(checkpoint.settled) == counts.SETTLED_KEPT
    assert checkpoint.settled[-1] == "p0"
    assert checkpoint.totals == {"right": 1000}


def test_a_large_fleet_that_loses_half_its_scrapes_settles_none_of_them() -> None:
    fleet = {f"p{i:03}": {"right": 10} for i in range(400)}
    half = {process: fleet[process] for process in list(fleet)[::2]}

    checkpoint = absorb_all(fleet, half, {process: {"right": 11} for process in fleet})

    assert checkpoint.totals == {"right": 4400}
    assert checkpoint.settled == ()


def test_an_empty_reading_settles_nothing() -> None:
    before = absorb_all({f"p{i:03}": {"right": 10} for i in range(400)})

    assert counts.absorb(before, {}) == (before, {})


def test_the_order_of_missing_processes_outlives_a_server_that_sorts_objects() -> None:
    before = absorb_all(*({process: {"right": 1}} for process in ("z", "y", "x", "a")))

    after = counts.Checkpoint.from_json(json.loads(json.dumps(before.to_json(), sort_keys=True)))

    assert after == before
    assert list(after.live) == ["z", "y", "x", "a"]


def test_a_checkpoint_of_a_long_life_stays_small() -> None:
    results = [
        "right",
        "wrong",
        "both_right",
        "candidate_only_wrong",
        "champion_only_wrong",
        "both_wrong",
        "requests",
    ]
    checkpoint = absorb_all(*({f"boot-{i:012}": dict.fromkeys(results, 10**6)} for i in range(1000)))

    assert len(json.dumps(checkpoint.to_json())) < 24_000


@settings(max_examples=50)
@given(st.lists(readings, max_size=6), readings)
def test_the_same_reading_again_changes_nothing(
    earlier: list[counts.Reading], reading: counts.Reading
) -> None:
    once, _ = counts.absorb(absorb_all(*earlier), reading)

    again, delta = counts.absorb(once, reading)

    assert again == once
    assert list(again.live) == list(once.live)
    assert delta == {}


@given(st.integers(0, 150), st.integers(1, 80))
def test_the_same_reading_again_changes_nothing_when_processes_are_settled(first: int, width: int) -> None:
    checkpoint = absorb_all(*({f"p{i}": {"right": 1}} for i in range(first)))
    reading = {f"p{i}": {"right": 2} for i in range(first // 3, first // 3 + width)}

    once, _ = counts.absorb(checkpoint, reading)

    assert counts.absorb(once, reading) == (once, {})


@settings(max_examples=50)
@given(st.lists(readings, max_size=8))
def test_totals_are_the_sum_of_all_deltas_and_outlive_json(polls: list[counts.Reading]) -> None:
    checkpoint, summed = counts.Checkpoint(), dict[str, int]()
    for reading in polls:
        checkpoint, delta = counts.absorb(checkpoint, reading)
        assert all(new > 0 for new in delta.values())
        summed = {result: summed.get(result, 0) + delta.get(result, 0) for result in {**summed, **delta}}

    assert checkpoint.totals == summed
    assert counts.Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json()))) == checkpoint


@settings(max_examples=50)
@given(
    st.dictionaries(names, st.lists(st.integers(0, 50), min_size=8, max_size=8), min_size=1),
    st.lists(st.dictionaries(names, st.integers(0, 2)), min_size=8, max_size=8),
)
def test_totals_equal_the_truth_whatever_is_hidden_late_or_gone(
    steps: dict[str, list[int]], lags: list[dict[str, int]]
) -> None:
    """Each process counts up; each poll shows some of them, as they were up to two polls ago."""
    grown = {process: [sum(steps[process][: i + 1]) for i in range(8)] for process in steps}
    shown = [
        {
            process: {"right": grown[process][max(poll - lag, 0)]}
            for process, lag in lag_of.items()
            if process in grown
        }
        for poll, lag_of in enumerate(lags)
    ]

    checkpoint = absorb_all(*shown)

    truth = sum(
        max((poll[process]["right"] for poll in shown if process in poll), default=0) for process in grown
    )
    assert checkpoint.totals.get("right", 0) == truth


def test_tallies_add_up() -> None:
    total = counts.Tally(10, 2) + counts.Tally(30, 8)

    assert total == counts.Tally(40, 10)
    assert total.share == 0.25
    assert counts.Tally.from_json(total.to_json()) == total


@pytest.mark.parametrize(("n", "bad"), [(3, 4), (3, -1), (-1, -1)])
def test_an_impossible_tally_is_refused(n: int, bad: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        counts.Tally(n, bad)
