"""The whole process: connections, loop, watches, probes, metrics, and an orderly end.

SIGTERM -> not ready any more -> looks stop -> checkpoints -> Events -> Lease released -> watches end
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import prometheus_client
from aiohttp import web

from modelmend.act import api
from modelmend.loop import engine, reconcile
from modelmend.shell import figures, watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where probes and metrics are served; 0: any free port."""

    health: int = 8081
    metrics: int = 8080
    host: str | None = None
    """Address; None: all of them."""


async def serve(
    wanted: engine.Configuration,
    decide: reconcile.Decide,
    *,
    ports: Ports,
    kubeconfig: str | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM, SIGINT, or `stop`."""
    stop = stop or asyncio.Event()
    _on_signals(stop)
    shown = figures.Figures()
    loop = engine.Engine(wanted, shown, decide)
    shown.queue_depth.set_function(lambda: len(loop.waiting))
    credentials = await api.configuration(kubeconfig)
    watching: asyncio.Task[None] | None = None
    try:
        async with (
            api.connected(credentials) as server,
            api.connected(credentials, loop.fence) as fenced,
            loop.running(server, fenced),
            _answering(ports, loop, shown, stop),
        ):
            kinds = watch.Watch(
                take=loop.take,
                kinds=lambda: loop.listing.watchable,
                restarts=loop.listing.soon,
                namespaces=lambda: loop.listing.open,
                kubeconfig=kubeconfig,
            )
            watching = asyncio.create_task(kinds.run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((watching, stopping), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            log.info("ending")
    finally:
        # The Lease is released by now: a standby need not wait until kopf's thread has ended.
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))


def _on_signals(stop: asyncio.Event) -> None:
    with contextlib.suppress(ValueError, RuntimeError):  # Only the main thread has signals.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


@contextlib.asynccontextmanager
async def _answering(
    ports: Ports, loop: engine.Engine, shown: figures.Figures, stop: asyncio.Event
) -> AsyncIterator[None]:
    async def metrics(_: web.Request) -> web.Response:
        text = prometheus_client.generate_latest(shown.registry)
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    health = {
        "/healthz": _probe(loop.is_alive, "the beat stopped"),
        "/readyz": _probe(
            lambda: loop.is_ready() and not stop.is_set(), "not everything has been listed yet"
        ),
    }
    async with (
        _site(ports.host, ports.health, health) as health_port,
        _site(ports.host, ports.metrics, {"/metrics": metrics}) as metrics_port,
    ):
        log.info("probes on port %s, metrics on port %s", health_port, metrics_port)
        yield


def _probe(holds: Callable[[], bool], otherwise: str) -> Callable[[web.Request], object]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok") if holds() else web.Response(status=503, text=otherwise)

    return answer


@contextlib.asynccontextmanager
async def _site(
    host: str | None, port: int, routes: dict[str, Callable[[web.Request], object]]
) -> AsyncIterator[int]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
