"""The entry: `modelmend serve`. Everything that a pod needs comes from its environment; the options are for people,
tests and unusual pods.
"""

import dataclasses
import logging
import os
import sys
from typing import Annotated

import typer

from modelmend.contract import environment
from modelmend.contract.arms import METRICS_PORT, Arm
from modelmend.runtime import errors
from modelmend.runtime.server import logs, settings

_LIMITS, _TIMES, _BATCHING = settings.Limits(), settings.Times(), settings.Batching()
_LOGGING = settings.Logging()


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; every address when left out.")] = "",
    solo_port: Annotated[
        int | None, typer.Option(help="Port that answers with this model alone; 8080 when left out.")
    ] = None,
    shadow_port: Annotated[
        int | None, typer.Option(help="Port that answers with the champion; 8081 or 8083, by the pod's side.")
    ] = None,
    canary_port: Annotated[
        int | None, typer.Option(help="Port that answers with the candidate; 8082 or 8084.")
    ] = None,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics.")] = METRICS_PORT,
    max_body_bytes: Annotated[int, typer.Option(help="Larger bodies are answered 413.")] = _LIMITS.body_bytes,
    max_rows: Annotated[int, typer.Option(help="Rows in one request.")] = _LIMITS.rows,
    max_concurrency: Annotated[
        int, typer.Option(help="Requests in flight; more get 503.")
    ] = _LIMITS.concurrency,
    header_seconds: Annotated[
        float, typer.Option(help="Time for the head of a request.")
    ] = _LIMITS.header_seconds,
    body_seconds: Annotated[
        float, typer.Option(help="Time for the body of a request.")
    ] = _LIMITS.body_seconds,
    connection_seconds: Annotated[
        float, typer.Option(help="An older connection is closed with its next answer.")
    ] = _LIMITS.connection_seconds,
    answer_seconds: Annotated[float, typer.Option(help="Time for a model's call.")] = _LIMITS.answer_seconds,
    pair_seconds: Annotated[
        float, typer.Option(help="How long an answer waits for the model scored beside it.")
    ] = _LIMITS.pair_seconds,
    batch_requests: Annotated[
        int, typer.Option(help="Requests that share one call of the model; 1 switches batching off.")
    ] = _BATCHING.requests,
    threads: Annotated[int, typer.Option(help="OpenMP and BLAS threads of one call.")] = _BATCHING.threads,
    log_part_seconds: Annotated[
        float,
        typer.Option(
            help="Longest wait of a row before its part of the prediction log is written.",
            envvar=environment.LOG_PART_SECONDS,
            min=0.1,
        ),
    ] = _LOGGING.part_seconds,
    log_buffer_bytes: Annotated[
        int, typer.Option(help="Rows that wait for the log may take this much memory.")
    ] = _LOGGING.buffer_bytes,
    lame_duck_seconds: Annotated[
        float, typer.Option(help="After SIGTERM: serving, but not ready.")
    ] = _TIMES.lame_duck,
    grace_seconds: Annotated[float, typer.Option(help="From SIGTERM to the exit.")] = _TIMES.grace,
    champion_idle_seconds: Annotated[
        float, typer.Option(help="A champion that nobody compares with any more leaves memory.")
    ] = _TIMES.champion_idle,
    monitoring: Annotated[bool, typer.Option(help="Count predictions and bins.")] = True,
) -> None:
    """Serve one model over the Open Inference Protocol, with shadow and canary beside a champion."""
    # Read by libgomp and OpenBLAS when scikit-learn is imported, which is later; lanes set it once more.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    logs.configure()
    try:
        told = settings.Settings.from_environment(os.environ)
    except errors.SettingsError as error:
        logging.getLogger(__name__).error("%s", error)
        sys.exit(2)
    limits = settings.Limits(
        body_bytes=max_body_bytes,
        rows=max_rows,
        concurrency=max_concurrency,
        header_seconds=header_seconds,
        body_seconds=body_seconds,
        connection_seconds=connection_seconds,
        answer_seconds=answer_seconds,
        pair_seconds=pair_seconds,
    )
    given = {Arm.SOLO: solo_port, Arm.SHADOW: shadow_port, Arm.CANARY: canary_port}
    told = dataclasses.replace(
        told,
        host=host,
        ports={arm: told.ports[arm] if port is None else port for arm, port in given.items()},
        metrics_port=metrics_port,
        monitoring=monitoring,
        limits=limits,
        batching=settings.Batching(requests=batch_requests, threads=threads),
        logging=dataclasses.replace(
            told.logging, part_seconds=log_part_seconds, buffer_bytes=log_buffer_bytes
        ),
        times=settings.Times(
            lame_duck=lame_duck_seconds, grace=grace_seconds, champion_idle=champion_idle_seconds
        ),
    )
    sys.exit(_run(told))


def _run(told: settings.Settings) -> int:
    import uvloop

    from modelmend.runtime.server import process

    # A thread that wants the lock of the interpreter waits this long for it. At the default of 5 ms the event loop is
    # late for every request that comes while a model is busy in Python.
    sys.setswitchinterval(0.001)
    code: int = uvloop.run(process.run(told))
    return code
