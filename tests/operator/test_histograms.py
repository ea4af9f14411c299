"""What a window counted: by a real Prometheus, as `evidence.counts` would have counted it poll by poll."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import scraped
from modelmend.contract import metrics
from modelmend.evidence import counts, psi, watch
from modelmend.observe import answers, histograms, prometheus, questions
from scraped import PLACE, Exporter

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "modelmend" / "rules" / "drift.yaml"
REFERENCE = {"..1": 300, "1..2": 200, "2..": 100, "__missing__": 0}
BLOCKS = psi.Blocks(rows=200.0, others=400.0, mean=0.05, deviation=0.02)
Page = list[tuple[str, dict[str, str], float | str]]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def real(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus that scrapes by two jobs and evaluates the rules of the chart."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = folder / "rules.yml"
    rules.write_text(RULES.read_text().replace("interval: 5m", "interval: 200ms"))
    with scraped.prometheus(folder, exporter, jobs=2, rules=rules) as url:
        yield url


def reference(**labels: str) -> Page:
    """A model's reference of `wind` and of its score, as its server exports it."""
    whole = sum(REFERENCE.values()) + len(REFERENCE) / 2
    page: Page = [(metrics.MODEL_INFO, {"digest": "d", **labels}, 1)]
    for feature in ("wind", metrics.SCORE_FEATURE):
        page += [
            (
                metrics.REFERENCE_BIN_FRACTION,
                {"feature": feature, "bin": name, **labels},
                (rows + 0.5) / whole,
            )
            for name, rows in REFERENCE.items()
        ]
        page.append((metrics.REFERENCE_ROWS, {"feature": feature, **labels}, sum(REFERENCE.values())))
    page += [
        (metrics.REFERENCE_BLOCK, {"feature": "wind", "figure": figure, **labels}, value)
        for figure, value in BLOCKS.to_json().items()
    ]
    return page


def bins(process: str, feature: str = "wind", arm: str = "solo", **rows: int) -> Page:
    """Counters of one process; `low` is the first bin."""
    named = {"low": "..1", "mid": "1..2", "high": "2..", "missing": "__missing__"}
    return [
        (
            metrics.FEATURE_BINS,
            {"feature": feature, "bin": named[name], "process": process, "arm": arm},
            number,
        )
        for name, number in rows.items()
    ]


@contextlib.asynccontextmanager
async def asking(url: str) -> Any:
    made = prometheus.Prometheus(prometheus.Source(url))
    try:
        yield made
    finally:
        made.close()


async def read(
    url: str, begin: float, end: float, *, kind: watch.Kind = watch.Kind.INPUTS, place: answers.Place = PLACE
) -> watch.Window:
    """The window of one place."""
    question = questions.Question(begin, end, kind, frozenset({place}))
    async with asking(url) as source:
        found = await source.windows(question)
    window: watch.Window = found[place]
    return window


async def test_window_counts_what_processes_counted_in_it_whoever_came_and_went(
    real: str, exporter: Exporter
) -> None:
    pages = [
        [*bins("stays", low=10, mid=5, high=1), *bins("dies", low=7), *bins("stays", arm="shadow", mid=2)],
        [*bins("stays", low=20, mid=5, high=4), *bins("dies", low=9), *bins("stays", arm="shadow", mid=3)],
        [*bins("stays", low=30, mid=5, high=4, missing=2), *bins("comes", high=6)],
    ]
    begin = await scraped.shown(real, exporter, [*reference(), *pages[0]], jobs=2)
    await scraped.shown(real, exporter, [*reference(), *pages[1]], jobs=2)
    end = await scraped.shown(real, exporter, [*reference(), *pages[2]], jobs=2)

    window = await read(real, begin, end)
    assert window.is_whole
    (feature,) = window.features
    assert (feature.name, feature.reference, feature.blocks) == ("wind", REFERENCE, BLOCKS)

    checkpoint, total = counts.Checkpoint(), dict[str, int]()
    for number, page in enumerate(pages):
        reading: dict[str, dict[str, float]] = {}
        for _, labels, value in page:
            name = f"{labels['arm']} {labels['bin']}"
            reading.setdefault(labels["process"], {})[name] = float(value)
        checkpoint, new = counts.absorb(checkpoint, reading)
        for name, rows in new.items() if number else ():
            total[name.split()[1]] = total.get(name.split()[1], 0) + rows
    assert feature.live == total == {"..1": 22, "1..2": 1, "2..": 9, "__missing__": 2}

    # The same window later, and the next one: no row is lost, none counted twice.
    later = await scraped.shown(
        real, exporter, [*reference(), *bins("stays", low=31, mid=5, high=4, missing=2)], jobs=2
    )
    assert (await read(real, begin, end)).features == window.features
    assert (await read(real, end, later)).features[0].live == {"..1": 1}
    assert (await read(real, begin, later)).features[0].live == {**total, "..1": 23}


