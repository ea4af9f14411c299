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
