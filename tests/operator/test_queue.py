"""One worker per key, duplicates folded, failures spread out in time."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from modelmend.loop import queue

Look = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def working(look: Look, workers: int = 4) -> AsyncIterator[queue.Queue[str]]:
    """A queue that runs while the block does."""
    made = queue.Queue(look, workers)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(what: str, holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for it."""
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


async def test_key_added_many_times_while_it_waits_is_looked_at_once() -> None:
    looks: Counter[str] = Counter()
    may_go = asyncio.Event()

    async def look(key: str) -> None:
        await may_go.wait()
        looks[key] += 1

    async with working(look, workers=1) as made:
        made.add("first")
        await asyncio.sleep(0)
        for _ in range(100):
            made.add("second")
        may_go.set()
        await until("both were looked at", lambda: looks.total() == 2)
        await asyncio.sleep(0.02)

    assert looks == {"first": 1, "second": 1}


async def test_key_added_while_it_is_looked_at_is_looked_at_again_afterwards_and_never_twice_at_once() -> (
    None
):
    inside, most, looks = 0, 0, 0
    gate = asyncio.Semaphore(0)

    async def look(_: str) -> None:
        nonlocal inside, most, looks
        inside += 1
        most = max(most, inside)
        await gate.acquire()
        inside -= 1
        looks += 1

    async with working(look) as made:
        made.add("key")
        await until("a look began", lambda: inside == 1)
        for _ in range(10):
            made.add("key")
        for _ in range(10):
            gate.release()
        await until("the second look ended", lambda: looks == 2)
        await asyncio.sleep(0.02)

    assert (looks, most) == (2, 1)


async def test_look_that_fails_comes_back_later_and_others_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "DELAYS", (0.05, 0.1))
    loop = asyncio.get_running_loop()
    at: list[float] = []
    others: Counter[str] = Counter()

    async def look(key: str) -> None:
        if key != "poison":
            others[key] += 1
            return
        at.append(loop.time())
        raise ValueError("poison")

    async with working(look, workers=1) as made:
        made.add("poison")
        for number in range(50):
            made.add(f"key-{number}")
        await until("it was tried four times", lambda: len(at) == 4)

    assert set(others.values()) == {1}
    assert len(others) == 50
    waits = [after - before for before, after in itertools.pairwise(at)]
    assert waits[0] >= 0.05
    assert waits[1] >= 0.1
    assert waits[2] >= 0.1


async def test_server_that_asks_for_patience_sets_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "DELAYS", (0.001,))
    loop = asyncio.get_running_loop()
    at: list[float] = []

    class Busy(Exception):
        retry_after = 0.2

    async def look(_: str) -> None:
        at.append(loop.time())
        if len(at) == 1:
            raise Busy

    async with working(look) as made:
        made.add("key")
        await until("it was tried", lambda: len(at) == 1)
        made.add("key")  # Something happens to it meanwhile.
        await until("it was tried again", lambda: len(at) == 2)

    assert at[1] - at[0] >= 0.2


async def test_earliest_moment_wins_and_an_event_is_earlier_than_any() -> None:
    loop = asyncio.get_running_loop()
    begun, at = loop.time(), list[float]()

    async def look(_: str) -> None:
        at.append(loop.time())

    async with working(look) as made:
        made.add_after("key", 30)
        made.add_after("key", 0.05)
        made.add_after("key", 20)
        await until("the earliest came", lambda: len(at) == 1)
        assert at[0] - begun >= 0.05
        made.add_after("key", 30)
        made.add("key")
        await until("the event came", lambda: len(at) == 2)


async def test_number_of_looks_at_once_is_bounded() -> None:
    inside, most = 0, 0

    async def look(_: str) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.005)
        inside -= 1

    async with working(look, workers=3) as made:
        for number in range(30):
            made.add(f"key-{number}")
        await until("all are done", lambda: inside == 0 and len(made) == 0)

    assert most == 3


async def test_moments_far_ahead_that_were_overtaken_take_no_memory() -> None:
    """A cron line comes due in a month, and an event every second brings a look before."""
    made: queue.Queue[int] = queue.Queue(lambda _: asyncio.sleep(0), 1)
    for _ in range(1000):
        for key in range(10):
            made.add_after(key, 30 * 86_400)
            made.add(key)
    assert len(made._later) <= 2 * 10 + queue.VOID + 10

    for key in range(5000):
        made.add_after(key, key + 1)
    assert len({key for at, _, key in made._later if made._due.get(key) == at}) == 5000
