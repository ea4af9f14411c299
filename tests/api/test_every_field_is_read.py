"""No field is accepted and ignored: each one is read by a room that acts on it, while a model lives its life.

Reads are counted where they happen, by field; what pydantic, the API's own rules and the tests read does not count. A
field that can have but one value needs no reader.
"""

import sys
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from api.test_definitions import models, parts
from decide import modelworld, worlds
from modelmend.api import fields
from modelmend.api.spec import Metrics, ModelDeploymentSpec
from modelmend.api.status import Stage
from modelmend.observe import answers, ledgers, mapped
from modelmend.render import job
from render import owners

Field = tuple[str, str]
SAMPLE = (
    {
        "namespace": "ml",
        mapped.MODEL: "flights",
        mapped.ROLLOUT: "r",
        mapped.PROCESS: "p",
        mapped.SERIES: "x",
    },
    1.0,
)


def written() -> set[Field]:
    """(model, field) of everything that a person may write."""
    return {
        (model.__name__, name)
        for model in models(ModelDeploymentSpec)
        for name, field in model.model_fields.items()
        if not _has_one_value(field.annotation)
    }


def _has_one_value(annotation: Any) -> bool:
    return any(
        isinstance(part, type) and issubclass(part, Enum) and len(part) == 1 for part in parts(annotation)
    )


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[Field]:
    """(model, field) of everything that was read so far."""
    found: set[Field] = set()
    known = {model: set(model.model_fields) for model in models(ModelDeploymentSpec)}

    def observe(self: BaseModel, name: str) -> Any:
        if name in known.get(type(self), ()):
            reader = sys._getframe(1).f_globals["__name__"]
            if reader.startswith("modelmend.") and not reader.startswith("modelmend.api."):
                found.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    monkeypatch.setattr(fields.Strict, "__getattribute__", observe, raising=False)
    return found


def healed(**parts: Any) -> modelworld.World:
    """A model that fails, and whose candidate is promoted, until its bake is over."""
    world = modelworld.serving_world(spec=worlds.make_spec(**parts))
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.PROMOTING)
    world.until(Stage.COOLING_DOWN)
    return world


def test_every_field_is_read_by_somebody_who_acts_on_it(read: set[Field]) -> None:
    signal = {"name": "accuracy", "maxDrop": 0.05, "minLabels": 50}
    healed(monitoring={"signals": [signal]})
    threshold = {"name": "accuracy", "minimum": 0.85, "minLabels": 50, "evidence": "Threshold"}
    healed(monitoring={"signals": [threshold]}, evaluation={"require": "NotWorse"})
    queried = {"name": "refunds", "type": "Query", "query": "vector(1)", "for": "10m"}
    for side in ("above", "below"):
        healed(monitoring={"signals": [signal, {**queried, side: 12, "onMissing": "Breach"}]})
    parts = [{"column": "carrier", "value": "HA", "margin": 0.02}]
    healed(monitoring={"signals": [signal]}, evaluation={"slices": parts})
    moving = {"name": "inputs", "type": "FeatureDrift", "effect": 0.2}
    guess = {"name": "guess", "type": "EstimatedAccuracy", "minimum": 0.8, "minRows": 100}
    healed(monitoring={"signals": [signal, moving, guess]})

    blocks = {"name": "found", "type": "F1", "positiveClass": "yes", "minimum": 0.5, "block": "1h"}
    by_class = worlds.make_spec(
        monitoring={"signals": [signal, blocks]}, rollout={"analysis": {"block": "1h"}}
    )
    modelworld.serving_world(spec=by_class).run(timedelta(hours=2))

    data = {"dataset": {"uri": "s3://ml/rows.parquet", "label": "late", "time": "at"}}
    first = {"data": data, "trainer": {"pipeline": {"estimator": "Linear", "features": ["wind"]}}}
    job.retrain(owners.owner(model={}, retraining=first), owners.described(parent=None))
    errors = {"name": "errors", "type": "MAE", "maxRise": 5}
    of_numbers = worlds.make_spec(
        evaluation={"tolerance": 15, "errorBound": 100},
        monitoring={"signals": [errors, errors | {"name": "more", "maxRise": None, "maximum": 50}]},
    )
    results = [worlds.succeeded(1, **worlds.kind(of_numbers))]
    modelworld.serving_world(spec=of_numbers, results=results).run(timedelta(hours=1))

    undecided = modelworld.serving_world(spec=worlds.make_spec(rollout={"analysis": {"deadline": "2h"}}))
    undecided.behaviour["flights-v2"] = modelworld.Traffic(
        pairs=0, candidate_only_wrong=0, champion_only_wrong=0
    )
    undecided.annotate(retrain="now")
    undecided.until(Stage.ROLLING_BACK)

    failing = modelworld.serving_world(spec=worlds.make_spec(retraining={"budget": {"attempts": 1}}))
    failing.results[1:] = [worlds.result.Failed(error="too few rows")]
    failing.annotate(retrain="now")
    failing.until(Stage.STALLED)

    healed(**worlds.OWN)
    own = owners.with_own_images(metricsPort=9100)
    by_class = {"byClass": {"name": "outcomes_total", "predicted": "said", "actual": "was"}, "rollout": "by"}
    for outcomes in (owners.METRICS["outcomes"], by_class):
        named = {**owners.METRICS, "outcomes": outcomes, "latency": "http_seconds"}
        spec = worlds.own_spec()
        metrics = Metrics.model_validate(named)
        monitoring = spec.monitoring.model_copy(update={"metrics": metrics})
        wanted = mapped.Wanted.of(spec.model_copy(update={"monitoring": monitoring}))
        assert wanted is not None
        mapped.read({("ml", "flights"): wanted}, "[5m]", lambda *_: (SAMPLE,), answers.Answer(0.0).counters)
    for owner in (owners.owner(), owners.on_object_store(), own):
        list(owners.everything(owner))
        ledgers.Ledgers().advance(owner, (), answers.Answer(0.0))

    assert written() - read == set()
