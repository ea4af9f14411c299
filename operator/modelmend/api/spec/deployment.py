"""`spec` as a whole."""

from typing import Annotated

from pydantic import Field

from modelmend.api.fields import Strict
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


class ModelDeploymentSpec(Strict):
    """A model that is served, watched and healed."""

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
