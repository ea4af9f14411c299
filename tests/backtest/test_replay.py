"""A policy over a real Prometheus' history says what the operator would have said, when, and why."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import scraped
from backtest import histories
from backtest.histories import END, FALL, GAP, HOUR, MINUTE, SHIFT, START, Remembered
from modelmend.api import document
from modelmend.api.resources import LabelDelay, Metadata, ModelVersion, ModelVersionSpec
from modelmend.api.status import ModelDeploymentStatus, Stable, Trigger, Verdict
from modelmend.backtest import replay, told
from modelmend.decide import judge, observed
from modelmend.evidence import counts, detector
from modelmend.observe import ledgers, prometheus

ACCURACY = {"name": "accuracy", "minimum": 0.88, "minLabels": 100, "window": "6h"}
INPUTS = {"name": "inputs", "type": "FeatureDrift", "window": "2h"}


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def run(url: str, file: Path, begin: float = START, end: float = END, **more: Any) -> replay.Outcome:
    return replay.run(replay.Options(file, prometheus.Source(url), instant(begin), instant(end), **more))


@pytest.fixture(scope="module")
def found(remembered: Remembered, tmp_path_factory: pytest.TempPathFactory) -> replay.Outcome:
    """Both signals over all of it."""
    file = histories.policy(tmp_path_factory.mktemp("policy"), signals=[ACCURACY, INPUTS])
    return run(remembered.url, file)


def alarms(found: replay.Outcome, signal: str) -> list[Any]:
    return [moment for moment in found.alarms if moment.signal.name == signal]


def test_alarm_comes_at_the_minute_at_which_the_detector_proves_the_fall(
    remembered: Remembered, found: replay.Outcome
) -> None:
    """The truth is known here: every label of every minute, as one poll a minute would have counted them."""
    limit = detector.Limit(0.12, 720 * HOUR / MINUTE)
    state, expected = detector.State(), None
    # What had been counted at the first pulse, that pulse's own minute included, is no evidence.
    minutes = [*remembered.history.minutes["p1"], *remembered.history.minutes["p2"]]
    lost = counts.Tally()
    for at, new, wrong in minutes:
        if at <= START or expected is not None:
            continue
        lost += counts.Tally(new, wrong)
        if GAP[0] <= at < GAP[1]:
            continue
        if lost.n:
            state = detector.step(state, lost, limit)
        lost = counts.Tally()
        expected = at if state.breached else None

    (alarm,) = alarms(found, "accuracy")

    assert expected is not None
    assert FALL < expected < FALL + HOUR
    assert alarm.at == instant(expected)
    assert alarm.version == "flights-v1"
    assert alarm.signal.bound == 0.88
    assert "since it began to fall" in alarm.signal.because
    assert alarm.figures["wrongSinceFall"] == state.run.bad
    assert alarm.figures["labelsSinceFall"] == state.run.n


def test_every_label_counts_once_through_a_restart_and_a_gap(
    remembered: Remembered, found: replay.Outcome
) -> None:
    """Those from before the first pulse not at all; and both processes of a version to their last word."""
    minutes = remembered.history.minutes
    first = [each for each in (*minutes["p1"], *minutes["p2"]) if each[0] > START]
    second = minutes["q1"]
    by_version = {each.name: each.counted.labels for each in found.lanes}

    assert by_version == {
        "flights-v1": counts.Tally(sum(new for _, new, _ in first), sum(bad for _, _, bad in first)),
        "flights-v2": counts.Tally(sum(new for _, new, _ in second), sum(bad for _, _, bad in second)),
    }


def test_gap_is_unknown_and_so_is_a_version_that_nobody_scrapes_any_more(found: replay.Outcome) -> None:
    silent = [
        each
        for each in found.stretches
        if each.signal == "accuracy" and each.verdict is Verdict.UNKNOWN and "Prometheus" in each.because
    ]

    assert [(each.version, each.end) for each in silent] == [
        ("flights-v1", instant(GAP[1])),
        ("flights-v2", instant(END)),
    ]
    # Five minutes after the last scrape nothing is known any more.
    assert [each.begin for each in silent] == [
        instant(GAP[0] + 4 * MINUTE),
        instant(START + 30 * HOUR + 4 * MINUTE),
    ]


def test_drift_is_told_from_harm_and_asks_for_nothing(found: replay.Outcome) -> None:
    (alarm,) = alarms(found, "inputs")

    assert instant(SHIFT) < alarm.at <= instant(SHIFT + 2 * HOUR + MINUTE)
    assert alarm.signal.drifted == ("wind",)
    assert "inputs" not in found.healing
    assert not [moment for moment in found.moments if moment.version == "flights-v2" and moment.is_alarm]


def test_candidate_that_never_served_is_named_and_left_out_unless_it_is_asked_for(
    remembered: Remembered, found: replay.Outcome, tmp_path: Path
) -> None:
    asked = run(
        remembered.url,
        histories.policy(tmp_path),
        START + 24 * HOUR,
        START + 27 * HOUR,
        versions=("flights-v3",),
    )

    assert found.skipped == ("flights-v3",)
    assert [each.name for each in asked.lanes] == ["flights-v3"]
    assert asked.skipped == ()


def test_one_query_a_pulse_says_the_same_as_a_thousand_at_once(
    remembered: Remembered, tmp_path: Path
) -> None:
    """Instant queries of the operator's own client, one after the other, as it would have asked them live."""
    begin, end = FALL - 20 * MINUTE, FALL + 40 * MINUTE
    file = histories.policy(tmp_path)
    at_once = run(remembered.url, file, begin, end)
    spoken = live(remembered.url, file, begin, end)

    assert [(moment.at, moment.signal.verdict, moment.signal.because) for moment in at_once.moments] == spoken


