"""Sums of a window of predictions, scores and labels: by a real Prometheus, whoever came, went and restarted."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

import scraped
from modelmend.contract import metrics
from modelmend.evidence import watch
from modelmend.observe import answers, prometheus, questions, sums
from scraped import PLACE, Exporter

Page = list[tuple[str, dict[str, str], float | str]]
INFO: Page = [(metrics.MODEL_INFO, {"digest": "d"}, 1)]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def real(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus."""
    with scraped.prometheus(tmp_path_factory.mktemp("prometheus"), exporter) as url:
        yield url


def counters(process: str, yes: float, no: float, expected: float | str, arm: str = "solo") -> Page:
    """What one process counted of predictions, all of which had a score."""
    who = {"process": process, "arm": arm}
    return [
        (metrics.PREDICTIONS, {"class": "yes", **who}, yes),
        (metrics.PREDICTIONS, {"class": "no", **who}, no),
        (metrics.SCORED, who, yes + no),
        (metrics.EXPECTED_CORRECT, who, expected),
    ]


def labels(process: str, rows: float, right: float, expected: float) -> Page:
    """What one process counted of labels."""
    figures = {"rows": rows, "right": right, "expected": expected, "unheard-of": 99}
    return [
        (metrics.SCORED_EVIDENCE, {"figure": figure, "process": process, "arm": "solo"}, value)
        for figure, value in figures.items()
    ]


async def read(
    url: str, begin: float, end: float, kind: watch.Kind, place: answers.Place = PLACE
) -> watch.Window:
    """The window of one place."""
    source = prometheus.Prometheus(prometheus.Source(url))
    try:
        found = await source.windows(questions.Question(begin, end, kind, frozenset({place})))
    finally:
        source.close()
    return found[place]


async def test_sums_of_a_window_whoever_came_went_and_restarted(real: str, exporter: Exporter) -> None:
    first = [*counters("stays", 10, 5, 12.5), *counters("dies", 4, 0, 3.5), *labels("stays", 3, 2, 2.5)]
    begin = await scraped.shown(real, exporter, [*INFO, *first])
    second = [*counters("stays", 20, 5, 20.5), *counters("dies", 6, 1, 6.0), *labels("stays", 9, 7, 8.0)]
    await scraped.shown(real, exporter, [*INFO, *second])
    third = [
        *counters("stays", 30, 5, 28.5),
        *counters("stays", 2, 0, 1.5, arm="shadow"),
        *counters("comes", 1, 1, 1.25),
        *labels("stays", 9, 7, 8.0),
        *labels("comes", 2, 0, 1.75),
    ]
    end = await scraped.shown(real, exporter, [*INFO, *third])

    classes = await read(real, begin, end, watch.Kind.CLASSES)
    assert (classes.is_whole, classes.sums) == (True, {"yes": 20 + 2 + 2 + 1, "no": 0 + 1 + 1})
    scores = await read(real, begin, end, watch.Kind.SCORES)
    assert scores.sums == {"rows": 27, "scored": 27, "expected": pytest.approx(16 + 2.5 + 1.5 + 1.25)}
    labelled = await read(real, begin, end, watch.Kind.LABELS)
    assert labelled.sums == {"rows": 8, "right": 5, "expected": pytest.approx(7.25)}

    other = (PLACE[0], PLACE[1], "another-1")
    for kind in (watch.Kind.CLASSES, watch.Kind.SCORES, watch.Kind.LABELS):
        assert await read(real, begin, end, kind, other) == watch.Window(False)

    restarted = await scraped.shown(real, exporter, [*INFO, *counters("stays", 2, 1, 2.0)])
    scores = await read(real, end, restarted, watch.Kind.SCORES)
    assert scores.sums == {"rows": 0, "scored": 0, "expected": 0}, "what fell counts nothing"


async def test_series_that_nobody_exports_are_missing_and_those_at_rest_are_zero(
    real: str, exporter: Exporter
) -> None:
    old: Page = [(metrics.PREDICTIONS, {"class": "yes", "process": "old"}, 7)]
    begin = await scraped.shown(real, exporter, [*INFO, *old])
    end = await scraped.shown(real, exporter, [*INFO, *old])

    assert (await read(real, begin, end, watch.Kind.SCORES)).sums["rows"] == 0
    assert "scored" not in (await read(real, time.time() - 0.5, time.time(), watch.Kind.LABELS)).sums


async def test_sum_that_is_no_number_is_dropped_and_not_guessed(real: str, exporter: Exporter) -> None:
    begin = await scraped.shown(real, exporter, [*INFO, *counters("odd", 1, 1, 1.5)])
    end = await scraped.shown(real, exporter, [*INFO, *counters("odd", 5, 5, "NaN")])

    found = (await read(real, begin, end, watch.Kind.SCORES)).sums
    assert found["rows"] == 8
    assert "expected" not in found


@pytest.mark.parametrize(
    ("kind", "number"), [(watch.Kind.CLASSES, 2), (watch.Kind.SCORES, 4), (watch.Kind.LABELS, 2)]
)
def test_number_of_queries_does_not_grow_with_the_models(kind: watch.Kind, number: int) -> None:
    asked: list[str] = []

    def empty(query: str, _: tuple[str, ...]) -> Iterator[Any]:
        asked.append(query)
        return iter(())

    places = frozenset(("ml", f"m{each}", "r-1") for each in range(500))
    found = sums.read(questions.Question(0.0, 60.0, kind, places), empty)

    assert found == dict.fromkeys(places, watch.Window(False))
    assert len(asked) == number
