"""What was counted survives a restart, is written seldom, and belongs to one life of one version."""

import json
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

from modelmend.api import resources
from modelmend.evidence import confusion, counts, drift, query, watch
from modelmend.observe import answers, ledgers

KEY = ("ml", "flights")
Object = dict[str, Any]


def model(rollout: str = "12345678-1", candidate: Object | None = None) -> resources.ModelDeployment:
    """A ModelDeployment that serves flights-v1."""
    status: Object = {
        "stable": {
            "version": "flights-v1",
            "digest": "sha256:" + "a" * 64,
            "uri": "s3://m",
            "rollout": rollout,
            "since": "2026-01-01T00:00:00Z",
        }
    }
    if candidate is not None:
        status["candidate"] = {
            "version": "flights-v2",
            "digest": "sha256:" + "b" * 64,
            "uri": "s3://m2",
            "phase": "Canary",
            "trigger": "Breach",
            "since": "2026-01-02T00:00:00Z",
            "started": "2026-01-02T00:00:00Z",
            **candidate,
        }
    return resources.ModelDeployment.parse(
        {
            "metadata": {"name": "flights", "namespace": "ml", "uid": "12345678-0000"},
            "spec": {
                "model": {"uri": "s3://models/flights/v0"},
                "storage": {"uri": "s3://ml/flights"},
                "serving": {
                    "gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}
                },
                "monitoring": {"signals": [{"name": "accuracy", "minimum": 0.8}]},
            },
            "status": status,
        }
    )


def version(
    checkpoint: resources.Checkpoint | None = None, name: str = "flights-v1"
) -> resources.ModelVersion:
    """Its ModelVersion."""
    return resources.ModelVersion.parse(
        {
            "metadata": {"name": name, "namespace": "ml", "uid": name},
            "spec": {
                "deployment": "flights",
                "number": 1,
                "uri": "s3://m",
                "digest": "sha256:" + "a" * 64,
                "trigger": "Install",
                "because": "x",
                "createdAt": "2026-01-01T00:00:00Z",
                "image": "r",
            },
            "status": {} if checkpoint is None else {"checkpoint": checkpoint.to_object()},
        }
    )


def answer(at: float, **counted: dict[str, float]) -> answers.Answer:
    """Counters of one process, by rollout (with _ for -)."""
    counters: Any = defaultdict(lambda: defaultdict(dict))
    for rollout, results in counted.items():
        counters[(*KEY, rollout.removeprefix("r").replace("_", "-"))]["p1"] = results
    return answers.Answer(at=at, counters=counters)


def test_restart_goes_on_from_the_checkpoint_and_counts_nothing_twice() -> None:
    before, now = ledgers.Ledgers(), time.time()
    before.advance(model(), (version(),), answer(now, r12345678_1={"right": 90.0, "wrong": 10.0}))
    (due,) = before.due(now)

    after = ledgers.Ledgers()
    versions = (version(due.checkpoint),)
    after.open(model(), versions)
    assert after.of(model())["12345678-1"] == before.of(model())["12345678-1"]
    assert after.oldest([KEY]) == now
    assert after.oldest([("ml", "trains")]) is None
    after.advance(model(), versions, answer(now + 30, r12345678_1={"right": 95.0, "wrong": 10.0}))
    assert after.of(model())["12345678-1"].labels.n == 105


def test_checkpoint_of_another_life_is_not_taken_up() -> None:
    before, now = ledgers.Ledgers(), time.time()
    before.advance(model(), (version(),), answer(now, r12345678_1={"right": 90.0}))
    (due,) = before.due(now)

    after = ledgers.Ledgers()
    after.open(model("12345678-7"), (version(due.checkpoint),))
    assert after.of(model("12345678-7"))["12345678-7"].labels.n == 0


def test_checkpoint_of_another_making_is_not_taken_up_and_stops_nothing() -> None:
    garbage = resources.Checkpoint.model_validate(
        {"rollout": "12345678-1", "at": "2026-01-01T00:00:00Z", "ledger": {"x": 1}}
    )
    after = ledgers.Ledgers()

    after.open(model(), (version(garbage),))

    assert after.of(model())["12345678-1"].labels.n == 0


def test_checkpoint_is_due_when_numbers_moved_and_not_again_within_minutes() -> None:
    books, now = ledgers.Ledgers(), time.time()
    assert books.due(now) == []
    books.advance(model(), (version(),), answer(now))
    assert books.due(now, everything=True) == []

    books.advance(model(), (version(),), answer(now + 1, r12345678_1={"right": 5.0}))
    (due,) = books.due(now + 1)
    books.saved(due, now + 1)
    books.advance(model(), (version(),), answer(now + 2, r12345678_1={"right": 6.0}))
    assert books.due(now + 100) == []
    assert len(books.due(now + 100, everything=True)) == 1
    assert len(books.due(now + 1 + ledgers.EVERY)) == 1


