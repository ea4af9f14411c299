"""Any and All over three verdicts: Unknown is neither yes nor no."""

import itertools

import pytest

from modelmend.evidence import combine, verdict
from modelmend.evidence.combine import Named, When
from modelmend.evidence.verdict import Verdict

ORDER = [Verdict.OK, Verdict.UNKNOWN, Verdict.BREACHED]


def named(name: str, found: Verdict) -> Named:
    return Named(name, verdict.Judgement(found, None, None, 0, f"{name} says {found.value}"))


@pytest.mark.parametrize("verdicts", list(itertools.product(ORDER, repeat=3)))
def test_any_is_the_worst_and_all_the_best_of_the_verdicts(verdicts: tuple[Verdict, ...]) -> None:
    signals = [named(f"s{i}", each) for i, each in enumerate(verdicts)]
    ranks = [ORDER.index(each) for each in verdicts]

    assert combine.combine(When.ANY, signals).verdict is ORDER[max(ranks)]
    assert combine.combine(When.ALL, signals).verdict is ORDER[min(ranks)]


def test_without_signals_nothing_is_known() -> None:
    assert combine.combine(When.ANY, []) == combine.Combined(Verdict.UNKNOWN, "no signal retrains")


def test_a_single_signal_speaks_for_itself() -> None:
    assert combine.combine(When.ALL, [named("accuracy", Verdict.OK)]).because == "accuracy says OK"


def test_several_signals_are_counted_and_quoted() -> None:
    signals = [
        named("accuracy", Verdict.BREACHED),
        named("inputs", Verdict.OK),
        named("f1", Verdict.BREACHED),
    ]

    assert combine.combine(When.ANY, signals).because == (
        "2 of 3 signals are breached (accuracy: accuracy says Breached; f1: f1 says Breached)"
    )
    assert combine.combine(When.ALL, signals).because == (
        "1 of 3 signals is within limits (inputs: inputs says OK)"
    )
    assert combine.combine(When.ALL, [signals[0], signals[2]]).because.startswith(
        "2 of 2 signals are breached"
    )
