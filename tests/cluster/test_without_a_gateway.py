"""A model without a gateway, on a real node: kube-proxy splits its traffic by connections over the pods of two versions."""

import contextlib
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from datetime import datetime

import pytest

import traffic
from trial.cluster import until
from trial.deployment import Model
from trial.models import World

pytestmark = pytest.mark.cluster

KEPT = 6
"""Clients that keep their connection: of two pods, one gets none of them once in 32 times."""


class Kept:
    """Clients that each keep one connection for as long as they may, and ask who answers it."""

    def __init__(self, target: traffic.Target) -> None:
        self._host = urllib.parse.urlsplit(target.gateway).hostname or ""
        self._path = f"/v2/models/{target.model}"
        self._stopped = threading.Event()
        self.answers: list[tuple[float, str]] = []
        """When, and by which version."""
        self.failures: list[str] = []

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=10)
        while not self._stopped.wait(0.1):
            try:
                connection.request("GET", self._path)
                said = json.loads(connection.getresponse().read())
                self.answers.append((time.time(), said["versions"][0]))
            except (OSError, http.client.HTTPException, KeyError, ValueError) as problem:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {problem!r}")
                connection.close()
        connection.close()

    @contextlib.contextmanager
    def asking(self) -> Iterator["Kept"]:
        """For the length of a `with` block."""
        threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(KEPT)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join(15)

    def last(self, version: str) -> float:
        """When this version answered last."""
        return max((at for at, answered in self.answers if answered == version), default=0.0)


def test_model_is_healed_by_numbers_of_pods_and_an_aborted_canary_falls_silent(model: Model) -> None:
    if model.cluster.told.get("engine") == "kind":
        pytest.skip("this machine is not the node: it reaches no Service")
    model.apply(
        serving={"replicas": 2, "resources": {"cpu": "50m", "memory": "512Mi"}},
        rollout={
            "shadow": {"traffic": 25},
            "steps": [{"weight": 25}],
            "analysis": {"minLabels": 50, "margin": 0.02, "deadline": "4m"},
            "bake": "5s",
        },
    )
    model.until_serving(through="the Service")
    world, first = World(), f"{model.name}-v1"
    world.moved = True
    answers: list[traffic.Answer] = []
    stream = model.traffic(world, to=model.service, on_answer=answers.append)
    with traffic.flowing(stream), Kept(model.service).asking() as kept:
        canary = model.until(
            "canary", lambda status: status["candidate"] if status.get("stage") == "Canary" else None, 240
        )
        tried, answers_from = canary["version"], datetime.fromisoformat(canary["since"]).timestamp()
        # In shadow it is the champion's prediction that a candidate's pods answer with.
        shadowed = [answer.version for answer in answers if answer.sent < answers_from and not answer.error]
        assert set(shadowed) == {first}
        until(
            "answers of the candidate on kept connections",
            lambda: kept.last(tried),
            90,
            lambda: model.status(),
        )
        begun = time.time()
        annotate = ("annotate", "modeldeployment", model.name, f"modelmend.dev/abort={tried}")
        model.cluster.kubectl("-n", model.namespace, *annotate)
        model.until("the candidate gone", lambda status: status.get("candidate") is None, 60)
        until("its pods gone", lambda: len(model.servers()) == 2, 60)
        fresh = max(answer.sent for answer in answers if answer.version == tried) - begun
        silent = kept.last(tried) - begun
        print(
            f"after the abort the candidate answered for {fresh:.2f} s, on kept connections for {silent:.2f} s"
        )
        # It breaches on; the next candidate takes over.
        model.until("promotion", lambda status: status["stable"]["version"] not in (first, tried), 240)
        healed = model.status()["stable"]["version"]
        model.until(
            "rest after the bake", lambda status: status.get("stage") in ("CoolingDown", "Serving"), 60
        )
        until("all clients ask the new version", lambda: _alone(kept, healed), 60)
    assert stream.failures == []
    assert kept.failures == []
    assert max(fresh, silent) < 5
    assert len([answer for answer in answers if answer.version == tried]) > 10
    routes = model.cluster.get("-n", model.namespace, "get", "httproutes")["items"]
    assert [route for route in routes if route["metadata"]["name"] == model.name] == []


def _alone(kept: Kept, version: str) -> bool:
    now = time.time()
    return {answered for at, answered in list(kept.answers) if at > now - 2} == {version}
