"""Shares of classes from predictions alone: right where the model can tell classes apart, and silent where it
cannot."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelmend.evidence import labelshift, verdict
from modelmend.evidence.confusion import Confusion
from modelmend.evidence.verdict import Verdict

CLASSES = ("a", "b", "c")
RATES = np.array([[0.8, 0.1, 0.1], [0.1, 0.85, 0.2], [0.1, 0.05, 0.7]])
"""How often the row is said when the column is true."""
BEFORE = np.array([0.5, 0.3, 0.2])


def holdout(cells: NDArray[np.int64], names: tuple[str, ...] = CLASSES) -> Confusion:
    return Confusion(
        {(said, true): int(cells[i, j]) for i, said in enumerate(names) for j, true in enumerate(names)}
    )


EXACT = holdout(np.round(RATES * BEFORE * 10_000).astype(np.int64))


def said(shares: NDArray[np.float64], n: int = 10_000) -> dict[str, int]:
    return dict(zip(CLASSES, np.round(RATES @ shares * n).astype(int).tolist(), strict=True))


def test_the_shares_of_the_classes_are_recovered_from_the_predictions() -> None:
    now = np.array([0.2, 0.3, 0.5])

    report = labelshift.judge(EXACT, said(now), CLASSES, 0.05, 0.01)

    assert [share.now for share in report.shares] == pytest.approx(now, abs=0.002)
    assert [share.weight for share in report.shares] == pytest.approx(now / BEFORE, rel=0.01)
    assert report.judgement.verdict is Verdict.BREACHED
    assert report.judgement.because == (
        "labels shifted: the share of a is 0.200 over 10,000 predictions, 0.500 in the reference (chance explains 0.028)"
    )


def test_no_shift_is_ok() -> None:
    judgement = labelshift.judge(EXACT, said(BEFORE), CLASSES, 0.05, 0.01).judgement

    assert judgement.verdict is Verdict.OK
    assert judgement.because.startswith("no label shift: the share of ")


@pytest.mark.parametrize(
    ("cells", "predicted", "classes", "sentence"),
    [
        (
            np.array([[50, 50], [50, 50]]),
            {"a": 500, "b": 500},
            ("a", "b"),
            "label shift unknown: on the holdout the model hardly tells a from b",
        ),
        (
            np.array([[52, 50], [50, 52]]),
            {"a": 500, "b": 500},
            ("a", "b"),
            "label shift unknown: on the holdout the model hardly tells a from b",
        ),
        (
            np.array([[90, 2], [10, 3]]),
            {"a": 500, "b": 500},
            ("a", "b"),
            "label shift unknown: the holdout has 5 rows of b, and 20 are needed",
        ),
        (
            np.array([[90, 10], [10, 90]]),
            {"a": 5, "b": 5},
            ("a", "b"),
            "label shift unknown: 10 of 40 predictions needed",
        ),
        (np.array([[90, 10], [10, 90]]), {}, ("a", "b"), "label shift unknown: 0 of 40 predictions needed"),
        (
            np.array([[90]]),
            {"a": 90},
            ("a",),
            "label shift unknown: a model with 1 class has no shares to compare",
        ),
        (
            np.array([[700, 300], [300, 700]]),
            {"a": 20, "b": 980},
            ("a", "b"),
            "label shift alone does not explain the predictions: the share of a comes out at -0.700",
        ),
    ],
)
def test_what_cannot_be_said_is_unknown_with_the_reason(
    cells: NDArray[np.int64], predicted: dict[str, int], classes: tuple[str, ...], sentence: str
) -> None:
    judgement = labelshift.judge(holdout(cells, classes), predicted, classes, 0.05, 0.01).judgement

    assert (judgement.verdict, judgement.because) == (Verdict.UNKNOWN, sentence)


def test_the_inverse_equals_numpys() -> None:
    rng = np.random.default_rng(131)
    for size in (1, 2, 7, 30):
        matrix = rng.dirichlet(np.ones(size), size=size).T + np.eye(size)
        assert np.array(labelshift.inverted(matrix.tolist())) == pytest.approx(
            np.linalg.inv(matrix), abs=1e-9
        )
    assert labelshift.inverted([[1.0, 2.0], [2.0, 4.0]]) is None
    assert labelshift.inverted([[0.0, 1.0], [1.0, 0.0]]) == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("rows", [(2000, 1000), (500, 20_000)])
def test_without_shift_it_is_found_with_probability_at_most_alpha_and_errors_are_as_large_as_stated(
    rows: tuple[int, int],
) -> None:
    """1,500 holdouts and windows, no effect asked, alpha .05."""
    rng = np.random.default_rng(132)
    joint = (RATES * BEFORE).ravel()
    found, apart = [], []
    for _ in range(1500):
        cells = rng.multinomial(rows[0], joint).reshape(3, 3)
        window = dict(zip(CLASSES, rng.multinomial(rows[1], RATES @ BEFORE).tolist(), strict=True))
        report = labelshift.judge(holdout(cells), window, CLASSES, 0.0, 0.05)
        found.append(report.judgement.verdict is Verdict.BREACHED)
        apart.append([(share.now - share.before) / share.error for share in report.shares])

    assert np.mean(found) <= 0.05 + 2 * math.sqrt(0.05 / 1500)
    assert np.std(apart, axis=0) == pytest.approx(np.ones(3), abs=0.15)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=9, max_size=9),
    st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 500)),
)
def test_every_world_gets_a_verdict_with_a_sentence(cells: list[int], predicted: dict[str, int]) -> None:
    table = holdout(np.array(cells).reshape(3, 3))

    judgement = labelshift.judge(table, predicted, CLASSES, 0.05, 0.01).judgement

    assert judgement.because
    assert judgement.verdict in verdict.Verdict
