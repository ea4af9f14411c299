"""What tenants ask: together in few questions, and one that is bad spoils nobody else's answer."""

import asyncio
import itertools
import math
import time
from collections.abc import Iterator, Mapping

import pytest

import scraped
from modelmend.evidence.query import Answer
from modelmend.observe import prometheus, promql, queries
from scraped import Exporter


class Fake:
    """Answers 7 to every text, but refuses each question with a bad one; notes how many texts each had."""

    def __init__(self, *bad: str, fault: str | None = "it does not parse") -> None:
        self.bad, self.fault = set(bad), fault
        self.asked: list[int] = []
        self.seconds = 0.0
        self.clock = 1000.0

    async def vector(self, text: str, patience: float, limit: int) -> list[tuple[Mapping[str, str], float]]:
        size = text.count(promql.INDEX)
        self.asked.append(size)
        self.clock += self.seconds
        if any(f"\n{bad}\n" in text for bad in self.bad):
            raise prometheus.Unanswered("refused", was_too_much=True, fault=self.fault)
        return [({promql.INDEX: str(place)}, 7.0) for place in range(size)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A fake whose own clock `queries` goes by."""
    fake = Fake()
    monkeypatch.setattr(queries.time, "monotonic", lambda: fake.clock)
    return fake


GOOD = Answer((7.0,))
TEXTS = [f"q{number}" for number in range(1000)]


async def test_a_thousand_queries_are_a_handful_of_questions_once_they_are_known(clock: Fake) -> None:
    asked = queries.Queries(clock.vector)
    for _ in range(20):
        clock.clock += 30
        found = await asked.ask(TEXTS)
        assert len(clock.asked) <= queries.QUESTIONS
        clock.asked.clear()
    clock.asked.clear()

    found = await asked.ask(TEXTS)
    assert found == dict.fromkeys(TEXTS, GOOD)
    assert len(clock.asked) == 8
    assert max(clock.asked) == queries.MOST


async def test_each_gets_its_turn_however_many_there_are(clock: Fake) -> None:
    asked, answered = queries.Queries(clock.vector), set[str]()
    for _ in range(6):
        clock.clock += 30
        answered |= (await asked.ask(TEXTS)).keys()

    assert answered == set(TEXTS)


async def test_the_same_text_is_asked_once(clock: Fake) -> None:
    await queries.Queries(clock.vector).ask(["up", "up", "up"])

    assert clock.asked == [1]


async def test_a_bad_one_is_found_among_many_and_the_others_are_answered_in_the_same_round(
    clock: Fake,
) -> None:
    clock.bad = {"q5"}
    found = await queries.Queries(clock.vector).ask(TEXTS[:16])

    assert found.pop("q5") == Answer(
        error="its query has no answer (it does not parse): correct spec.monitoring.signals[].query"
    )
    assert found == dict.fromkeys((text for text in TEXTS[:16] if text != "q5"), GOOD)
    assert len(clock.asked) <= 9


async def test_a_bad_one_rests_longer_each_time_and_says_its_error_meanwhile(clock: Fake) -> None:
    clock.bad = {"q0"}
    asked = queries.Queries(clock.vector)
    times = []
    for _ in range(400):
        clock.asked.clear()
        found = await asked.ask(["q0"])
        assert found["q0"].error is not None
        if clock.asked:
            times.append(clock.clock)
        clock.clock += 10

    rests = [later - before for before, later in itertools.pairwise(times)]
    assert rests == [60, 120, 240, 480, 900, 900, 900]
    clock.bad.clear()
    clock.clock += 900
    assert await asked.ask(["q0"]) == {"q0": GOOD}


async def test_one_that_was_bad_is_asked_by_itself_and_the_good_ones_without_it(clock: Fake) -> None:
    clock.bad = {"q3"}
    asked = queries.Queries(clock.vector)
    await asked.ask(TEXTS[:8])
    clock.clock += 61
    clock.asked.clear()

    found = await asked.ask(TEXTS[:8])

    assert 1 in clock.asked
    assert len(found) == 8
    clock.clock += queries.PROBATION
    clock.bad.clear()
    for _ in range(8):
        clock.clock += queries.LONGEST_REST
        clock.asked.clear()
        await asked.ask(TEXTS[:8])
    assert len(clock.asked) == 1, "in the end they are in one company again"


async def test_a_new_one_is_not_asked_with_those_that_are_known_to_be_good(clock: Fake) -> None:
    asked = queries.Queries(clock.vector)
    await asked.ask(TEXTS[:10])
    clock.asked.clear()

    await asked.ask([*TEXTS[:10], "new"])

    assert sorted(clock.asked) == [1, 10]


async def test_a_prometheus_in_trouble_blames_no_query_and_is_told_once(
    clock: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    clock.bad, clock.fault = {"q0"}, None
    asked = queries.Queries(clock.vector)

    assert await asked.ask(TEXTS[:40]) == {}
    assert len(clock.asked) == 1
    await asked.ask(TEXTS[:40])
    assert [line.message for line in caplog.records] == ["queries were not answered: refused"]
    clock.bad = set()
    assert len(await asked.ask(TEXTS[:40])) == 40


async def test_labels_that_nobody_asked_for_answer_nothing(clock: Fake) -> None:
    async def other(*_: object) -> list[tuple[Mapping[str, str], float]]:
        return [({}, 1.0)]

    assert await queries.Queries(other).ask(["up"]) == {}


async def test_slow_ones_cost_a_round_no_more_than_its_budget(clock: Fake) -> None:
    clock.bad, clock.seconds = set(TEXTS[::7]), 5.0
    begun = clock.clock
    await queries.Queries(clock.vector).ask(TEXTS)

    assert clock.clock - begun <= queries.BUDGET + clock.seconds


async def test_long_texts_are_asked_in_more_questions(clock: Fake) -> None:
    texts = [f"{number:02000}" for number in range(64)]
    asked = queries.Queries(clock.vector)
    for _ in range(4):
        clock.asked.clear()
        clock.clock += 30
        await asked.ask(texts)

    assert sum(clock.asked) == 64
    assert max(clock.asked) * 2080 <= queries.LONGEST


async def test_texts_that_nobody_asks_any_more_are_forgotten(clock: Fake) -> None:
    asked = queries.Queries(clock.vector)
    await asked.ask(TEXTS)
    clock.clock += queries.FORGET + 1
    await asked.ask(["up"])

    assert list(asked._known) == ["up"]


# A real Prometheus.


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    exporter = Exporter()
    exporter.show(
        ("refunds", {"shop": "a"}, 3),
        ("refunds", {"shop": "b"}, 4),
        ("refunds", {"shop": "c", "model": "other"}, 50),
        ("odd", {}, "NaN"),
    )
    with scraped.prometheus(tmp_path_factory.mktemp("prometheus"), exporter) as url:
        yield url
    exporter.close()


@pytest.fixture
async def source(real: str) -> prometheus.Prometheus:
    """Once the page has been scraped."""
    made, deadline = prometheus.Prometheus(prometheus.Source(real), by_post=True), time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if await made.vector("odd", 5, 100_000):
                return made
        except prometheus.Unanswered:
            pass
        await asyncio.sleep(0.1)
    pytest.fail("nothing was scraped")


async def all_answered(source: prometheus.Prometheus, texts: list[str]) -> dict[str, Answer]:
    """The answers after as many rounds as it takes: so many bad ones are too much for one."""
    asked = queries.Queries(source.vector)
    found: dict[str, Answer] = {}
    for _ in range(8):
        found = await asked.ask(texts)
        if len(found) == len(texts):
            return found
    pytest.fail(f"unanswered: {set(texts) - found.keys()}")


async def test_every_kind_of_answer_comes_from_one_question_of_a_real_prometheus(
    source: prometheus.Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    plain = source.vector

    async def vector(text: str, patience: float, limit: int) -> list[tuple[Mapping[str, str], float]]:
        sent.append(text)
        return await plain(text, patience, limit)

    texts = [
        'sum(refunds{model="flights"}) # a comment (',
        "refunds",
        "odd",
        "absent_metric",
        "vector(1) / 0",
        'sum(refunds{shop=~"a|b"}) >= 7',
        "topk(1, refunds)",
    ]
    found = await queries.Queries(vector).ask(texts)

    assert len(sent) == 1
    assert found[texts[0]] == Answer((7.0,))
    assert len(found[texts[1]].values) == 2
    assert math.isnan(found[texts[2]].values[0])
    assert found[texts[3]] == Answer()
    assert found[texts[4]] == Answer((math.inf,))
    assert found[texts[5]] == Answer((7.0,))
    assert found[texts[6]] == Answer((50.0,))


async def test_bad_promql_is_told_in_prometheus_own_words_and_the_others_are_answered(
    source: prometheus.Prometheus,
) -> None:
    bad = {
        "sum by refunds": "parse error",
        "refunds[5m]": "expected type instant vector",
        "1 + 1": "expected type instant vector in aggregation expression, got scalar",
        "refunds + on(shop) group_left() refunds{shop='a'} + on() refunds": "duplicate series",
        "nonsense(refunds)": "unknown function",
        'label_replace(refunds, "shop", "x", "", "")': "same labelset",
    }
    found = await all_answered(source, ["sum(refunds)", *bad, "count(refunds)"])

    assert found["sum(refunds)"] == Answer((57.0,))
    assert found["count(refunds)"] == Answer((3.0,))
    for text, said in bad.items():
        error = found[text].error
        assert error is not None, text
        assert said in error
        assert "HTTP" not in error
        assert "label_replace(topk" not in error


async def test_a_heavy_one_is_ended_by_prometheus_and_found_among_light_ones(
    source: prometheus.Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PATIENCE", 0.5)
    heavy = "count_over_time((vector(1) + vector(1))[80d:1s])"  # More than a second even on a quick machine.
    found = await all_answered(source, ["sum(refunds)", heavy, "count(refunds)", "max(refunds)"])

    assert found["sum(refunds)"] == Answer((57.0,))
    assert len([text for text in found if found[text].values]) == 3
    assert "timed out" in (found[heavy].error or "") or "did not answer" in (found[heavy].error or "")


async def test_nothing_that_passes_for_one_expression_ends_the_brackets_around_it(
    source: prometheus.Prometheus,
) -> None:
    """Whatever is let through answers for itself alone: the text beside it keeps its own answer."""
    tricks = [
        'vector(1) # )), "modelmend_query", "1", "", "")',
        'vector(1) or label_replace(vector(9), "modelmend_query", "1", "", "")',
        "vector(1) or label_replace(vector(9), 'modelmend_query', '1', '', '') or vector(3)",
        'label_replace(vector(1), "x", ")), \\"modelmend_query\\"", "", "")',
        "vector(1) + on() vector(2)\r# ))",
        "label_replace(vector(1), 'x', `)) or (\n((`, '', '')",
    ]
    for trick in tricks:
        text = promql.filled(trick, {})
        found = await queries.Queries(source.vector).ask([text, "vector(5)"])
        assert found["vector(5)"] == Answer((5.0,)), trick
        assert found[text].error is None or "same labelset" in found[text].error or found[text].values == ()
