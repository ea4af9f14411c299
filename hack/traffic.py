"""Live requests at an even rate through a Gateway, and the truth a little later: for demo, benchmarks and tests.

An open loop: a request goes out when its time has come, whether or not earlier answers are there, so that a slow
server meets more requests and not fewer. Nothing is retried: what fails once has failed, and is kept as such.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

FEEDBACK_EVERY: Final = 0.25
"""Seconds between two batches of truths."""


@dataclass(frozen=True)
class Target:
    """Where the model answers: the Gateway's address, the host name of the route, the model's name."""

    gateway: str
    host: str
    model: str

    def url(self, verb: str) -> str:
        return f"{self.gateway}/v2/models/{self.model}/{verb}"


@dataclass(frozen=True)
class Question:
    """A request of one row, and what the answer should be; a truth of None is never told."""

    body: bytes
    truth: Any


@dataclass(frozen=True)
class Answer:
    """What became of one question. `sent` in seconds since the epoch, `latency` in seconds."""

    place: int
    sent: float
    latency: float
    version: str
    predicted: Any
    error: str | None = None


def body(columns: dict[str, tuple[str, Any]], outputs: tuple[str, ...] = ("predict",)) -> bytes:
    """One Open Inference Protocol request of one row: name -> (datatype, value)."""
    return orjson.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": [1, 1],
                    "datatype": datatype,
                    "data": [None if value != value else value],
                }
                for name, (datatype, value) in columns.items()
            ],
            "outputs": [{"name": name} for name in outputs],
        }
    )


class Traffic:
    """One stream of questions. `answers` are told to `on_answer` as they come; `failures` are kept as sentences."""

    def __init__(
        self,
        questions: Iterable[Question],
        target: Target,
        rate: float,
        delay: float,
        on_answer: Callable[[Answer], None] = lambda _: None,
        *,
        keep: bool = True,
    ) -> None:
        """`keep`: connections are used again, as a gateway's clients do."""
        self._questions = questions
        self._target = target
        self._rate = rate
        self._delay = delay
        self._on_answer = on_answer
        self._keep = keep
        self._matured: asyncio.Queue[tuple[float, str, Any] | None] = asyncio.Queue()
        self._stopped = False
        self.sent = 0
        self.answered = 0
        self.labelled = 0
        self.failures: list[str] = []

    def stop(self) -> None:
        """No further question; what is under way is still answered and its truth told. From any thread."""
        self._stopped = True

    async def run(self) -> None:
        """Sends everything, then waits until the last truth is told."""
        timeout = aiohttp.ClientTimeout(total=15)
        headers = {"Host": self._target.host, "Content-Type": "application/json"}
        connector = aiohttp.TCPConnector(limit=128, force_close=not self._keep)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            truths = asyncio.create_task(self._tell_truths(session))
            start = time.monotonic()
            flying: set[asyncio.Task[None]] = set()
            try:
                for place, question in enumerate(self._questions):
                    if (wait := start + place / self._rate - time.monotonic()) > 0:
                        await asyncio.sleep(wait)
                    if self._stopped:
                        break
                    task = asyncio.create_task(self._ask(session, place, question))
                    flying.add(task)
                    task.add_done_callback(flying.discard)
                    self.sent = place + 1
                await asyncio.gather(*flying)
                await self._matured.put(None)
                await truths
            finally:
                truths.cancel()
                for task in flying:
                    task.cancel()

    async def _ask(self, session: aiohttp.ClientSession, place: int, question: Question) -> None:
        began, sent = time.monotonic(), time.time()
        try:
            async with session.post(self._target.url("infer"), data=question.body) as response:
                content = await response.read()
                if response.status != 200:
                    raise ValueError(f"{response.status} {content[:200]!r}")
            reply = orjson.loads(content)
            predicted = reply["outputs"][0]["data"][0]
            token = reply["parameters"]["prediction_id"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as problem:
            error = f"{time.strftime('%H:%M:%S')} request {place}: {problem!r}"
            self.failures.append(error)
            self._on_answer(Answer(place, sent, time.monotonic() - began, "", None, error))
            return
        self.answered += 1
        latency = time.monotonic() - began
        self._on_answer(Answer(place, sent, latency, reply.get("model_version", ""), predicted))
        if question.truth is not None:
            await self._matured.put((time.monotonic() + self._delay, token, question.truth))

    async def _tell_truths(self, session: aiohttp.ClientSession) -> None:
        """In the order of the answers, which is nearly that of maturity."""
        ended = False
        while not ended:
            batch: list[dict[str, Any]] = []
            until = time.monotonic() + FEEDBACK_EVERY
            while time.monotonic() < until:
                item = await self._matured.get()
                if item is None:
                    ended = True
                    break
                due, token, truth = item
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                batch.append({"prediction_id": token, "labels": [truth]})
            if batch:
                await self._tell(session, batch)

    async def _tell(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]]) -> None:
        try:
            async with session.post(self._target.url("feedback"), data=orjson.dumps(batch)) as response:
                content = await response.read()
                if response.status != 200:
                    raise ValueError(f"{response.status} {content[:200]!r}")
            self.labelled += len(batch)
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            self.failures.append(f"{time.strftime('%H:%M:%S')} feedback of {len(batch)}: {problem!r}")


@contextlib.contextmanager
def flowing(traffic: Traffic) -> Any:
    """Runs the traffic in a thread for the length of a `with` block, then lets it end."""
    thread = threading.Thread(target=lambda: asyncio.run(traffic.run()), name="traffic", daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        traffic.stop()
        thread.join(timeout=60)
