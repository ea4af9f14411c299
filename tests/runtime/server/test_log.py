"""The prediction log: readable as the contract says, never in a request's way, lost only when counted."""

import datetime
import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from modelmend.contract import log, metrics
from modelmend.contract.arms import Arm
from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime import errors, predictionlog, store
from modelmend.runtime.server import journal, parts, tally, tokens
from modelmend.runtime.server.settings import Life, Logging
from runtime.server import replicas
from runtime.server.replicas import KEY, MODEL, ROW, Packed

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIFE = Life("v1", "r")
URI = "file:///log"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _read(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = sorted(folder.glob(f"dt=*/{kind}-*.parquet"))
    rows: list[dict[str, Any]] = [row for part in found for row in pq.read_table(part).to_pylist()]
    return rows


async def test_the_log_reads_back_as_the_contract_says(
    boosting: Packed, strict: Packed, log_folder: Path
) -> None:
    rows = [ROW, ROW | {"wind": None, "carrier": "ZZ"}]
    told = replicas.settings(strict, boosting, logging=Logging(uri=log_folder.as_uri(), part_seconds=600))
    began = datetime.datetime.now(datetime.UTC)
    async with replicas.running(told) as replica:
        answers = {
            Arm.SHADOW: await replica.predict(rows, Arm.SHADOW),
            Arm.CANARY: await replica.predict([ROW], Arm.CANARY),
            Arm.SOLO: await replica.predict([ROW]),
        }
        await replica.feedback(
            {
                "prediction_id": replicas.token(answers[Arm.SHADOW]),
                "labels": [None, "late"],
                "timestamp": began.isoformat(),
            },
            {"prediction_id": replicas.token(answers[Arm.SOLO]), "label": "on time"},
        )
        ended = datetime.datetime.now(datetime.UTC)

    signer = tokens.Signer(KEY, MODEL)
    ids = {arm: signer.open(replicas.token(answer)).id.hex() for arm, answer in answers.items()}
    predicted = {row[log.PREDICTION_ID]: [] for row in _read(log_folder, log.PREDICTIONS)}
    for row in _read(log_folder, log.PREDICTIONS):
        predicted[row[log.PREDICTION_ID]].append(row)
    assert {key: len(value) for key, value in predicted.items()} == {
        ids[Arm.SHADOW]: 2, ids[Arm.CANARY]: 1, ids[Arm.SOLO]: 1,
    }  # fmt: skip
    first, second = predicted[ids[Arm.SHADOW]]
    assert began <= first.pop(log.TIME) == second.pop(log.TIME) <= ended
    answered = replicas.output(answers[Arm.SHADOW])
    assert first == {
        log.PREDICTION_ID: ids[Arm.SHADOW], log.ROW: 0, log.VERSION: "v1", log.PREDICTION: answered[0],
        "f.hour": 7, "f.wind": 0.5, "f.carrier": "AA", "f.weekend": True,
    }  # fmt: skip
    assert second == first | {log.ROW: 1, log.PREDICTION: answered[1], "f.wind": None, "f.carrier": "ZZ"}
    assert predicted[ids[Arm.CANARY]][0][log.VERSION] == "v2"
    labels = {row[log.PREDICTION_ID]: row for row in _read(log_folder, log.LABELS)}
    assert labels[ids[Arm.SHADOW]] == {
        log.PREDICTION_ID: ids[Arm.SHADOW], log.ROW: 1, log.LABEL: "late", log.TIME: began,
    }  # fmt: skip
    assert labels[ids[Arm.SOLO]][log.LABEL] == "on time"
    (part,) = [path for path in _files(log_folder) if path.name.startswith("labels-")]
    assert part.parent.name == f"dt={began:%Y-%m-%d}"
    assert str(pq.read_schema(part).field(log.TIME).type) == "timestamp[us, tz=UTC]"
    assert {path.suffix for path in _files(log_folder)} == {".parquet"}


async def test_a_retraining_reads_what_servers_wrote(boosting: Packed, log_folder: Path) -> None:
    rows = [ROW | {"hour": hour} for hour in range(6)]
    told = replicas.settings(boosting, logging=Logging(uri=log_folder.as_uri(), part_seconds=600))
    async with replicas.running(told) as one, replicas.running(told) as other:
        answers = [await one.predict(rows[:3]), await other.predict(rows[3:]), await one.predict([ROW])]
        truths = [["late", "on time", "late"], ["on time", None, "late"]]
        for answer, truth in zip(answers, truths, strict=False):
            await other.feedback({"prediction_id": replicas.token(answer), "labels": truth})

    read = predictionlog.read(log_folder.as_uri(), None, None, replicas.FEATURES)

    assert read.warnings == ()
    assert (len(read.frame), read.unlabelled) == (5, 2)
    assert dict(zip(read.frame["f.hour"], read.frame[log.LABEL], strict=True)) == {
        0: "late", 1: "on time", 2: "late", 3: "on time", 5: "late",
    }  # fmt: skip
    assert set(read.frame["f.carrier"]) == {"AA"}
    assert read.delay
    assert 0 <= read.delay.p50 <= read.delay.p99 < 60


async def test_rows_written_are_counted_by_version_and_kind(boosting: Packed, log_folder: Path) -> None:
    told = replicas.settings(boosting, logging=Logging(uri=log_folder.as_uri(), part_seconds=0.05))
    async with replicas.running(told) as replica:
        answer = await replica.predict([ROW] * 3)
        await replica.feedback({"prediction_id": replicas.token(answer), "labels": ["late"] * 3})

        async def written() -> bool:
            samples = await replica.samples()
            return samples.by(metrics.LOG_ROWS, "part", version="v1", arm="solo") == {
                "predictions": 3,
                "labels": 3,
            }

        await replicas.eventually(written)

    assert len(_read(log_folder, log.PREDICTIONS)) == len(_read(log_folder, log.LABELS)) == 3


def _predictions(
    count: int = 1, at: float | None = None, features: tuple[Feature, ...] | None = None
) -> parts.Predictions:
    known = features if features is not None else (Feature(name="a", datatype=Datatype.FP64),)
    return parts.Predictions(
        version="v1",
        features=known,
        columns={each.name: np.arange(count, dtype=np.float64) for each in known},
        identifiers=[bytes(12)],
        times=[time.time() if at is None else at],
        counts=[count],
        answers=np.zeros(count, np.intp),
        class_keys=("0", "1"),
    )


class Store:
    """A store that fails or hangs when it is told to."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}
        self.attempts = 0
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def write(self, uri: str, content: bytes) -> None:
        self.attempts += 1
        self.open.wait(30)
        if self.error:
            raise self.error
        self.written[uri] = content


def _journal(written: Store, **options: Any) -> tuple[journal.Journal, tally.Logged]:
    ledger = tally.Ledger()
    tallied = ledger.tally(LIFE, Arm.SOLO)
    tallied.logged = tally.Logged()
    told = Logging(uri=URI, **({"part_seconds": 0.01} | options))
    return journal.Journal(told, "p", ledger, written.write), tallied.logged


@pytest.fixture
def written() -> Store:
    return Store()


async def test_a_full_buffer_drops_and_counts_and_never_waits(written: Store) -> None:
    book, logged = _journal(written, buffer_bytes=1100)
    written.open.clear()
    began = time.perf_counter()
    for _ in range(1000):
        book.add_predictions(logged, _predictions())
        book.add_labels(LIFE, Arm.SOLO, [parts.LabelRow(bytes(12), 0, time.time(), "0")], time.time())
    took = time.perf_counter() - began
    dropped = dict(logged.dropped)
    written.open.set()
    book.close(10)

    # 1,100 bytes hold a handful of rows, whether they wait or are just being written.
    assert dropped["predictions"] > 980
    assert dropped["labels"] > 980
    assert took < 5
    for kind in (log.PREDICTIONS, log.LABELS):
        assert logged.written[kind] + logged.dropped[kind] == 1000
        assert sum(1 for uri in written.written if f"/{kind}-p-" in uri) >= 1


async def test_a_store_that_fails_is_tried_again_until_it_works(
    written: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    book, logged = _journal(written)
    written.error = errors.StoreError(
        "file:///log cannot be written: the disk is full; make room or use a larger claim"
    )
    book.add_predictions(logged, _predictions(2))
    await replicas.eventually(lambda: logged.failures >= 2)
    assert (logged.written["predictions"], logged.dropped["predictions"]) == (0, 0)

    written.error = None
    await replicas.eventually(lambda: logged.written["predictions"] == 2)
    book.close(10)

    assert list(written.written) == [f"{URI}/{parts.day(time.time())}/predictions-p-000001.parquet"]
    assert sum("cannot be written" in each.message for each in caplog.records) == 1
    assert sum("written again" in each.message for each in caplog.records) == 1


async def test_what_cannot_be_written_until_the_end_is_counted_as_lost(written: Store) -> None:
    book, logged = _journal(written)
    written.error = errors.StoreError("gone")
    book.add_predictions(logged, _predictions(3))
    await replicas.eventually(lambda: written.attempts)

    began = time.monotonic()
    book.close(1.0)

    assert time.monotonic() - began < 3
    await replicas.eventually(lambda: logged.dropped["predictions"] == 3)
    assert logged.written["predictions"] == 0


async def test_a_store_that_hangs_does_not_keep_the_process(written: Store) -> None:
    book, logged = _journal(written)
    written.open.clear()
    book.add_predictions(logged, _predictions())
    await replicas.eventually(lambda: written.attempts)

    began = time.monotonic()
    book.close(0.2)

    assert time.monotonic() - began < 5
    written.open.set()


async def test_rows_that_parquet_refuses_are_dropped_and_the_next_are_written(written: Store) -> None:
    book, logged = _journal(written)
    bad = _predictions(2)
    bad.columns["a"] = np.array([1.0])
    book.add_predictions(logged, bad)
    await replicas.eventually(lambda: logged.dropped["predictions"] == 2)
    book.add_predictions(logged, _predictions())
    await replicas.eventually(lambda: logged.written["predictions"] == 1)
    book.close(10)


async def test_parts_are_cut_by_size_by_day_and_by_signature(written: Store) -> None:
    book, logged = _journal(written, part_seconds=600, part_bytes=5000)
    other = (Feature(name="b", datatype=Datatype.INT64),)
    book.add_predictions(logged, _predictions(10, at=0.0))
    book.add_predictions(logged, _predictions(10, at=86400.0))
    book.add_predictions(logged, _predictions(10, at=86400.0, features=other))
    assert not written.written
    book.add_predictions(logged, _predictions(30, at=86400.0))

    await replicas.eventually(lambda: logged.written["predictions"] == 60)
    book.close(10)

    assert sorted(written.written) == [
        f"{URI}/dt=1970-01-01/predictions-p-000001.parquet",
        f"{URI}/dt=1970-01-02/predictions-p-000002.parquet",
        f"{URI}/dt=1970-01-02/predictions-p-000003.parquet",
    ]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_part_is_whole_or_not_there(
    log_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, written: Store
) -> None:
    failing = [True]
    real: Callable[[int], None] = store.os.fsync

    def fsync(handle: int) -> None:
        if failing[0]:
            raise OSError(code, "no")
        real(handle)

    monkeypatch.setattr(store.os, "fsync", fsync)
    ledger = tally.Ledger()
    logged = tally.Logged()
    book = journal.Journal(Logging(uri=log_folder.as_uri(), part_seconds=0.01), "p", ledger)
    book.add_predictions(logged, _predictions())
    await replicas.eventually(lambda: logged.failures)
    assert not _files(log_folder)

    failing[0] = False
    await replicas.eventually(lambda: logged.written["predictions"])
    book.close(10)
    assert len(_read(log_folder, log.PREDICTIONS)) == 1


async def test_nothing_is_kept_when_there_is_nowhere_to_write() -> None:
    ledger = tally.Ledger()
    logged = tally.Logged()
    book = journal.Journal(Logging(), "p", ledger)
    book.add_predictions(logged, _predictions())
    book.add_labels(LIFE, Arm.SOLO, [parts.LabelRow(bytes(12), 0, 0.0, "0")], 0.0)
    book.close(1)

    assert (logged.dropped["predictions"], logged.written["predictions"]) == (0, 0)
