"""Labels of two arms set beside each other, poll by poll, whatever a restart does between."""

import json

from modelmend.evidence import counts, divided, split

Tally = counts.Tally


def test_champion_is_not_counted_before_the_candidate_has_a_label() -> None:
    assert divided.step(divided.State(), Tally(), Tally(900, 90)) == divided.State()


def test_first_poll_with_a_label_of_the_candidate_sets_the_mark_and_counts_nothing() -> None:
    assert divided.step(divided.State(), Tally(50, 10), Tally(900, 90)) == divided.State(seen=Tally(900, 90))


def test_both_sides_are_counted_from_the_mark_on() -> None:
    state = divided.step(divided.State(), Tally(1), Tally(900, 90))
    state = divided.step(state, Tally(10, 3), Tally(990, 99))
    assert (state.candidate, state.champion) == (Tally(10, 3), Tally(90, 9))
    assert state.against == split.step(split.State(), Tally(10, 3), Tally(90, 9))


def test_polls_taken_together_are_the_same_labels() -> None:
    """As after a restart, when everything since the checkpoint comes at once."""
    begun = divided.step(divided.State(), Tally(1), Tally(900, 90))
    apart = divided.step(divided.step(begun, Tally(10, 3), Tally(990, 99)), Tally(5, 0), Tally(1000, 99))
    together = divided.step(begun, Tally(15, 3), Tally(1000, 99))
    assert (apart.candidate, apart.champion, apart.seen) == (
        together.candidate,
        together.champion,
        together.seen,
    )


def test_champion_whose_count_fell_brings_nothing_new() -> None:
    state = divided.step(divided.State(), Tally(1), Tally(900, 90))
    state = divided.step(state, Tally(10, 3), Tally(500, 95))
    assert state.champion == Tally(5, 5)
    assert state.seen == Tally(500, 95)


def test_state_goes_through_json() -> None:
    state = divided.step(divided.step(divided.State(), Tally(1), Tally(9, 1)), Tally(4, 1), Tally(20, 3))
    for kept in (divided.State(), state):
        assert divided.State.from_json(json.loads(json.dumps(kept.to_json()))) == kept
