"""Labels by class in a ledger: small, counted once, and begun anew when signals come to ask for others."""

import json
from dataclasses import replace

import pytest

from modelmend.evidence import confusion, counts, family, ledger, pairblocks, paired, tables

CLASSES = ("a", "b", "yes")
RECALL = family.Signal(family.Metric.RECALL, 0.8, 1, 1000, CLASSES, "yes")
PRECISION = replace(RECALL, metric=family.Metric.PRECISION, positive_class="a")
BALANCED = replace(RECALL, metric=family.Metric.BALANCED_ACCURACY, positive_class=None)
ACCURACY = family.Signal(family.Metric.ACCURACY, 0.8, 1, 1000)
NEW = ledger.Ledger("a-1", evidence_since=0.0)


def terms(*asked: family.Signal, **more: object) -> ledger.Terms:
    signals = tuple(
        ledger.SignalTerms(f"{signal.metric}-{signal.positive_class}", signal, 60.0) for signal in asked
    )
    return ledger.Terms(0.0, 0.0, signals, **more)  # type: ignore[arg-type]


def reading(at: float, **processes: dict[tuple[str, str], float] | tuple[int, int]) -> ledger.Reading:
    """By process: (predicted, actual) -> rows; or (right, wrong) of a server that tells no classes."""
    counters: dict[str, dict[str, float]] = {}
    for process, told in processes.items():
        if isinstance(told, tuple):
            counters[process] = {"right": told[0], "wrong": told[1]}
            continue
        right = sum(rows for (predicted, actual), rows in told.items() if predicted == actual)
        cells = {confusion.result_name(*cell): rows for cell, rows in told.items()}
        counters[process] = {"right": right, "wrong": sum(told.values()) - right, **cells}
    return ledger.Reading(at, counters)


def seen(book: ledger.Ledger, name: str = "recall-yes") -> counts.Tally:
    return book.detectors[name].detected.seen


WIDE = {(said, true): 10.0 for said in CLASSES for true in CLASSES}


def test_only_the_cells_that_signals_ask_for_are_kept() -> None:
    book, new = ledger.advance(NEW, reading(1, p=WIDE), terms(RECALL))

    assert seen(book) == counts.Tally(30, 20)
    assert len([name for name in book.counted.totals if confusion.is_cell(name)]) == 5
    assert new["right"] == 30
    assert not ledger.advance(NEW, reading(1, p=WIDE), terms(ACCURACY))[0].counted.totals.keys() - {
        "right",
        "wrong",
    }


def test_accuracy_counts_servers_that_tell_no_classes_and_recall_those_that_do() -> None:
    book, _ = ledger.advance(NEW, reading(1, old=(90, 10), p=WIDE), terms(RECALL, ACCURACY))

    assert seen(book, "accuracy-None") == counts.Tally(190, 70)
    assert seen(book) == counts.Tally(30, 20)
    assert not book.lacks_classes
    only, _ = ledger.advance(NEW, reading(1, old=(90, 10)), terms(RECALL))
    assert only.lacks_classes
    assert not ledger.advance(NEW, reading(1, old=(0, 0)), terms(RECALL))[0].lacks_classes


def test_labels_from_before_a_signal_asked_for_its_class_are_not_new() -> None:
    before, _ = ledger.advance(NEW, reading(1, p=WIDE), terms(ACCURACY))
    more = {cell: rows + 1 for cell, rows in WIDE.items()}
    joined, _ = ledger.advance(before, reading(2, p=more), terms(RECALL, ACCURACY))
    assert seen(joined) == counts.Tally()
    assert seen(joined, "accuracy-None") == counts.Tally(99, 66)
    assert joined.shown("recall-yes", RECALL).n == 0

    yet_more = {cell: rows + 1 for cell, rows in more.items()}
    after, _ = ledger.advance(joined, reading(3, p=yet_more, fresh=WIDE), terms(RECALL, ACCURACY))
    assert seen(after) == counts.Tally(33, 22)
    assert confusion.false_negatives(after.shown("recall-yes", RECALL), "yes") == counts.Tally(33, 22)


def test_a_further_class_leaves_the_others_detectors_as_they_are() -> None:
    before, _ = ledger.advance(NEW, reading(1, p=WIDE), terms(RECALL))
    more = {cell: rows + 1 for cell, rows in WIDE.items()}
    joined, _ = ledger.advance(before, reading(2, p=more), terms(RECALL, PRECISION))
    after, _ = ledger.advance(
        joined, reading(3, p={cell: rows + 1 for cell, rows in more.items()}), terms(RECALL, PRECISION)
    )

    assert seen(joined) == counts.Tally(30, 20), "one poll is lost: its cells are where counting begins"
    assert seen(after) == counts.Tally(33, 22)
    assert seen(after, "precision-a") == counts.Tally(3, 2)


