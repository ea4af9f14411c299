"""The beat: who takes which poll, and at whom it makes the loop look."""

import asyncio
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelmend.decide import observed
from modelmend.evidence import drift, watch
from modelmend.loop import pulse
from modelmend.observe import answers, gather, ledgers, mapped, prometheus, questions

Object = dict[str, Any]
KEY = ("ml", "flights")
ROLLOUT = "12345678-1"


class Source:
    """A Prometheus that answers what a test says, when `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer: answers.Answer | prometheus.Unanswered = answers.Answer(at=time.time())
        self.asked: list[tuple[float, frozenset[float]]] = []
        self.by_class: list[bool] = []

    async def poll(
        self,
        lookback: float,
        bounds: set[float],
        *,
        by_class: bool = False,
        own: dict[tuple[str, str], mapped.Wanted] | None = None,
    ) -> answers.Answer:
        self.own = own
        self.asked.append((lookback, frozenset(bounds)))
        self.by_class.append(by_class)
        await self.may_answer.wait()
        if isinstance(self.answer, prometheus.Unanswered):
            raise self.answer
        return self.answer

    def counts(self, right: int, wrong: int = 0, at: float | None = None, **results: float) -> None:
        """What the pods of `flights` have counted."""
        counters: Any = defaultdict(lambda: defaultdict(dict))
        counters[(*KEY, ROLLOUT)]["p1"] = {"right": float(right), "wrong": float(wrong), **results}
        self.answer = answers.Answer(
            at=time.time() if at is None else at, counters=counters, scraped={KEY: time.time()}
        )


class Figures:
    """Notes polls."""

    def __init__(self) -> None:
        self.problems: list[str | None] = []

    def polled(self, seconds: float, problem: str | None, at: float) -> None:
        self.problems.append(problem)

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


def model(name: str = "flights", interval: str = "30s", **rollout: Any) -> Object:
    """A ModelDeployment that serves."""
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "ml", "uid": f"12345678-{name}", "resourceVersion": "1"},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
            "monitoring": {"interval": interval, "signals": [{"name": "accuracy", "minimum": 0.8}]},
            "rollout": rollout,
        },
        "status": {
            "stable": {
                "version": f"{name}-v1",
                "digest": "sha256:" + "a" * 64,
                "uri": "s3://m",
                "rollout": ROLLOUT,
                "since": "2026-01-01T00:00:00Z",
            }
        },
    }


def version(name: str = "flights", checkpoint: Object | None = None) -> Object:
    """The ModelVersion that it serves."""
    owner = {"apiVersion": "x", "kind": "ModelDeployment", "name": name, "uid": f"12345678-{name}"}
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{name}-v1",
            "namespace": "ml",
            "uid": f"version-{name}",
            "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": name},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {
            "deployment": name,
            "number": 1,
            "uri": "s3://m",
            "digest": "sha256:" + "a" * 64,
            "trigger": "Install",
            "because": "x",
            "createdAt": "2026-01-01T00:00:00Z",
            "image": "r",
        },
        "status": {} if checkpoint is None else {"checkpoint": checkpoint},
    }


class Bench:
    """A Pulse with all that it needs."""

    def __init__(self, *models: Object) -> None:
        self.source, self.figures, self.added = Source(), Figures(), list[tuple[str, str]]()
        self.observer = gather.Observer(observed.Settings(runtime_image="runtime:1"))
        for each in models:
            self.observer.seen.put(each)
            self.observer.seen.put(version(each["metadata"]["name"]))
        self.pulse = pulse.Pulse(self.observer, self.source, self.added.append, self.figures)  # type: ignore[arg-type]

    def serve(self) -> None:
        """A pod of `flights` is ready."""
        self.observer.seen.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": "flights-v1",
                    "namespace": "ml",
                    "uid": "d",
                    "resourceVersion": "2",
                    "labels": {"app.kubernetes.io/instance": "flights"},
                },
                "spec": {"template": {}},
                "status": {"readyReplicas": 1},
            }
        )


async def test_first_answer_makes_the_loop_look_and_silence_does_not() -> None:
    bench = Bench(model())
    await bench.pulse.poll([KEY])
    await bench.pulse.poll([KEY])

    assert bench.added == [KEY]
    assert bench.observer.poll.problem is None


async def test_new_labels_make_the_loop_look_and_new_requests_alone_do_not() -> None:
    bench = Bench(model())
    await bench.pulse.poll([KEY])
    bench.added.clear()

    bench.source.counts(right=0, answered=50.0, at=time.time() + 1)
    await bench.pulse.poll([KEY])
    assert bench.added == []
    bench.source.counts(right=9, wrong=1, answered=60.0, at=time.time() + 2)
    await bench.pulse.poll([KEY])
    assert bench.added == [KEY]
    kept = bench.observer.books.of(bench.observer.seen.model(KEY))[ROLLOUT]  # type: ignore[arg-type]
    assert (kept.labels.n, kept.labels.bad, kept.requests.n) == (10, 1, 60)


async def test_every_model_takes_the_polls_of_its_own_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(model(interval="30s"), model("trains", interval="2s"))
    now = 1000.0
    taken: list[list[tuple[str, str]]] = []
    for _ in range(61):
        taken.append(bench.pulse._take_due(now))
        now += 1.0

    flat = [name for due in taken for _, name in due]
    assert 2 <= flat.count("flights") <= 3
    assert 30 <= flat.count("trains") <= 32


async def test_models_of_one_interval_share_their_polls() -> None:
    bench = Bench(*(model(f"m{number}") for number in range(50)))
    bench.pulse._take_due(1000.0)

    ticks = [bench.pulse._take_due(1001.0 + second) for second in range(60)]
    assert [len(due) for due in ticks if due] == [50, 50]


async def test_failing_polls_say_why_once_and_move_nobody_until_the_world_is_out_of_date() -> None:
    bench = Bench(model())
    await bench.pulse.poll([KEY])
    bench.added.clear()
    bench.source.answer = prometheus.Unanswered("Prometheus at x cannot be reached")

    await bench.pulse.poll([KEY])
    await bench.pulse.poll([KEY])
    assert bench.added == []
    assert bench.observer.poll.problem == "Prometheus at x cannot be reached"
    assert bench.observer.poll.at is not None

    bench.observer.poll = observed.Poll(at=datetime.now(UTC) - timedelta(minutes=6), problem="x")
    await bench.pulse.poll([KEY])
    await bench.pulse.poll([KEY])
    assert bench.added == [KEY]

    bench.source.answer = answers.Answer(at=time.time())
    await bench.pulse.poll([KEY])
    assert bench.added == [KEY, KEY]


async def test_pods_that_are_not_scraped_make_an_answer_worthless() -> None:
    bench = Bench(model())
    bench.serve()
    bench.source.counts(right=5)
    bench.source.answer.scraped[KEY] = time.time() - 3600  # type: ignore[union-attr]
    await bench.pulse.poll([KEY])
    owner = bench.observer.seen.model(KEY)
    assert owner is not None

    found = bench.observer.poll_of(KEY, datetime.now(UTC))
    assert "has scraped no pod of ml/flights since" in str(found.problem)
    assert bench.observer.is_stale(owner, datetime.now(UTC))

    bench.source.counts(right=5, at=time.time() + 1)
    await bench.pulse.poll([KEY])
    assert not bench.observer.is_stale(owner, datetime.now(UTC))


async def test_model_that_is_never_scraped_becomes_stale_after_its_patience() -> None:
    bench = Bench(model())
    bench.serve()
    bench.source.answer = answers.Answer(at=time.time())
    await bench.pulse.poll([KEY])
    now = datetime.now(UTC)

    assert bench.observer.poll_of(KEY, now).problem is None
    assert bench.observer.poll_of(KEY, now + timedelta(minutes=6)).problem is not None


async def test_look_back_reaches_to_the_oldest_checkpoint_and_shrinks_when_that_is_too_much() -> None:
    bench = Bench(model())
    bench.source.counts(right=5, at=time.time() - 7200)
    await bench.pulse.poll([KEY])
    bench.source.answer = prometheus.Unanswered("too slow", was_too_much=True)
    for _ in range(3):
        await bench.pulse.poll([KEY])
    bench.source.answer = prometheus.Unanswered("away")
    await bench.pulse.poll([KEY])

    asked = [lookback for lookback, _ in bench.source.asked]
    assert asked[0] == prometheus.LOOKBACK
    missed = 7200 + pulse.MARGIN
    assert asked[1] == pytest.approx(missed, abs=5)
    assert asked[2] == pytest.approx(missed / 4, abs=5)
    assert asked[3] == pytest.approx(missed / 16, abs=5)
    assert asked[4] == prometheus.LOOKBACK


async def test_only_the_latency_buckets_that_a_guard_needs_are_asked_for() -> None:
    bench = Bench(model(guards={"p99Latency": "180ms"}), model("trains"))

    await bench.pulse.poll([KEY, ("ml", "trains")])

    assert bench.source.asked == [(prometheus.LOOKBACK, frozenset({0.2}))]


async def test_unreadable_model_disturbs_nobody() -> None:
    broken = model("broken")
    broken["spec"] = {}
    bench = Bench(broken, model())

    await bench.pulse.tick()

    assert bench.added == [KEY]


async def test_beat_goes_on_while_prometheus_is_away() -> None:
    bench = Bench(model())
    bench.source.answer = prometheus.Unanswered("away")
    bench.pulse.beat = 0.0

    await bench.pulse.tick()

    assert time.monotonic() - bench.pulse.beat < 5
    assert bench.figures.problems == ["away"]


async def test_beat_goes_on_while_prometheus_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.01)
    bench = Bench(model())
    bench.source.may_answer.clear()
    bench.pulse.beat = 0.0
    ticking = asyncio.create_task(bench.pulse.tick())
    async with asyncio.timeout(10):
        while not bench.pulse.beat:
            await asyncio.sleep(0.01)
    assert not ticking.done()

    bench.source.may_answer.set()
    await ticking
    assert bench.added == [KEY]


async def test_prometheus_that_is_too_slow_for_hours_ends_nothing() -> None:
    bench = Bench(model())
    bench.source.answer = prometheus.Unanswered("too slow", was_too_much=True)
    for _ in range(600):
        await bench.pulse.poll([KEY])

    assert bench.source.asked[-1][0] == prometheus.LOOKBACK


async def test_first_look_back_after_a_restart_reaches_to_the_checkpoint() -> None:
    bench, now = Bench(), time.time()
    saved = {"rollout": ROLLOUT, "evidenceSince": 0, "polledAt": now - 7200}
    saved |= {"counted": {"totals": {}, "live": [], "settled": []}}
    saved |= {"detectors": {}, "history": {}, "guards": {}}
    at = datetime.fromtimestamp(now - 7200, UTC).isoformat()
    bench.observer.seen.put(version(checkpoint={"rollout": ROLLOUT, "at": at, "ledger": saved}))
    bench.observer.seen.put(model())

    await bench.pulse.tick()

    assert bench.source.asked[0][0] == pytest.approx(7200 + pulse.MARGIN, abs=5)


async def test_look_back_is_as_long_as_those_need_who_take_the_poll() -> None:
    bench = Bench(model(), model("trains", interval="1h"))
    bench.source.answer = answers.Answer(at=time.time() - 1800)
    await bench.pulse.poll([KEY, ("ml", "trains")])
    bench.source.answer = answers.Answer(at=time.time())
    await bench.pulse.poll([KEY])
    await bench.pulse.poll([KEY])
    await bench.pulse.poll([KEY, ("ml", "trains")])

    asked = [lookback for lookback, _ in bench.source.asked]
    assert asked[2] == prometheus.LOOKBACK
    assert asked[3] == pytest.approx(1800 + pulse.MARGIN, abs=5)


async def test_pod_that_died_in_a_short_outage_has_its_last_words_read() -> None:
    bench = Bench(model())
    bench.source.answer = answers.Answer(at=time.time() - 540)
    await bench.pulse.poll([KEY])

    await bench.pulse.poll([KEY])
    assert bench.source.asked[1][0] == pytest.approx(540 + pulse.MARGIN, abs=5)


async def test_model_that_cannot_be_counted_is_said_once_and_makes_nobody_look_far_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(model())
    bench.source.answer = answers.Answer(at=time.time() - 7200)
    await bench.pulse.poll([KEY])

    def fail(*_: Any) -> bool:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(ledgers.Ledgers, "advance", fail)
    monkeypatch.setattr(ledgers.Ledgers, "open", fail)
    for _ in range(3):
        await bench.pulse.poll([KEY])

    assert len([line for line in caplog.records if "could not be counted" in line.message]) == 1
    assert bench.source.asked[-1][0] == prometheus.LOOKBACK


async def test_nothing_is_remembered_of_models_that_are_gone_where_nobody_looks() -> None:
    bench = Bench(model(), model("trains"))
    await bench.pulse.tick()
    bench.observer.seen.drop(model())
    bench.observer.seen.put(model("ships"))
    bench.pulse._take_due(time.monotonic())

    assert bench.observer.books.oldest([KEY]) is None
    assert KEY not in bench.pulse._due
    assert KEY not in bench.pulse._stale
    assert KEY not in bench.observer._scraped


async def test_warnings_of_prometheus_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(model())
    bench.source.answer = answers.Answer(at=time.time(), warnings=("a store is away",), dropped=3)
    for _ in range(3):
        await bench.pulse.poll([KEY])

    (line,) = [line.message for line in caplog.records if "Prometheus answers, but" in line.message]
    assert "a store is away; some samples" in line


async def test_scrape_of_a_clock_that_was_set_back_does_not_count_as_lately() -> None:
    bench = Bench(model())
    bench.serve()
    bench.source.counts(right=1)
    bench.source.answer.scraped[KEY] = time.time() + 86_400  # type: ignore[union-attr]
    bench.source.answer.at += 86_400  # type: ignore[union-attr]
    await bench.pulse.poll([KEY])
    bench.source.counts(right=1)
    bench.source.answer.scraped[KEY] = time.time() - 3600  # type: ignore[union-attr]
    await bench.pulse.poll([KEY])

    assert "has scraped no pod" in str(bench.observer.poll_of(KEY, datetime.now(UTC)).problem)


DRIFT = {"name": "inputs", "type": "FeatureDrift", "window": "60s", "falseAlarmEvery": "100h"}


class Windows:
    """What the source says of windows: `moved` of them, or an error."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.clock = bench, 1_000_000.0
        self.error: prometheus.Unanswered | None = None
        self.moved, self.is_whole = False, True
        self.asked: list[questions.Question] = []
        bench.source.windows = self.windows  # type: ignore[attr-defined]

    async def windows(self, question: questions.Question) -> dict[answers.Place, watch.Window]:
        self.asked.append(question)
        if self.error is not None:
            raise self.error
        live = {"low": 900, "high": 100} if self.moved else {"low": 500, "high": 500}
        feature = drift.Feature("wind", {"low": 500, "high": 500}, live)
        return {place: watch.Window(self.is_whole, (feature,)) for place in question.places}

    async def after(self, seconds: float, *keys: tuple[str, str]) -> None:
        """A poll of these models, so much later on Prometheus's clock."""
        self.clock += seconds
        scraped = {key: time.time() for key in keys or (KEY,)}
        self.bench.source.answer = answers.Answer(at=time.time(), scraped=scraped, moment=f"{self.clock:.3f}")
        self.bench.added.clear()
        await self.bench.pulse.poll(list(keys or (KEY,)))

    def state(self, name: str = "flights") -> watch.State:
        """The present one."""
        (book,) = self.bench.observer.books._books["ml", name].values()
        return book.kept.drift["inputs"]


