"""The offline gate."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.spec.numbers import Alpha


class Requirement(StrEnum):
    """What the offline gate asks of a retrained candidate."""

    BETTER = "Better"
    NOT_WORSE = "NotWorse"


class Evaluation(Strict):
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen."""

    holdout: Annotated[float, Field(ge=0.05, le=0.5, strict=True)] = 0.2
    """Share of the window, the latest by time, that is held out."""
    require: Requirement = Requirement.BETTER
    """Better than the champion, or not worse by `margin`."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """For NotWorse: how much worse is tolerated."""
    alpha: Alpha = 0.05
    """Probability of a wrong pass."""