def test_requests_without_labels_are_saved_in_a_rollout_only() -> None:
    books, now = ledgers.Ledgers(), time.time()
    books.advance(model(), (version(),), answer(now, r12345678_1={"answered": 5.0}))
    assert books.due(now, everything=True) == []

    beside = {"rollout": "12345678-2", "champion": "flights-v1", "championRollout": "12345678-1"}
    books.advance(
        model(candidate=beside),
        (version(), version(name="flights-v2")),
        answer(now + 1, r12345678_1={"answered": 6.0}),
    )
    assert [due.version for due in books.due(now + 1, everything=True)] == ["flights-v1"]


def test_numbers_that_moved_while_a_checkpoint_was_written_stay_due() -> None:
    books, now = ledgers.Ledgers(), time.time()
    books.advance(model(), (version(),), answer(now, r12345678_1={"right": 5.0}))
    (due,) = books.due(now)
    books.advance(model(), (version(),), answer(now + 1, r12345678_1={"right": 6.0}))
    books.saved(due, now + 1)

    assert len(books.due(now + 1 + ledgers.EVERY)) == 1


def test_candidate_is_set_beside_what_its_champion_did_at_the_same_poll() -> None:
    owner = model(
        candidate={"rollout": "12345678-4", "champion": "flights-v1", "championRollout": "12345678-1"}
    )
    versions = (version(), version(name="flights-v2"))
    books, now = ledgers.Ledgers(), time.time()

    moved = books.advance(
        owner,
        versions,
        answer(
            now,
            r12345678_1={"answered": 100.0},
            r12345678_4={"answered": 50.0, "failed": 50.0, "both_right": 7.0},
        ),
    )

    candidate = books.of(owner)["12345678-4"]
    assert moved
    assert candidate.pairs.n == 7
    assert candidate.guarded["errors"].own.seen.n == 100
    assert candidate.guarded["errors"].beside.n == 100


def test_ledgers_that_no_status_names_are_let_go() -> None:
    books = ledgers.Ledgers()
    books.open(model("12345678-1"), (version(),))
    books.open(model("12345678-9"), (version(),))

    books.forget(KEY, keep=model("12345678-9"))
    assert books.of(model("12345678-1")) == {}
    assert list(books.of(model("12345678-9"))) == ["12345678-9"]
    books.forget(KEY)
    assert books.oldest([KEY]) is None


def test_replica_that_only_counts_lets_old_rollouts_go_as_well() -> None:
    books, now = ledgers.Ledgers(), time.time()
    books.advance(model("12345678-1"), (version(),), answer(now - 7200))
    books.advance(model("12345678-9"), (version(),), answer(now))

    assert books.of(model("12345678-1")) == {}
    assert books.oldest([KEY]) == now


def test_version_that_has_not_been_seen_has_no_ledger_that_begins_at_zero() -> None:
    """Its checkpoint has not been seen either: what was counted and judged long ago would pass for new."""
    before, now = ledgers.Ledgers(), time.time()
    before.advance(model(), (version(),), answer(now, r12345678_1={"right": 90.0, "wrong": 10.0}))
    (due,) = before.due(now)

    after = ledgers.Ledgers()
    assert not after.advance(model(), (), answer(now + 30, r12345678_1={"right": 90.0, "wrong": 10.0}))
    assert after.of(model()) == {}
    moved = after.advance(
        model(), (version(due.checkpoint),), answer(now + 60, r12345678_1={"right": 90.0, "wrong": 10.0})
    )
    assert not moved
    assert after.of(model())["12345678-1"].labels.n == 100


def test_clock_that_is_set_back_stops_no_counting() -> None:
    books, now = ledgers.Ledgers(), time.time()
    ahead = now + 86_400
    books.advance(model(), (version(),), answer(ahead, r12345678_1={"right": 50.0}))
    books.advance(model(), (version(),), answer(ahead + 30, r12345678_1={"right": 90.0}))

    assert books.advance(model(), (version(),), answer(now, r12345678_1={"right": 90.0, "wrong": 10.0}))
    kept = books.of(model())["12345678-1"]
    assert (kept.labels.n, kept.labels.bad, kept.polled_at, kept.labels_at) == (100, 10, now, now)
    assert all(snapshot.at <= now for snapshots in kept.history.values() for snapshot in snapshots)
    books.saved(books.due(now, everything=True)[0], ahead)
    books.advance(model(), (version(),), answer(now + 1, r12345678_1={"right": 91.0}))
    assert len(books.due(now + 1)) == 1


