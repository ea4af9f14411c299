"""Who leads, and that nobody writes who does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import kubernetes.aio.client
import pytest
from aiohttp import web

from modelmend.act import api, errors
from modelmend.loop import lease


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def elector(server: Any, clock: Clock, identity: str, told: list[str]) -> lease.Elector:
    """One replica."""

    async def began() -> None:
        told.append(f"{identity} began")

    async def ended() -> None:
        told.append(f"{identity} ended")

    return lease.Elector(server, "ml", "modelmend", identity, lease.Fence(clock), began, ended)


async def test_first_replica_leads_and_the_second_waits(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one, two = elector(server, clock, "one", told), elector(server, clock, "two", told)

    await one.step()
    await two.step()
    clock.now += 5
    await one.step()
    clock.now += 9
    await two.step()

    assert told == ["one began"]
    assert one.fence.is_open
    assert not two.fence.is_open


async def test_standby_takes_a_lease_that_was_not_renewed_for_its_duration_on_its_own_clock(
    server: Any,
) -> None:
    clock, told = Clock(), list[str]()
    one, two = elector(server, clock, "one", told), elector(server, clock, "two", told)
    await one.step()
    await two.step()

    clock.now += lease.DURATION - 0.1
    await two.step()
    assert told == ["one began"]
    clock.now += 0.2
    await two.step()
    assert told == ["one began", "two began"]

    # The old leader wakes: its fence is shut before it asks anybody, and then it learns why.
    assert not one.fence.is_open
    await one.step()
    assert told == ["one began", "two began", "one ended"]


async def test_renewals_that_fail_shut_the_fence_before_another_may_lead(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one = elector(server, clock, "one", told)
    await one.step()
    server.failing = errors.Unavailable("the API server is away")

    clock.now += lease.DURATION * lease.YOUNG - 0.1
    await one.step()
    assert told == ["one began"]
    assert one.fence.is_open
    clock.now += 0.2
    assert not one.fence.is_open
    await one.step()
    assert told == ["one began", "one ended"]

    server.failing = None
    await one.step()
    assert told == ["one began", "one ended", "one began"]


async def test_renewals_that_fail_are_said_once_and_that_they_succeed_again(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock, told = Clock(), list[str]()
    one = elector(server, clock, "one", told)
    server.failing = errors.Unavailable("the API server is away")
    with caplog.at_level("INFO"):
        for _ in range(20):
            await one.step()
        server.failing = None
        await one.step()

    lines = [record.message for record in caplog.records]
    assert len([line for line in lines if "could not be renewed" in line]) == 1
    assert "the lease ml/modelmend answers again" in lines


async def test_lease_that_somebody_touches_in_between_is_not_given_up(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one = elector(server, clock, "one", told)
    await one.step()
    get = server.get

    async def get_and_touch(*place: str) -> Any:
        found = await get(*place)
        server.touch(found)
        return found

    server.get = get_and_touch
    clock.now += 3
    await one.step()
    assert told == ["one began"]
    assert one.fence.is_open
    clock.now += 7
    assert not one.fence.is_open, "but it was not renewed either"
    server.get = get
    await one.step()
    assert told == ["one began"]
    assert one.fence.is_open


async def test_shorter_lease_shuts_its_fence_in_proportion(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one = elector(server, clock, "one", told)
    one.fence.duration = 6.0
    await one.step()

    assert server.objects["Lease", "ml", "modelmend"]["spec"]["leaseDurationSeconds"] == 6
    clock.now += 3.9
    assert one.fence.is_open
    clock.now += 0.2
    assert not one.fence.is_open


async def test_released_lease_is_taken_at_once(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one, two = elector(server, clock, "one", told), elector(server, clock, "two", told)
    await one.step()
    await two.step()

    await one.release()
    await two.step()

    assert told == ["one began", "one ended", "two began"]
    assert not one.fence.is_open


async def test_lease_that_changed_hands_in_between_is_not_taken(server: Any) -> None:
    clock, told = Clock(), list[str]()
    one, two, three = (elector(server, clock, name, told) for name in ("one", "two", "three"))
    await one.step()
    await two.step()
    await three.step()
    clock.now += lease.DURATION + 1

    await asyncio.gather(two.step(), three.step())

    assert sorted(told)[0] == "one began"
    assert len([line for line in told if line.endswith("began")]) == 2


MANIFEST = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "ml", "uid": "u"}}


@contextlib.asynccontextmanager
async def listening(received: list[str]) -> AsyncIterator[kubernetes.aio.client.Configuration]:
    """An API server that notes methods and answers with an empty Secret."""

    async def answer(request: web.Request) -> web.Response:
        received.append(request.method)
        return web.json_response({"kind": "Secret"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield kubernetes.aio.client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("age", [None, lease.DURATION * lease.YOUNG, 3600.0])
async def test_fenced_write_sends_no_byte(age: float | None) -> None:
    received: list[bytes] = []
    heard: list[asyncio.Task[None]] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(asyncio.current_task())  # type: ignore[arg-type]
        received.append(await reader.read())
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(hear, "127.0.0.1", 0)
    clock = Clock()
    fence = lease.Fence(clock, held_since=None if age is None else clock.now - age)
    host = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        async with api.connected(kubernetes.aio.client.Configuration(host=host), fence) as fenced:
            for write in (
                fenced.create(MANIFEST),
                fenced.apply(MANIFEST),
                fenced.replace(MANIFEST),
                fenced.delete(MANIFEST),
            ):
                with pytest.raises(errors.Fenced):
                    await write
        if heard:
            await asyncio.wait(heard, timeout=5)

    assert [chunk for chunk in received if chunk] == []


async def test_fence_that_shuts_while_a_write_waits_for_its_connection_stops_it() -> None:
    """The leader that was frozen in the middle of a write: everything is decided, only the bytes are missing."""
    received: list[str] = []
    clock = Clock()
    fence = lease.Fence(clock, held_since=clock.now)
    async with listening(received) as configuration, api.connected(configuration, fence) as fenced:
        await fenced.create(MANIFEST)
        assert received == ["POST"]

        async def sleep(*_: object) -> None:
            clock.now += 60

        slept = aiohttp.TraceConfig()
        slept.on_connection_reuseconn.append(sleep)
        slept.freeze()
        fenced._client.rest_client.pool_manager._trace_configs.insert(0, slept)
        with pytest.raises(errors.Fenced):
            await fenced.create(MANIFEST)

    assert received == ["POST"]


async def test_reads_are_never_fenced() -> None:
    received: list[str] = []
    async with listening(received) as configuration, api.connected(configuration, lease.Fence()) as fenced:
        assert await fenced.get("v1", "Secret", "ml", "x") == {"kind": "Secret"}
