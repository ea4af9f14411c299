"""The real node, with the operator installed by its chart from our images.

`make test` brings the cluster up and builds the images before; run by hand, these tests expect the same
(`make cluster-up images`). One namespace and one claim serve all tests of a worker; each test has a ModelDeployment,
a storage folder and a host name of its own, so that two may run at once. Those marked `alone` would disturb others.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trial import cluster as clusters
from trial import models
from trial.cluster import OPERATOR, Cluster
from trial.deployment import Model

NAMESPACE = "-".join(("proof", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, the operator, the namespace with its claim, the artifacts `good`, `worse` and `slightly-worse`, and the
    dataset `data/rows.parquet`; the artifacts of the server in tests/foreign/plain are called `plain-…`."""
    found = clusters.present()
    folder = tmp_path_factory.mktemp("artifacts")
    models.write_good(folder / "good", "proof")
    models.write_worse(folder / "worse", "proof")
    models.write_worse(folder / "slightly-worse", "proof", wrong=0.55)
    for name, sign in (("plain-good", 1), ("plain-worse", -1)):
        (folder / name).mkdir()
        signs = dict.fromkeys(models.KINDS, sign)
        (folder / name / "model.json").write_text(json.dumps({"signs": signs}))
    _install_once(found, tmp_path_factory.getbasetemp())
    models.write_rows(folder / "data" / "rows.parquet")
    with clusters.room(found, NAMESPACE, folder):
        yield found


def _install_once(cluster: Cluster, base: Path) -> None:
    """The first worker installs the operator, and the others wait for it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        clusters.install(cluster)
        return
    with (base.parent / "operator-is-installed").open("a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        if not mark.tell():
            clusters.install(cluster)
            mark.write("yes")


@pytest.fixture
def model(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Model]:
    """A ModelDeployment named after its test, deleted afterwards."""
    name = "m" + hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    found = Model(cluster, NAMESPACE, name)
    yield found
    if request.node.stash.get(FAILED, False):
        print(json.dumps(found.body(), indent=1))
        print(cluster.kubectl("-n", NAMESPACE, "get", "all", check=False))
        print(
            cluster.kubectl(
                "-n", OPERATOR, "logs", "-l", "app.kubernetes.io/name=modelmend", "--tail=60", check=False
            )
        )
    cluster.kubectl("-n", NAMESPACE, "delete", "modeldeployment", name, "--ignore-not-found", "--wait=false")


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
