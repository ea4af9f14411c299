"""One TCP connection: uvicorn's protocol, with a deadline for the head of a request and a limit on its size.

uvicorn closes a connection that is idle between requests, but one that sends its head a byte at a time stays for
ever, its head may grow for ever, and one that never says a word stays too. All three are closed here.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelmend.runtime.server import web

HEAD_BYTES_MAX: Final = 64 * 1024


def protocol(header_seconds: float, keep_alive_seconds: float) -> type[asyncio.Protocol]:
    """The protocol class of a server with these deadlines."""

    class Connection(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _in_head = False
        _head_bytes = 0
        _connected_at = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._connected_at = time.monotonic()
            self._arm(keep_alive_seconds)

        def data_received(self, data: bytes) -> None:
            continued = self._in_head
            super().data_received(data)
            if continued and self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                    self.send_400_response(f"The head of a request is limited to {HEAD_BYTES_MAX} bytes.")

        def on_message_begin(self) -> None:
            self._in_head, self._head_bytes = True, 0
            self._arm(header_seconds)
            super().on_message_begin()
            self.scope[web.CONNECTED_AT] = self._connected_at  # type: ignore[typeddict-unknown-key]

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._disarm()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self, seconds: float) -> None:
            self._disarm()
            self._deadline = self.loop.call_later(seconds, self.transport.close)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Connection


class Server(uvicorn.Server):
    """uvicorn on sockets of ours; signals and the time that is left are the process's business."""

    def __init__(self, app: Any, header_seconds: float, keep_alive_seconds: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol(header_seconds, keep_alive_seconds),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(keep_alive_seconds),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would close connections at once, while gateways still send."""
        yield
