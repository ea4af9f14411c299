"""The whole loop of one process: it ends in order, in time, and whatever it was doing."""

import asyncio
import time
from typing import Any

import pytest

from modelmend.act import errors, execute
from modelmend.decide import observed, plan
from modelmend.loop import engine, lease, pulse
from modelmend.observe import prometheus

Object = dict[str, Any]


class Figures:
    """Takes everything."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


def made(**settings: Any) -> engine.Engine:
    """One whose Prometheus nobody is asked for: there is no model."""
    wanted = engine.Configuration(
        settings=observed.Settings(runtime_image="r", **settings),
        children=execute.Configuration("r"),
        source=prometheus.Source("http://127.0.0.1:1"),
    )

    def decide(found: observed.Observed) -> plan.Plan:
        raise AssertionError(found)

    return engine.Engine(wanted, Figures(), decide)  # type: ignore[arg-type]


async def leading(running: engine.Engine) -> None:
    """Wait until it leads."""
    async with asyncio.timeout(10):
        while not running.elector.leads:
            await asyncio.sleep(0.01)


async def test_leader_that_ends_gives_its_lease_away(server: Any) -> None:
    running = made()
    async with running.running(server, server):
        await leading(running)
        assert running.is_ready()
        assert running.is_alive()

    assert server.objects["Lease", "modelmend-system", "modelmend"]["spec"]["holderIdentity"] == ""


async def test_lease_is_given_away_though_the_last_checkpoints_take_too_long(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LAST_CHECKPOINTS", 0.05)
    monkeypatch.setattr(engine, "GRACE", 5.0)
    running = made()
    async with running.running(server, server):
        await leading(running)

        async def hang(**_: bool) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(type(running._checkpoints), "write", lambda *_, **how: hang(**how))
        begun = time.monotonic()

    assert time.monotonic() - begun < 4
    assert server.objects["Lease", "modelmend-system", "modelmend"]["spec"]["holderIdentity"] == ""


async def test_end_that_comes_while_leading_ends_is_not_swallowed() -> None:
    """Whoever swallows its own cancellation goes on for ever, and the process with it."""
    running, ended = made(), asyncio.Event()

    async def look() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await ended.wait()

    running._looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(running._stop_looking())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.sleep(0)
    ended.set()
    await asyncio.wait([stopping])

    assert stopping.cancelled()


async def test_process_that_has_just_listed_everything_after_minutes_is_alive(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    polling = asyncio.Event()

    async def slow(_: pulse.Pulse) -> None:
        polling.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(pulse.Pulse, "tick", slow)
    running = made()
    server.failing = errors.Unavailable("the API server is away")
    async with running.running(server, server):
        running.pulsing.beat -= 2 * engine.LIVELY
        assert running.is_alive()
        server.failing = None
        async with asyncio.timeout(10):
            await polling.wait()
        assert running.is_ready()
        assert running.is_alive()


def test_fence_is_as_short_as_its_lease() -> None:
    running = made()
    assert running.fence.duration == lease.DURATION


@pytest.mark.parametrize("queries", [True, False])
async def test_queries_of_tenants_are_asked_unless_the_operator_is_told_not_to(
    server: Any, *, queries: bool
) -> None:
    running = made(queries=queries)
    async with running.running(server, server):
        await leading(running)
        asks = running.pulsing.polled is not pulse.nobody

    assert asks is queries
