"""Artifacts in a format of their own server's: read as they are, byte for byte, and understood by nobody here."""

import hashlib
from pathlib import Path

import pytest

from modelmend.contract import environment
from modelmend.runtime import job
from modelmend.runtime import resolve as resolving
from modelmend.runtime.errors import ArtifactError
from runtime import worlds


def resolve(root: Path, uri: str, *, opaque: bool = True):
    given = worlds.job_environment(root, None, None) | ({environment.OPAQUE: "true"} if opaque else {})
    return resolving.resolve(job.Task.from_environment(given), job.Origin(uri))


def written(folder: Path, **files: str) -> str:
    for name, content in files.items():
        place = folder / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return folder.as_uri()


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_digest_of_a_folder_is_that_of_all_its_files(tmp_path):
    uri = written(tmp_path / "model", settings="{}", weights__one="1")
    found = resolve(tmp_path, uri)
    assert found.digest == sha(f"{sha('{}')}  settings\n{sha('1')}  weights/one\n")
    assert found.uri == uri
    assert "needs `minimum`" in found.warnings[0]


def test_a_single_file_is_an_artifact_too(tmp_path):
    written(tmp_path, model="1")
    assert resolve(tmp_path, (tmp_path / "model").as_uri()).digest == sha(f"{sha('1')}  model\n")


def test_every_byte_and_every_name_counts(tmp_path):
    first = resolve(tmp_path, written(tmp_path / "a", x="1", y="2")).digest
    assert resolve(tmp_path, written(tmp_path / "b", x="1", y="2")).digest == first
    assert resolve(tmp_path, written(tmp_path / "c", x="2", y="1")).digest != first
    assert resolve(tmp_path, written(tmp_path / "d", x="1", z="2")).digest != first


def test_nothing_at_all_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    for uri in ((tmp_path / "empty").as_uri(), (tmp_path / "nowhere").as_uri()):
        with pytest.raises(ArtifactError, match="holds no file: name the file or folder that is the model"):
            resolve(tmp_path, uri)


def test_the_built_in_server_takes_no_such_artifact(tmp_path):
    uri = written(tmp_path / "model", weights="1")
    with pytest.raises(Exception, match=r"manifest\.json"):
        resolve(tmp_path, uri, opaque=False)


def test_a_broken_modelmend_artifact_is_not_taken_as_it_is(tmp_path):
    uri = written(tmp_path / "model", **{"manifest.json": "{}"})
    with pytest.raises(ArtifactError):
        resolve(tmp_path, uri)
