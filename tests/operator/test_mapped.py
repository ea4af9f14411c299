"""Counters of servers of users' own, from a real Prometheus: by their names, as if they were ours."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import scraped
from modelmend.api.spec import Metrics
from modelmend.evidence import confusion
from modelmend.observe import answers, mapped, prometheus
from scraped import Exporter

KEY = ("ml", "flights")
PLACE = scraped.PLACE
REQUESTS = {"name": "http_requests_total", "code": "status"}
TARGET = {"modelmend_rollout": PLACE[2]}
"""What the target says (the chart's PodMonitor) beside the model's name; here the page says it."""


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes the exporter twice: by two jobs, as two replicas of it would."""
    folder, model = tmp_path_factory.mktemp("prometheus"), {"modelmend_model": KEY[1]}
    with scraped.prometheus(folder, exporter, jobs=2, labels=model) as found:
        yield found


@pytest.fixture
async def source(url: str) -> AsyncIterator[prometheus.Prometheus]:
    made = prometheus.Prometheus(prometheus.Source(url))
    yield made
    made.close()


def wanted(outcomes: Any, *, limit: float | None = None, by_class: bool = False) -> mapped.Wanted:
    names = {"requests": REQUESTS, "outcomes": outcomes, "latency": "http_seconds"}
    return mapped.Wanted(Metrics.model_validate(names), limit, by_class)


def show(exporter: Exporter, *series: tuple[str, dict[str, str], float | str], process: str) -> None:
    """The page of one container: a process of its own, by which it is known again."""
    target = TARGET | {"modelmend_process": process}
    exporter.show(*((name, target | labels, value) for name, labels, value in (*series, ("shown", {}, 1))))


async def read(
    source: prometheus.Prometheus, own: dict[tuple[str, str], mapped.Wanted], process: str
) -> answers.Answer:
    """The first answer after this container was scraped."""
    shown = {"requests": REQUESTS, "outcomes": {"correct": "shown", "total": "shown"}}
    marked = mapped.Wanted(Metrics.model_validate(shown), None, False)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(prometheus.Unanswered):
            if process in (await source.poll(300, (), own={KEY: marked})).counters[PLACE]:
                return await source.poll(300, (), own=own)
        await asyncio.sleep(0.1)
    pytest.fail(f"{process} was never scraped")


def results(answer: answers.Answer, process: str, rollout: str = PLACE[2]) -> dict[str, float]:
    return dict(answer.counters[(*KEY, rollout)][process])


TOTALS = {"correct": "correct_total", "total": "labelled_total"}


async def test_two_counters_tell_right_from_wrong_summed_over_labels_of_their_own(
    source: prometheus.Prometheus, exporter: Exporter
) -> None:
    show(
        exporter,
        ("http_requests_total", {"status": "200", "path": "/a"}, 60),
        ("http_requests_total", {"status": "200", "path": "/b"}, 40),
        ("http_requests_total", {"status": "4xx", "path": "/a"}, 3),
        ("http_requests_total", {"status": "5xx", "path": "/a"}, 2),
        ("correct_total", {"worker": "1"}, 50),
        ("correct_total", {"worker": "2"}, 30),
        ("labelled_total", {"worker": "1"}, 60),
        ("labelled_total", {"worker": "2"}, 31),
        process="totals",
    )
    answer = await read(source, {KEY: wanted(TOTALS)}, "totals")
    assert results(answer, "totals") == {"answered": 103, "failed": 2, "right": 80, "wrong": 11}
    assert answer.unread is None


async def test_one_counter_by_class_tells_the_classes_where_somebody_asks(
    source: prometheus.Prometheus, exporter: Exporter
) -> None:
    outcomes = {"byClass": {"name": "outcomes_total", "predicted": "said", "actual": "was"}}
    show(
        exporter,
        ("outcomes_total", {"said": "yes", "was": "yes"}, 5),
        ("outcomes_total", {"said": "yes", "was": "no"}, 2),
        ("outcomes_total", {"said": "no"}, 9),
        process="class",
    )
    answer = await read(source, {KEY: wanted(outcomes)}, "class")
    assert results(answer, "class") == {"right": 5, "wrong": 2}
    answer = await read(source, {KEY: wanted(outcomes, by_class=True)}, "class")
    assert results(answer, "class")[confusion.result_name("yes", "no")] == 2


async def test_label_of_another_pods_prediction_counts_for_the_rollout_that_predicted(
    source: prometheus.Prometheus, exporter: Exporter
) -> None:
    show(
        exporter,
        ("http_requests_total", {"status": "200"}, 7),
        ("correct_total", {"by": "12345678-2"}, 3),
        ("labelled_total", {"by": "12345678-2"}, 4),
        ("correct_total", {"by": ""}, 1),
        ("labelled_total", {"by": ""}, 1),
        process="rollout",
    )
    answer = await read(source, {KEY: wanted({**TOTALS, "rollout": "by"})}, "rollout")
    assert results(answer, "rollout", rollout="12345678-2") == {"right": 3, "wrong": 1}
    assert results(answer, "rollout") == {"answered": 7, "right": 1, "wrong": 0}


@pytest.mark.parametrize(("limit", "fast"), [(0.2, 90), (0.25, 90), (0.26, 99), (9.0, 99), (None, None)])
async def test_latency_is_judged_at_the_first_bound_that_the_histogram_has(
    source: prometheus.Prometheus, exporter: Exporter, limit: float | None, fast: float | None
) -> None:
    show(
        exporter,
        ("http_seconds_bucket", {"le": "0.1"}, 50),
        ("http_seconds_bucket", {"le": "0.25"}, 90),
        ("http_seconds_bucket", {"le": "1.0"}, 99),
        ("http_seconds_bucket", {"le": "+Inf"}, 100),
        ("http_seconds_count", {}, 100),
        process="latency",
    )
    answer = await read(source, {KEY: wanted(TOTALS, limit=limit)}, "latency")
    assert results(answer, "latency") == ({} if limit is None else {"timed": 100, "fast": fast})


async def test_pod_cannot_count_for_another_model_and_what_lacks_a_label_counts_for_nobody(
    source: prometheus.Prometheus, exporter: Exporter
) -> None:
    show(
        exporter,
        ("correct_total", {"modelmend_model": "trains"}, 9),
        ("labelled_total", {"modelmend_model": "trains"}, 9),
        ("labelled_total", {"modelmend_process": ""}, 5),
        ("labelled_total", {"modelmend_rollout": ""}, 5),
        process="forged",
    )
    trains = ("ml", "trains")
    answer = await read(source, {KEY: wanted(TOTALS), trains: wanted(TOTALS)}, "forged")
    assert results(answer, "forged") == {"right": 9, "wrong": 0}
    assert not [place for place in answer.counters if place[:2] == trains]
    assert answer.dropped == 1


async def test_number_of_queries_is_that_of_hundreds_of_names_and_not_of_models() -> None:
    def asked(names: int, models: int) -> list[str]:
        queries: list[str] = []
        own = {
            ("ml", f"m{number}"): wanted({"correct": f"c{number % names}", "total": f"c{number % names}"})
            for number in range(models)
        }
        mapped.read(own, "[5m]", lambda query, *_: queries.append(query) or (), {})
        return queries

    assert len(asked(1, 1)) == len(asked(90, 5000)) == 1
    assert len(asked(150, 5000)) == 2


async def test_own_counters_that_are_refused_leave_all_others_counted(url: str, exporter: Exporter) -> None:
    show(
        exporter,
        *(("labelled_total", {"worker": f"{number:060d}"}, 1) for number in range(2000)),
        process="large",
    )
    wide = wanted({**TOTALS, "rollout": "worker"})
    whole = prometheus.Prometheus(prometheus.Source(url))
    await read(whole, {KEY: wide}, "large")
    whole.close()
    small = prometheus.Prometheus(prometheus.Source(url, limit=100_000))
    answer = await small.poll(300, (), own={KEY: wide})
    small.close()
    assert answer.unread is not None
    assert answer.unread.startswith(
        "counters of servers of the users' own were not read: Prometheus at 127.0.0.1"
    )
    assert not answer.counters.get(PLACE)
    assert answer.moment


async def test_target_that_is_up_has_been_scraped(source: prometheus.Prometheus, exporter: Exporter) -> None:
    show(exporter, process="up")
    answer = await read(source, {KEY: wanted(TOTALS)}, "up")
    assert answer.at - answer.scraped[KEY] < 30