def test_checkpoint_that_is_refused_is_not_tried_again_at_once() -> None:
    books, now = ledgers.Ledgers(), time.time()
    books.advance(model(), (version(),), answer(now, r12345678_1={"right": 5.0}))
    (due,) = books.due(now)

    books.refused(due, now)
    assert books.due(now + ledgers.RETRY - 1) == []
    assert len(books.due(now + ledgers.RETRY)) == 1


def test_restart_does_not_make_every_checkpoint_due_at_once() -> None:
    before, now = ledgers.Ledgers(), time.time()
    before.advance(model(), (version(),), answer(now, r12345678_1={"right": 90.0}))
    (due,) = before.due(now)

    after, versions = ledgers.Ledgers(), (version(due.checkpoint),)
    after.advance(model(), versions, answer(now + 5, r12345678_1={"right": 91.0}))
    assert after.due(now + 5) == []
    assert len(after.due(now + ledgers.EVERY)) == 1


RECALL = {"name": "found", "type": "Recall", "positiveClass": "yes", "minimum": 0.8, "minLabels": 1}
HOURLY = {"name": "hourly", "minimum": 0.8, "minLabels": 1, "block": "1h", "falseAlarmEvery": "3h"}


def watching(*signals: Object) -> resources.ModelDeployment:
    owner = model()
    wanted = {"monitoring": {"signals": list(signals)}}
    body = {**owner.spec.model_dump(mode="json", by_alias=True, exclude_none=True), **wanted}
    return resources.ModelDeployment.parse(
        {**owner.model_dump(mode="json", by_alias=True, exclude_none=True), "spec": body}
    )


def test_checkpoint_holds_only_the_classes_that_signals_ask_for() -> None:
    books, now = ledgers.Ledgers(), time.time()
    spec = version().spec.model_copy(update={"classes": (*(f"c{n}" for n in range(29)), "yes")})
    known = version().model_copy(update={"spec": spec})
    cells = {confusion.result_name(a, b): 1.0 for a in spec.classes for b in spec.classes}
    counted = {"right": 30.0, "wrong": 870.0, **cells}

    assert books.advance(watching(RECALL), (known,), answer(now, r12345678_1=counted))
    (due,) = books.due(now)

    assert len(json.dumps(due.checkpoint.ledger)) < 1500
    book = books.of(watching(RECALL))["12345678-1"]
    assert book.detectors["found"].detected.seen == counts.Tally(30, 29)


def test_block_that_ends_in_silence_asks_for_a_look() -> None:
    books, hour = ledgers.Ledgers(), 3600.0
    owner, begin = watching(HOURLY), 500_000 * 3600.0
    some = {"right": 5.0, "wrong": 5.0}

    assert books.advance(owner, (version(),), answer(begin + 60, r12345678_1=some))
    assert not books.advance(owner, (version(),), answer(begin + 90, r12345678_1=some))
    assert books.advance(owner, (version(),), answer(begin + hour, r12345678_1=some))
    assert books.of(owner)["12345678-1"].detectors["hourly"].detected.seen.n == 10


def test_clock_that_is_set_back_does_not_keep_a_block_open_until_it_has_caught_up() -> None:
    books, hour = ledgers.Ledgers(), 3600.0
    owner, begin = watching(HOURLY), 500_000 * 3600.0

    books.advance(owner, (version(),), answer(begin + 9 * hour, r12345678_1={"right": 5.0}))
    books.advance(owner, (version(),), answer(begin, r12345678_1={"right": 6.0}))
    books.advance(owner, (version(),), answer(begin + hour, r12345678_1={"right": 6.0}))

    assert books.of(owner)["12345678-1"].detectors["hourly"].detected.seen.n == 6


MOVING = {"name": "inputs", "type": "FeatureDrift", "window": "60s", "falseAlarmEvery": "100h"}


