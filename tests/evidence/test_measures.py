"""One door to measures of classes and of numbers: what is asked of either says the same as its own module."""

import pytest

from modelmend.contract import metrics
from modelmend.evidence import confusion, counts, family, measures, regression, verdict, voting

ACCURACY = family.Signal(family.Metric.ACCURACY, 0.9, 10, 100, within=15.0)
RECALL = family.Signal(family.Metric.RECALL, 0.9, 10, 100, classes=("no", "yes"))
MAE = regression.Signal(regression.Metric.MAE, 2.0, 10, 100, bound=10.0)
RESULTS = {
    metrics.Evidence.RIGHT: 90,
    metrics.Evidence.WRONG: 10,
    confusion.result_name("yes", "yes"): 40,
    confusion.result_name("no", "yes"): 10,
    metrics.Errors.ROWS: 100,
    metrics.Errors.CLIPPED: 30_000_000,
    metrics.Errors.CLIPPED_SQUARED: 20_000_000,
}
SEEN = {
    ACCURACY: confusion.Confusion.of_labels(counts.Tally(100, 10)),
    RECALL: confusion.Confusion({("yes", "yes"): 40, (confusion.ELSE, "yes"): 10}),
    MAE: regression.Errors(100, 30_000_000, 20_000_000),
}
TALKING = verdict.Silence(30, 3600)


@pytest.mark.parametrize("signal", SEEN)
def test_a_table_holds_what_its_signal_needs(signal: measures.Signal) -> None:
    found = measures.table(signal, RESULTS)

    assert found == SEEN[signal]
    assert measures.since(found, measures.table(signal, {})) == found


def test_tables_of_two_kinds_are_not_set_against_each_other() -> None:
    assert measures.since(SEEN[MAE], SEEN[ACCURACY]) == SEEN[MAE]
    assert measures.since(SEEN[ACCURACY], SEEN[MAE]) == SEEN[ACCURACY]


@pytest.mark.parametrize(
    ("signal", "title", "moved"),
    [
        (ACCURACY, "accuracy within 15", "fell below"),
        (RECALL, "recall of yes", "fell below"),
        (MAE, "MAE (errors counted up to 10)", "rose above"),
    ],
)
def test_each_is_told_in_its_own_words(signal: measures.Signal, title: str, moved: str) -> None:
    words = measures.asked(signal)

    assert (measures.title(signal), words.metric, words.moved) == (title, title, moved)
    assert measures.identity(signal) == title


def test_only_some_need_classes() -> None:
    assert [signal for signal in SEEN if measures.needs_classes(signal)] == [RECALL]
    assert measures.of_classes(SEEN) == [ACCURACY, RECALL]


@pytest.mark.parametrize(("signal", "value", "n"), [(ACCURACY, 0.9, 100), (RECALL, 0.8, 50), (MAE, 3.0, 100)])
def test_each_is_stepped_shown_and_judged_by_its_own_module(
    signal: measures.Signal, value: float, n: int
) -> None:
    shown = measures.Labels(measures.table(signal, RESULTS), TALKING)
    state = measures.step(signal, voting.State(), RESULTS, 30.0)
    figures = measures.figures(signal, shown.shown)

    assert figures is not None
    assert (figures.n, figures.value) == (n, pytest.approx(value))
    for found, seen in (measures.judge(signal, state, shown), measures.judge_by_threshold(signal, shown)):
        assert found.value == pytest.approx(value)
        assert seen == n


def test_classes_that_lack_are_of_classes_alone() -> None:
    balanced = family.Signal(family.Metric.BALANCED_ACCURACY, 0.9, 10, 100, classes=("no", "yes"))

    assert measures.absent(balanced, confusion.Confusion({("yes", "yes"): 40})) == ("no",)
    assert measures.absent(MAE, SEEN[MAE]) == ()
