"""The poll against a real Prometheus, and against servers that are none."""

import asyncio
import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import scraped
from modelmend.evidence import confusion
from modelmend.observe import answers, prometheus
from scraped import Exporter

PLACE = scraped.PLACE


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def real(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus that scrapes the exporter twice: by two jobs, as two replicas of it would."""
    with scraped.prometheus(tmp_path_factory.mktemp("prometheus"), exporter, jobs=2) as url:
        yield url


@contextlib.asynccontextmanager
async def asking(url: str, **more: Any) -> AsyncIterator[prometheus.Prometheus]:
    made = prometheus.Prometheus(prometheus.Source(url, **more))
    try:
        yield made
    finally:
        made.close()


async def until(
    source: prometheus.Prometheus,
    what: str,
    holds: Callable[[answers.Answer], bool],
    *,
    lookback: float = 300,
    bounds: tuple[float, ...] = (),
) -> answers.Answer:
    """The first answer of which it holds."""
    deadline, seen = time.monotonic() + 60, None
    while time.monotonic() < deadline:
        try:
            answer = await source.poll(lookback, bounds)
        except prometheus.Unanswered as error:
            seen = str(error)
        else:
            if holds(answer):
                return answer
            seen = str(answer)
        await asyncio.sleep(0.1)
    pytest.fail(f"{what}: seen last {seen}")


def _results(answer: answers.Answer) -> dict[str, dict[str, float]]:
    return {process: dict(results) for process, results in answer.counters.get(PLACE, {}).items()}


async def test_counters_come_once_each_summed_over_arms_however_often_they_are_scraped(
    real: str, exporter: Exporter
) -> None:
    exporter.show(
        ("modelmend_model_info", {}, 1),
        ("modelmend_evidence_total", {"result": "right"}, 90),
        ("modelmend_evidence_total", {"result": "wrong"}, 10),
        ("modelmend_evidence_total", {"result": "right", "arm": "shadow"}, 5),
        ("modelmend_paired_outcomes_total", {"result": "both_right", "arm": "shadow"}, 4),
        ("modelmend_requests_total", {"code": "200"}, 100),
        ("modelmend_requests_total", {"code": "422"}, 3),
        ("modelmend_requests_total", {"code": "503"}, 2),
        ("modelmend_request_duration_seconds_count", {}, 105),
        ("modelmend_request_duration_seconds_bucket", {"le": "0.2"}, 99),
        ("modelmend_request_duration_seconds_bucket", {"le": "1.0"}, 101),
        ("modelmend_request_duration_seconds_bucket", {"le": "0.02"}, 7),
    )
    async with asking(real) as source:
        answer = await until(
            source,
            "everything is scraped",
            lambda answer: "timed" in _results(answer).get("p1", {}),
            bounds=(0.2, 1.0),
        )

    assert _results(answer) == {
        "p1": {"right": 95, "wrong": 10, "both_right": 4, "answered": 103, "failed": 2, "timed": 105}
    }
    assert answer.buckets[0.2][PLACE] == {"p1": 99}
    assert answer.buckets[1.0][PLACE] == {"p1": 101}
    assert 0.02 not in answer.buckets
    assert answer.dropped == 0
    assert answer.at - answer.scraped["ml", "flights"] < 30


async def test_process_that_died_is_still_known_within_the_lookback_and_a_restart_is_another(
    real: str, exporter: Exporter
) -> None:
    exporter.show(("modelmend_evidence_total", {"result": "right", "process": "before"}, 50))
    async with asking(real) as source:
        await until(source, "it is scraped", lambda answer: "before" in _results(answer))
        exporter.show(("modelmend_evidence_total", {"result": "right", "process": "after"}, 3))
        answer = await until(source, "the new one is scraped", lambda answer: "after" in _results(answer))

    assert _results(answer)["before"] == {"right": 50}
    assert _results(answer)["after"] == {"right": 3}


async def test_values_that_are_no_numbers_are_dropped_and_counted(real: str, exporter: Exporter) -> None:
    exporter.show(
        ("modelmend_evidence_total", {"result": "right", "process": "nan"}, "NaN"),
        ("modelmend_evidence_total", {"result": "right", "process": "inf"}, "+Inf"),
        ("modelmend_evidence_total", {"result": "right", "process": "less"}, -4),
        ("modelmend_evidence_total", {"result": "right", "process": ""}, 7),
        ("modelmend_evidence_total", {"result": "right", "process": "good"}, 8),
    )
    async with asking(real) as source:
        answer = await until(source, "it is scraped", lambda answer: "good" in _results(answer))

    assert not {"nan", "inf", "less", ""} & answer.counters[PLACE].keys()
    assert answer.dropped >= 4


async def test_pods_that_are_no_longer_scraped_are_noticed_though_prometheus_answers(
    real: str, exporter: Exporter
) -> None:
    exporter.show(
        ("modelmend_model_info", {}, 1), ("modelmend_evidence_total", {"result": "right", "process": "p9"}, 1)
    )
    async with asking(real) as source:
        await until(source, "it is scraped", lambda answer: ("ml", "flights") in answer.scraped)
        exporter.up = False
        try:
            answer = await until(source, "it is seen", lambda answer: ("ml", "flights") not in answer.scraped)
        finally:
            exporter.up = True

    assert answer.counters[PLACE]["p9"] == {"right": 1}


@contextlib.asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """An HTTP server that says it is a Prometheus."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def vector(*samples: Any) -> web.Response:
    """An answer; of the query for the time when there are no samples."""
    samples = samples or ({"metric": {}, "value": [1, "1767225600"]},)
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": list(samples)}})


def nothing() -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})


