"""A closed-loop load: each connection sends its next request when its answer has come. Raw bytes, no HTTP client."""

import asyncio
import functools
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """What one server did in one turn."""

    answers: int
    seconds: float
    latencies: tuple[float, ...]
    """Seconds of each answer, sorted."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def quantile(self, q: float) -> float:
        """Seconds within which this share of the answers came."""
        return self.latencies[min(int(q * len(self.latencies)), len(self.latencies) - 1)]


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, until: float, done: asyncio.Future[list[float]]) -> None:
        self._request = request
        self._until = until
        self._done = done
        self._taken: list[float] = []
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._received.index(b"content-length: ") + 16
        size = int(self._received[at : self._received.index(b"\r\n", at)])
        if len(self._received) < end + 4 + size:
            return
        now = time.perf_counter()
        if not self._received.startswith(b"HTTP/1.1 200"):
            self._fail(ConnectionError(self._received.decode(errors="replace")))
            return
        self._taken.append(now - self._sent_at)
        self._received = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(self._taken)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)


async def run(port: int, request: bytes, connections: int, seconds: float) -> Measured:
    """Loads a server for a while."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    futures = []
    for _ in range(connections):
        future: asyncio.Future[list[float]] = loop.create_future()
        made = functools.partial(_Connection, request, began + seconds, future)
        await loop.create_connection(made, "127.0.0.1", port)
        futures.append(future)
    latencies = sorted(each for taken in await asyncio.gather(*futures) for each in taken)
    return Measured(len(latencies), time.perf_counter() - began, tuple(latencies))