def drifting(name: str = "flights") -> Object:
    """A ModelDeployment that watches its inputs."""
    made = model(name)
    made["spec"]["monitoring"]["signals"].append(DRIFT)
    return made


async def test_window_is_read_once_when_it_has_ended_and_its_model_is_looked_at() -> None:
    bench = Bench(drifting())
    windows = Windows(bench)
    await windows.after(0)
    begun = windows.state().begun_at
    assert bench.added == [KEY]
    await windows.after(30)
    assert (windows.asked, bench.added) == ([], [])

    windows.moved = True
    await windows.after(60)
    await windows.after(10)
    assert windows.asked == [
        questions.Question(begun, begun + 60, watch.Kind.INPUTS, frozenset({(*KEY, ROLLOUT)}))
    ]
    said = windows.state().said
    assert said is not None
    assert said.drifted == ("wind",)
    assert bench.observer.books.due(time.time()), "it goes to the checkpoint"


async def test_window_that_began_before_a_restart_is_read_after_it() -> None:
    before = Windows(Bench(drifting()))
    await before.after(0)
    begun = before.state().begun_at
    (due,) = before.bench.observer.books.due(time.time(), everything=True)

    bench = Bench()
    bench.observer.seen.put(version(checkpoint=due.checkpoint.to_object()))
    bench.observer.seen.put(drifting())
    after = Windows(bench)
    await after.after(90)
    assert [(question.begin, question.end) for question in after.asked] == [(begun, begun + 60)]


