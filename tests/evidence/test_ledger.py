"""The ledger of one rollout: what a poll adds, what a restart of the operator or of the evidence keeps."""

import json
from dataclasses import replace

import pytest

from modelmend.contract import metrics
from modelmend.evidence import (
    confusion,
    counts,
    detector,
    family,
    guards,
    ledger,
    paired,
    regression,
    voting,
    watch,
)

ACCURACY = family.Signal(family.Metric.ACCURACY, minimum=0.9, min_labels=100, alarm=1000)
SIGNAL = ledger.SignalTerms("accuracy", ACCURACY, window=60.0)
TERMS = ledger.Terms(evidence_since=0.0, mature_at=0.0, signals=(SIGNAL,))
GUARDED = replace(
    TERMS,
    guarded={
        ledger.ERRORS: guards.Guard("error rate", detector.Limit(0.01, 1000), 0.05),
        ledger.SLOW: guards.Guard("share of requests over 200ms", detector.Limit(0.01, 1000), 0.05),
    },
)
NEW = ledger.Ledger("a-1", evidence_since=0.0)


def labels(at: float, right: int, wrong: int) -> ledger.Reading:
    return ledger.Reading(at, {"p": {metrics.Evidence.RIGHT: right, metrics.Evidence.WRONG: wrong}})


def mistakes(book: ledger.Ledger) -> counts.Tally:
    """Labels of the window, wrong ones as bad."""
    return confusion.wrong(book.shown("accuracy", ACCURACY))


def test_poll_counts_labels_and_feeds_the_detector() -> None:
    after, new = ledger.advance(NEW, labels(10, 90, 10), TERMS)
    assert new == {"right": 90, "wrong": 10}
    assert after.labels == counts.Tally(100, 10)
    assert after.detectors["accuracy"].detected.seen == counts.Tally(100, 10)
    assert after.labels_at == after.polled_at == 10


def test_reading_that_is_not_newer_changes_nothing() -> None:
    once, _ = ledger.advance(NEW, labels(10, 90, 10), TERMS)
    again, new = ledger.advance(once, labels(10, 95, 10), TERMS)
    assert again is once
    assert new == {}


def test_silence_moves_only_the_time_of_the_poll() -> None:
    once, _ = ledger.advance(NEW, labels(10, 90, 10), TERMS)
    later, new = ledger.advance(once, labels(20, 90, 10), TERMS)
    assert new == {}
    assert (later.polled_at, later.labels_at) == (20, 10)
    assert later.detectors == once.detectors


def test_labels_before_maturity_are_counted_and_not_judged() -> None:
    after, _ = ledger.advance(NEW, labels(10, 0, 50), replace(TERMS, mature_at=11))
    assert after.labels == counts.Tally(50, 50)
    assert after.detectors["accuracy"].detected.seen == counts.Tally()


def test_signal_that_cannot_be_judged_has_no_detector_and_no_window() -> None:
    terms = replace(TERMS, signals=(replace(SIGNAL, asked=None),))
    after, _ = ledger.advance(NEW, labels(10, 9, 1), terms)
    assert (after.detectors, after.history, after.asked) == ({}, {}, {})
    assert after.labels == counts.Tally(10, 1)


def test_restarted_evidence_forgets_the_detector_and_keeps_the_counts() -> None:
    breached = NEW
    for poll in range(1, 30):
        breached, _ = ledger.advance(breached, labels(poll, 0, 10 * poll), TERMS)
    assert breached.detectors["accuracy"].detected.breached
    after, _ = ledger.advance(breached, labels(30, 0, 290), replace(TERMS, evidence_since=29.5))
    assert not after.detectors["accuracy"].detected.breached
    assert after.detectors["accuracy"].detected.seen == counts.Tally()
    assert after.labels == counts.Tally(290, 290)
    assert after.evidence_since == 29.5
    # Once restarted, it goes on: the same terms restart it only once.
    onward, _ = ledger.advance(after, labels(31, 0, 300), replace(TERMS, evidence_since=29.5))
    assert onward.detectors["accuracy"].detected.seen == counts.Tally(10, 10)


def test_labels_from_before_the_evidence_was_restarted_are_no_evidence() -> None:
    """An operator that dies between a rejection and the next checkpoint takes both sides of it as one batch."""
    saved, _ = ledger.advance(NEW, labels(1, 10, 0), TERMS)
    restarted = replace(TERMS, evidence_since=500.0)

    after, _ = ledger.advance(saved, labels(501, 10, 900), restarted)
    assert after.labels == counts.Tally(910, 900)
    assert after.detectors["accuracy"].detected.seen == counts.Tally()
    assert not after.detectors["accuracy"].detected.breached

    onward, _ = ledger.advance(after, labels(502, 10, 905), restarted)
    assert onward.detectors["accuracy"].detected.seen == counts.Tally(5, 5)


def test_window_shows_only_what_is_recent() -> None:
    book = NEW
    for poll in range(1, 301):
        wrong = 0 if poll <= 240 else poll - 240
        book, _ = ledger.advance(book, labels(float(poll), 10 * poll - wrong, wrong), TERMS)
    shown = mistakes(book)
    assert 590 <= shown.n <= 640
    assert shown.bad == 60
    assert len(book.history["accuracy"]) <= ledger.SNAPSHOTS


def test_window_shows_everything_until_it_is_full() -> None:
    book, _ = ledger.advance(NEW, labels(1, 9, 1), TERMS)
    book, _ = ledger.advance(book, labels(2, 18, 2), TERMS)
    assert mistakes(book) == counts.Tally(20, 2)
    assert mistakes(NEW) == counts.Tally()


