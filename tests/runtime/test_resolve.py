"""`modelmend resolve`: every artifact becomes a result, and a champion's rival is compared when rows allow it."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelmend.contract import environment, result, slices
from modelmend.runtime import artifact, commands, job
from modelmend.runtime import resolve as resolving
from modelmend.runtime.errors import ArtifactError
from runtime import worlds

DRIFTED = worlds.flights(days=60)


@pytest.fixture(scope="module")
def rival(tmp_path_factory):
    """A person's artifact, fitted on days 30 to 50."""
    return packed(tmp_path_factory.mktemp("rival"), 30, 50)


def packed(folder, start, end, time=True, **changes):
    first, last = worlds.days(start, end)
    rows = DRIFTED[(DRIFTED["time"] >= first) & (DRIFTED["time"] < last)].assign(**changes)
    pipeline = worlds.boosting().fit(rows[worlds.FEATURES], rows["late"])
    loaded, _ = artifact.pack(
        pipeline,
        rows[worlds.FEATURES],
        rows["late"],
        uri=folder.as_uri(),
        model="flights",
        version="flights-mine",
        time=rows["time"] if time else None,
    )
    return job.Origin(folder.as_uri(), loaded.digest)


def resolve(root, origin, champion=None, **more):
    given = worlds.job_environment(
        root, champion.uri if champion else None, champion.digest if champion else None
    )
    return resolving.resolve(job.Task.from_environment(given | more), origin)


def write_log(root, start=20, end=60):
    first, last = worlds.days(start, end)
    worlds.write_log(root / "storage" / "log", DRIFTED[(DRIFTED["time"] >= first) & (DRIFTED["time"] < last)])


def test_an_artifact_is_reported_where_it_lies(rival, tmp_path):
    found = resolve(tmp_path, rival)
    described = artifact.load(rival.uri).manifest
    assert found == result.Succeeded(
        digest=rival.digest,
        uri=rival.uri,
        rows=800,
        metrics=described.metrics,
        classes=("late", "on time"),
        window=described.window,
        holdout=described.holdout,
    )
    assert found.holdout is not None
    assert (found.holdout.rows, len(found.holdout.confusion)) == (160, 2)
    assert not (tmp_path / "storage").exists()


def test_an_artifact_on_a_claim_is_reported_by_its_claim(rival, mounts, tmp_path):
    shutil.copytree(rival.uri.removeprefix("file://"), mounts / "models" / "flights")
    found = resolve(tmp_path, job.Origin("pvc://models/flights"))
    assert found.uri == "pvc://models/flights"
    assert found.digest == rival.digest


def test_a_rival_is_compared_on_rows_that_neither_has_seen(rival, champion, tmp_path):
    write_log(tmp_path)
    found = resolve(tmp_path, rival, champion, **{environment.HOLDOUT: "0.5"})
    # Of the latest half (days 40 to 60), those after the rival's own window: days 50 to 60.
    assert found.evaluation.a + found.evaluation.b + found.evaluation.c == 400
    assert found.evaluation.b > 10 * found.evaluation.a
    assert found.warnings == ()


def test_a_rival_is_compared_on_slices_too(rival, champion, tmp_path):
    write_log(tmp_path)
    part = slices.Slice(column="carrier", value="UA")
    found = resolve(tmp_path, rival, champion, **{environment.SLICES: slices.encode([part])})
    (counts,) = found.evaluation.slices
    assert counts.name == "carrier = UA"
    assert 0 < counts.a + counts.b + counts.c < found.evaluation.a + found.evaluation.b + found.evaluation.c

    strange = slices.Slice(column="gate", value="A1")
    unfound = resolve(tmp_path, rival, champion, **{environment.SLICES: slices.encode([strange])})
    assert unfound.evaluation is None
    assert "not compared with the champion: column 'gate' of a slice is no feature" in unfound.warnings[0]


def test_a_rival_is_compared_on_a_dataset(rival, champion, tmp_path):
    DRIFTED.to_parquet(tmp_path / "rows.parquet")
    found = resolve(
        tmp_path,
        rival,
        champion,
        **{
            environment.DATA_URI: (tmp_path / "rows.parquet").as_uri(),
            environment.DATA_LABEL: "late",
            environment.DATA_TIME: "time",
        },
    )
    assert found.evaluation.a + found.evaluation.b + found.evaluation.c == 400


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (None, "holds no labelled rows in the window (0 without a label): send labels"),
        ((20, 50), "only 0 labelled rows are newer than what both were fitted on, where 30 are needed"),
    ],
)
def test_without_unseen_rows_it_is_not_compared_and_says_why(log, sentence, rival, champion, tmp_path):
    if log:
        write_log(tmp_path, *log)
    found = resolve(tmp_path, rival, champion)
    assert found.digest == rival.digest
    assert found.evaluation is None
    (warning,) = found.warnings
    assert warning.startswith("not compared with the champion: ")
    assert sentence in warning