async def test_model_without_a_signal_of_drift_is_never_asked_about() -> None:
    bench = Bench(model())
    windows = Windows(bench)
    for _ in range(5):
        await windows.after(100)

    assert windows.asked == []


async def test_fleet_is_read_a_few_models_at_a_poll_and_nobody_is_forgotten() -> None:
    names = [f"m{number}" for number in range(3 * pulse.AT_ONCE)]
    keys = [("ml", name) for name in names]
    bench = Bench(*(drifting(name) for name in names))
    windows = Windows(bench)
    await windows.after(0, *keys)
    await windows.after(80, *keys)
    assert len(windows.asked) == 1
    assert len(bench.added) == pulse.AT_ONCE
    for _ in range(2):
        await windows.after(1, *keys)

    assert {place[1] for question in windows.asked for place in question.places} == set(names)
    assert len({(question.begin, question.end) for question in windows.asked}) == 1


async def test_window_that_is_too_much_is_asked_for_fewer_models_after_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [("ml", f"m{number}") for number in range(pulse.AT_ONCE)]
    bench = Bench(*(drifting(name) for _, name in keys))
    windows = Windows(bench)
    await windows.after(0, *keys)
    windows.error = prometheus.Unanswered("too large", was_too_much=True)
    await windows.after(80, *keys)
    await windows.after(1, *keys)
    assert len(windows.asked) == 1
    assert bench.figures.problems[-1] is None, "the poll itself went well"

    monkeypatch.setattr(pulse, "REST", 0.0)
    bench.pulse._rests_until = 0.0
    for _ in range(5):
        await windows.after(1, *keys)
    windows.error = None
    await windows.after(1, *keys)
    await windows.after(1, *keys)
    assert [len(question.places) for question in windows.asked] == [8, 4, 2, 1, 1, 1, 1, 2]