class Then(prometheus.Prometheus):
    """The operator's client, told that it is another moment."""

    now = 0.0

    def _clock(self) -> float:
        return self.now

    def _moment(self) -> str:
        return f"{self.now:.3f}"


def live(url: str, file: Path, begin: float, end: float) -> list[tuple[datetime, Verdict, str]]:
    """What an operator that was installed at `begin` would have said, poll by poll."""
    source, books = Then(prometheus.Source(url)), ledgers.Ledgers()
    owner = document.read(str(file), file.read_text())
    spec = ModelVersionSpec(
        deployment="flights", number=1, uri="", digest=replay.NO_DIGEST, trigger=Trigger.INSTALL, because="",
        created_at=instant(begin), image="",
    )  # fmt: skip
    version = ModelVersion(metadata=Metadata(name="flights-v1", namespace="ml", uid="v"), spec=spec)
    stable = Stable(
        version="flights-v1", digest=replay.NO_DIGEST, uri="", rollout="u-1", since=instant(begin)
    )
    owner = owner.model_copy(update={"status": ModelDeploymentStatus(stable=stable)})
    spoken: list[tuple[datetime, Verdict, str]] = []
    at = begin
    while at <= end:
        source.now = at
        books.advance(owner, (version,), asyncio.run(source.poll(300, ())))
        if at == begin:
            # The first poll brings all that was ever counted: it is where this operator begins.
            books = begun_after(books, owner, version)
        seen = observed.Observed(
            now=instant(at),
            deployment=owner,
            settings=observed.Settings(runtime_image="none"),
            versions=(version,),
            ledgers=books.of(owner),
            poll=observed.Poll(at=instant(at)),
        )
        signals = judge.judge(seen).signals
        if not owner.status.signals or signals[0].verdict is not owner.status.signals[0].verdict:
            spoken.append((instant(at), signals[0].verdict, signals[0].because))
        owner = owner.model_copy(update={"status": owner.status.model_copy(update={"signals": signals})})
        at += MINUTE
    source.close()
    return spoken


def begun_after(books: ledgers.Ledgers, owner: Any, version: ModelVersion) -> ledgers.Ledgers:
    kept = books.of(owner)["u-1"]
    emptied = replace(
        kept, counted=replace(kept.counted, totals={}), detectors={}, history={}, labels_at=None
    )
    book = next(iter(books._books[owner.key].values()))
    book.kept = emptied
    return books


