"""The life of the process: start, what it says when it cannot, drain under load, and a clean end."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from modelmend.contract import environment, storage
from modelmend.contract.arms import Arm
from modelmend.runtime import errors
from modelmend.runtime.server import logs, process
from modelmend.runtime.server.settings import Limits, ModelRef, Settings, Times
from runtime.server import replicas
from runtime.server.replicas import KEY, MODEL, ROW, Packed, Replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOURCES = Path(process.__file__).parents[3]


@pytest.fixture
def environ(tmp_path: Path, boosting: Packed, strict: Packed) -> dict[str, str]:
    """What the operator sets on a candidate's pods."""
    (tmp_path / "key").write_bytes(KEY)
    own, champion = strict.reference, boosting.reference
    return {
        environment.MODEL: MODEL,
        environment.VERSION: own.life.version,
        environment.ROLLOUT: own.life.rollout,
        environment.URI: own.uri,
        environment.DIGEST: own.digest,
        environment.CHAMPION_VERSION: champion.life.version,
        environment.CHAMPION_ROLLOUT: champion.life.rollout,
        environment.CHAMPION_URI: champion.uri,
        environment.CHAMPION_DIGEST: champion.digest,
        environment.FEEDBACK_KEY_FILE: str(tmp_path / "key"),
        environment.LOG_URI: (tmp_path / "log").as_uri(),
        environment.TERMINATION_LOG: str(tmp_path / "termination"),
    }