def test_pairs_are_counted_by_who_alone_was_wrong() -> None:
    counters = {
        "p": {
            metrics.Paired.BOTH_RIGHT: 70.0,
            metrics.Paired.BOTH_WRONG: 5.0,
            metrics.Paired.CANDIDATE_ONLY_WRONG: 4.0,
            metrics.Paired.CHAMPION_ONLY_WRONG: 9.0,
        }
    }
    after, _ = ledger.advance(NEW, ledger.Reading(1, counters), TERMS)
    assert after.pairs == paired.Paired(a=4, b=9, c=75)


def test_guards_compare_with_the_champion_at_the_same_poll() -> None:
    book = NEW
    for poll in range(1, 40):
        counters = {
            "p": {
                ledger.ANSWERED: 0,
                ledger.FAILED: 5 * poll,
                ledger.TIMED: 20 * poll,
                ledger.FAST: 20 * poll,
            }
        }
        book, new = ledger.advance(
            book,
            ledger.Reading(poll, counters),
            GUARDED,
            beside={ledger.ANSWERED: 40, ledger.TIMED: 40, ledger.FAST: 40},
        )
        assert new[ledger.FAILED] == 5
    assert book.requests == counts.Tally(195, 195)
    assert book.requests_at == 39
    silence = guards.verdict.Silence(0, 60)
    errors = guards.judge(GUARDED.guarded[ledger.ERRORS], book.guarded[ledger.ERRORS], silence)
    slow = guards.judge(GUARDED.guarded[ledger.SLOW], book.guarded[ledger.SLOW], silence)
    assert errors.verdict is guards.verdict.Verdict.BREACHED
    assert slow.verdict is guards.verdict.Verdict.OK


def test_bucket_scraped_ahead_of_its_count_is_not_a_negative_number() -> None:
    reading = ledger.Reading(1, {"p": {ledger.TIMED: 3, ledger.FAST: 5}})
    book, _ = ledger.advance(NEW, reading, GUARDED)
    assert book.guarded[ledger.SLOW].own.seen == counts.Tally(3, 0)


@pytest.mark.parametrize("polls", [0, 1, 100])
def test_json_brings_back_the_same_ledger(polls: int) -> None:
    book = NEW
    for poll in range(1, polls + 1):
        book, _ = ledger.advance(
            book, labels(float(poll), 8 * poll, 2 * poll), GUARDED, beside={ledger.ANSWERED: 9}
        )
    assert ledger.Ledger.from_json(json.loads(json.dumps(book.to_json()))) == book


def test_json_brings_back_windows_of_drift_and_one_from_before_them_is_read() -> None:
    asked = watch.Terms("inputs", watch.Kind.INPUTS, length=60, effect=0.1, alpha=0.1, since=0)
    book = replace(NEW, drift=watch.opened({}, [asked], 100.0))
    saved = json.loads(json.dumps(book.to_json()))
    assert ledger.Ledger.from_json(saved) == book
    del saved["drift"]
    assert ledger.Ledger.from_json(saved) == NEW


def test_api_server_that_turns_empty_maps_into_null_loses_nothing() -> None:
    def nulled(value: object) -> object:
        if isinstance(value, dict):
            return {name: nulled(inner) for name, inner in value.items()} or None
        return [nulled(inner) for inner in value] or None if isinstance(value, list) else value

    saved = nulled(NEW.to_json())
    assert isinstance(saved, dict)
    assert saved["counted"] == {"totals": None, "live": None, "settled": None}
    assert ledger.Ledger.from_json(saved) == NEW


def test_everything_since_a_downtime_comes_as_one_poll() -> None:
    before, _ = ledger.advance(NEW, labels(1, 90, 10), TERMS)
    restored = ledger.Ledger.from_json(before.to_json())
    after, new = ledger.advance(restored, labels(3600, 990, 110), TERMS)
    assert new == {"right": 900, "wrong": 100}
    assert after.labels == counts.Tally(1100, 110)


def test_errors_of_numbers_are_counted_judged_and_brought_back() -> None:
    mae = regression.Signal(regression.Metric.MAE, maximum=2.0, min_labels=10, alarm=100, bound=10.0)
    asked = replace(TERMS, signals=(SIGNAL, ledger.SignalTerms("mae", mae, window=60.0)))

    def errors(at: float, rows: int, clipped: int) -> ledger.Reading:
        results = {"right": rows, "wrong": 0, "rows": rows, "clipped": clipped, "clipped_squared": clipped}
        return ledger.Reading(at, {"p": {name: float(number) for name, number in results.items()}})

    book = NEW
    for poll in range(1, 6):
        book, new = ledger.advance(book, errors(30.0 * poll, 20 * poll, 2_000_000 * poll), asked)
    assert new["clipped"] == 2_000_000
    assert book.labels.n == 100
    assert book.votes("mae", mae).detected.seen == counts.Tally(100, 10.0)
    assert book.shown("mae", mae) == regression.Errors(60, 6_000_000, 6_000_000)
    assert ledger.Ledger.from_json(json.loads(json.dumps(book.to_json()))) == book

    wider = replace(mae, bound=20.0)
    assert book.shown("mae", wider) == regression.Errors()
    assert book.votes("mae", wider) == voting.State()
    other = replace(asked, signals=(SIGNAL, ledger.SignalTerms("mae", ACCURACY, window=60.0)))
    after, _ = ledger.advance(book, errors(180.0, 120, 12_000_000), other)
    assert after.shown("mae", ACCURACY) == confusion.Confusion.of_labels(counts.Tally(20, 0))
