"""Queries are asked beside the beat: for whoever is due, once at a time, and nobody waits for them."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from modelmend.decide import decide, observed
from modelmend.evidence import query
from modelmend.loop import asking
from modelmend.observe import gather

Object = dict[str, Any]
KEY = ("ml", "flights")
SIGNAL = {"name": "refunds", "type": "Query", "query": 'sum(refunds{model="$name"})', "above": 12}


def body(name: str, *signals: Object) -> Object:
    """A ModelDeployment that serves."""
    stable = {
        "version": f"{name}-v1",
        "digest": "sha256:" + "a" * 64,
        "uri": "s3://m",
        "rollout": f"rollout-{name}",
        "since": "2026-01-01T00:00:00Z",
    }
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "ml", "uid": f"12345678-{name}", "resourceVersion": "1"},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
            "monitoring": {"signals": list(signals)},
        },
        "status": {"stage": "Serving", "stable": stable},
    }


def version(name: str) -> Object:
    """The ModelVersion that it serves."""
    owner = {"apiVersion": "x", "kind": "ModelDeployment", "name": name, "uid": f"12345678-{name}"}
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{name}-v1",
            "namespace": "ml",
            "uid": f"version-{name}",
            "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": name},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {
            "deployment": name,
            "number": 1,
            "uri": "s3://m",
            "digest": "sha256:" + "a" * 64,
            "trigger": "Install",
            "because": "x",
            "createdAt": "2026-01-01T00:00:00Z",
            "image": "r",
        },
    }


class Asker:
    """Answers what a test says; waits while it must."""

    def __init__(self) -> None:
        self.answers: dict[str, query.Answer] = {}
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, texts: Iterable[str]) -> dict[str, query.Answer]:
        self.asked.append(list(texts))
        await self.may_answer.wait()
        return {text: answer for text, answer in self.answers.items() if text in self.asked[-1]}


class Bench:
    """An Asking with all that it needs."""

    def __init__(self, *bodies: Object) -> None:
        self.added: list[tuple[str, str]] = []
        self.asker = Asker()
        self.observer = gather.Observer(observed.Settings(runtime_image="runtime:1"))
        for each in bodies:
            self.observer.seen.put(each)
            self.observer.seen.put(version(each["metadata"]["name"]))
        self.asking = asking.Asking(self.observer, self.asker, self.added.append)  # type: ignore[arg-type]

    def because(self) -> str:
        """What the status of `flights` would say."""
        self.observer.poll = observed.Poll(at=datetime.now(UTC))
        found = self.observer.observe(KEY, datetime.now(UTC))
        assert found is not None
        return decide(found).status.signals[0].because


FILLED = 'sum(refunds{model="flights"})'


async def test_answer_reaches_the_verdict_and_only_news_asks_for_a_look() -> None:
    bench = Bench(body("flights", SIGNAL))
    bench.asker.answers[FILLED] = query.Answer((3.0,))
    await bench.asking.ask([KEY])
    await bench.asking.ask([KEY])

    assert bench.asker.asked == [[FILLED], [FILLED]]
    assert bench.added == [KEY]
    assert bench.because() == "refunds 3 is below 12"


async def test_query_that_cannot_be_asked_is_told_and_keeps_nobody_elses_from_being_asked() -> None:
    bench = Bench(body("flights", {**SIGNAL, "query": "vector(1)) or (up"}), body("trains", SIGNAL))
    await bench.asking.ask([KEY, ("ml", "trains")])

    assert bench.asker.asked == [['sum(refunds{model="trains"})']]
    assert (
        bench.because()
        == "refunds unknown: its query cannot be asked: its ) closes no bracket: correct the query"
    )
    assert bench.added == [KEY]


async def test_without_queries_nothing_is_asked() -> None:
    bench = Bench(body("flights", {"name": "accuracy", "minimum": 0.8}))
    await bench.asking.ask([KEY, ("ml", "gone")])

    assert bench.asker.asked == []


async def test_model_that_cannot_be_read_stops_no_other() -> None:
    broken = body("broken", SIGNAL)
    broken["spec"]["monitoring"]["interval"] = "soon"
    bench = Bench(broken, body("flights", SIGNAL))
    await bench.asking.ask([("ml", "broken"), KEY])

    assert bench.asker.asked == [[FILLED]]


async def test_whoever_comes_due_while_a_round_lasts_is_asked_in_the_next() -> None:
    bench = Bench(body("flights", SIGNAL), body("trains", SIGNAL))
    bench.asker.may_answer.clear()
    running = asyncio.create_task(bench.asking.run())
    bench.asking.want([KEY])
    while not bench.asker.asked:
        await asyncio.sleep(0)
    for _ in range(3):
        bench.asking.want([KEY])
        bench.asking.want([("ml", "trains")])
    assert len(bench.asker.asked) == 1
    bench.asker.may_answer.set()
    while len(bench.asker.asked) < 2:
        await asyncio.sleep(0)
    running.cancel()

    assert bench.asker.asked[1] == [FILLED, 'sum(refunds{model="trains"})']
