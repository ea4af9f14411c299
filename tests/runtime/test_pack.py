"""`modelmend pack`: a person's fitted pipeline to an artifact, from a script, a module or a .skops file."""

import textwrap
from pathlib import Path

import pytest
import skops.io
from typer.testing import CliRunner

from modelmend.runtime import artifact, commands, packing
from runtime import worlds

ROWS = worlds.flights(days=10)


def pack(*arguments):
    done = CliRunner().invoke(commands.app, ["pack", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "flights_training.py"
    path.write_text(
        textwrap.dedent(
            """
            from runtime import worlds

            rows = worlds.flights(days=10)
            features, labels = rows[worlds.FEATURES], rows["late"]


            def fitted():
                return worlds.boosting().fit(features, labels), features, labels


            def with_time():
                return (*fitted(), rows["time"])


            def number():
                return 7


            def unfitted():
                return worlds.boosting(), features, labels
            """
        )
    )
    return path


@pytest.mark.parametrize("function", ["fitted", "with_time"])
def test_a_script_becomes_an_artifact(function, script, tmp_path):
    code, output = pack(
        f"{script}:{function}", "--to", tmp_path / "out", "--model", "flights", "--version", "v7"
    )
    assert code == 0, output
    loaded = artifact.load((tmp_path / "out").as_uri())
    assert loaded.digest in output
    assert "400 rows, accuracy 0." in output
    assert (loaded.manifest.model, loaded.manifest.version) == ("flights", "v7")
    assert (loaded.manifest.window is not None) == (function == "with_time")


def test_a_module_becomes_an_artifact(script, tmp_path, monkeypatch):
    monkeypatch.chdir(script.parent)
    code, output = pack(
        "flights_training:with_time", "--to", (tmp_path / "out").as_uri(), "--model", "flights"
    )
    assert code == 0, output


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_skops_file_and_its_frame_become_an_artifact(name, tmp_path):
    columns = ["hour", "wind"]
    pipeline = worlds.boosting().fit(ROWS[columns], ROWS["late"])
    skops.io.dump(pipeline, tmp_path / "model.skops")
    ROWS.to_csv(tmp_path / name, index=False) if name.endswith("csv") else ROWS.to_parquet(tmp_path / name)
    code, output = pack(
        tmp_path / "model.skops", "--data", tmp_path / name, "--label", "late", "--time", "time",
        "--to", tmp_path / "out", "--model", "flights",
    )  # fmt: skip
    assert code == 0, output
    read = artifact.load((tmp_path / "out").as_uri()).manifest
    assert [feature.name for feature in read.features] == columns
    assert read.window is not None


def test_metrics_that_were_measured_elsewhere_are_taken_and_nothing_is_fitted(script, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_split", lambda *arguments: pytest.fail("split to fit again"))
    code, output = pack(
        f"{script}:fitted",
        "--to",
        tmp_path / "out",
        "--model",
        "m",
        "--metric",
        "accuracy=0.91",
        "--metric",
        "f1=0.8",
    )
    assert code == 0, output
    read = artifact.load((tmp_path / "out").as_uri()).manifest
    assert (read.metrics, read.holdout) == ({"accuracy": 0.91, "f1": 0.8}, None)


@pytest.mark.parametrize(
    ("source", "more", "sentence"),
    [
        ("SCRIPT:number", (), "returned a int: return (pipeline, X, y) or (pipeline, X, y, time)"),
        ("SCRIPT:missing", (), "has no function 'missing'"),
        ("SCRIPT:unfitted", (), "is not fitted: call fit before packing"),
        ("SCRIPT", (), "is no source: give script.py:function"),
        ("nowhere.py:fitted", (), "nowhere.py does not exist"),
        ("no_such_module:fitted", (), "module 'no_such_module' does not exist"),
        ("model.skops", (), "a .skops file needs --data and --label"),
        ("model.skops", ("--data", "rows.csv", "--label", "late"), "model.skops does not exist"),
        ("SCRIPT:fitted", ("--metric", "accuracy"), "--metric 'accuracy' is not name=value"),
        ("SCRIPT:fitted", ("--metric", "accuracy=good"), "--metric 'accuracy=good' is not name=value"),
        ("SCRIPT:fitted", ("--metric", "loss=nan"), "metric 'loss' is nan: give a finite number"),
        ("SCRIPT:fitted", ("--metric", "loss=-inf"), "metric 'loss' is -inf: give a finite number"),
        (
            "SCRIPT:fitted",
            ("--metric", "accuracy=91"),
            "metric 'accuracy' is 91: give a share between 0 and 1",
        ),
    ],
)
def test_what_cannot_be_packed_is_one_sentence_and_exits_1(
    source, more, sentence, script, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, output = pack(
        source.replace("SCRIPT", str(script)), *more, "--to", tmp_path / "out", "--model", "m"
    )
    assert code == 1
    assert sentence in output
    assert output.startswith("modelmend: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "label", "sentence"),
    [
        ("rows.csv", "delay", "column 'delay' is missing in"),
        ("other.csv", "late", "column 'wind' is missing in"),
        ("broken.parquet", "late", "cannot be read as a table"),
        ("gone.parquet", "late", "does not exist: give a Parquet or CSV file"),
    ],
)
def test_a_frame_that_does_not_fit_is_named(data, label, sentence, tmp_path):
    pipeline = worlds.boosting().fit(ROWS[["hour", "wind"]], ROWS["late"])
    skops.io.dump(pipeline, tmp_path / "model.skops")
    ROWS.to_csv(tmp_path / "rows.csv")
    ROWS.drop(columns="wind").to_csv(tmp_path / "other.csv")
    Path(tmp_path / "broken.parquet").write_bytes(b"PAR1")
    code, output = pack(
        tmp_path / "model.skops",
        "--data",
        tmp_path / data,
        "--label",
        label,
        "--to",
        tmp_path / "out",
        "--model",
        "m",
    )
    assert code == 1
    assert sentence in output


def test_a_pickle_is_refused(tmp_path):
    (tmp_path / "model.skops").write_bytes(b"\x80\x04K\x01.")
    ROWS.to_parquet(tmp_path / "rows.parquet")
    code, output = pack(
        tmp_path / "model.skops",
        "--data",
        tmp_path / "rows.parquet",
        "--label",
        "late",
        "--to",
        tmp_path / "out",
        "--model",
        "m",
    )
    assert code == 1
    assert "Modelmend never unpickles" in output
