"""The process: sockets, start, drain, exit.

    listening (live, not ready) ── loaded ──> serving ── SIGTERM ──> lame duck ── drained ──> exit 0
           └── an artifact that cannot be loaded: one sentence in the log and the termination message, exit 1

A lame duck answers as before but says that it is not ready, and asks each client to open its next connection
elsewhere; only when gateways have had time to notice does it stop to listen. A second signal skips the waiting.
"""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import time
from collections.abc import MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from modelmend.contract import environment, result
from modelmend.contract.arms import Arm
from modelmend.runtime import errors
from modelmend.runtime.server import background
from modelmend.runtime.server.connection import Server
from modelmend.runtime.server.routes import Metrics, Routes, Stage
from modelmend.runtime.server.settings import Settings
from modelmend.runtime.server.web import App, Receive, Send

_log = logging.getLogger(__name__)
_BACKLOG: Final = 2048
_METRICS: Final = "metrics"
_FLUSH_SECONDS: Final = 5.0
"""Reserved for the prediction log at the end of the grace period."""


class Host:
    """A server with its sockets, from listening to the end. `run` is this plus signals."""

    def __init__(self, settings: Settings) -> None:
        """Opens the sockets; SettingsError when a port is taken."""
        self.stage = Stage()
        self._settings = settings
        self._sockets = _listen(settings)
        self.ports = {name: _port(each) for name, each in self._sockets.items()}
        limits = settings.limits
        self._server = Server(
            _by_port(settings, self.stage, self.ports), limits.header_seconds, limits.keep_alive_seconds
        )
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Answers from now on, if only to say that it is not ready. The task ends when the server does."""
        self._serving = asyncio.create_task(self._server.serve(list(self._sockets.values())))
        return self._serving

    async def load(self) -> None:
        """Loads the models and becomes ready. SentenceError when one cannot be loaded."""
        # Imported in a thread: several seconds on a small CPU, in which probes want their answers.
        serving = await background.in_daemon("import", _import_serving)
        self.stage.serving = await serving.Serving.load(self._settings)
        # What exists now stays: the collector need not walk through it while requests wait.
        gc.collect()
        gc.freeze()

    async def tend(self, until: set[asyncio.Task[Any]]) -> None:
        """Looks after an idle champion until one of the tasks ends."""
        every = min(max(self._settings.times.champion_idle / 4, 0.05), 30.0)
        while True:
            done, _ = await asyncio.wait(until, timeout=every, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            if self.stage.serving:
                self.stage.serving.release_idle_champion()

    async def drain(self, hurry: asyncio.Event) -> None:
        """Says that it is not ready, and serves on for a while, or until somebody is in a hurry."""
        _log.info("draining", extra={"seconds": self._settings.times.lame_duck})
        self.stage.draining, self.stage.why = True, "this server is shutting down"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), self._settings.times.lame_duck)

    async def finish(self, deadline: float) -> None:
        """Ends connections when their requests are answered, then writes the log; all by the deadline (monotonic)."""
        self._server.should_exit = True
        if self._serving:
            left = max(deadline - _FLUSH_SECONDS - time.monotonic(), 0.5)
            _, late = await asyncio.wait({self._serving}, timeout=left)
            if late:
                _log.error("requests were still being answered after %.1f s and are cut off", left)
                self._serving.cancel()
        if self.stage.serving:
            await self.stage.serving.close(deadline)


async def run(settings: Settings) -> int:
    """Serves until a signal; the exit code."""
    began = time.monotonic()
    try:
        host = Host(settings)
    except errors.SettingsError as error:
        return _failed(error)
    stop, hurry = _signals()
    serving, stopped = host.start(), asyncio.create_task(stop.wait())
    _log.info("listening", extra={"ports": host.ports})
    loading = asyncio.create_task(host.load())
    try:
        await asyncio.wait({serving, loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            _log.info("ready", extra={"seconds": round(time.monotonic() - began, 3)})
            await host.tend({serving, stopped})
    except errors.SentenceError as error:
        await host.finish(time.monotonic() + settings.times.grace)
        return _failed(error)
    finally:
        stopped.cancel()
    deadline = time.monotonic() + settings.times.grace
    loading.cancel()
    if not stop.is_set():
        _log.error("the HTTP server ended by itself")
        return 1
    if host.stage.serving:  # else nobody was ever told to send requests here
        await host.drain(hurry)
    await host.finish(deadline)
    _log.info("stopped")
    return 0


def _import_serving() -> ModuleType:
    return importlib.import_module("modelmend.runtime.server.serving")


def _failed(error: errors.SentenceError) -> int:
    _log.error("%s", error)
    # Where `kubectl describe pod` shows it; a server without the file only logs.
    path = os.environ.get(environment.TERMINATION_LOG, result.TERMINATION_PATH)
    with contextlib.suppress(OSError):
        Path(path).write_text(str(error)[: result.LIMIT // 4])
    return 1


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first and by the second SIGTERM or SIGINT."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    return stop, hurry


def _listen(settings: Settings) -> dict[str, socket.socket]:
    wanted = {arm.value: port for arm, port in settings.ports.items()} | {_METRICS: settings.metrics_port}
    wanted |= {_alone(at): port for at, port in enumerate(settings.alone_ports)}
    sockets = {}
    for name, port in wanted.items():
        try:
            sockets[name] = _bound(settings.host, port)
        except OSError as error:
            for opened in sockets.values():
                opened.close()
            raise errors.SettingsError(
                f"port {port} ({name}) cannot be opened: {error.strerror}; is another server running?"
            ) from None
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # One socket for both families, where the machine has both: pods may have an IPv6 address only.
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
    return socket.create_server(("", port), backlog=_BACKLOG)


def _alone(at: int) -> str:
    return f"{Arm.SOLO.value}-{at + 2}"


def _port(opened: socket.socket) -> int:
    port: int = opened.getsockname()[1]
    return port


def _by_port(settings: Settings, stage: Stage, ports: dict[str, int]) -> App:
    """The application of the port that a connection came in by: not a header, so no client can choose its arm."""
    apps: dict[int, App] = {ports[arm.value]: Routes(arm, settings, stage) for arm in Arm}
    apps |= {ports[_alone(at)]: Routes(Arm.SOLO, settings, stage) for at in range(len(settings.alone_ports))}
    apps[ports[_METRICS]] = Metrics(stage)

    async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    return application
