"""Compaction, retention and deletion: nothing is lost, however often it is killed, and nothing else is touched."""

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from modelmend.contract import environment, log
from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime import artifact, compaction, dataset, housekeeping, job, store, targets, trainer
from modelmend.runtime.errors import StoreError
from runtime import worlds

CLASSES = targets.Classes(("late", "on time"), ("late", "on time"))
FEATURES = [
    Feature(name="hour", datatype=Datatype.INT64),
    Feature(name="wind", datatype=Datatype.FP64),
    Feature(name="carrier", datatype=Datatype.BYTES),
]
ROWS = worlds.flights(days=6)
NOW = worlds.START + timedelta(days=30)


@pytest.fixture
def folder(tmp_path):
    worlds.write_log(tmp_path, ROWS, labelled=lambda number: number % 4 > 0, rows_per_request=2)
    return tmp_path


def known(folder):
    """Everything that a trainer would learn from the log."""
    rows = dataset.read(dataset.Data(log_uri=folder.as_uri()), FEATURES, CLASSES)
    frame = pd.DataFrame({"label": rows.labels, "time": rows.time, "request": rows.requests} | rows.columns)
    assert rows.warnings == ()
    return frame, rows.delay


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_same(before, after):
    pd.testing.assert_frame_equal(before[0], after[0])
    assert before[1] == after[1]


def test_a_compacted_log_says_the_same_in_one_part_a_day(folder):
    before = known(folder)
    assert compaction.compact(folder.as_uri(), NOW) == 6
    assert_same(before, known(folder))
    left = files(folder)
    assert len(left) == 6
    assert all("/compacted-" in name for name in left)


def test_unlabelled_predictions_survive_and_late_labels_still_join(folder, tmp_path_factory):
    compaction.compact(folder.as_uri(), NOW)
    late = tmp_path_factory.mktemp("late")
    worlds.write_log(
        late, ROWS, labelled=lambda number: number % 4 == 0, rows_per_request=2, delay=timedelta(days=9)
    )
    for path in late.rglob("labels-*.parquet"):
        target = folder / path.relative_to(late)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    whole = known(folder)
    assert len(whole[0]) == len(ROWS)
    # The next run joins them for good, and the one after that finds nothing to do.
    assert compaction.compact(folder.as_uri(), NOW) == 6
    assert compaction.compact(folder.as_uri(), NOW) == 0
    assert_same(whole, known(folder))
    assert len(files(folder)) == 6


def test_recent_days_are_left_alone_and_their_labels_join_older_rows(folder):
    before = known(folder)
    # On day 4, days 0 to 2 are settled; their labels lie in days 0 to 3.
    assert compaction.compact(folder.as_uri(), worlds.START + timedelta(days=4, hours=3)) == 3
    assert_same(before, known(folder))
    left = files(folder)
    assert [name for name in left if "compacted" in name] == [
        name for name in left if name[:13] <= "dt=2025-01-03"
    ]
    assert len([name for name in left if "dt=2025-01-04/labels-p0" in name]) == 1


def test_labels_that_join_nothing_yet_are_kept_in_one_part(folder):
    day = folder / "dt=2025-01-02"
    for number in range(3):
        orphan = pd.read_parquet(next(day.glob("labels-p0-*.parquet"))).assign(
            **{log.PREDICTION_ID: f"orphan{number}"}
        )
        worlds.write_part(day / f"labels-orphan-{number}.parquet", orphan)
    compaction.compact(folder.as_uri(), NOW)
    (rest,) = folder.rglob("labels-*.parquet")
    assert rest.name.startswith("labels-rest-")
    assert set(pd.read_parquet(rest)[log.PREDICTION_ID]) == {"orphan0", "orphan1", "orphan2"}
    before = files(folder)
    assert compaction.compact(folder.as_uri(), NOW) == 0
    assert files(folder) == before


def test_a_row_that_comes_late_to_a_compacted_day_is_compacted_into_it(folder):
    compaction.compact(folder.as_uri(), NOW)
    more = worlds.flights(days=6, seed=1)
    worlds.write_log(folder, more, process="late")
    before = known(folder)
    assert compaction.compact(folder.as_uri(), NOW) == 6
    assert_same(before, known(folder))
    assert len(files(folder)) == 6


