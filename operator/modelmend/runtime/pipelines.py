"""Pipelines that suit any table: for a first version that nobody packed. Called by `first`, and by simulations.

Text is encoded with its rare categories as one, so that names and codes do no harm; a category never seen, a missing
value and a constant column are taken by all of them, today and in every later refit.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from modelmend.contract.manifest import Datatype, Feature, Task
from modelmend.contract.pipelines import Estimator, Pipeline

CATEGORIES: Final = 100
"""Categories of a text column that are told apart; rarer ones are one."""
ITERATIONS: Final = 1000
"""Of the linear model where nobody says: scikit-learn's own 100 are too few for most tables."""


def build(asked: Pipeline, task: Task, features: Sequence[Feature]) -> Any:
    """An unfitted classifier or regressor for a table with these columns. What a parameter's value does is
    scikit-learn's to judge, when it is fitted."""
    text = [feature.name for feature in features if feature.datatype is Datatype.BYTES]
    numbers = [feature.name for feature in features if feature.datatype is not Datatype.BYTES]
    classifies = task is Task.CLASSIFICATION
    # JSON knows one kind of number, and scikit-learn two.
    parameters: dict[str, Any] = {
        name: int(value) if value.is_integer() else value for name, value in asked.parameters.items()
    }
    match asked.estimator:
        case Estimator.HIST_GRADIENT_BOOSTING:
            kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
            if not text:
                return kind(**parameters)
            # Text comes first below.
            boosting = kind(categorical_features=list(range(len(text))), **parameters)
            return make_pipeline(_encoded(text, numbers, np.nan, np.nan), boosting)
        case Estimator.RANDOM_FOREST:
            forest = RandomForestClassifier if classifies else RandomForestRegressor
            return make_pipeline(_encoded(text, numbers, -1, -2), forest(**parameters))
        case Estimator.LINEAR:
            return make_pipeline(_scaled(text, numbers), _linear(classifies, parameters))


def _linear(classifies: bool, parameters: dict[str, Any]) -> Any:
    if classifies:
        return LogisticRegression(**({"max_iter": ITERATIONS} | parameters))
    weight = parameters.pop("C", None)
    # Ridge takes the inverse, and would call a bad value by another name.
    return Ridge(
        **(parameters if weight is None else {"alpha": 1 / weight if weight > 0 else weight, **parameters})
    )


def _encoded(text: list[str], numbers: list[str], unknown: float, missing: float) -> ColumnTransformer:
    """Categories as numbers; numbers as they are."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=unknown,
        encoded_missing_value=missing,
        max_categories=CATEGORIES,
    )
    return ColumnTransformer(_steps(("text", encoder, text), ("numbers", "passthrough", numbers)))


def _scaled(text: list[str], numbers: list[str]) -> ColumnTransformer:
    """Categories as indicators; numbers around 0, with an indicator of what is missing."""
    indicators = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=CATEGORIES)
    filled = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    return ColumnTransformer(_steps(("text", indicators, text), ("numbers", filled, numbers)))


def _steps(*steps: tuple[str, Any, list[str]]) -> list[tuple[str, Any, list[str]]]:
    return [step for step in steps if step[2]]
