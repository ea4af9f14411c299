"""Which path means what. One `Routes` serves one port, so that the port alone decides who answers.

GET  /v2                                     the server
GET  /v2/health/live, /v2/health/ready       the process; whether it may get traffic
GET  /v2/models/{m}[/versions/{v}]           the signature
GET  /v2/models/{m}[/versions/{v}]/ready     whether the model that answers here is in memory
POST /v2/models/{m}[/versions/{v}]/infer     a prediction
POST /v2/models/{m}/feedback                 labels
"""

import importlib.metadata
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from modelmend.contract.arms import Arm
from modelmend.runtime.server import binary, protocol
from modelmend.runtime.server.refusals import NotFound, Refusal, Unavailable, excerpt
from modelmend.runtime.server.settings import Settings
from modelmend.runtime.server.web import Exchange, Receive, Send, allowed, guarded

if TYPE_CHECKING:
    from modelmend.runtime.server.serving import Serving

_GET = ("GET", "HEAD")
_POST = ("POST",)


@dataclass(slots=True)
class Stage:
    """Where the process is in its life; shared by its ports."""

    serving: "Serving | None" = None
    """Set once every model is loaded and tried."""
    draining: bool = False
    why: str = "the model is being loaded"
    """Why it is not ready."""
    in_flight: int = field(default=0)
    """Inference requests."""

    @property
    def is_ready(self) -> bool:
        """Whether gateways should send requests."""
        return self.serving is not None and not self.draining


class Routes:
    """The ASGI application of one port."""

    def __init__(self, arm: Arm, settings: Settings, stage: Stage) -> None:
        self._arm = arm
        self._settings = settings
        self._stage = stage
        self._metadata = msgspec.json.encode(
            protocol.server_metadata(importlib.metadata.version("modelmend"))
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        # A draining server still answers, and asks clients to come back by another connection: to another pod. So does
        # one whose connection is old: perhaps it is another pod's turn.
        age = time.monotonic() - exchange.connected_at
        exchange.closing = self._stage.draining or age > self._settings.limits.connection_seconds
        await guarded(exchange, self._handle)

    async def _handle(self, exchange: Exchange) -> None:
        match exchange.path.rstrip("/").split("/")[1:]:
            case ["v2"]:
                allowed(exchange, _GET)
                await exchange.answer(200, self._metadata)
            case ["v2", "health", ("live" | "ready") as what]:
                allowed(exchange, _GET)
                await self._health(exchange, what)
            case ["v2", "models", model, "feedback"]:
                allowed(exchange, _POST)
                self._check_model(model)
                await self._feedback(exchange)
            case ["v2", "models", model, "versions", version, *rest]:
                await self._model(exchange, model, version, rest)
            case ["v2", "models", model, *rest]:
                await self._model(exchange, model, None, rest)
            case _:
                raise NotFound(f"{excerpt(exchange.path)} does not exist here: the protocol begins at /v2")

    async def _model(self, exchange: Exchange, model: str, version: str | None, rest: list[str]) -> None:
        match rest:
            case ["infer"]:
                allowed(exchange, _POST)
                self._check_model(model)
                await self._infer(exchange, version)
            case ["ready"]:
                allowed(exchange, _GET)
                self._check_model(model)
                ready = self._stage.is_ready and self._serving(version).arm(self._arm).is_ready
                body = msgspec.json.encode({"name": model, "ready": ready})
                await exchange.answer(200 if ready else 503, body)
            case []:
                allowed(exchange, _GET)
                self._check_model(model)
                await exchange.answer(200, self._serving(version).arm(self._arm).face.metadata)
            case _:
                raise NotFound(
                    f"{excerpt(exchange.path)} does not exist here: a model has ready, infer and feedback"
                )

    def _check_model(self, model: str) -> None:
        if model != self._settings.model:
            raise NotFound(f"model {excerpt(model)} is not served here: this is {self._settings.model!r}")

    def _serving(self, version: str | None) -> "Serving":
        serving = self._stage.serving
        if serving is None:
            raise Unavailable(self._stage.why)
        answers = serving.arm(self._arm).face.version
        if version is not None and version != answers:
            raise NotFound(f"version {excerpt(version)} does not answer on this port: {answers!r} does")
        return serving

    async def _health(self, exchange: Exchange, what: str) -> None:
        stage = self._stage
        live = stage.serving is None or stage.serving.is_live
        if what == "live":
            await exchange.answer(200 if live else 503, msgspec.json.encode({"live": live}))
            return
        ready = stage.is_ready and live
        body: dict[str, object] = {"live": live, "ready": ready}
        if not ready:
            body["error"] = stage.why if live else "a model does not come back from a call"
        await exchange.answer(200 if ready else 503, msgspec.json.encode(body))

    async def _infer(self, exchange: Exchange, version: str | None) -> None:
        serving = self._serving(version)
        serving.used(self._arm)
        service = serving.arm(self._arm)
        limits, stage = self._settings.limits, self._stage
        if stage.in_flight >= limits.concurrency:
            service.refused(503)
            raise Unavailable(
                f"{limits.concurrency} requests are being answered, which is the limit: try again"
            )
        stage.in_flight += 1
        try:
            try:
                body = await exchange.body(limits.body_bytes, limits.body_seconds)
            except Refusal as refusal:
                service.refused(refusal.status)
                raise
            answer = await service.infer(body, exchange.header(binary.HEADER))
        finally:
            stage.in_flight -= 1
        await exchange.answer(200, answer)

    async def _feedback(self, exchange: Exchange) -> None:
        serving = self._stage.serving
        if serving is None:
            raise Unavailable(self._stage.why)
        limits = self._settings.limits
        body = await exchange.body(limits.body_bytes, limits.body_seconds)
        results = await serving.feedback(self._arm, body)
        await exchange.answer(
            200, msgspec.json.encode({"model_name": self._settings.model, "results": results})
        )


class Metrics:
    """The ASGI application of the metrics port."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await guarded(Exchange(scope, receive, send), self._handle)

    async def _handle(self, exchange: Exchange) -> None:
        if exchange.path != "/metrics":
            raise NotFound(f"{excerpt(exchange.path)} does not exist here: this port has /metrics")
        allowed(exchange, _GET)
        serving = self._stage.serving
        text = serving.metrics() if serving else b""
        await exchange.answer(200, text, b"text/plain; version=0.0.4; charset=utf-8")