async def test_refusal_that_was_not_too_much_asks_for_as_many_again() -> None:
    bench = Bench(drifting())
    windows = Windows(bench)
    await windows.after(0)
    windows.error = prometheus.Unanswered("away")
    await windows.after(80)

    assert bench.pulse._at_once == pulse.AT_ONCE


async def test_window_begins_when_pods_are_scraped_and_is_dropped_when_its_begin_is_forgotten() -> None:
    bench = Bench(drifting())
    windows = Windows(bench)
    bench.source.answer = answers.Answer(at=time.time(), moment="999999.0")
    await bench.pulse.poll([KEY])
    (book,) = bench.observer.books._books[KEY].values()
    assert book.kept.drift == {}

    await windows.after(0)
    windows.is_whole = False
    await windows.after(80)
    assert (windows.state().said, windows.state().lost) == (None, watch.Lost.FORGOTTEN)


async def test_model_that_is_gone_when_its_window_is_read_disturbs_nobody() -> None:
    bench = Bench(drifting())
    windows = Windows(bench)
    await windows.after(0)
    question = questions.Question(
        0.0, 60.0, watch.Kind.INPUTS, frozenset({(*KEY, "gone-1"), (*KEY, ROLLOUT)})
    )
    state = windows.state()

    assert bench.observer.books.judge(question, await windows.windows(question)) == {KEY}
    assert windows.state() == state, "it is of another window"