async def test_predictions_are_read_apart_from_inputs(real: str, exporter: Exporter) -> None:
    begin = await scraped.shown(real, exporter, [*reference(), *bins("q", low=1)], jobs=2)
    scores = bins("q", metrics.SCORE_FEATURE, high=8)
    end = await scraped.shown(real, exporter, [*reference(), *bins("q", low=1), *scores], jobs=2)

    (feature,) = (await read(real, begin, end, kind=watch.Kind.PREDICTIONS)).features
    assert (feature.name, feature.live, feature.blocks) == ("score", {"2..": 8}, None)
    (other,) = (await read(real, begin, end)).features
    assert (other.name, other.live) == ("wind", {})


async def test_window_whose_begin_was_not_scraped_is_not_whole(real: str, exporter: Exporter) -> None:
    end = await scraped.shown(real, exporter, [*reference(), *bins("r", low=1000)], jobs=2)

    assert not (await read(real, end - 4000, end)).is_whole


async def test_pod_of_another_namespace_cannot_count_for_a_model(real: str, exporter: Exporter) -> None:
    page = [*reference(), *bins("s", low=5)]
    begin = await scraped.shown(real, exporter, page, jobs=2)
    end = await scraped.shown(real, exporter, page, jobs=2)

    window = await read(real, begin, end, place=("other", *PLACE[1:]))
    assert (window.is_whole, window.features) == (False, ())


async def test_server_that_exports_no_rows_by_feature_has_no_reference(real: str, exporter: Exporter) -> None:
    labels = {"rollout": "older-1"}
    page: Page = [each for each in reference(**labels) if each[0] != metrics.REFERENCE_ROWS]
    page.append((metrics.REFERENCE_ROWS, labels, 600))
    begin = await scraped.shown(real, exporter, page, jobs=2)
    end = await scraped.shown(real, exporter, page, jobs=2)

    assert (await read(real, begin, end, place=(*PLACE[:2], "older-1"))).features == ()


async def test_recording_rules_of_the_chart_agree_with_the_operators_own_numbers(
    real: str, exporter: Exporter
) -> None:
    labels = {"version": "ruled", "rollout": "ruled-1"}
    live = {"low": 8000, "mid": 1500, "high": 300, "missing": 200}

    def page(share: float) -> Page:
        rows = {name: int(number * share) for name, number in live.items()}
        return [
            *reference(**labels),
            *((name, own | labels, value) for name, own, value in bins("ruled", **rows)),
        ]

    begin = await scraped.shown(real, exporter, page(0), jobs=2)
    end = await scraped.shown(real, exporter, page(1), jobs=2)
    (feature,) = (await read(real, begin, end, place=(*PLACE[:2], "ruled-1"))).features
    own = psi.distance(feature.reference, feature.live)
    assert own.n == 10_000

    # Two jobs scrape here, so that the rules see every row twice, and `increase` extrapolates a little: N is not theirs.
    query = 'modelmend:feature:psi6h{version="ruled"}'
    await scraped.until(
        real, query, lambda found: bool(found) and float(found[0]["value"][1]) > own.psi * 0.99
    )
    ruled = float(scraped.ask(real, query)[0]["value"][1])
    rows = scraped.ask(real, 'modelmend:feature_bins:increase6h{version="ruled"}')
    increased = {each["metric"]["bin"]: float(each["value"][1]) for each in rows}
    expected = psi.distance(REFERENCE, {name: round(number) for name, number in increased.items()})
    assert ruled == pytest.approx(expected.psi, rel=1e-3)
    assert ruled == pytest.approx(own.psi, rel=5e-3)


def test_number_of_queries_does_not_grow_with_models() -> None:
    asked: list[str] = []

    def empty(query: str, _: tuple[str, ...]) -> Iterator[Any]:
        asked.append(query)
        return iter(())

    for number in (1, 100):
        places = frozenset(("ml", f"m{each}", f"r{each}-1") for each in range(number))
        found = histograms.read(questions.Question(0.0, 60.0, watch.Kind.INPUTS, places), empty)
        assert found == dict.fromkeys(places, watch.Window(False, ()))
    assert len(asked) == 10


def test_names_in_a_question_are_taken_literally() -> None:
    asked: list[str] = []

    def empty(query: str, _: tuple[str, ...]) -> Iterator[Any]:
        asked.append(query)
        return iter(())

    histograms.read(
        questions.Question(0.0, 60.0, watch.Kind.PREDICTIONS, frozenset({("ml", "a.b", "r-1")})), empty
    )
    assert all('model=~"a\\\\.b"' in query for query in asked)


async def test_answer_about_bins_that_would_fill_our_memory_asks_for_fewer_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Talkative(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    self.wfile.write(b"x" * 100_000)

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setattr(prometheus, "WINDOWS_LIMIT", 2 * 1024 * 1024)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talkative)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(prometheus.Unanswered, match="larger than 2 MiB") as error:
            await read(f"http://127.0.0.1:{server.server_address[1]}", 0.0, 60.0)
    finally:
        server.shutdown()
        server.server_close()
    assert error.value.was_too_much
