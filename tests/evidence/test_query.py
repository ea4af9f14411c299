"""A number from PromQL: the threshold counts, `for` lasts, and what is missing is never healthy."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmend.evidence import query, verdict
from modelmend.evidence.query import Answer, Asked, OnMissing
from modelmend.evidence.verdict import Verdict

ABOVE = Asked("refunds", above=12.0)
BELOW = Asked("orders", below=3.0, for_=600.0)


def look(asked: Asked, *answers: tuple[float, Answer]) -> verdict.Judgement:
    """The judgement after these answers, each at its time."""
    state = query.State()
    for now, answer in answers:
        state = query.step(asked, state, answer, now)
    now, answer = answers[-1]
    return query.judge(asked, state, answer, now)


def value(number: float, at: float = 0.0) -> tuple[float, Answer]:
    return at, Answer(((number, at),))


@pytest.mark.parametrize(
    ("asked", "number", "found", "sentence"),
    [
        (ABOVE, 11.99, Verdict.OK, "refunds 11.99 is below 12"),
        (ABOVE, 12.0, Verdict.BREACHED, "refunds 12 is at 12"),
        (ABOVE, 13.5, Verdict.BREACHED, "refunds 13.5 is above 12"),
        (Asked("orders", below=3), 3.0, Verdict.BREACHED, "orders 3 is at 3"),
        (Asked("orders", below=3), 3.1, Verdict.OK, "orders 3.1 is above 3"),
        (Asked("orders", below=0), 0.0, Verdict.BREACHED, "orders 0 is at 0"),
    ],
)
def test_the_threshold_itself_is_a_breach(asked: Asked, number: float, found: Verdict, sentence: str) -> None:
    judgement = look(asked, value(number))

    assert (judgement.verdict, judgement.because) == (found, sentence)
    assert (judgement.value, judgement.bound) == (number, asked.threshold)


def test_a_breach_must_last() -> None:
    early = look(BELOW, value(2), value(1, 300))
    late = look(BELOW, value(2), value(1, 300), value(2, 600))

    assert (early.verdict, early.because) == (Verdict.OK, "orders 1 is below 3, for 5 min of 10 min")
    assert (late.verdict, late.because) == (Verdict.BREACHED, "orders 2 is below 3 for 10 min")


def test_a_good_value_in_between_starts_the_clock_anew() -> None:
    assert look(BELOW, value(2), value(9, 300), value(2, 310), value(2, 700)).verdict is Verdict.OK


def test_one_lost_look_does_not_stop_the_clock_but_a_long_absence_does() -> None:
    lost, gone = (300.0, Answer()), (400.0, Answer())

    assert look(BELOW, value(2), lost, value(2, 600)).verdict is Verdict.BREACHED
    assert look(BELOW, value(2), lost, gone, value(2, 600)).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(), "refunds unknown: the query has no result"),
        (
            Answer(((math.nan, 1000.0),)),
            "refunds unknown: the query gives nan, which is no number to compare",
        ),
        (
            Answer(((math.inf, 1000.0),)),
            "refunds unknown: the query gives inf, which is no number to compare",
        ),
        (Answer(((99.0, 100.0),)), "refunds unknown: the query's last value is 15 min old"),
        (
            Answer(((1.0, 1000.0), (2.0, 1000.0))),
            "refunds unknown: the query has 2 series, and one is needed: aggregate them, for example with sum",
        ),
        (
            Answer(error="the query does not parse: unexpected )"),
            "refunds unknown: the query does not parse: unexpected )",
        ),
    ],
)
def test_what_cannot_be_compared_is_unknown_with_the_reason(answer: Answer, sentence: str) -> None:
    judgement = look(ABOVE, (1000.0, answer))

    assert (judgement.verdict, judgement.because) == (Verdict.UNKNOWN, sentence)
    assert judgement.value is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(), Verdict.BREACHED),
        (Answer(((math.nan, 1000.0),)), Verdict.BREACHED),
        (Answer(((99.0, 100.0),)), Verdict.BREACHED),
        (Answer(((1.0, 1000.0), (2.0, 1000.0))), Verdict.UNKNOWN),
        (Answer(error="Prometheus did not answer"), Verdict.UNKNOWN),
    ],
)
def test_on_missing_breach_is_for_missing_values_never_for_errors(answer: Answer, found: Verdict) -> None:
    judgement = look(Asked("refunds", above=12.0, on_missing=OnMissing.BREACH), (1000.0, answer))

    assert judgement.verdict is found
    if found is Verdict.BREACHED:
        assert judgement.because.startswith("refunds counts as breached: the query")


@pytest.mark.parametrize("given_", [{}, {"above": 1.0, "below": 2.0}])
def test_exactly_one_threshold_is_needed(given_: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one of above and below"):
        Asked("refunds", **given_)


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    state = query.step(BELOW, query.State(), Answer(((2.0, 100.0),)), 100)

    assert "for 0 s of 10 min" in query.judge(BELOW, state, Answer(((2.0, 90.0),)), 90).because


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.lists(st.tuples(st.floats(), st.floats(0, 2000)), max_size=2)),
        min_size=1,
    ),
    st.sampled_from(OnMissing),
)
def test_every_answer_gets_a_verdict_with_a_sentence_and_the_state_outlives_json(
    looks: list[tuple[float, list[tuple[float, float]]]], on_missing: OnMissing
) -> None:
    asked = Asked("x", above=1.0, for_=60, on_missing=on_missing)
    state = query.State()
    for now, values in sorted(looks, key=lambda each: each[0]):
        answer = Answer(tuple(values))
        state = query.step(asked, state, answer, now)
        judgement = query.judge(asked, state, answer, now)
        assert judgement.because
        assert query.State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state
