"""Everything that pods do with storage, against a real S3-compatible server."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import fsspec
import pytest

from modelmend.contract import environment, result
from modelmend.runtime import artifact, compaction, dataset, housekeeping, job, store, targets, trainer
from modelmend.runtime.errors import NotFoundError, StoreError
from runtime import worlds

pytestmark = pytest.mark.s3


def upload(folder, uri):
    for path in folder.rglob("*"):
        if path.is_file():
            store.write(f"{uri}/{path.relative_to(folder)}", path.read_bytes())


def test_objects_are_written_read_listed_and_deleted(bucket):
    store.write(f"{bucket}/a/b/one.bin", b"1")
    store.write(f"{bucket}/a/b/one.bin", b"22")
    store.write(f"{bucket}/a/two.bin", b"")
    assert store.read(f"{bucket}/a/b/one.bin") == b"22"
    assert [(entry.name, entry.size) for entry in store.listing(f"{bucket}/a")] == [
        ("b/one.bin", 2),
        ("two.bin", 0),
    ]
    age = datetime.now(UTC) - store.listing(f"{bucket}/a")[0].modified
    assert abs(age) < timedelta(minutes=1)
    assert store.exists(f"{bucket}/a/two.bin")
    store.delete(f"{bucket}/a/two.bin")
    store.delete(f"{bucket}/a/two.bin")
    assert not store.exists(f"{bucket}/a/two.bin")
    store.delete_folder(f"{bucket}/a")
    assert store.listing(bucket) == ()
    assert store.listing(f"{bucket}/never") == ()


def test_names_that_look_like_patterns_delete_only_themselves(bucket):
    for name in ("a*", "ab", "a?", "[a]"):
        store.write(f"{bucket}/{name}", b"x")
    store.delete(f"{bucket}/a*")
    assert [entry.name for entry in store.listing(bucket)] == ["[a]", "a?", "ab"]


def test_a_large_object_arrives_whole(bucket):
    content = bytes(range(256)) * 4096 * 60
    store.write(f"{bucket}/large", content)
    assert store.read(f"{bucket}/large") == content


def test_what_another_pod_writes_is_seen_at_once(bucket, s3_server):
    assert store.listing(bucket) == ()
    with pytest.raises(NotFoundError):
        store.read(f"{bucket}/x")
    code = f"import fsspec; fsspec.filesystem('s3').pipe_file('{bucket.removeprefix('s3://')}/x', b'other')"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert store.read(f"{bucket}/x") == b"other"
    assert [entry.name for entry in store.listing(bucket)] == ["x"]


def test_an_artifact_is_packed_and_loaded_on_a_bucket(bucket):
    rows = worlds.flights(days=10)
    pipeline = worlds.boosting().fit(rows[worlds.FEATURES], rows["late"])
    loaded, _ = artifact.pack(
        pipeline, rows[worlds.FEATURES], rows["late"], uri=f"{bucket}/v0", model="flights", time=rows["time"]
    )
    assert [entry.name for entry in store.listing(f"{bucket}/v0")] == [
        "manifest.json",
        "model.skops",
        "reference.json",
    ]
    assert artifact.load(f"{bucket}/v0", loaded.digest).digest == loaded.digest
    store.delete(f"{bucket}/v0/model.skops")
    with pytest.raises(
        artifact.ArtifactError, match=r"model\.skops is missing although the manifest lists it"
    ):
        artifact.load(f"{bucket}/v0")


def test_a_training_job_reads_writes_and_tidies_a_bucket(bucket, champion, tmp_path):
    rows = worlds.flights(days=40)
    worlds.write_log(tmp_path / "log", rows[rows["time"] >= worlds.days(30)[0]])
    upload(tmp_path / "log", f"{bucket}/flights/log")
    store.write(f"{bucket}/flights/artifacts/{'a' * 64}/manifest.json", b"{}")
    given = worlds.job_environment(
        tmp_path,
        champion.uri,
        champion.digest,
        **{
            environment.STORAGE_URI: f"{bucket}/flights",
            environment.OUTPUT_URI: f"{bucket}/flights/staging/7/pod-a",
            environment.UNREFERENCED: f"sha256:{'a' * 64}",
        },
    )
    assert job.run(trainer.train, housekeeping.tidy, given) == 0
    told = result.decode((tmp_path / "termination-log").read_text())
    assert told.uri == f"{bucket}/flights/artifacts/{told.digest.removeprefix('sha256:')}"
    assert artifact.load(told.uri, told.digest).manifest.parent == champion.digest
    left = [entry.name for entry in store.listing(f"{bucket}/flights")]
    assert len([name for name in left if name.startswith("artifacts/")]) == 3
    assert not [name for name in left if name.startswith("staging/") or "/predictions-" in name]
    assert len([name for name in left if "/compacted-" in name]) == 10


def test_compaction_of_a_bucket_loses_nothing(bucket, tmp_path):
    rows = worlds.flights(days=4)
    worlds.write_log(tmp_path, rows, rows_per_request=2, labelled=lambda number: number % 3 > 0)
    upload(tmp_path, f"{bucket}/log")
    read = lambda: dataset.read(dataset.Data(log_uri=f"{bucket}/log"), FEATURES, CLASSES)  # noqa: E731
    before = read()
    assert compaction.compact(f"{bucket}/log", datetime.now(UTC)) == 4
    after = read()
    assert after.labels.tolist() == before.labels.tolist()
    assert after.requests.tolist() == before.requests.tolist()


def test_a_dataset_on_a_bucket(bucket, tmp_path, champion):
    rows = worlds.flights(days=5)
    rows.to_parquet(tmp_path / "rows.parquet")
    store.write(f"{bucket}/data/rows.parquet", (tmp_path / "rows.parquet").read_bytes())
    for uri in (f"{bucket}/data/rows.parquet", f"{bucket}/data"):
        assert len(dataset.read(dataset.Data(uri, "late", "time"), FEATURES, CLASSES)) == 200
    with pytest.raises(NotFoundError, match=r"rows2\.parquet does not exist"):
        dataset.read(dataset.Data(f"{bucket}/data/rows2.parquet", "late", "time"), FEATURES, CLASSES)


CLASSES = targets.Classes(("late", "on time"), ("late", "on time"))
FEATURES = artifact.frames.infer(worlds.flights(days=1)[worlds.FEATURES]).features


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another-secret", "access is denied; check the credentials"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODY", "access is denied; check the credentials"),
    ],
)
def test_wrong_keys_are_one_sentence_that_shows_none(name, value, sentence, bucket, monkeypatch):
    store.write(f"{bucket}/x", b"1")
    monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for action in (
        lambda: store.read(f"{bucket}/x"),
        lambda: store.write(f"{bucket}/x", b"2"),
        lambda: store.listing(bucket),
        lambda: artifact.load(bucket),
    ):
        with pytest.raises(StoreError) as caught:
            action()
        assert sentence in str(caught.value)
        assert value not in str(caught.value)


def test_no_keys_at_all_is_one_sentence(bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(StoreError, match=r"access is denied|no usable credentials"):
        store.read(f"{bucket}/x")


def test_a_bucket_that_is_not_there_is_one_sentence(bucket):
    for action in (
        lambda: store.read(f"{bucket}nope/x"),
        lambda: store.write(f"{bucket}nope/x", b""),
        lambda: store.listing(f"{bucket}nope/log"),
    ):
        with pytest.raises(
            NotFoundError, match="does not exist: check the URI, and that its bucket or folder is there"
        ):
            action()


def test_an_endpoint_that_is_down_is_one_sentence_in_time(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    began = time.monotonic()
    with pytest.raises(StoreError, match="its endpoint does not answer"):
        store.read(f"{bucket}/x")
    assert time.monotonic() - began < 60
