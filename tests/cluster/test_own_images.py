"""A server and a trainer that are not ours: a plain FastAPI server, compared on divided traffic."""

import pytest

from foreign import life
from trial.deployment import Model

pytestmark = pytest.mark.cluster
IMAGE = "localhost/modelmend-plain:dev"


def test_own_server_is_healed_by_its_own_trainer_and_a_worse_artifact_rolled_back(model: Model) -> None:
    template = {"image": IMAGE, "port": 8000, "readyPath": f"/v2/models/{model.name}/ready"}
    metrics = {
        "requests": {"name": "http_requests_total", "code": "status"},
        "latency": "http_request_duration_seconds",
        "outcomes": life.OUTCOMES,
    }
    trainer = {"image": IMAGE, "command": ["python", "trainer.py"]}
    parts = life.spec(model, template, metrics, trainer)
    model.apply(model={"uri": "pvc://storage/plain-good"}, **parts)
    life.lives(model, "pvc://storage/plain-worse", rate=60)