@contextlib.asynccontextmanager
async def _another_process(
    environ: dict[str, str], *options: str
) -> AsyncIterator[tuple[Any, dict[str, int], list[Any]]]:
    """A server in a process of its own; its ports, and the lines that it logs."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "modelmend.runtime.server", "--host", "127.0.0.1",
        *(part for name in ("solo", "shadow", "canary", "metrics") for part in (f"--{name}-port", "0")), *options,
        env=environ | {"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said: list[Any] = []

    async def listen() -> None:
        assert server.stderr
        while line := await server.stderr.readline():
            said.append(json.loads(line))

    listening = asyncio.create_task(listen())
    try:
        first = await replicas.eventually(lambda: said or listening.done(), 60)
        assert first == said, "the server ended before it listened"
        yield server, said[0]["ports"], said
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()
        await listening


async def test_a_draining_process_fails_no_request_counts_foreign_feedback_and_exits_0(
    environ: dict[str, str], solo: Replica, pair: Replica, tmp_path: Path
) -> None:
    options = ("--lame-duck-seconds", "1", "--grace-seconds", "20", "--log-part-seconds", "600")
    async with (
        _another_process(environ, *options) as (server, ports, said),
        httpx.AsyncClient(timeout=30) as client,
    ):

        def url(path: str, port: str = "solo") -> str:
            return f"http://127.0.0.1:{ports[port]}{path}"

        async def status(path: str) -> int:
            try:
                return (await client.get(url(path))).status_code
            except httpx.TransportError:
                return 0

        # Live long before it is ready: it still imports.
        assert await status("/v2/health/live") == 200
        await replicas.eventually(lambda: _is(status("/v2/health/ready"), 200), 60)

        # Labels for what other processes predicted are counted here, under their version and arm.
        made = [(arm, await pair.predict([ROW], arm)) for arm in Arm for _ in range(3)]
        items = [{"prediction_id": replicas.token(answer), "label": "late"} for _, answer in made]
        counted = await client.post(url(f"/v2/models/{MODEL}/feedback"), json=items)
        samples = replicas.Samples((await client.get(url("/metrics", "metrics"))).text)
        assert Counter(each["result"] for each in counted.json()["results"]) == {"matched": 9}
        assert sum(samples.by("modelmend_evidence_total", "arm").values()) == 9
        assert sum(samples.by("modelmend_paired_outcomes_total", "arm", version="v2").values()) == 6

        # Requests flow while it goes; like a gateway, clients turn away when it is no longer ready.
        request = replicas.columns([ROW])
        answered: Counter[str] = Counter()
        failed: list[str] = []
        gone, enough = asyncio.Event(), asyncio.Event()

        async def ask() -> None:
            while not enough.is_set():
                target = (
                    solo.url(f"/models/{MODEL}/infer") if gone.is_set() else url(f"/v2/models/{MODEL}/infer")
                )
                response = await client.post(target, json=request)
                if response.status_code != 200:
                    failed.append(response.text)
                answered[response.json().get("model_version", "")] += 1

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        await replicas.eventually(lambda: answered["v2"] >= 20)
        server.send_signal(signal.SIGTERM)
        await replicas.eventually(lambda: _is(status("/v2/health/ready"), 503))
        during = answered["v2"]
        await replicas.eventually(lambda: answered["v2"] > during)
        gone.set()
        assert await asyncio.wait_for(server.wait(), 20) == 0
        enough.set()
        await asyncio.gather(*asking)

    assert not failed
    assert answered["v1"]
    assert _logged(tmp_path, "predictions") == answered["v2"]
    assert _logged(tmp_path, "labels") == 9
    messages = [line["message"] for line in said]
    assert [each for each in ("listening", "ready", "draining", "stopped") if each in messages] == [
        "listening", "ready", "draining", "stopped",
    ]  # fmt: skip
    assert KEY.hex() not in str(said)


def _logged(folder: Path, kind: str) -> int:
    return sum(pq.read_metadata(part).num_rows for part in folder.glob(f"log/dt=*/{kind}-*.parquet"))


async def _is(found: Any, wanted: int) -> bool:
    return bool(await found == wanted)


async def test_a_request_in_flight_is_answered_before_the_end(boosting: Packed) -> None:
    async with replicas.running(replicas.settings(boosting)) as replica:
        body = json.dumps(replicas.columns([ROW])).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.host.ports[Arm.SOLO.value])
        head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:10])
        await replicas.eventually(lambda: replica.host.stage.in_flight)
        ending = asyncio.create_task(replica.host.finish(time.monotonic() + 20))
        await asyncio.sleep(0)
        writer.write(body[10:])
        answer = await reader.read()
        writer.close()
        await ending

    assert b" 200 OK" in answer
    assert b'"model_version":"v1"' in answer


async def test_draining_says_so_and_asks_clients_to_go_elsewhere(boosting: Packed) -> None:
    async with replicas.running(replicas.settings(boosting)) as replica:
        hurry = asyncio.Event()
        hurry.set()
        await replica.host.drain(hurry)
        ready, live = await replica.get("/health/ready"), await replica.get("/health/live")
        model, answer = (
            await replica.get(f"/models/{MODEL}/ready"),
            await replica.infer(replicas.columns([ROW])),
        )

    assert (ready.status_code, ready.json()["error"]) == (503, "this server is shutting down")
    assert (live.status_code, model.status_code, answer.status_code) == (200, 503, 200)
    assert answer.headers["connection"] == "close"


async def test_before_the_models_are_loaded_everything_but_liveness_is_503(boosting: Packed) -> None:
    host = process.Host(replicas.settings(boosting))
    host.start()
    async with httpx.AsyncClient() as client:
        replica = Replica(host, client)
        live, ready = await replica.get("/health/live"), await replica.get("/health/ready")
        model, answer = await replica.get(f"/models/{MODEL}"), await replica.infer(replicas.columns([ROW]))
        scraped = await client.get(f"http://127.0.0.1:{host.ports['metrics']}/metrics")
        elsewhere = await client.get(f"http://127.0.0.1:{host.ports['metrics']}/v2")
        labels = await client.post(replica.url(f"/models/{MODEL}/feedback"), json=[])
        host.stage.draining = True
        await host.finish(time.monotonic() + 10)

    assert (live.status_code, scraped.status_code, elsewhere.status_code) == (200, 200, 404)
    for response in (ready, model, answer, labels):
        assert response.status_code == 503
        assert "being loaded" in response.json()["error"]


@pytest.mark.parametrize("wrong", ["digest", "champion", "uri"])
async def test_an_artifact_that_cannot_be_loaded_ends_the_process_with_one_sentence(
    boosting: Packed, strict: Packed, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "termination"
    monkeypatch.setenv(environment.TERMINATION_LOG, str(left))
    bad = ModelRef(boosting.reference.life, boosting.reference.uri, "sha256:" + "0" * 64)
    if wrong == "uri":
        bad = ModelRef(boosting.reference.life, (tmp_path / "nowhere").as_uri(), boosting.reference.digest)
    packed = Packed(bad, boosting.pipeline)
    told = replicas.settings(strict, packed) if wrong == "champion" else replicas.settings(packed)

    code = await process.run(told)

    assert code == 1
    assert ("was expected" in left.read_text()) == (wrong != "uri")
    assert ("there is no manifest.json" in left.read_text()) == (wrong == "uri")


async def test_a_store_that_is_away_is_asked_again(boosting: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelmend.runtime import artifact
    from modelmend.runtime.server import slots

    monkeypatch.setattr(slots, "_FIRST_PAUSE", 0.01)
    real, asked = artifact.load, []

    def load(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) < 3:
            raise errors.StoreError("s3://models does not answer")
        return real(*arguments)

    monkeypatch.setattr(artifact, "load", load)
    async with replicas.running(
        replicas.settings(boosting, times=Times(lame_duck=0, grace=20, load=30))
    ) as replica:
        assert (await replica.predict([ROW]))["model_version"] == "v1"

    assert len(asked) == 3


async def test_a_port_that_is_taken_is_named(boosting: Packed, solo: Replica) -> None:
    taken = solo.host.ports["metrics"]

    with pytest.raises(errors.SettingsError, match=rf"port {taken} \(metrics\)"):
        process.Host(replicas.settings(boosting, metrics_port=taken))


async def test_settings_come_from_the_environment(
    environ: dict[str, str], boosting: Packed, strict: Packed
) -> None:
    told = Settings.from_environment(environ | {environment.TRUSTED_TYPES: "a.B, c.D"})

    assert (told.own, told.champion) == (strict.reference, boosting.reference)
    assert told.trusted == ("a.B", "c.D")
    assert told.limits == Limits()
    assert KEY.decode("latin-1") not in repr(told)


@pytest.mark.parametrize(
    ("side", "shadow", "canary", "alone"),
    [("", 8081, 8082, ()), ("left", 8081, 8082, (8083, 8084)), ("right", 8083, 8084, (8081, 8082))],
)
async def test_ports_of_the_arms_are_those_of_the_pods_side(
    environ: dict[str, str], side: str, shadow: int, canary: int, alone: tuple[int, ...]
) -> None:
    told = Settings.from_environment(environ | {environment.SIDE: side})

    assert told.ports == {Arm.SOLO: 8080, Arm.SHADOW: shadow, Arm.CANARY: canary}
    assert told.alone_ports == alone


async def test_pod_with_two_models_answers_alone_on_the_ports_of_the_other_side(
    strict: Packed, boosting: Packed
) -> None:
    """So that one Service may stand before it and before a candidate's pods, whose arms have these ports."""
    told = replicas.settings(strict, boosting, alone_ports=(0, 0))
    async with replicas.running(told) as replica:
        for port in ("solo-2", "solo-3"):
            answer = await replica.client.post(
                f"http://127.0.0.1:{replica.host.ports[port]}/v2/models/{MODEL}/infer",
                json=replicas.columns([ROW]),
            )
            assert answer.json()["model_version"] == strict.reference.life.version
        samples = await replica.samples()
        assert (
            samples.by("modelmend_requests_total", "arm", version=strict.reference.life.version)["solo"] == 2
        )