def test_window_that_was_judged_is_saved_though_no_label_ever_comes() -> None:
    books, now = ledgers.Ledgers(), time.time()
    owner, silent = watching(MOVING), {"requests": 5.0}

    def poll(at: float) -> None:
        found = answer(at, r12345678_1=silent)
        found = replace(found, scraped={owner.key: at}, moment=f"{at:.3f}")
        books.advance(owner, (version(),), found)

    poll(now)
    (due,) = books.due(now)
    books.saved(due, now)
    poll(now + 100)
    assert books.due(now + 2 * ledgers.EVERY) == []
    question = books.ended((owner.key,), now + 100, 8)
    assert question is not None
    moved = drift.Feature("wind", {"low": 500, "high": 500}, {"low": 900, "high": 100})
    window = watch.Window(True, (moved,))
    assert books.judge(question, dict.fromkeys(question.places, window)) == {owner.key}

    (due,) = books.due(now + 2 * ledgers.EVERY)
    assert due.checkpoint.ledger["drift"]["inputs"]["said"]["drifted"] == ["wind"]


def querying(**more: Any) -> resources.ModelDeployment:
    """A ModelDeployment with a query."""
    text = 'sum(refunds{model="$name", namespace="$namespace", version="$version"})'
    return watching({"name": "refunds", "type": "Query", "query": text, "above": 12, **more})


def opened(
    owner: resources.ModelDeployment, checkpoint: resources.Checkpoint | None = None
) -> ledgers.Ledgers:
    books = ledgers.Ledgers()
    books.open(owner, (version(checkpoint),))
    return books


def test_query_is_filled_in_with_what_serves() -> None:
    (question,) = opened(querying()).questions(querying())

    assert question.text == 'sum(refunds{model="flights", namespace="ml", version="flights-v1"})'
    assert (question.key, question.rollout, question.asked.name) == (KEY, "12345678-1", "refunds")


def test_query_that_cannot_be_asked_says_why_instead() -> None:
    owner = querying(query="sum($name)")
    (question,) = opened(owner).questions(owner)

    assert question.text is None
    assert (question.error or "").startswith("its query cannot be asked: $name stands outside of quotes")


def test_nothing_is_asked_of_what_does_not_serve_or_was_not_seen() -> None:
    owner = querying()

    assert ledgers.Ledgers().questions(owner) == []
    bare = owner.model_copy(update={"status": owner.status.model_copy(update={"stable": None})})
    assert opened(owner).questions(bare) == []
    assert opened(model()).questions(model()) == []


def test_answer_that_says_something_new_asks_for_a_look() -> None:
    owner, answer = querying(), query.Answer
    books = opened(owner)
    (question,) = books.questions(owner)

    looks = [
        books.answered(question, answer((number,)), 1000.0 + place)
        for place, number in enumerate((3.0, 3.1, 13.0, 13.1, 3.0))
    ]
    assert looks == [True, False, True, False, True]
    assert books.of(owner)["12345678-1"].queries["refunds"].answer == answer((3.0,))
    assert not ledgers.Ledgers().answered(question, answer((3.0,)), 1000.0), "its model is gone"


def test_query_writes_no_checkpoint_but_for_a_time_that_must_outlive_a_restart() -> None:
    quick, slow = querying(), querying(**{"for": "10m"})
    for owner, saved in ((quick, False), (slow, True)):
        books = opened(owner)
        (question,) = books.questions(owner)
        for at in range(1000, 1600, 30):
            books.answered(question, query.Answer((3.0,)), float(at))
        assert books.due(1600.0, everything=True) == []
        books.answered(question, query.Answer((13.0,)), 1600.0)
        assert bool(books.due(1631.0)) is saved


def test_restart_stops_no_clock_of_a_query_and_an_end_that_was_saved_stays_one() -> None:
    owner = querying(**{"for": "10m"})
    books = opened(owner)
    (question,) = books.questions(owner)
    at = 1000.0
    while at <= 1590.0:
        books.answered(question, query.Answer((13.0,)), at)
        for due in books.due(at):
            last = due.checkpoint
            books.saved(due, at)
        at += 30

    again = opened(owner, last)
    again.answered(question, query.Answer((14.0,)), at)
    state = again.of(owner)["12345678-1"].queries["refunds"]
    assert state.since == 1000.0
    assert query.judge(question.asked, state, at).verdict is query.verdict.Verdict.BREACHED

    books.answered(question, query.Answer((3.0,)), at)
    (due,) = books.due(at + ledgers.FLIPPED + 1)
    assert opened(owner, due.checkpoint).of(owner)["12345678-1"].queries["refunds"].since is None
    books.saved(due, at)
    assert books.due(at, everything=True) == []


def test_query_that_is_gone_from_spec_is_gone_from_the_ledger() -> None:
    owner = querying()
    books = opened(owner)
    (question,) = books.questions(owner)
    books.answered(question, query.Answer((3.0,)), 1000.0)
    books.questions(model())

    assert books.of(owner)["12345678-1"].queries == {}
