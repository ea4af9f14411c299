"""A proxy between the operator and the API server, which may do to a request what networks and servers do.

Plain HTTP towards the operator, the administrator's certificate (and, if asked, another user's name) towards the API
server. Every write is on record.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from localcluster.controlplane import ControlPlane

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Write:
    """One request that changes something, and how it was answered."""

    method: str
    path: str
    status: int
    body: Any = None

    @property
    def is_ours(self) -> bool:
        """About a model: not the Lease, not an Event."""
        return "/leases" not in self.path and "/events" not in self.path


Fault = Callable[[web.Request, bytes], Awaitable[web.Response | None]]
"""Asked before a request is passed on; an answer of its own goes to the operator instead."""
After = Callable[[Write], None]


@dataclass
class Proxy:
    """Runs in a thread until closed."""

    plane: ControlPlane
    folder: Path
    user: str | None = None
    fault: Fault | None = None
    after: After | None = None
    """Told of every write when the API server has answered, before the operator hears of it."""
    watches: bool = True
    """False: watch requests are answered by silence."""
    cuts: int = 0
    """Watches end when this grows."""
    writes: list[Write] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(20), "the proxy did not start"

    @property
    def kubeconfig(self) -> Path:
        """For the operator."""
        path = self.folder / "proxy.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "proxy",
                    "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
                    "users": [{"name": "nobody", "user": {}}],
                    "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
                }
            )
        )
        return path

    def ours(self) -> list[Write]:
        """Writes about models that the API server accepted."""
        return [write for write in self.writes if write.is_ours and write.status < 300]

    def creates(self) -> list[str]:
        """What was created, by path of its collection, sorted."""
        return sorted(write.path for write in self.ours() if write.method == "POST")

    def close(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tls = ssl.create_default_context(cafile=str(self.plane.keys.ca))
        tls.load_cert_chain(self.plane.keys.certificate("admin"), self.plane.keys.key("admin"))
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0), trust_env=False
        ) as self._session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()
        await asyncio.sleep(0.1)  # Transports close in the turns after.

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.fault is not None and (answer := await self.fault(request, body)) is not None:
            return answer
        is_watch = request.query.get("watch") == "true"
        if is_watch and not self.watches:
            await self._stop.wait()
        headers = {
            name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers
        }
        if self.user is not None:
            headers["Impersonate-User"] = self.user
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method,
            self.plane.server + request.path_qs,
            data=body or None,
            headers=headers,
            timeout=timeout,
        ) as found:
            if is_watch and found.status == 200:
                return await self._stream(request, found)
            content = await found.read()
        if request.method in WRITES:
            write = Write(request.method, request.path, found.status, json.loads(body) if body else None)
            self.writes.append(write)
            if self.after is not None:
                await asyncio.to_thread(self.after, write)
        passed = {
            name: found.headers[name] for name in ("Content-Type", "Retry-After") if name in found.headers
        }
        return web.Response(status=found.status, body=content, headers=passed)

    async def _stream(self, request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        stop = asyncio.create_task(self._stop.wait())
        try:
            cuts = self.cuts
            while self.watches and self.cuts == cuts:
                read = asyncio.create_task(found.content.readany())
                await asyncio.wait({read, stop}, return_when=asyncio.FIRST_COMPLETED, timeout=0.5)
                while not read.done() and not stop.done() and self.watches and self.cuts == cuts:
                    await asyncio.wait({read, stop}, return_when=asyncio.FIRST_COMPLETED, timeout=0.5)
                if not read.done():
                    read.cancel()
                    break
                chunk = read.result()
                if not chunk:
                    break
                await answer.write(chunk)
            if not self.watches:
                await stop  # Silent, and open.
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            stop.cancel()
        return answer


def refusal(status: int, reason: str, message: str, **headers: str) -> web.Response:
    """What an API server says when it does not do it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": status,
    }
    return web.json_response(body, status=status, headers=headers)