async def refused(url: str, **more: Any) -> str:
    """The sentence of a poll that fails, and that it failed in time."""
    begun = time.monotonic()
    async with asking(url, **{"timeout": 1.0, **more}) as source:
        with pytest.raises(prometheus.Unanswered) as error:
            await source.poll(300, ())
    assert time.monotonic() - begun < 10
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
    return str(error.value)


async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert "cannot be reached" in await refused(f"http://user:secret@127.0.0.1:{port}")


async def test_server_that_is_silent_is_left_in_time() -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(20)
        return vector()

    async with serving(silent) as url:
        assert "did not answer within 1 s" in await refused(url)


async def test_server_that_drips_is_left_in_time() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                await answer.write(b" " * 70_000)
                await asyncio.sleep(0.1)
        return answer

    async with serving(drip) as url:
        assert "was not complete within 1 s" in await refused(url)


async def test_huge_answer_is_cut_off() -> None:
    async def huge(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                await answer.write(b" " * 1024 * 1024)
        return answer

    async with serving(huge) as url:
        assert "larger than 8 MiB" in await refused(url, limit=8 * 1024 * 1024, timeout=10.0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("not json", "answers with something else"),
        ('{"data": {}}', "answers with something else"),
        ('{"status": "success", "data": {"result": {"a": 1}}}', "answers with something else"),
    ],
)
async def test_garbage_is_no_answer(body: str, sentence: str) -> None:
    async def garbage(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with serving(garbage) as url:
        assert sentence in await refused(url)


async def test_samples_of_odd_shape_are_dropped() -> None:
    good = {
        "namespace": "ml",
        "model": "flights",
        "version": "v",
        "rollout": PLACE[2],
        "process": "p",
        "result": "right",
    }

    async def odd(request: web.Request) -> web.StreamResponse:
        if "evidence" not in request.query["query"]:
            return vector() if "vector" in request.query["query"] else nothing()
        return vector(
            1,
            {"metric": good},
            {"metric": good, "value": 4},
            {"metric": good, "value": [1, "x"]},
            {"metric": good, "value": [1, "5"]},
        )

    async with serving(odd) as url, asking(url) as source:
        answer = await source.poll(300, ())

    assert answer.dropped == 4
    assert _results(answer) == {"p": {"right": 5}}


async def test_samples_that_no_prometheus_would_give_are_dropped_and_counted() -> None:
    """Whoever runs Prometheus is not whoever runs us: nothing of it may end this process, or count twice."""
    good = {"namespace": "ml", "model": "flights", "version": "v", "rollout": PLACE[2], "process": "p"}

    async def odd(request: web.Request) -> web.StreamResponse:
        query = request.query["query"]
        if "evidence" in query:
            right = {**good, "result": "right"}
            return vector(
                {"metric": right, "value": [1, "5"]},
                {"metric": right, "value": [1, "5"]},
                {"metric": {**right, "process": 7}, "value": [1, "5"]},
                {"metric": {**right, "process": ["x"]}, "value": [1, "5"]},
                {"metric": ["right"], "value": [1, "5"]},
                {"metric": "right", "value": [1, "5"]},
                {"metric": {**right, "process": "huge"}, "value": [1, "1e300"]},
            )
        if "requests_total" in query:
            return vector({"metric": {**good, "code": 200}, "value": [1, "5"]})
        if "bucket" in query:
            return vector({"metric": {**good, "le": "soon"}, "value": [1, "5"]})
        if "model_info" in query:
            return vector({"metric": {"namespace": "ml", "model": "flights"}, "value": [1, "9e15"]})
        return vector() if "vector" in query else nothing()

    async with serving(odd) as url, asking(url) as source:
        answer = await source.poll(300, (0.2,))

    assert _results(answer) == {"p": {"right": 5}}
    assert answer.dropped == 7
    assert dict(answer.buckets) == {}
    assert answer.scraped.get(("ml", "flights"), 0.0) == 0.0


async def test_answers_that_are_not_whole_say_so() -> None:
    async def partly(request: web.Request) -> web.StreamResponse:
        if "vector" in request.query["query"]:
            return vector()
        data = {"resultType": "vector", "result": []}
        return web.json_response({"status": "success", "data": data, "warnings": ["a store is away"]})

    async with serving(partly) as url, asking(url) as source:
        assert (await source.poll(300, ())).warnings == ("a store is away",)


async def test_poll_ends_in_time_whatever_its_thread_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of a name, for instance, which no timeout ends."""
    may_end = threading.Event()
    monkeypatch.setattr(prometheus.Prometheus, "_poll", lambda *_: may_end.wait(60))
    async with asking("http://127.0.0.1:1", timeout=0.05) as source:
        try:
            with pytest.raises(prometheus.Unanswered, match=r"did not answer a poll within 0\.3 s"):
                await source.poll(300, ())
            with pytest.raises(prometheus.Unanswered, match="has not answered the poll before"):
                await source.poll(300, ())
        finally:
            may_end.set()


async def test_poll_under_way_ends_with_its_query_when_the_operator_ends() -> None:
    queries = 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal queries
        queries += 1
        await asyncio.sleep(0.2)
        return vector()

    async with serving(slow) as url, asking(url) as source:
        polling = asyncio.create_task(source.poll(300, ()))
        while not queries:
            await asyncio.sleep(0.01)
        source.close()
        with pytest.raises(prometheus.Unanswered, match="ends"):
            await polling

    assert queries == 1


async def test_refusal_is_quoted_and_a_redirect_is_not_followed() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if "/moved/" in request.path:
            raise web.HTTPFound("http://127.0.0.1:1/secret-login")
        return web.json_response({"status": "error", "error": "too many samples"}, status=422)

    async with serving(refuse) as url:
        assert "422" in await refused(url)
        assert "too many samples" in await refused(url)
        assert "302" in await refused(url + "/moved")


async def test_headers_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    seen: list[str | None] = []
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer one\nX-Scope-OrgID: ml\n")

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.headers.get("X-Scope-OrgID") == "ml"
        seen.append(request.headers.get("Authorization"))
        return vector()

    async with serving(note) as url, asking(url, headers_file=file) as source:
        await source.poll(300, ())
        first = len(seen)
        file.write_text("Authorization: Bearer two\nX-Scope-OrgID: ml\n")
        os.utime(file, (1, 1))
        await source.poll(300, ())

    assert set(seen[:first]) == {"Bearer one"}
    assert set(seen[first:]) == {"Bearer two"}


async def test_headers_file_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    async def fine(_: web.Request) -> web.StreamResponse:
        return vector()

    async with serving(fine) as url:
        assert "headers" in await refused(url, headers_file=tmp_path / "headers")


async def test_number_of_queries_does_not_depend_on_the_number_of_models() -> None:
    queries: list[str] = []

    async def many(request: web.Request) -> web.StreamResponse:
        queries.append(request.query["query"])
        if "evidence" not in request.query["query"]:
            return vector() if "vector" in request.query["query"] else nothing()
        return vector(
            *(
                {
                    "metric": {
                        "namespace": "ml",
                        "model": f"m{number}",
                        "version": "v",
                        "rollout": "r",
                        "process": "p",
                        "result": "right",
                    },
                    "value": [1, "5"],
                }
                for number in range(5000)
            )
        )

    async with serving(many) as url, asking(url) as source:
        answer = await source.poll(300, (0.2,))

    assert len(answer.counters) == 5000
    assert len(queries) == 8


BY_CLASS = (
    ("modelmend_model_info", {}, 1),
    ("modelmend_evidence_total", {"result": "right", "predicted": "yes", "actual": "yes"}, 40),
    ("modelmend_evidence_total", {"result": "right", "predicted": "no", "actual": "no"}, 60),
    ("modelmend_evidence_total", {"result": "wrong", "predicted": "no", "actual": "yes"}, 7),
    ("modelmend_evidence_total", {"result": "wrong", "predicted": "no", "actual": "yes", "arm": "canary"}, 3),
    ("modelmend_evidence_total", {"result": "wrong", "predicted": "__other__", "actual": "__other__"}, 2),
    ("modelmend_evidence_total", {"result": "right", "process": "older"}, 8),
    ("modelmend_evidence_total", {"result": "wrong", "process": "older"}, 1),
)


@pytest.mark.parametrize("by_class", [False, True])
async def test_labels_come_by_result_and_if_wanted_by_class_from_servers_that_tell(
    real: str, exporter: Exporter, by_class: bool
) -> None:
    series = [
        (name, {"process": "p8", **labels, "rollout": f"12345678-{8 + by_class}"}, value)
        for name, labels, value in BY_CLASS
    ]
    exporter.show(*series)
    place = (*PLACE[:2], f"12345678-{8 + by_class}")
    deadline, found = time.monotonic() + 60, {}
    async with asking(real) as source:
        while "older" not in found or "p8" not in found:
            assert time.monotonic() < deadline
            with contextlib.suppress(prometheus.Unanswered):
                answer = await source.poll(300, (), by_class=by_class)
                found = {process: dict(results) for process, results in answer.counters[place].items()}
            await asyncio.sleep(0.1)

    cells = {
        confusion.result_name("yes", "yes"): 40,
        confusion.result_name("no", "no"): 60,
        confusion.result_name("no", "yes"): 10,
        confusion.result_name(confusion.ELSE, "__other__"): 2,
    }
    assert found["p8"] == {"right": 100, "wrong": 12, **(cells if by_class else {})}
    assert found["older"] == {"right": 8, "wrong": 1}


async def test_errors_of_models_of_numbers_come_with_their_labels(real: str, exporter: Exporter) -> None:
    exporter.show(
        ("modelmend_evidence_total", {"result": "right", "process": "p21"}, 5),
        ("modelmend_errors_total", {"result": "rows", "process": "p21"}, 5),
        ("modelmend_errors_total", {"result": "clipped", "process": "p21"}, 700_000),
        ("modelmend_errors_total", {"result": "clipped", "process": "p21", "arm": "canary"}, 1),
        ("modelmend_errors_total", {"result": "right", "process": "p21"}, 9),
    )
    async with asking(real) as source:
        answer = await until(
            source, "it is scraped", lambda answer: "rows" in _results(answer).get("p21", {})
        )

    assert _results(answer)["p21"] == {"right": 5, "rows": 5, "clipped": 700_001}


async def test_a_pod_that_calls_its_results_otherwise_is_not_taken_for_another_family(
    real: str, exporter: Exporter
) -> None:
    exporter.show(
        ("modelmend_evidence_total", {"result": '[\\"a\\"', "process": "p7"}, 5),
        ("modelmend_paired_outcomes_total", {"result": "answered", "process": "p7"}, 5),
        ("modelmend_evidence_total", {"result": "right", "process": "p7"}, 1),
    )
    async with asking(real) as source:
        answer = await until(source, "it is scraped", lambda answer: "p7" in _results(answer))

    assert _results(answer)["p7"] == {"right": 1}


async def fault(url: str) -> str | None:
    """What a refusal says of the query itself."""
    made = prometheus.Prometheus(prometheus.Source(url, timeout=1.0), by_post=True)
    with pytest.raises(prometheus.Unanswered) as error:
        await made.vector("up", 5.0, 65_536)
    made.close()
    return error.value.fault


async def test_query_of_any_length_goes_in_the_body_with_the_time_it_may_take() -> None:
    seen: list[tuple[str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.query_string, dict(await request.post())))
        return vector({"metric": {"a": "b"}, "value": [1, "NaN"]})

    text = "up or " * 20_000 + "up"
    async with serving(answer) as url:
        made = prometheus.Prometheus(prometheus.Source(url), by_post=True)
        ((labels, value),) = await made.vector(text, 5.0, 65_536)
        made.close()

    assert seen == [("POST", "", {"query": text, "timeout": "5000ms"})]
    assert labels == {"a": "b"}
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("kind", "said", "found"),
    [
        (
            "bad_data",
            'invalid parameter "query": 1:5: parse error: unexpected )',
            "parse error: unexpected )",
        ),
        ("execution", "found duplicate series", "found duplicate series"),
        ("timeout", "query timed out in expression evaluation", "query timed out in expression evaluation"),
        ("internal", "disk on fire", None),
        ("bad_data", {"not": "a text"}, None),
    ],
)
async def test_only_what_is_wrong_with_a_query_is_blamed_on_it(
    kind: str, said: Any, found: str | None
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"status": "error", "errorType": kind, "error": said}, status=400)

    async with serving(answer) as url:
        assert await fault(url) == found


async def test_refusals_of_somebody_else_and_answers_of_another_shape_blame_no_query() -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(status=405, text="<html>method not allowed</html>")

    async def odd(_: web.Request) -> web.Response:
        return vector({"metric": {"a": "b"}})

    async with serving(proxy) as url:
        assert await fault(url) is None
    async with serving(odd) as url:
        assert await fault(url) is None


async def test_answer_that_is_too_large_or_too_late_is_the_querys_fault() -> None:
    async def large(_: web.Request) -> web.Response:
        return vector({"metric": {"a": "b" * 70_000}, "value": [1, "1"]})

    async def late(_: web.Request) -> web.Response:
        await asyncio.sleep(20)
        return vector()

    async with serving(large) as url:
        assert "larger than" in (await fault(url) or "")
    async with serving(late) as url:
        assert "did not answer within 1 s" in (await fault(url) or "")
