"""A number from PromQL: the threshold counts, `for` lasts, and what is missing is never healthy."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmend.evidence import query, verdict
from modelmend.evidence.query import Answer, Asked, OnMissing, State
from modelmend.evidence.verdict import Verdict

ABOVE = Asked("refunds", above=12.0)
BELOW = Asked("orders", below=3.0, for_=600.0)


def after(asked: Asked, *looks: tuple[float, Answer]) -> State:
    """The state after these answers, each at its time."""
    state: State | None = None
    for now, answer in looks:
        state = query.step(asked, state, answer, now)
    assert state is not None
    return state


def look(asked: Asked, *looks: tuple[float, Answer]) -> verdict.Judgement:
    """The judgement right after these answers."""
    return query.judge(asked, after(asked, *looks), looks[-1][0])


def value(number: float, at: float = 0.0) -> tuple[float, Answer]:
    return at, Answer((number,))


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

    assert (early.verdict, early.because) == (
        Verdict.OK,
        "orders 1 is below 3, and breached once that has lasted 10 min",
    )
    assert (late.verdict, late.because) == (Verdict.BREACHED, "orders 2 is below 3 for at least 10 min")


def test_no_sentence_runs_with_time() -> None:
    state = after(BELOW, value(2))
    early = {query.judge(BELOW, state, now).because for now in range(0, 300, 7)}
    late = {query.judge(BELOW, State(state.of, state.answer, 900, 0, 900), now).because for now in (900, 999)}

    assert len(early) == len(late) == 1


def test_a_good_value_in_between_starts_the_clock_anew() -> None:
    assert look(BELOW, value(2), value(9, 300), value(2, 310), value(2, 700)).verdict is Verdict.OK


def test_one_lost_look_does_not_stop_the_clock_but_a_long_absence_does() -> None:
    assert look(BELOW, value(2), (300.0, Answer()), value(2, 600)).verdict is Verdict.BREACHED
    assert look(BELOW, value(2), (300.0, Answer(error="no")), value(2, 600)).verdict is Verdict.BREACHED
    assert look(BELOW, value(2), (300.0, Answer()), value(2, 601)).verdict is Verdict.OK
    assert look(BELOW, value(2), value(2, 601)).verdict is Verdict.OK, "nobody looked meanwhile"


def test_another_question_knows_nothing_of_the_one_before() -> None:
    state = after(BELOW, value(2), value(2, 600))
    for other in (
        Asked("orders", below=4.0, for_=600.0),
        Asked("orders", above=3.0, for_=600.0),
        Asked("orders", text="other", below=3.0, for_=600.0),
        Asked("orders", below=3.0, for_=600.0, since=5.0),
    ):
        assert query.judge(other, state, 600).because == "orders unknown: its query has not been answered yet"
        assert query.turns_at(other, state) == ()
        begun = query.step(other, state, Answer((2.0,)), 610)
        assert begun.since == (None if other.side == "above" else 610)

    longer = Asked("orders", below=3.0, for_=900.0)
    assert query.step(longer, state, Answer((2.0,)), 610).since == 0, "it has lasted as long as it has"
    assert query.judge(BELOW, None, 0).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(), "refunds unknown: the query has no result"),
        (Answer((math.nan,)), "refunds unknown: the query gives nan, which is no number to compare"),
        (Answer((-math.inf,)), "refunds unknown: the query gives -inf, which is no number to compare"),
        (
            Answer((1.0, 2.0)),
            "refunds unknown: the query has more than one series, and one is needed: aggregate them, for example "
            "with sum",
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


@pytest.mark.parametrize("on_missing", OnMissing)
def test_an_answer_that_is_too_old_is_unknown_whatever_is_missing_elsewhere(on_missing: OnMissing) -> None:
    asked = Asked("refunds", above=12.0, on_missing=on_missing)
    state = after(asked, value(13))

    assert query.judge(asked, state, 300).verdict is Verdict.BREACHED
    late = query.judge(asked, state, 301)
    assert late.verdict is Verdict.UNKNOWN
    assert late.because == "refunds unknown: its query was last answered more than 5 min ago"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(), Verdict.BREACHED),
        (Answer((math.nan,)), Verdict.BREACHED),
        (Answer((1.0, 2.0)), Verdict.UNKNOWN),
        (Answer(error="Prometheus did not answer"), Verdict.UNKNOWN),
    ],
)
def test_on_missing_breach_is_for_missing_values_never_for_errors(answer: Answer, found: Verdict) -> None:
    judgement = look(Asked("refunds", above=12.0, on_missing=OnMissing.BREACH), (1000.0, answer))

    assert judgement.verdict is found
    if found is Verdict.BREACHED:
        assert judgement.because.startswith("refunds counts as breached (onMissing): the query")


def test_a_missing_value_must_last_too_before_it_is_a_breach() -> None:
    asked = Asked("orders", below=3.0, for_=600.0, on_missing=OnMissing.BREACH)
    early, late = look(asked, (0.0, Answer())), look(asked, (0.0, Answer()), (600.0, Answer()))

    assert early.verdict is Verdict.UNKNOWN
    assert early.because.endswith("and counts as breached once that has lasted 10 min")
    assert late.verdict is Verdict.BREACHED
    assert look(asked, value(2), (600.0, Answer())).verdict is Verdict.BREACHED, "beyond, then gone"
    assert look(asked, (0.0, Answer()), value(9, 300), (600.0, Answer())).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("given_", [{}, {"above": 1.0, "below": 2.0}])
def test_exactly_one_threshold_is_needed(given_: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one of above and below"):
        Asked("refunds", **given_)


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    state = after(BELOW, value(2, 100), value(2, 50))

    assert state.since == 50
    assert query.judge(BELOW, state, 40).verdict is Verdict.OK


def test_a_verdict_that_time_alone_turns_says_when() -> None:
    assert query.turns_at(BELOW, None) == ()
    assert query.turns_at(BELOW, after(BELOW, value(9, 50))) == (350.0,)
    assert query.turns_at(BELOW, after(BELOW, value(2, 50), value(2, 80))) == (380.0, 650.0)


@pytest.mark.parametrize(
    ("before", "later", "close"),
    [
        (3.0, 3.0, True),
        (3.0, 5.0, True),  # 9 and 7 below 12
        (3.0, 7.6, False),  # 9 and 4.4
        (11.0, 9.9, False),  # 1 and 2.1
        (11.9, 12.1, False),
        (12.0, 12.0, True),
        (12.0, 13.0, False),
        (100.0, 150.0, True),
    ],
)
def test_numbers_are_close_that_are_about_as_far_from_the_threshold(
    before: float, later: float, *, close: bool
) -> None:
    assert query.is_close(12.0, before, later) is close


def test_answers_that_say_the_same_are_no_news() -> None:
    def news(one: Answer, other: Answer) -> bool:
        first = query.step(ABOVE, None, one, 0)
        return query.is_news(ABOVE, first, query.step(ABOVE, first, other, 10))

    for answer in (
        Answer((3.0,)),
        Answer(),
        Answer((math.nan,)),
        Answer((1.0, 2.0)),
        Answer(error="it does not parse"),
    ):
        assert not news(answer, answer)
        for other in (Answer((13.0,)), Answer((11.0,)), Answer((math.inf,)), Answer(error="another")):
            assert news(answer, other)
    state = query.step(ABOVE, None, Answer((3.0,)), 0)
    assert query.is_news(ABOVE, None, state)
    assert query.is_news(ABOVE, State("another", state.answer, 0), state)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 2000), st.lists(st.floats(), max_size=2)), min_size=1),
    st.sampled_from(OnMissing),
)
def test_every_answer_gets_a_verdict_with_a_sentence_and_the_state_outlives_json(
    looks: list[tuple[float, list[float]]], on_missing: OnMissing
) -> None:
    asked = Asked("x", above=1.0, for_=60, on_missing=on_missing)
    state: State | None = None
    for now, values in sorted(looks, key=lambda each: each[0]):
        state = query.step(asked, state, Answer(tuple(values)), now)
        assert query.judge(asked, state, now).because
        again = State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))
        assert repr(again) == repr(state)
