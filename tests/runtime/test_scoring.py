"""What a holdout says of a model, as scikit-learn says it, and of each class by its name."""

import numpy as np
import pytest
from sklearn import metrics as scikit

from modelmend.runtime import scoring

ACTUAL = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 1])
PREDICTED = np.array([0, 1, 0, 1, 2, 2, 2, 0, 2, 1])


def test_each_class_has_the_metrics_of_scikit_learn_under_its_name():
    found = scoring.metrics(ACTUAL, PREDICTED, ("a", "b", "c"))
    precision, recall, f1, _ = scikit.precision_recall_fscore_support(ACTUAL, PREDICTED)

    for index, key in enumerate("abc"):
        assert found[f"precision_of_{key}"] == pytest.approx(precision[index])
        assert found[f"recall_of_{key}"] == pytest.approx(recall[index])
        assert found[f"f1_of_{key}"] == pytest.approx(f1[index])
    assert found["balanced_accuracy"] == pytest.approx(scikit.balanced_accuracy_score(ACTUAL, PREDICTED))
    assert found["recall"] == pytest.approx(recall.mean())


def test_what_has_no_denominator_is_not_told_of_a_class():
    found = scoring.metrics(np.array([0, 0, 0]), np.array([0, 0, 0]), ("no", "yes"))

    assert found["recall_of_no"] == 1
    assert not [name for name in found if name.endswith("_of_yes")]
    assert found["recall"] == 0


def test_many_classes_and_long_names_have_no_metrics_of_their_own():
    for keys in ([str(n) for n in range(11)], ["no", "y" * 41, "z"]):
        found = scoring.metrics(ACTUAL, PREDICTED, keys)
        assert len([name for name in found if "_of_" in name]) <= 6


SURE = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]] * 5)


def test_a_holdout_sets_what_scores_promise_beside_what_came_true():
    found = scoring.holdout(ACTUAL, PREDICTED, SURE, 3)

    assert (found.rows, found.right) == (10, 7)
    assert found.expected == pytest.approx(6.5)
    assert found.confusion == tuple(map(tuple, scikit.confusion_matrix(ACTUAL, PREDICTED).T.tolist()))


@pytest.mark.parametrize("probabilities", [None, np.where(SURE == 0.7, np.nan, SURE)], ids=["none", "NaN"])
def test_without_numbers_for_scores_nothing_is_promised(probabilities):
    assert scoring.holdout(ACTUAL, PREDICTED, probabilities, 3).expected is None


def test_scores_a_hair_above_one_promise_no_more_than_all():
    assert scoring.holdout(ACTUAL, PREDICTED, np.full((10, 1), 1 + 1e-7), 3).expected == 10.0


def test_true_class_that_the_model_does_not_know_is_wrong_and_in_no_cell():
    actual = np.where(ACTUAL == 2, scoring.UNKNOWN_CLASS, ACTUAL)
    found = scoring.holdout(actual, PREDICTED, SURE, 3)

    assert found.right == 4
    assert sum(map(sum, found.confusion)) == 6


def test_no_table_is_kept_of_many_classes():
    assert scoring.holdout(ACTUAL, PREDICTED, SURE, 21).confusion == ()
    assert len(scoring.holdout(ACTUAL, PREDICTED, SURE, 20).confusion) == 20
