"""What is rendered, whole, as YAML that a person can read and review.

    MODELMEND_GOLDEN=write pytest tests/render/test_golden.py      writes it anew: then read the diff

The annotation that holds the manifest itself is left out here; test_child proves it.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from modelmend.api import names
from modelmend.contract import arms
from modelmend.render import child, deployment, job, modelversion, route, secret, service
from render import owners

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, Callable[[], child.Manifest]] = {
    "server_on_one_claim": lambda: deployment.manifest(owners.owner(), owners.server()),
    "server_of_a_candidate": lambda: deployment.manifest(
        owners.owner(storage={"uri": "pvc://data/ml/flights"}),
        owners.candidate(trusted_types=("xgboost.core.Booster",)),
    ),
    "server_on_an_object_store": lambda: deployment.manifest(
        owners.on_object_store(), owners.server(uri="s3://models/flights/v1")
    ),
    "server_of_own_image": lambda: deployment.manifest(owners.with_own_images(), owners.server()),
    "service_of_own_image": lambda: service.of_version(owners.with_own_images(), "flights-v1"),
    "route_of_own_image": lambda: route.manifest(
        owners.with_own_images(), owners.backends(*owners.CANARY), "5d1c0e2f9a7b4c36"
    ),
    "job_retrain_by_own_image": lambda: job.retrain(
        owners.with_own_images(), owners.described(), unreferenced=(owners.DIGEST,)
    ),
    "service_of_version": lambda: service.of_version(owners.owner(), "flights-v1"),
    "service_of_the_stable_version": lambda: service.front(owners.owner(), "flights-v1", "solo"),
    "service_of_all_versions": lambda: service.front(owners.owner(), None, 8083),
    "route_of_one": lambda: route.manifest(
        owners.owner(
            serving={
                "gateway": {
                    "parentRef": {"name": "public", "sectionName": "https"},
                    "hostnames": ["flights.example.com", "*.models.example.com"],
                }
            }
        ),
        owners.backends(("flights-v1", arms.Arm.SOLO, 100)),
        "5d1c0e2f9a7b4c36",
    ),
    "route_in_canary": lambda: route.manifest(
        owners.owner(), owners.backends(*owners.CANARY), "5d1c0e2f9a7b4c36"
    ),
    "job_resolve_first": lambda: job.resolve(
        owners.owner(),
        owners.described(
            name="flights-resolve-1-0f2c1a34", sequence=1, parent=None, data_from=None, data_to=None
        ),
        "pvc://imported/flights",
    ),
    "job_retrain_from_log": lambda: job.retrain(
        owners.owner(), owners.described(), unreferenced=(owners.DIGEST,)
    ),
    "job_retrain_from_dataset": lambda: job.retrain(owners.on_object_store(), owners.described()),
    "job_train_first": lambda: job.retrain(
        owners.from_data(
            estimator="RandomForest", parameters={"max_depth": 8}, features=["wind", "$(carrier)"]
        ),
        owners.described(
            name="flights-retrain-1-0f2c1a34",
            sequence=1,
            version="flights-v1",
            parent=None,
            data_from=None,
            data_to=None,
        ),
    ),
    "secret": lambda: secret.manifest(owners.owner(), b"k" * 32),
    "modelversion": lambda: modelversion.manifest(owners.owner(), "flights-v2", owners.version_spec()),
}


@pytest.mark.parametrize("case", CASES)
def test_manifest_is_the_reviewed_one(case: str) -> None:
    path = GOLDEN / f"{case}.yaml"
    text = _readable(CASES[case]())

    if os.environ.get("MODELMEND_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert path.read_text() == text


def test_every_golden_file_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def _readable(manifest: child.Manifest) -> str:
    shown = copy.deepcopy(manifest)
    shown["metadata"].get("annotations", {}).pop(names.RENDERED, None)
    return yaml.safe_dump(shown, sort_keys=False, width=110)
