"""What was counted survives a restart, is written seldom, and belongs to one life of one version."""

import time
from collections import defaultdict
from typing import Any

from modelmend.api import resources
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
    assert after.oldest() == now
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
    books.advance(model("12345678-1"), (version(),), answer(time.time()))
    books.advance(model("12345678-9"), (version(),), answer(time.time()))

    books.forget(KEY, keep=model("12345678-9"))
    assert books.of(model("12345678-1")) == {}
    assert list(books.of(model("12345678-9"))) == ["12345678-9"]
    books.forget(KEY)
    assert books.oldest() is None
