"""The offline gate."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.rules import Rule
from modelmend.api.spec.numbers import Alpha


class Requirement(StrEnum):
    """What the offline gate asks of a retrained candidate."""

    BETTER = "Better"
    NOT_WORSE = "NotWorse"


class Evaluation(Strict):
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen. And what is
    right of a model that predicts numbers."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.errorBound) || has(self.tolerance)",
            sentence="errorBound is for models that predict numbers: give tolerance too",
            holds=lambda self: self.error_bound is None or self.tolerance is not None,
            field=".errorBound",
        ),
        Rule(
            cel="!(has(self.errorBound) && has(self.tolerance)) || self.errorBound > self.tolerance",
            sentence="errorBound must be more than tolerance: what is right would count as the largest error",
            holds=lambda self: (
                self.error_bound is None or self.tolerance is None or self.error_bound > self.tolerance
            ),
            field=".errorBound",
        ),
    )

    holdout: Annotated[float, Field(ge=0.05, le=0.5, strict=True)] = 0.2
    """Share of the window, the latest by time, that is held out."""
    require: Requirement = Requirement.BETTER
    """Better than the champion, or not worse by `margin`."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """For NotWorse: how much worse is tolerated."""
    alpha: Alpha = 0.05
    """Probability of a wrong pass."""
    tolerance: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """For a model that predicts numbers, which needs it: how far from the truth a prediction is still right, in the unit
    of the label. Its accuracy is the share that is right; candidate and champion are compared by who is farther from
    the truth, where more than a quarter of this lies between them. Not for a model that predicts classes. A change
    restarts the model's pods one after the other, and its labels are counted anew."""
    error_bound: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """Beside tolerance: up to which a single error counts for MAE and RMSE, in the same unit, since nothing can be proven
    of a mean that one row may move as far as it likes; ten tolerances when left out."""