class KilledError(Exception):
    pass


@pytest.mark.parametrize("steps", range(12))
def test_killed_after_any_write_or_delete_nothing_is_lost(steps, tmp_path, monkeypatch):
    folder = tmp_path
    rows = worlds.flights(days=3)
    worlds.write_log(folder, rows, labelled=lambda number: number % 4 > 0, rows_per_request=2)
    before = known(folder)
    count = 0
    write, delete = store.write, store.delete

    def counted(action):
        def step(*arguments):
            nonlocal count
            count += 1
            if count > steps:
                raise KilledError
            action(*arguments)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", counted(write))
        patch.setattr(store, "delete", counted(delete))
        with contextlib.suppress(KilledError):
            compaction.compact(folder.as_uri(), NOW)
    assert_same(before, known(folder))
    compaction.compact(folder.as_uri(), NOW)
    assert_same(before, known(folder))
    assert len(files(folder)) == 3
    assert all("/compacted-" in name for name in files(folder))


def test_a_store_that_lies_about_its_writes_loses_nothing(folder, monkeypatch):
    before = files(folder)
    monkeypatch.setattr(
        store, "write", lambda uri, content: Path(uri.removeprefix("file://")).write_bytes(b"half")
    )
    with pytest.raises(StoreError, match="does not read back as it was written: nothing was deleted"):
        compaction.compact(folder.as_uri(), NOW)
    assert set(before) <= set(files(folder))


def test_damaged_parts_are_not_deleted_by_compaction(folder):
    victim = sorted(folder.rglob("predictions-*.parquet"))[0]
    victim.write_bytes(b"damaged")
    compaction.compact(folder.as_uri(), NOW)
    assert victim.read_bytes() == b"damaged"


def test_parts_of_versions_with_other_features_compact_together(folder):
    worlds.write_log(folder, worlds.flights(days=6, seed=1).drop(columns="wind"), process="older")
    compaction.compact(folder.as_uri(), NOW)
    assert len(files(folder)) == 6
    table = pd.read_parquet(next(folder.rglob("compacted-*.parquet")))
    assert table[log.FEATURE_PREFIX + "wind"].isna().sum() == 40
    assert len(table) == 80


def test_retention_deletes_whole_days_that_are_over(folder):
    now = worlds.START + timedelta(days=6, hours=5)
    # Rows from day 3, 5 o'clock on are kept: that day stays whole.
    assert housekeeping.expire(folder.as_uri(), timedelta(days=3), now) == 6
    assert {name[:13] for name in files(folder)} == {f"dt=2025-01-0{day}" for day in (4, 5, 6, 7)}


def artifact_folder(storage, digest_hex, *names):
    folder = storage / "artifacts" / digest_hex
    folder.mkdir(parents=True)
    for name in names or ("manifest.json", "model.skops", "reference.json"):
        (folder / name).write_text("x")
    return folder


def test_only_listed_artifacts_are_deleted(tmp_path):
    listed, kept = artifact_folder(tmp_path, "a" * 64), artifact_folder(tmp_path, "b" * 64)
    assert (
        housekeeping.delete_unreferenced(tmp_path.as_uri(), [f"sha256:{'a' * 64}", f"sha256:{'c' * 64}"]) == 1
    )
    assert not listed.exists()
    assert len(list(kept.iterdir())) == 3


def test_the_manifest_of_a_deleted_artifact_goes_first(tmp_path, monkeypatch):
    artifact_folder(tmp_path, "a" * 64)
    deleted = []
    monkeypatch.setattr(store, "delete", lambda uri: deleted.append(uri.rpartition("/")[2]))
    housekeeping.delete_unreferenced(tmp_path.as_uri(), [f"sha256:{'a' * 64}"])
    assert deleted[0] == "manifest.json"


@pytest.mark.parametrize(
    "digest",
    [
        "",
        ".",
        "..",
        "../log",
        "sha256:../../log",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 64 + "/..",
        "sha256:" + "A" * 64,
        "/",
        "*",
        "sha256:*",
        "sha256:" + "a" * 64 + "\n",
    ],
)
def test_a_digest_that_is_none_deletes_nothing(digest, tmp_path):
    artifact_folder(tmp_path, "a" * 64)
    worlds.write_log(tmp_path / "log", ROWS.iloc[:20])
    before = files(tmp_path)
    assert housekeeping.delete_unreferenced(tmp_path.as_uri(), [digest]) == 0
    assert files(tmp_path) == before


