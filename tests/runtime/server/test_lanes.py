"""Micro-batching: who shares a call, who waits for nobody, and who fails alone."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.server import batches, lanes
from modelmend.runtime.server.settings import Batching
from modelmend.runtime.server.tensors import Rows
from runtime.server import replicas

FEATURES = (Feature(name="a", datatype=Datatype.FP64),)
BAD = -1.0


class Model:
    """Predicts the class that its row names; keeps the size of every call; waits when it is told to."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def frame(self, columns: dict[str, Any]) -> Any:
        return columns["a"]

    def predict(self, table: Any) -> Any:
        self.calls.append(len(table))
        self.gate.wait(30)
        if (table == BAD).any():
            raise ValueError("bad row")
        return table.astype(np.intp), np.stack([1 - table / 10, table / 10], axis=1)


Make = Callable[..., lanes.Lane]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest_asyncio.fixture
async def lane(model: Model) -> AsyncIterator[Make]:
    made = []

    def make(
        afterwards: Callable[[batches.Batch], None] = lambda _: None, patience: float = 30, **options: int
    ) -> lanes.Lane:
        made.append(
            lanes.Lane(
                "lane", FEATURES, lambda: model, afterwards, batching=Batching(**options), patience=patience
            )
        )
        return made[-1]

    yield make
    model.gate.set()
    for each in made:
        await each.close(5)


def _rows(*values: float) -> Rows:
    return Rows(len(values), [list(values)])


def _submit(lane: lanes.Lane, *values: float) -> asyncio.Future[batches.Scored]:
    return lane.submit(_rows(*values), bytes(12), 0.0)


async def test_requests_of_one_turn_share_a_call_and_get_their_own_rows(lane: Make, model: Model) -> None:
    futures = [_submit(lane_ := lane(), 1), _submit(lane_, 2, 3), _submit(lane_, 4)]

    scored = await asyncio.gather(*futures)

    assert model.calls == [4]
    assert [each.answers.tolist() for each in scored] == [[1], [2, 3], [4]]
    assert [each.probabilities[:, 1].tolist() for each in scored if each.probabilities is not None] == [
        [0.1], [0.2, 0.3], [0.4],
    ]  # fmt: skip


async def test_requests_that_come_during_a_call_share_the_next_one(lane: Make, model: Model) -> None:
    one = lane()
    model.gate.clear()
    first = _submit(one, 1)
    await replicas.eventually(lambda: model.calls)
    later = []
    for value in (2, 3, 4):
        later.append(_submit(one, value))
        await asyncio.sleep(0)
    model.gate.set()

    await asyncio.gather(first, *later)

    assert model.calls == [1, 3]


async def test_an_idle_lane_does_not_wait_for_company(lane: Make, model: Model) -> None:
    one = lane()
    for value in (1, 2, 3):
        await _submit(one, value)

    assert model.calls == [1, 1, 1]


async def test_batches_are_bounded_by_requests_and_rows(lane: Make, model: Model) -> None:
    by_requests, by_rows = lane(requests=2), lane(rows=3)
    await asyncio.gather(*(_submit(by_requests, 1) for _ in range(5)))
    await asyncio.gather(*(_submit(by_rows, 1, 1) for _ in range(2)), _submit(by_rows, *[1] * 5))

    assert model.calls == [2, 2, 1, 2, 2, 5]


async def test_batching_can_be_switched_off(lane: Make, model: Model) -> None:
    one = lane(requests=1)
    await asyncio.gather(*(_submit(one, 1) for _ in range(3)))

    assert model.calls == [1, 1, 1]


async def test_a_request_that_makes_the_model_raise_fails_alone(lane: Make, model: Model) -> None:
    followed: list[int] = []
    one = lane(lambda batch: followed.append(len(batch.scored.answers)))

    results = await asyncio.gather(
        _submit(one, 1), _submit(one, BAD), _submit(one, 2), return_exceptions=True
    )

    assert [type(each).__name__ for each in results] == ["Scored", "ValueError", "Scored"]
    await replicas.eventually(lambda: followed == [1, 1])
    assert model.calls == [3, 1, 1, 1]


async def test_what_follows_a_batch_harms_nobody(lane: Make) -> None:
    def broken(_: batches.Batch) -> None:
        raise RuntimeError("no room")

    one = lane(broken)

    assert [(await _submit(one, value)).answers.tolist() for value in (1, 2)] == [[1], [2]]


async def test_a_call_that_hangs_fails_everybody_and_the_lane_recovers(lane: Make, model: Model) -> None:
    followed: list[int] = []
    one = lane(lambda batch: followed.append(len(batch.scored.answers)), patience=0.05)
    model.gate.clear()
    first = _submit(one, 1)
    await replicas.eventually(lambda: model.calls)
    queued = _submit(one, 2)
    results = await asyncio.gather(first, queued, return_exceptions=True)
    at_once = _submit(one, 3)

    assert [type(each) for each in results] == [lanes.OverdueError] * 2
    assert at_once.done()
    assert isinstance(at_once.exception(), lanes.OverdueError)
    assert one.stuck_seconds > 0

    model.gate.set()
    await replicas.eventually(lambda: one.stuck_seconds == 0)
    assert (await _submit(one, 4)).answers.tolist() == [4]
    await replicas.eventually(lambda: followed)
    # What came back too late was answered with an error: it is neither counted nor logged.
    assert followed == [1]


async def test_a_closed_lane_takes_nothing(lane: Make) -> None:
    one = lane()
    await _submit(one, 1)
    await one.close(5)

    with pytest.raises(lanes.ClosedError):
        await _submit(one, 2)


async def test_a_request_nobody_waits_for_is_not_scored(lane: Make, model: Model) -> None:
    one = lane()
    gone, there = _submit(one, 1), _submit(one, 2)
    gone.cancel()
    await there

    assert model.calls == [1]


async def test_a_model_that_predicts_another_number_of_rows_is_an_error(lane: Make, model: Model) -> None:
    model.predict = lambda table: (np.zeros(7, np.intp), None)  # type: ignore[method-assign]

    with pytest.raises(ValueError, match="predicted 7 rows of 1"):
        await _submit(lane(), 1)


async def test_clients_that_were_answered_together_share_the_next_call_too(lane: Make, model: Model) -> None:
    one, real = lane(), model.predict

    def work(table: Any) -> Any:
        time.sleep(0.05)
        return real(table)

    model.predict = work  # type: ignore[method-assign]

    async def client(number: int, requests: int) -> None:
        for _ in range(requests):
            await _submit(one, number)
            for _ in range(number):  # they come back one after the other
                await asyncio.sleep(0)

    await asyncio.gather(*(client(number, 3) for number in range(8)))
    assert model.calls == [8, 8, 8]

    # The crowd is gone: whoever is left waits for a moment once, and then for nobody.
    await client(1, 2)
    assert model.calls == [8, 8, 8, 1, 1]
