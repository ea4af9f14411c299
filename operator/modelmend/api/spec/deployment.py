"""`spec` as a whole."""

import math
from typing import Annotated, ClassVar, Final

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.rules import Rule
from modelmend.api.spec.evaluation import Evaluation
from modelmend.api.spec.model import Model, Storage
from modelmend.api.spec.retraining import Retraining
from modelmend.api.spec.rollout import Rollout
from modelmend.api.spec.serving import Serving
from modelmend.api.spec.signals import Monitoring, SignalType

_BY_CLASS: Final = (SignalType.PRECISION, SignalType.RECALL, SignalType.F1, SignalType.BALANCED_ACCURACY)
_MAPPED: Final = (SignalType.ACCURACY, *_BY_CLASS, SignalType.QUERY)
"""Signals that need nothing but counted labels, or what people say themselves."""
_IS_OWN: Final = "has(self.serving.template)"
_HAS_METRICS: Final = "(has(self.monitoring) && has(self.monitoring.metrics))"
_OUTCOMES: Final = "self.monitoring.metrics.outcomes"


def _types(types: tuple[SignalType, ...]) -> str:
    return f"[{', '.join(repr(kind.value) for kind in types)}]"


def _signals(condition: str) -> str:
    return f"!has(self.monitoring) || !has(self.monitoring.signals) || self.monitoring.signals.all(s, {condition})"


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
            cel="has(self.model.uri) || (has(self.retraining) && has(self.retraining.data) && "
            "has(self.retraining.data.dataset))",
            sentence="model.uri may be left out only where retraining.data.dataset names the rows that a first version "
            "is trained on: give one of both",
            holds=lambda self: self.model.uri is not None or self.retraining.data.dataset is not None,
            field=".model",
        ),
        Rule(
            cel="!has(self.model.uri) || !has(self.retraining) || !has(self.retraining.trainer) || "
            "!has(self.retraining.trainer.pipeline)",
            sentence="retraining.trainer.pipeline makes a first version where model.uri is left out, and later ones are "
            "refitted clones: leave out one of both",
            holds=lambda self: self.model.uri is None or self.retraining.trainer.pipeline is None,
            field=".retraining.trainer.pipeline",
        ),
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
        Rule(
            cel="has(self.serving.template) == has(oldSelf.serving.template)",
            sentence="serving.template cannot be added or removed later, since pods of both kinds do not share ports: "
            "create another ModelDeployment",
            field=".serving",
        ),
        Rule(
            cel=f"{_IS_OWN} == {_HAS_METRICS}",
            sentence="serving.template and monitoring.metrics stand together: a server of your own is watched by its "
            "own counters, and the built-in one by those it has",
            holds=lambda self: self.serving.pairs == (self.monitoring.metrics is None),
            field=".monitoring.metrics",
        ),
        Rule(
            cel=f"!{_IS_OWN} || has(self.serving.gateway)",
            sentence="serving.gateway is missing: with serving.template each request must go to one of two versions at "
            "random, which a Service does not do for clients that keep a connection",
            holds=lambda self: self.serving.pairs or self.serving.gateway is not None,
            field=".serving",
        ),
        Rule(
            cel=f"!{_IS_OWN} || " + _signals(f"!has(s.type) || s.type in {_types(_MAPPED)}"),
            sentence="monitoring.signals: with serving.template only Accuracy, Precision, Recall, F1, BalancedAccuracy "
            "and Query can be watched: all else needs what the built-in server counts",
            holds=lambda self: (
                self.serving.pairs or all(signal.type in _MAPPED for signal in self.monitoring.signals)
            ),
            field=".monitoring.signals",
        ),
        Rule(
            cel=f"!{_HAS_METRICS} || has({_OUTCOMES}.byClass) || "
            + _signals(f"!has(s.type) || !(s.type in {_types(_BY_CLASS)})"),
            sentence="monitoring.metrics.outcomes.byClass is missing: Precision, Recall, F1 and BalancedAccuracy need labels "
            "by predicted and actual class",
            holds=lambda self: (
                self.monitoring.metrics is None
                or self.monitoring.metrics.outcomes.by_class is not None
                or all(signal.type not in _BY_CLASS for signal in self.monitoring.signals)
            ),
            field=".monitoring.metrics.outcomes",
        ),
        Rule(
            cel=f"!{_HAS_METRICS} || has(self.monitoring.metrics.latency) || "
            "!(has(self.rollout) && has(self.rollout.guards) && has(self.rollout.guards.p99Latency))",
            sentence="rollout.guards.p99Latency needs monitoring.metrics.latency: name the histogram of your server, or "
            "leave the guard out",
            holds=lambda self: (
                self.monitoring.metrics is None
                or self.monitoring.metrics.latency is not None
                or self.rollout.guards.p99_latency is None
            ),
            field=".rollout.guards",
        ),
        Rule(
            cel=f"!{_IS_OWN} || !(has(self.rollout) && has(self.rollout.analysis) && has(self.rollout.analysis.block))",
            sentence="rollout.analysis.block is for the built-in server: with serving.template there are no pairs to count",
            holds=lambda self: self.serving.pairs or self.rollout.analysis.block is None,
            field=".rollout.analysis",
        ),
        Rule(
            cel=f"!{_IS_OWN} || !(has(self.evaluation) && has(self.evaluation.tolerance))",
            sentence="evaluation.tolerance is for the built-in server: with serving.template your own counters say what "
            "was right",
            holds=lambda self: self.serving.pairs or self.evaluation.tolerance is None,
            field=".evaluation",
        ),
        Rule(
            cel=f"!{_IS_OWN} || (has(self.retraining) && ((has(self.retraining.trainer) && "
            "has(self.retraining.trainer.template)) || (has(self.retraining.data) && has(self.retraining.data.dataset))))",
            sentence="with serving.template there is no prediction log to learn from: give retraining.data.dataset, or "
            "retraining.trainer.template",
            holds=lambda self: (
                self.serving.pairs
                or self.retraining.trainer.template is not None
                or self.retraining.data.dataset is not None
            ),
            field=".retraining",
        ),
    )

    model: Model = Model()
    """The artifact to begin with, or to move to; the first one is trained where none is named."""
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