def staging(root, name, *names, age=timedelta(days=3)):
    folder = root / "storage" / "staging" / name
    folder.mkdir(parents=True)
    for each in names:
        (folder / each).write_text(name)
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(folder / each, (moment, moment))
    return folder


def test_stale_staging_goes_and_everything_that_may_be_in_use_stays(tmp_path):
    half = staging(tmp_path, "3/pod-a", "model.skops")
    fresh = staging(tmp_path, "6/pod-b", "model.skops", age=timedelta(hours=1))
    own = staging(tmp_path, "7/pod-c", "model.skops")
    later = staging(tmp_path, "8/pod-d", "model.skops")
    finished = staging(tmp_path, "2/pod-e", "model.skops", "manifest.json")
    stranger = staging(tmp_path, "notes", "readme.txt")
    task = job.Task.from_environment(worlds.job_environment(tmp_path))
    assert housekeeping.delete_stale_staging(task.storage_uri, task, datetime.now(UTC)) == 1
    assert not half.exists()
    assert all(folder.exists() for folder in (fresh, own, later, finished, stranger))


def test_a_finished_staging_folder_goes_once_it_is_published_or_unreferenced(tmp_path):
    published = staging(tmp_path, "2/pod-a", "manifest.json", "model.skops")
    listed = staging(tmp_path, "3/pod-b", "manifest.json", "model.skops")
    kept = staging(tmp_path, "4/pod-c", "manifest.json", "model.skops")
    digests = [
        artifact.manifest.digest_of((each / "manifest.json").read_bytes()) for each in (published, listed)
    ]
    artifact_folder(tmp_path / "storage", digests[0].removeprefix("sha256:"))
    task = job.Task.from_environment(
        worlds.job_environment(tmp_path, **{environment.UNREFERENCED: digests[1]})
    )
    assert housekeeping.delete_stale_staging(task.storage_uri, task, datetime.now(UTC)) == 2
    assert not published.exists()
    assert not listed.exists()
    assert kept.exists()


def test_one_chore_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, caplog):
    artifact_folder(tmp_path / "storage", "a" * 64)
    worlds.write_log(tmp_path / "storage" / "log", ROWS)

    def fail(*arguments):
        raise StoreError("the log is away")

    monkeypatch.setattr(compaction, "compact", fail)
    given = worlds.job_environment(tmp_path, **{environment.UNREFERENCED: f"sha256:{'a' * 64}"})
    housekeeping.tidy(job.Task.from_environment(given), NOW)
    assert not (tmp_path / "storage" / "artifacts" / ("a" * 64)).exists()
    assert "compaction: the log is away" in caplog.text


def test_tidying_stops_when_its_time_is_up(tmp_path):
    worlds.write_log(tmp_path / "storage" / "log", ROWS)
    housekeeping.tidy(job.Task.from_environment(worlds.job_environment(tmp_path)), NOW, budget=-1)
    assert not list(tmp_path.rglob("compacted-*"))


def test_a_training_job_leaves_the_storage_tidy(tmp_path, champion):
    rows = worlds.flights(days=60)
    worlds.write_log(tmp_path / "storage" / "log", rows[rows["time"] >= worlds.days(30)[0]])
    artifact_folder(tmp_path / "storage", "a" * 64)
    age = datetime.now(UTC) - (worlds.START + timedelta(days=40))
    given = worlds.job_environment(
        tmp_path,
        champion.uri,
        champion.digest,
        **{
            environment.UNREFERENCED: f"sha256:{'a' * 64}",
            environment.LOG_RETENTION_SECONDS: str(int(age.total_seconds())),
        },
    )
    assert job.run(trainer.train, housekeeping.tidy, given) == 0
    left = files(tmp_path / "storage")
    assert len([name for name in left if name.startswith("artifacts/")]) == 3
    assert not [name for name in left if name.startswith("staging/")]
    days = [name for name in left if name.startswith("log/")]
    assert all("/compacted-" in name or "/labels-" in name for name in days)
    assert min(days)[:17] == "log/dt=2025-02-10"