def test_another_measure_under_the_same_name_begins_anew() -> None:
    book, _ = ledger.advance(NEW, reading(1, p=WIDE), terms(RECALL))
    other = replace(RECALL, positive_class="a")
    renamed = ledger.Terms(0.0, 0.0, (ledger.SignalTerms("recall-yes", other, 60.0),))

    assert book.votes("recall-yes", other).detected.seen.n == 0
    assert book.shown("recall-yes", other).n == 0
    after, _ = ledger.advance(book, reading(2, p=WIDE), renamed)
    assert seen(after) == counts.Tally()


def test_values_that_are_no_counts_are_no_cells() -> None:
    odd = {("yes", "yes"): float("nan"), ("a", "yes"): -3.0, ("b", "yes"): 4.0}
    counters = {"p": {"wrong": 4.0, **{confusion.result_name(*cell): rows for cell, rows in odd.items()}}}

    assert seen(ledger.advance(NEW, ledger.Reading(1, counters), terms(RECALL))[0]) == counts.Tally(4, 4)


def test_a_process_that_is_away_when_cells_begin_is_left_as_it_is() -> None:
    away = counts.Checkpoint(live={"p": {"right": 5}, "q": {"right": 0}})

    assert tables.joined(away, {}) == away


@pytest.mark.parametrize("signals", [(RECALL,), (BALANCED, ACCURACY), (replace(BALANCED, block=3600.0),)])
def test_a_restart_at_any_poll_changes_no_verdict(signals: tuple[family.Signal, ...]) -> None:
    pairing = ledger.Pairing(0.05, 3600.0)
    asked = terms(*signals, pairing=pairing)
    steady = restarted = NEW
    for poll in range(1, 30):
        grown = {cell: rows * poll for cell, rows in WIDE.items()}
        now = reading(1000.0 * poll, p=grown)
        now = replace(
            now, counters={"p": {**now.counters["p"], "candidate_only_wrong": poll, "both_right": 9 * poll}}
        )
        steady, _ = ledger.advance(steady, now, asked)
        restarted, _ = ledger.advance(
            ledger.Ledger.from_json(json.loads(json.dumps(restarted.to_json()))), now, asked
        )
    assert restarted == steady
    assert steady.blocks is not None
    assert steady.blocks.votes > 5
    for signal in signals:
        name = f"{signal.metric}-{signal.positive_class}"
        assert steady.shown(name, signal).n


def test_pairs_vote_by_blocks_of_the_length_that_is_asked_for_now() -> None:
    def pairs(at: float, number: int) -> ledger.Reading:
        return ledger.Reading(at, {"p": {"candidate_only_wrong": number, "both_right": 9 * number}})

    begin = 500_000 * 3600.0
    hourly, daily = (
        ledger.Terms(0.0, 0.0, pairing=ledger.Pairing(0.05, length)) for length in (3600.0, 86_400.0)
    )
    book, _ = ledger.advance(NEW, pairs(begin, 1), hourly)
    assert book.blocks == pairblocks.State(margin=0.05, gathered=paired.Paired(1, 0, 9), block=500_000)
    longer, _ = ledger.advance(book, pairs(begin + 10, 2), daily)
    voted, _ = ledger.advance(longer, pairs(begin + 86_400, 2), daily)
    assert longer.blocks is not None
    assert voted.blocks is not None
    assert (longer.blocks.votes, voted.blocks.votes) == (0, 1)
    assert ledger.advance(voted, pairs(begin + 86_500, 3), ledger.Terms(0.0, 0.0))[0].blocks is None


def test_checkpoint_from_before_there_were_other_signals_goes_on() -> None:
    saved = {
        "rollout": "a-1",
        "evidenceSince": 0.0,
        "counted": {"totals": {"right": 90, "wrong": 10}, "live": [{"process": "p", "values": {"right": 90, "wrong": 10}}], "settled": []},
        "polledAt": 10.0,
        "labelsAt": 10.0,
        "requestsAt": None,
        "detectors": {
            "accuracy-None": {
                "share": 0.2, "logs": [0.1, 0.2, 0.3, 0.4, 0.5], "seen": {"n": 100, "bad": 10}, "run": {"n": 0, "bad": 0},
                "breached": False,
            }
        },
        "history": {"accuracy-None": [[10.0, 0, 0]], "empty": None},
        "guards": {},
    }  # fmt: skip
    book = ledger.Ledger.from_json(saved)
    assert book.votes("accuracy-None", ACCURACY).detected.logs == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert confusion.wrong(book.shown("accuracy-None", ACCURACY)) == counts.Tally(100, 10)

    more = {cell: rows * 3 for cell, rows in WIDE.items()}
    after, _ = ledger.advance(book, reading(20, p=more), terms(RECALL, ACCURACY))
    assert seen(after, "accuracy-None").n == 100 + 270 - 100
    assert seen(after) == counts.Tally(), "what it had counted before is not new"