def test_longer_steps_see_the_same_fall_and_the_same_labels_somewhat_later(
    remembered: Remembered, found: replay.Outcome, tmp_path: Path
) -> None:
    coarse = run(remembered.url, histories.policy(tmp_path), step=timedelta(minutes=15))
    (fine,), (late,) = alarms(found, "accuracy"), alarms(coarse, "accuracy")

    assert timedelta(0) <= late.at - fine.at <= timedelta(minutes=45)
    # A look reaches back beyond the one before it: a pod that left in between has its last word.
    assert {each.name: each.counted.labels for each in coarse.lanes} == {
        each.name: each.counted.labels for each in found.lanes
    }


def test_max_drop_asks_for_the_holdout_that_prometheus_does_not_know(
    remembered: Remembered, tmp_path: Path
) -> None:
    file = histories.policy(tmp_path, signals=[{"name": "accuracy", "maxDrop": 0.05, "minLabels": 100}])
    without = run(remembered.url, file, START, START + HOUR)
    told_ = run(remembered.url, file, START, START + HOUR, metrics=("accuracy=0.93",))

    assert "--metric accuracy=0.91" in without.warnings[0]
    assert {moment.signal.verdict for moment in without.moments} == {Verdict.UNKNOWN}
    assert told_.warnings == ()
    assert told_.moments[-1].signal.verdict is Verdict.OK
    assert told_.moments[-1].signal.bound == 0.88


def test_records_of_the_cluster_say_how_long_labels_take(remembered: Remembered, tmp_path: Path) -> None:
    """A version that began within the history is not judged before its labels are ripe."""
    spec = ModelVersionSpec(
        deployment="flights", number=2, uri="", digest=replay.NO_DIGEST, trigger=Trigger.INSTALL, because="",
        created_at=instant(START), image="", metrics={"accuracy": 0.93},
        label_delay=LabelDelay(p50=600, p90=1800, p99=3600),
    )  # fmt: skip
    kept = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "modelmend.dev/v1alpha1",
                "kind": "ModelVersion",
                "metadata": {"name": "flights-v2", "namespace": "ml", "uid": "v2"},
                "spec": spec.model_dump(mode="json", by_alias=True),
            }
        ],
    }
    records = tmp_path / "versions.yaml"
    records.write_text(yaml.safe_dump(kept))
    found = run(
        remembered.url, histories.policy(tmp_path), START + 18 * HOUR, START + 21 * HOUR, records=records
    )
    first, second = [moment for moment in found.moments if moment.version == "flights-v2"][:2]

    assert "not judged before" in first.signal.because
    assert second.at >= first.at + timedelta(minutes=30)


async def test_alarm_of_an_operator_that_polls_now_is_found_again_in_the_history(tmp_path: Path) -> None:
    """Live: pages that change, a Prometheus that scrapes them, the operator's poll every second. Then the same moments
    again, from that Prometheus' history."""
    file = histories.policy(
        tmp_path,
        interval="1s",
        signals=[{**ACCURACY, "minimum": 0.8, "minLabels": 10, "falseAlarmEvery": "10m"}],
    )
    exporter = scraped.Exporter()
    owner = document.read(str(file), file.read_text())
    spec = ModelVersionSpec(
        deployment="flights", number=1, uri="", digest=replay.NO_DIGEST, trigger=Trigger.INSTALL, because="",
        created_at=instant(START), image="",
    )  # fmt: skip
    version = ModelVersion(metadata=Metadata(name="flights-v1", namespace="ml", uid="v"), spec=spec)
    stable = Stable(
        version="flights-v1",
        digest=replay.NO_DIGEST,
        uri="",
        rollout=scraped.PLACE[2],
        since=datetime.now(UTC) - timedelta(hours=1),
    )
    owner = owner.model_copy(update={"status": ModelDeploymentStatus(stable=stable)})
    books, asked, alarm = ledgers.Ledgers(), [], None

    def show(right: int, wrong: int) -> None:
        exporter.show(
            ("modelmend_model_info", {}, 1),
            ("modelmend_requests_total", {"code": "200"}, right + wrong),
            ("modelmend_evidence_total", {"result": "right"}, right),
            ("modelmend_evidence_total", {"result": "wrong"}, wrong),
        )

    with scraped.prometheus(tmp_path, exporter) as url:
        histories.wait_for(url)
        source = prometheus.Prometheus(prometheus.Source(url))
        right, wrong, began = 0, 0, time.time()
        while alarm is None:
            assert time.time() < began + 60, "no alarm within a minute"
            right, wrong = (right + 9, wrong + 1) if time.time() < began + 6 else (right + 4, wrong + 6)
            show(right, wrong)
            await asyncio.sleep(1 - time.time() % 1)
            answer = await source.poll(300, ())
            asked.append(float(answer.moment))
            books.advance(owner, (version,), answer)
            seen = observed.Observed(
                now=instant(answer.at),
                deployment=owner,
                settings=observed.Settings(runtime_image="none"),
                versions=(version,),
                ledgers=books.of(owner),
                poll=observed.Poll(at=instant(answer.at)),
            )
            (signal,) = judge.judge(seen).signals
            alarm = signal if signal.verdict is Verdict.BREACHED else None
        source.close()
        # The same moments, to the blink by which a poll comes after its second.
        again = run(url, file, asked[0] - 2, asked[-1] + 3)
    exporter.close()

    (found,) = again.alarms
    assert abs(found.at.timestamp() - asked[-1]) <= 2
    assert found.signal.bound == alarm.bound
    assert "since it began to fall" in found.signal.because


