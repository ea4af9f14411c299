"""The pipelines that a first version may be trained with: named by people in spec, built by the trainer.

An allow-list, and numbers for parameters: nothing that a person writes here is imported, called or evaluated.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


class Estimator(StrEnum):
    """What learns."""

    HIST_GRADIENT_BOOSTING = "HistGradientBoosting"
    RANDOM_FOREST = "RandomForest"
    LINEAR = "Linear"


PARAMETERS: Final[dict[Estimator, tuple[str, ...]]] = {
    Estimator.HIST_GRADIENT_BOOSTING: (
        "learning_rate",
        "max_iter",
        "max_leaf_nodes",
        "max_depth",
        "min_samples_leaf",
        "l2_regularization",
    ),
    Estimator.RANDOM_FOREST: (
        "n_estimators",
        "max_depth",
        "max_leaf_nodes",
        "min_samples_leaf",
        "min_samples_split",
    ),
    Estimator.LINEAR: ("C", "max_iter", "tol"),
}
"""What may be set of each, as scikit-learn calls it."""
PARAMETERS_MAX: Final = max(map(len, PARAMETERS.values()))
FEATURES_MAX: Final = 500


class Pipeline(BaseModel):
    """The value of `environment.PIPELINE`, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Estimator = Estimator.HIST_GRADIENT_BOOSTING
    parameters: dict[str, FiniteFloat] = {}
    features: Annotated[tuple[str, ...], Field(max_length=FEATURES_MAX)] = ()
    """Columns to learn from; none named: all but label and time."""
