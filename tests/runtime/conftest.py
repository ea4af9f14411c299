"""Fixtures of the runtime's tests."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
import threadpoolctl

from modelmend.contract import storage
from modelmend.runtime import artifact, store
from runtime import s3server, worlds


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits on a busy machine spend their time waiting for each other's threads."""
    with threadpoolctl.threadpool_limits(1):
        yield


@dataclass(frozen=True)
class Packed:
    """An artifact on this machine that tests may read and must not change."""

    uri: str
    digest: str


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Boosting with a pandas category, fitted on days 0 to 20."""
    folder = tmp_path_factory.mktemp("champion")
    rows = worlds.flights(days=20)
    pipeline = worlds.boosting().fit(rows[worlds.FEATURES], rows["late"])
    loaded, warnings = artifact.pack(
        pipeline,
        rows[worlds.FEATURES],
        rows["late"],
        uri=folder.as_uri(),
        model="flights",
        version="flights-v0",
        time=rows["time"],
    )
    assert warnings == ()
    return Packed(folder.as_uri(), loaded.digest)


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where claims are mounted in this test; a claim is a folder in it."""
    root = tmp_path / "mounts"
    root.mkdir()
    monkeypatch.setattr(storage, "MOUNT_ROOT", root)
    return root


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3server.Server]:
    """One S3 server for the whole session. Tests that use it carry the marker `s3`."""
    with s3server.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(
    s3_server: s3server.Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """The URI of an empty bucket, and the environment in which pods of a model would reach it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # fsspec keeps file systems, and with them the credentials that they were made with.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    uri = "s3://" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    found, path = store.filesystem(uri)
    found.mkdir(path)
    return uri