def test_a_rival_of_unknown_window_is_not_flattered(champion, tmp_path):
    write_log(tmp_path)
    found = resolve(tmp_path, packed(tmp_path / "mine", 30, 60, time=False), champion)
    assert found.evaluation is None
    assert found.warnings == (
        "not compared with the champion: when its training ended is unknown; pack it with the time of its rows",
    )


def test_a_rival_with_other_classes_is_compared_by_their_names(champion, tmp_path):
    write_log(tmp_path)
    other = DRIFTED["late"].where(DRIFTED["hour"] < 23, "never")
    found = resolve(tmp_path, packed(tmp_path / "mine", 30, 50, late=other), champion)
    assert found.evaluation.b > found.evaluation.a
    assert found.warnings == (
        "the classes differ: the champion knows late, on time and the candidate late, never, on time",
    )


def test_a_rival_with_a_column_of_another_kind_is_not_compared(champion, tmp_path):
    write_log(tmp_path)
    mine = packed(tmp_path / "mine", 30, 50, hour=DRIFTED["hour"].astype(str).astype("category"))
    found = resolve(tmp_path, mine, champion)
    assert found.evaluation is None
    assert "'hour' is INT64 for the champion and BYTES for the candidate" in found.warnings[0]


def test_a_spoilt_champion_does_not_stop_a_good_artifact(rival, tmp_path):
    write_log(tmp_path)
    found = resolve(tmp_path, rival, job.Origin((tmp_path / "gone").as_uri()))
    assert found.digest == rival.digest
    assert "not compared with the champion: there is no manifest.json" in found.warnings[0]


def test_an_artifact_without_accuracy_is_warned_of(tmp_path):
    rows = DRIFTED.iloc[:300]
    pipeline = worlds.boosting().fit(rows[worlds.FEATURES], rows["late"])
    uri = (tmp_path / "m").as_uri()
    options = artifact.packing.Options(holdout=0)
    artifact.pack(pipeline, rows[worlds.FEATURES], rows["late"], uri=uri, model="m", options=options)
    (warning,) = resolve(tmp_path, job.Origin(uri)).warnings
    assert warning.startswith("the artifact has no measured accuracy: an Accuracy signal needs `minimum`")


def test_an_artifact_whose_model_cannot_predict_is_refused(rival, tmp_path, monkeypatch):
    monkeypatch.setattr(artifact.LoadedModel, "predict", lambda self, table: 1 / 0)
    with pytest.raises(ArtifactError, match="cannot predict its own example row"):
        resolve(tmp_path, rival)


def run(arguments, environ, monkeypatch):
    for name in [name for name in environment.__dict__.values() if str(name).startswith("MODELMEND_")]:
        monkeypatch.delenv(str(name), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(commands.app, ["resolve", *arguments])
    return done.exit_code, result.decode(Path(environ[environment.TERMINATION_LOG]).read_text())


def test_the_command_reports_a_good_artifact_and_exits_0(rival, tmp_path, monkeypatch):
    code, told = run([rival.uri], worlds.job_environment(tmp_path), monkeypatch)
    assert code == 0
    assert isinstance(told, result.Succeeded)
    assert told.digest == rival.digest


def test_the_command_takes_the_uri_and_digest_from_the_environment(rival, tmp_path, monkeypatch):
    given = worlds.job_environment(
        tmp_path, **{environment.URI: rival.uri, environment.DIGEST: "sha256:" + "0" * 64}
    )
    code, told = run([], given, monkeypatch)
    assert code == 1
    assert "was expected: an artifact never changes" in told.error


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("", "name the artifact as an argument, or in MODELMEND_URI"),
        ("file:///nowhere/at/all", "there is no manifest.json at file:///nowhere/at/all"),
        ("ftp://host/model", "ftp://host/model/manifest.json has no scheme that Modelmend reads"),
        ("pvc://nobody/model", "pvc://nobody/model/manifest.json is not mounted in this pod"),
    ],
)
def test_the_command_turns_a_bad_uri_into_one_sentence_and_exits_1(uri, sentence, tmp_path, monkeypatch):
    code, told = run([uri] if uri else [], worlds.job_environment(tmp_path), monkeypatch)
    assert code == 1
    assert isinstance(told, result.Failed)
    assert told.error.startswith(sentence)


def test_a_result_outside_of_a_pod_is_still_printed(rival, tmp_path, monkeypatch, capsys):
    given = worlds.job_environment(tmp_path) | {
        environment.TERMINATION_LOG: str(tmp_path / "no" / "such" / "folder")
    }
    assert job.run(lambda task: resolving.resolve(task, rival), environ=given) == 0
    assert rival.digest in capsys.readouterr().out
