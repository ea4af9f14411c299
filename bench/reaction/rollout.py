"""Two candidates under steady traffic: one that is worse goes back, one that is not is promoted.

The first learnt the opposite for the kind "west", and nobody asks about it until the candidate answers half of the
requests; then everybody does. The decision is heard by a watch (stage RollingBack), the candidate's last answer at
the client, which reads in each answer which version gave it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import traffic
from bench.reaction.watching import Told, Watch
from trial import models
from trial.cluster import Cluster, until
from trial.deployment import Model

TARGET: Final = 2.0
RATE: Final = 50.0
ELSEWHERE: Final = ("steady", "north", "east")
ROLLOUT: Final = {"shadow": {"traffic": 50}, "steps": [{"weight": 50}], "bake": "5s"}
ANALYSIS: Final = {"margin": 0.1, "deadline": "10m"}
MANY: Final = 5000
"""New pairs that the worse candidate would need for its promotion: it must stay at 50 % until it is found out."""
FEW: Final = 100


@dataclass(frozen=True)
class Rollout:
    """One run; seconds."""

    gone: float
    """From the decision to roll back to the candidate's last answer."""
    after: int
    """Answers of the candidate after the decision."""
    share: float
    """Of the answers in the five seconds before it, from the candidate's first on."""
    asked: tuple[int, int]
    """Requests until the rollback was over, and from there until the promotion was."""
    failures: tuple[list[str], list[str]]
    """Those of them that failed."""


@dataclass
class Client:
    """Every answer of one run, in the order in which they came."""

    answers: list[tuple[float, traffic.Answer]] = field(default_factory=list)

    def take(self, answer: traffic.Answer) -> None:
        """With the moment at which it was there."""
        self.answers.append((time.time(), answer))

    def of(self, version: str, begin: float = 0.0, end: float = float("inf")) -> list[float]:
        """When this version answered, between two moments."""
        return [at for at, answer in self.answers if answer.version == version and begin <= at < end]

    def total(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at, _ in self.answers)


def write_artifacts(folder: Path) -> None:
    """The champion and both candidates."""
    models.write_good(folder / "good", "bench")
    models.write_worse(folder / "worse-in-the-west", "bench", kinds=("west",))
    models.write_good(folder / "other", "bench", seed=7)


def measure(cluster: Cluster, namespace: str, number: int) -> Rollout:
    """A ModelDeployment of its own, from its beginning to a rollback and a promotion."""
    model, world, client = Model(cluster, namespace, f"rollout-{number}"), models.World(number), Client()
    world.kinds = ELSEWHERE
    path = f"/apis/modelmend.dev/v1alpha1/namespaces/{namespace}/modeldeployments"
    with Watch(cluster, path, f"metadata.name={model.name}") as watch:
        model.apply(rollout={**ROLLOUT, "analysis": {**ANALYSIS, "minLabels": MANY}})
        model.until_serving()
        stream = traffic.Traffic(world.questions(), model.target, RATE, delay=0.5, on_answer=client.take)
        with traffic.flowing(stream):
            decision, candidate = _roll_back(model, world, client, watch)
            failed = len(stream.failures)
            halfway = time.time()
            _promote(model, watch)
    model.remove()
    after = client.of(candidate, begin=decision)
    last = max(client.of(candidate))
    begin = max(decision - 5, min(client.of(candidate)))
    return Rollout(
        gone=max(last - decision, 0.0),
        after=len(after),
        share=len(client.of(candidate, begin, decision)) / client.total(begin, decision),
        asked=(client.total(0, halfway), client.total(halfway, float("inf"))),
        failures=(stream.failures[:failed], stream.failures[failed:]),
    )


def _roll_back(model: Model, world: models.World, client: Client, watch: Watch) -> tuple[float, str]:
    """When it was decided, and the candidate's version; returns a while after its pods are gone."""
    model.patch({"model": {"uri": "pvc://storage/worse-in-the-west"}})
    canary = _when(watch, "canary", lambda status: status.get("stage") == "Canary", 240)
    candidate: str = canary.body["status"]["candidate"]["version"]
    until("answers of the candidate", lambda: len(client.of(candidate)) > RATE, 60)
    world.kinds = ("west",)
    decision = _when(watch, "a decision", lambda status: status.get("stage") == "RollingBack", 120)
    _when(watch, "the candidate gone", lambda status: status.get("refusal"), 120)
    world.kinds = ELSEWHERE
    time.sleep(3)
    return decision.at, candidate


def _promote(model: Model, watch: Watch) -> None:
    """Returns a while after the old champion is gone."""
    champion = model.status()["stable"]["version"]
    model.patch({"model": {"uri": "pvc://storage/other"}, "rollout": {"analysis": {"minLabels": FEW}}})
    _when(
        watch,
        "promotion",
        lambda status: (status.get("stable") or {}).get("version") not in (None, champion),
        240,
    )
    _when(
        watch,
        "the end of the bake",
        lambda status: status["stable"]["version"] != champion and status.get("candidate") is None,
        120,
    )
    until("the old champion's pods gone", lambda: len(model.servers()) == 1, 60)
    time.sleep(3)


def _when(watch: Watch, what: str, finding: Callable[[Any], Any], seconds: float) -> Told:
    def holds(body: Any) -> Any:
        status = body.get("status") or {}
        return bool(status.get("stable")) and finding(status)

    return watch.wait(what, holds, seconds)