async def test_labels_are_asked_for_by_class_where_a_signal_is_about_single_classes() -> None:
    recall = model("trains")
    recall["spec"]["monitoring"]["signals"] = [{"name": "found", "type": "Recall", "minimum": 0.8}]
    for models, by_class in (([model()], False), ([model(), recall], True)):
        bench = Bench(*models)
        await bench.pulse.tick()
        assert bench.source.by_class == [by_class]


def own_model(name: str = "flights") -> Object:
    """One with a server of the user's own."""
    made = model(name, guards={"p99Latency": "200ms"})
    made["spec"]["serving"]["template"] = {"image": "server:1"}
    made["spec"]["retraining"] = {"trainer": {"template": {"image": "trainer:1"}}}
    made["spec"]["monitoring"]["metrics"] = {
        "requests": {"name": "http_requests_total", "code": "status"},
        "outcomes": {"correct": "correct_total", "total": "labelled_total"},
        "latency": "http_seconds",
    }
    return made


async def test_counters_of_own_servers_are_asked_for_by_their_names_and_ours_by_none_of_theirs() -> None:
    bench = Bench(own_model(), model("trains"))
    await bench.pulse.tick()
    assert bench.source.own is not None
    assert set(bench.source.own) == {("ml", "flights")}
    assert bench.source.own["ml", "flights"].limit == 0.2
    assert bench.source.asked[0][1] == frozenset()


