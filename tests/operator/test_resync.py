"""A LIST of everything: what may not be listed is a sentence, what cannot be listed now is asked for again."""

import logging
from typing import Any

import pytest

from modelmend.act import errors
from modelmend.decide import observed
from modelmend.loop import resync
from modelmend.observe import cluster, gather


def bench(server: Any, *namespaces: str) -> tuple[resync.Resync, list[cluster.Key]]:
    """A Resync, and the keys that it wants looked at."""
    added: list[cluster.Key] = []
    made = resync.Resync(
        gather.Observer(observed.Settings(runtime_image="r")), server, namespaces, added.append
    )
    return made, added


MODEL = {
    "apiVersion": "modelmend.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "flights", "namespace": "ml"},
    "spec": {
        "model": {"uri": "s3://models/flights/v0"},
        "storage": {"uri": "s3://ml/flights"},
        "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
    },
}


async def test_everything_that_may_be_listed_may_be_watched(server: Any) -> None:
    await server.create(MODEL)
    made, added = bench(server)

    assert await made.once()
    assert made.watchable == cluster.WATCHED
    assert added == [("ml", "flights")]


async def test_kind_that_is_missing_or_forbidden_is_a_sentence_and_the_others_go_on(server: Any) -> None:
    await server.create(MODEL)
    allowed = server.list

    async def some(api_version: str, kind: str, namespace: str | None, selector: str | None) -> Any:
        if kind == "HTTPRoute":
            raise errors.Missing("404 page not found")
        if kind == "Pod":
            raise errors.Refused("pods is forbidden")
        return await allowed(api_version, kind, namespace, selector)

    server.list = some
    made, added = bench(server)
    assert await made.once()
    assert {kind.name for kind in cluster.WATCHED} - {kind.name for kind in made.watchable} == {
        "HTTPRoute",
        "Pod",
    }
    assert "install its CustomResourceDefinition" in made.observer.unreadable[None, "HTTPRoute"]
    assert made.observer.unreadable[None, "Pod"] == "pods is forbidden"

    added.clear()
    server.list = allowed
    assert await made.once()
    assert made.observer.unreadable == {}
    assert made.watchable == cluster.WATCHED
    assert added == [("ml", "flights")]


async def test_cluster_without_gateway_api_serves_models_without_a_gateway(server: Any) -> None:
    allowed = server.list

    async def some(api_version: str, kind: str, namespace: str | None, selector: str | None) -> Any:
        if kind == "HTTPRoute":
            raise errors.Missing("404 page not found")
        return await allowed(api_version, kind, namespace, selector)

    server.list = some
    bare = {**MODEL["spec"], "serving": {"replicas": 1}}
    await server.create({**MODEL, "spec": bare, "metadata": {"name": "bare", "namespace": "ml"}})
    made, _ = bench(server)
    assert await made.once()
    owner = made.observer.seen.model(("ml", "bare"))
    assert made.observer.unreadable_for(owner) is None
    assert not made.observer.lacks_something(), "nobody waits for it, so lists need not hurry"

    await server.create(MODEL)
    assert await made.once()
    owner = made.observer.seen.model(("ml", "flights"))
    assert "install its CustomResourceDefinition" in str(made.observer.unreadable_for(owner))
    assert made.observer.lacks_something()


async def test_server_that_is_away_changes_nothing(server: Any) -> None:
    await server.create(MODEL)
    made, _ = bench(server)
    await made.once()
    server.failing = errors.Unavailable("no answer")

    assert not await made.once()
    assert made.observer.seen.keys() == [("ml", "flights")]
    assert made.observer.unreadable == {}


async def test_only_the_namespaces_that_are_served_are_listed(server: Any) -> None:
    for namespace in ("ml", "web", "other"):
        await server.create({**MODEL, "metadata": {"name": "flights", "namespace": namespace}})
    made, _ = bench(server, "ml", "web")

    await made.once()

    assert made.observer.seen.keys() == [("ml", "flights"), ("web", "flights")]


async def test_watches_that_tell_nothing_are_noticed_and_said_once(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = bench(server)
    model = await server.create(MODEL)
    await made.once()

    def said() -> int:
        return len([line for line in caplog.records if "watching is silent" in line.message])

    for _ in range(2):
        await made.once()  # No news is no silence.
    assert not said()
    server.touch(model)
    made.events += 1
    await made.once()
    server.touch(model)
    await made.once()
    assert not said(), "one list may overtake a watch"
    for _ in range(3):
        server.touch(model)
        await made.once()
    assert said() == 1

    made.events += 1
    await made.once()
    for _ in range(3):
        server.touch(model)
        await made.once()
    assert said() == 2


async def test_server_that_stays_away_is_logged_once(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    made, _ = bench(server)
    server.failing = errors.Unavailable("no answer")
    for _ in range(5):
        await made.once()

    assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == ["no answer"]


async def test_namespace_that_is_closed_closes_no_other(server: Any) -> None:
    """When a namespace is deleted, the operator's Role in it goes too."""
    for namespace in ("ml", "web"):
        await server.create({**MODEL, "metadata": {"name": "flights", "namespace": namespace}})
    made, _ = bench(server, "ml", "web")
    allowed, closed = server.list, {"web"}

    async def some(api_version: str, kind: str, namespace: str | None, selector: str | None) -> Any:
        if namespace in closed:
            raise errors.Refused(f"{kind} is forbidden in {namespace}")
        return await allowed(api_version, kind, namespace, selector)

    server.list = some
    assert await made.once()
    owner = made.observer.seen.model(("ml", "flights"))
    assert owner is not None
    assert made.observer.unreadable_for(owner) is None
    elsewhere = owner.model_copy(update={"metadata": owner.metadata.model_copy(update={"namespace": "web"})})
    assert "forbidden in web" in str(made.observer.unreadable_for(elsewhere))
    assert (made.watchable, made.open) == (cluster.WATCHED, ("ml",))

    closed.add("ml")
    assert await made.once()
    assert made.watchable == ()

    closed.clear()
    assert await made.once()
    assert made.observer.unreadable == {}
    assert (made.watchable, made.open) == (cluster.WATCHED, ("ml", "web"))