def test_two_signals_that_heal_only_together_ask_when_the_later_one_alarms(
    remembered: Remembered, tmp_path: Path
) -> None:
    both = [{**ACCURACY, "name": "first"}, {**ACCURACY, "minimum": 0.86, "name": "second"}]
    file = histories.policy(tmp_path, signals=both)
    body = yaml.safe_load(file.read_text())
    body["spec"]["retraining"] = {"when": "All"}
    file.write_text(yaml.safe_dump(body))
    found = run(remembered.url, file, FALL - HOUR, FALL + 8 * HOUR)
    (early,), (late,) = alarms(found, "first"), alarms(found, "second")

    assert early.at < late.at
    assert [asked.at for asked in found.requests] == [late.at]


def test_number_of_the_users_own_is_asked_of_the_same_moments(remembered: Remembered, tmp_path: Path) -> None:
    """`$name` is filled in as the operator does it, `for` counts, and a text that is no query is named."""
    waiting = {
        "name": "traffic",
        "type": "Query",
        "query": 'sum(rate(modelmend_requests_total{model="$name", namespace="$namespace"}[10m])) * 60',
        "below": 5,
        "for": "10m",
    }
    twice = "modelmend_evidence_total * on (model) modelmend_evidence_total"
    broken = {"name": "broken", "type": "Query", "query": twice, "above": 1}
    file = histories.policy(tmp_path, signals=[ACCURACY, waiting, broken])
    found = run(remembered.url, file, START + 7 * HOUR, START + 10 * HOUR)
    spoken = [moment.signal for moment in found.moments if moment.signal.name == "traffic"]

    # Ten labels a minute until nobody scrapes: no number is no number below 5.
    assert [signal.verdict for signal in spoken] == [Verdict.OK, Verdict.UNKNOWN, Verdict.OK]
    (said,) = {
        m.signal.because
        for m in found.moments
        if m.signal.name == "broken" and "has no answer" in m.signal.because
    }
    assert "correct spec.monitoring.signals[].query" in said


def test_text_and_json_tell_the_same(found: replay.Outcome) -> None:
    text, plain = told.text(found), told.to_json(found)

    assert plain["signals"]["accuracy"]["alarms"] == 1
    assert plain["alarms"][1]["evidence"]["labelsSinceFall"] > 0
    assert sum(1 for each in plain["unknown"] if each["signal"] == "accuracy") >= 4
    assert (
        "2 alarms in 31.0 h, looking every 1m; a retraining would have been asked for once, first at 2026-01-01 12:19"
        in text
    )
    assert "Not judged, since they never served alone: flights-v3" in text
    assert "drifted: wind" in text
    assert f"unknown for 2.0 h from {instant(START):%Y-%m-%d %H:%M:%S}: flights-v1 inputs" in text
