"""`spec` as a whole."""

import math
from typing import Annotated, ClassVar

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.rules import Rule
from modelmend.api.spec.evaluation import Evaluation
from modelmend.api.spec.model import Model, Storage
from modelmend.api.spec.retraining import Retraining
from modelmend.api.spec.rollout import Rollout
from modelmend.api.spec.serving import Serving
from modelmend.api.spec.signals import Monitoring


class History(Strict):
    """How much of the past is kept."""

    limit: Annotated[int, Field(ge=2, le=100, strict=True)] = 10
    """ModelVersions to keep; a version that serves, or may be rolled back to, is never pruned."""


def _bound(wanted: Evaluation) -> float:
    """Up to which an error counts (`evidence.regression.bound`, which this room does not know); of classes, any."""
    if wanted.error_bound is not None:
        return wanted.error_bound
    return math.inf if wanted.tolerance is None else 10 * wanted.tolerance


class ModelDeploymentSpec(Strict):
    """A model that is served, watched and healed."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.monitoring) && has(self.monitoring.signals)) || "
            "(has(self.evaluation) && has(self.evaluation.tolerance)) || "
            "!self.monitoring.signals.exists(s, has(s.type) && s.type in ['MAE', 'RMSE'])",
            sentence="MAE and RMSE are for models that predict numbers: give evaluation.tolerance too",
            holds=lambda self: (
                self.evaluation.tolerance is not None
                or not any(signal.type.is_error for signal in self.monitoring.signals)
            ),
            field=".evaluation",
        ),
        Rule(
            cel="!(has(self.monitoring) && has(self.monitoring.signals) && has(self.evaluation) && "
            "has(self.evaluation.tolerance)) || self.monitoring.signals.all(s, !has(s.maximum) || s.maximum < "
            "(has(self.evaluation.errorBound) ? self.evaluation.errorBound : self.evaluation.tolerance * 10.0))",
            sentence="the maximum of a signal must be less than evaluation.errorBound (ten tolerances when left out): errors "
            "count up to there",
            holds=lambda self: all(
                signal.maximum is None or signal.maximum < _bound(self.evaluation)
                for signal in self.monitoring.signals
            ),
            field=".evaluation",
        ),
    )

    model: Model
    """The artifact to begin with, or to move to."""
    storage: Storage
    """Where new artifacts, the prediction log and staging live."""
    serving: Serving = Serving()
    """How the model is served, and how the world reaches it."""
    monitoring: Monitoring = Monitoring()
    """What is watched, how often, and what a breach does."""
    retraining: Retraining = Retraining()
    """When and how a candidate is made."""
    evaluation: Evaluation = Evaluation()
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen."""
    rollout: Rollout = Rollout()
    """How a candidate takes over: shadow, canary, promotion and bake, or rollback."""
    history: History = History()
    """How much of the past is kept."""
    suspend: Annotated[bool, Field(strict=True)] = False
    """Observe only: no retraining, no rollout. A rollout in flight first gives its traffic back to the champion."""