async def test_old_connection_is_closed_with_its_next_answer(boosting: Packed) -> None:
    """Clients that keep a connection would else never ask another pod."""
    told = replicas.settings(boosting, limits=Limits(connection_seconds=0.3))
    async with replicas.running(told) as replica:
        url = f"http://127.0.0.1:{replica.host.ports['solo']}/v2/health/live"
        async with httpx.AsyncClient() as client:
            young = await client.get(url)
            await asyncio.sleep(0.4)
            old, new = await client.get(url), await client.get(url)
    assert [each.headers.get("connection") for each in (young, old, new)] == [None, "close", None]


async def test_the_log_of_a_claim_is_written_to_its_own_mount(environ: dict[str, str]) -> None:
    told = Settings.from_environment(environ | {environment.LOG_URI: "pvc://claim/flights/log"})

    assert told.logging.uri == f"file://{storage.LOG_MOUNT}"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        *(
            ({name: ""}, name)
            for name in (environment.MODEL, environment.VERSION, environment.ROLLOUT, environment.URI)
        ),
        ({environment.DIGEST: " "}, environment.DIGEST),
        ({environment.CHAMPION_URI: ""}, environment.CHAMPION_URI),
        ({environment.CHAMPION_VERSION: "v2", environment.CHAMPION_ROLLOUT: "uid-v2"}, "own life"),
        ({environment.SIDE: "up"}, "must be one of left, right"),
        ({environment.FEEDBACK_KEY_FILE: ""}, environment.FEEDBACK_KEY_FILE),
        ({environment.FEEDBACK_KEY_FILE: "/nowhere"}, "cannot be read"),
        ({environment.FEEDBACK_KEY_FILE: "/dev/null"}, "0 bytes"),
    ],
)
async def test_settings_that_make_no_sense_are_named(
    environ: dict[str, str], changes: dict[str, str], names: str
) -> None:
    with pytest.raises(errors.SettingsError, match=names):
        Settings.from_environment(environ | changes)


async def test_log_lines_are_json_with_what_was_given() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, "%d rows", (3,), sys.exc_info())
    record.ports = {"solo": 8080}

    line = logs.JsonFormatter().format(record)

    read = json.loads(line)
    assert "\n" not in line
    assert (read["level"], read["logger"], read["message"], read["ports"]) == (
        "warning",
        "a.b",
        "3 rows",
        {"solo": 8080},
    )
    assert "ValueError: no" in read["exception"]


async def test_like_failures_are_logged_once_a_minute_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    throttle = logs.Throttle(logging.getLogger("throttled"), 60, clock=lambda: now[0])
    for now[0] in (0.0, 1.0, 2.0, 61.0):
        throttle.warning("%s failed", "it")
    throttle.warning("another")

    assert [(each.message, getattr(each, "unsaid", 0)) for each in caplog.records] == [
        ("it failed", 0), ("it failed", 2), ("another", 0),
    ]  # fmt: skip


async def test_a_pod_that_is_deleted_while_it_loads_goes_at_once(
    boosting: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelmend.runtime import artifact

    release, asked = threading.Event(), threading.Event()

    def load(*_: Any) -> Any:
        asked.set()
        release.wait(30)

    monkeypatch.setattr(artifact, "load", load)
    running = asyncio.create_task(process.run(replicas.settings(boosting)))
    await replicas.eventually(asked.is_set)
    os.kill(os.getpid(), signal.SIGTERM)

    assert await asyncio.wait_for(running, 10) == 0
    release.set()
