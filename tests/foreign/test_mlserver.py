"""`make test-foreign`: a real MLServer in place of our server, with its own scikit-learn runtime, from breach to rollback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest

from foreign import life
from trial import cluster as clusters
from trial import models
from trial.deployment import Model

pytestmark = pytest.mark.foreign
NAMESPACE = "foreign"
IMAGE = "localhost/modelmend-mlserver:dev"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    """A ModelDeployment, with a good artifact and a worse one of MLServer's own kind."""
    cluster = clusters.present()
    table, truths = models.World(1).frame(4000)
    for name, labels in (("good", truths), ("worse", 1 - truths)):
        (tmp_path / name).mkdir()
        joblib.dump(models.pipeline().fit(table, labels), tmp_path / name / "model.joblib")
    clusters.install(cluster)
    with clusters.room(cluster, NAMESPACE, tmp_path):
        found = Model(cluster, NAMESPACE, "mlserver")
        yield found
        with contextlib.suppress(clusters.TrialError):
            found.remove()


def test_mlserver_is_healed_by_its_own_trainer_and_a_worse_artifact_rolled_back(model: Model) -> None:
    template = {"image": IMAGE, "port": 8080, "readyPath": "/v2/health/ready", "metricsPort": 8082}
    metrics = {
        "requests": {"name": "rest_server_requests_total", "code": "status_code"},
        "latency": "rest_server_request_duration_seconds",
        "outcomes": life.OUTCOMES,
    }
    trainer = {"image": IMAGE, "command": ["python", "/app/trainer.py"]}
    parts = life.spec(model, template, metrics, trainer)
    model.apply(model={"uri": "pvc://storage/good"}, **parts)
    # It takes more time for a request than a plain server, and two of them share a small machine.
    life.lives(model, "pvc://storage/worse", rate=20)