async def test_own_counters_that_cannot_be_read_are_unknown_to_their_model_and_nobody_elses_trouble() -> None:
    bench = Bench(own_model(), model("trains"))
    bench.source.counts(90, 10)
    await bench.pulse.poll([("ml", "flights"), ("ml", "trains")])
    assert isinstance(bench.source.answer, answers.Answer)
    counted = bench.observer.books.oldest([KEY])
    before = bench.observer.poll_of_mapped.at

    bench.source.counts(180, 20, at=time.time() + 60)
    bench.source.answer.unread = "counters of servers of the users' own were not read: too many"
    await bench.pulse.poll([("ml", "flights"), ("ml", "trains")])

    assert bench.observer.books.oldest([KEY]) == counted
    assert bench.observer.books.oldest([("ml", "trains")]) != counted
    assert bench.observer.poll_of_mapped == observed.Poll(at=before, problem=bench.source.answer.unread)
    assert bench.observer.poll.problem is None
    now = datetime.now(UTC)
    assert bench.observer.poll_of(KEY, now).problem == bench.source.answer.unread
    assert bench.observer.poll_of(("ml", "trains"), now).problem is None


async def test_prometheus_that_is_gone_is_gone_for_own_servers_too() -> None:
    bench = Bench(own_model())
    bench.source.answer = prometheus.Unanswered("Prometheus is gone")
    await bench.pulse.poll([KEY])
    assert bench.observer.poll_of(KEY, datetime.now(UTC)).problem == "Prometheus is gone"


async def test_queries_are_asked_of_whom_a_poll_was_taken_and_of_nobody_after_one_that_failed() -> None:
    bench = Bench(model())
    polled: list[tuple[str, str]] = []
    bench.pulse.polled = polled.extend
    await bench.pulse.poll([KEY])
    assert polled == [KEY]

    bench.source.answer = prometheus.Unanswered("Prometheus at x cannot be reached")
    await bench.pulse.poll([KEY])
    assert polled == [KEY]
