"""The first version, trained on a dataset that nobody prepared for it."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from typer.testing import CliRunner

from modelmend.contract import environment, pipelines, result, slices
from modelmend.contract.manifest import Task
from modelmend.evidence import offline, paired
from modelmend.runtime import artifact, commands, first, job, trainer
from modelmend.runtime.errors import DataError, SettingsError, StoreError
from runtime import worlds

FRAME = worlds.flights(days=30)


def environ(root, frame=None, name="rows.parquet", **more):
    """A Job without a parent, pointed to this dataset."""
    path = root / name
    if frame is not None:
        frame.to_csv(path, index=False) if ".csv" in name else frame.to_parquet(path, index=False)
    return {
        environment.MODEL: "flights",
        environment.VERSION: "flights-v1",
        environment.SEQUENCE: "1",
        environment.SEED: "1",
        environment.OUTPUT_URI: (root / "storage" / "staging" / "1").as_uri(),
        environment.STORAGE_URI: (root / "storage").as_uri(),
        environment.DATA_URI: path.as_uri(),
        environment.DATA_LABEL: "late",
        environment.DATA_TIME: "time",
        **more,
    }


def trained(root, frame, asked=None, name="rows.parquet", **more):
    task = job.Task.from_environment(environ(root, frame, name, **more))
    return first.train(task, asked or pipelines.Pipeline())


def passes(outcome):
    counts = outcome.evaluation
    return offline.first(paired.Paired(counts.a, counts.b, counts.c), "the same", 0.05).passed


@pytest.mark.parametrize("estimator", pipelines.Estimator)
def test_every_estimator_makes_a_version_that_is_worth_something_and_can_be_refitted(tmp_path, estimator):
    made = trained(tmp_path, FRAME, pipelines.Pipeline(estimator=estimator))

    model = artifact.load(made.uri, made.digest)
    model.smoke()
    assert made.metrics["accuracy"] > 0.8 > made.metrics["constant_accuracy"] > 0.4
    assert passes(made)
    assert made.classes == ("late", "on time")
    assert made.parent is None
    assert made.warnings == ()
    assert [feature.name for feature in model.manifest.features] == worlds.FEATURES
    assert made.evaluation.a + made.evaluation.b + made.evaluation.c == made.metrics["holdout_rows"] == 240
    assert model.manifest.window.end == made.window.end
    assert made.rows == model.manifest.rows == 960

    later = worlds.flights(days=60)
    later.to_parquet(tmp_path / "rows.parquet", index=False)
    parent = {environment.PARENT_URI: made.uri, environment.PARENT_DIGEST: made.digest}
    refitted = trainer.train(job.Task.from_environment(environ(tmp_path, **parent)))
    assert refitted.parent == made.digest
    assert refitted.evaluation.b > 3 * refitted.evaluation.a, "the world has turned"


@pytest.mark.parametrize("estimator", pipelines.Estimator)
def test_requests_with_gaps_and_categories_never_seen_are_answered(tmp_path, estimator):
    wind, carrier = FRAME["wind"].where(FRAME["hour"] != 3), FRAME["carrier"].where(FRAME["hour"] != 4)
    made = trained(
        tmp_path, FRAME.assign(wind=wind, carrier=carrier), pipelines.Pipeline(estimator=estimator)
    )

    model = artifact.load(made.uri)
    indices, probabilities = model.predict(
        model.frame({"hour": [1, 2, 3], "wind": [0.1, np.nan, 0.3], "carrier": ["AA", "never seen", None]})
    )
    assert len(indices) == 3
    assert np.isfinite(probabilities).all()


@pytest.mark.parametrize(
    ("load", "classes"), [(load_breast_cancer, ("0", "1")), (load_wine, ("0", "1", "2"))]
)
def test_real_tables_are_learnt(tmp_path, load, classes):
    """Cancer and wine have no times: their rows in a random order, a minute apart."""
    table = load(as_frame=True).frame.sample(frac=1, random_state=0, ignore_index=True)
    time = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(table)), unit="min")
    table = table.rename(columns={"target": "late"}).assign(time=time)
    made = trained(tmp_path, table, **{environment.HOLDOUT: "0.3"})

    assert made.metrics["accuracy"] > 0.9
    assert made.classes == classes
    assert passes(made)


def test_columns_that_come_as_they_may_are_made_plain(tmp_path):
    """A file may hold a dictionary of text, booleans with gaps, a column of nothing, and one of one value."""
    rows = len(FRAME)
    frame = FRAME.assign(
        night=(FRAME["hour"] < 6).astype(object).where(FRAME["hour"] != 9),
        nothing=pd.Series([None] * rows, dtype=object),
        constant=7,
        name=[f"flight {number}" for number in range(rows)],
        count=pd.array(np.arange(rows), dtype="Int64"),
    )
    made = trained(tmp_path, frame)

    kinds = {feature.name: feature for feature in artifact.load(made.uri).manifest.features}
    assert {name: feature.datatype.value for name, feature in kinds.items()} == {
        "hour": "INT64", "wind": "FP64", "carrier": "BYTES", "night": "BOOL", "constant": "INT64", "name": "BYTES",
        "count": "INT64",
    }  # fmt: skip
    assert kinds["night"].missing
    assert made.warnings == ("empty columns are left out: 'nothing' (1)",)
    assert made.metrics["accuracy"] > 0.75


def test_a_csv_file_and_a_label_of_booleans_will_do(tmp_path):
    made = trained(tmp_path, FRAME.assign(late=FRAME["late"] == "late"), name="rows.csv")

    assert made.classes == ("false", "true")
    assert made.metrics["accuracy"] > 0.8


def test_parameters_and_features_are_those_that_were_asked_for(tmp_path):
    asked = pipelines.Pipeline(parameters={"max_iter": 7, "learning_rate": 1}, features=("wind", "hour"))
    model = artifact.load(trained(tmp_path, FRAME, asked).uri)

    assert [feature.name for feature in model.manifest.features] == ["wind", "hour"]
    assert model.estimator.get_params()["max_iter"] == 7
    assert model.estimator.get_params()["random_state"] == 1, "the seed of the Job"


def test_the_same_rows_and_seed_give_the_same_model(tmp_path):
    one, two = (trained(tmp_path, FRAME.sample(frac=1, random_state=seed)) for seed in (1, 2))

    assert one.metrics == two.metrics
    assert one.evaluation == two.evaluation


def test_what_tells_nothing_is_published_and_fails_the_gate(tmp_path):
    random = np.random.default_rng(5)
    frame = FRAME.assign(late=np.where(random.random(len(FRAME)) < 0.3, "late", "on time"))
    made = trained(tmp_path, frame)

    assert made.metrics["accuracy"] < made.metrics["constant_accuracy"] + 0.02
    assert not passes(made)


def test_the_window_of_the_dataset_counts_from_its_latest_row(tmp_path):
    made = trained(tmp_path, FRAME, **{environment.DATA_WINDOW_SECONDS: str(10 * 86400)})

    assert made.window.start >= worlds.START + timedelta(days=19)
    assert made.rows == pytest.approx(320, abs=40)


def test_slices_are_counted_as_in_any_gate(tmp_path):
    part = slices.Slice(column="carrier", value="UA")
    (counts,) = trained(tmp_path, FRAME, **{environment.SLICES: slices.encode([part])}).evaluation.slices

    assert counts.a + counts.b + counts.c > 30


# ------------------------------------------------------------------------------------------------------- bad input
ROWS = len(FRAME)
NOW = pd.Timestamp(datetime.now(UTC)).as_unit("us")
BAD = {
    "no label column": (FRAME.drop(columns="late"), {}, "label column 'late' is missing in "),
    "no time column": (FRAME.drop(columns="time"), {}, "time column 'time' is missing in "),
    "no other columns": (FRAME[["late", "time"]], {}, "has no columns but 'late' and 'time': add what is known"),
    "one class": (FRAME.assign(late="late"), {}, "only one class, 'late', is in the 960 rows to fit on"),
    "no labels": (FRAME.assign(late=None), {}, "label 'late' is missing (NaN or null) in 1,200 of 1,200 rows"),
    "some labels missing": (FRAME.assign(late=FRAME["late"].where(FRAME["hour"] > 1)), {}, "label 'late' is missing (NaN or null) in "),
    "30 rows": (FRAME.head(30), {}, "too few labelled rows: 24 to fit on and 6 held out, where 100 and 30 are needed"),
    "no rows": (FRAME.head(0), {}, "holds no rows in the window"),
    "the future": (
        FRAME.assign(time=NOW + pd.to_timedelta(np.arange(ROWS) - ROWS + 100, unit="D")), {},
        "time column 'time' lies in the future in 9",
    ),
    "a class of the holdout alone": (
        FRAME.assign(late=np.where(np.arange(ROWS) < 1100, FRAME["late"], "never")), {},
        "class 'never' is in none of the 960 rows to fit on",
    ),
    "a measurement for a label": (FRAME.assign(late=FRAME["wind"]), {}, "label 'late' has 1,200 different values in 1,200 rows"),
    "dates for a label": (FRAME.assign(late=FRAME["time"].dt.date), {}, "label 'late' holds date values: write classes as text"),
    "numbers for a time": (FRAME.assign(time=np.arange(ROWS)), {}, "time column 'time' holds numbers"),
    "one moment": (FRAME.assign(time=FRAME["time"].iloc[0]), {}, "have the same time"),
    "a date for a feature": (FRAME.assign(due=FRAME["time"]), {}, "column 'due' has dtype"),
    "mixed values": (FRAME.assign(mixed=[b"x"] * ROWS), {}, "column 'mixed' mixes text with other values"),
    "the label twice": (FRAME.assign(again=FRAME["late"]), {}, "feature 'again' is the label itself"),
    "a name of ours": (FRAME.assign(__class__=1), {}, "column '__class__' has a name that Modelmend's metrics need"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_data_is_one_sentence(what, tmp_path):
    frame, more, sentence = BAD[what]

    with pytest.raises(DataError) as caught:
        trained(tmp_path, frame, **more)
    assert sentence in str(caught.value)
    assert not (tmp_path / "storage").exists()


def test_a_dataset_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises((DataError, StoreError)) as caught:
        trained(tmp_path, None)
    assert "rows.parquet" in str(caught.value)
    assert "does not exist" in str(caught.value) or "nothing" in str(caught.value)


def test_features_and_parameters_that_are_not_there_are_named(tmp_path):
    with pytest.raises(
        DataError, match=r"column 'gate' is missing .*correct spec\.retraining\.trainer\.pipeline\.features"
    ):
        trained(tmp_path, FRAME, pipelines.Pipeline(features=("wind", "gate")))
    with pytest.raises(
        DataError,
        match=r"InvalidParameterError: The 'max_iter' parameter .* Got -3.*: correct its parameters",
    ):
        trained(tmp_path, FRAME, pipelines.Pipeline(parameters={"max_iter": -3}))


@pytest.mark.parametrize("name", [environment.DATA_URI, environment.DATA_TIME, environment.OUTPUT_URI])
def test_a_setting_that_is_missing_is_named(name, tmp_path):
    given = environ(tmp_path, FRAME)
    del given[name]
    with pytest.raises(SettingsError, match=name):
        first.train(job.Task.from_environment(given), pipelines.Pipeline())


def test_the_job_without_a_parent_makes_a_first_version_and_reports_it(tmp_path, monkeypatch):
    asked = pipelines.Pipeline(features=("wind", "carrier")).model_dump_json()
    given = environ(tmp_path, FRAME, **{environment.PIPELINE: asked})
    given[environment.TERMINATION_LOG] = str(tmp_path / "message")
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert CliRunner().invoke(commands.app, ["train"]).exit_code == 0

    made = result.decode((tmp_path / "message").read_text())
    assert isinstance(made, result.Succeeded)
    assert made.evaluation.b > made.evaluation.a

    monkeypatch.setenv(environment.PIPELINE, json.dumps({"estimator": "os.system"}))
    assert CliRunner().invoke(commands.app, ["train"]).exit_code == 1
    failed = result.decode((tmp_path / "message").read_text())
    assert "MODELMEND_PIPELINE is " in failed.error


# --------------------------------------------------------------------------------------------------------- numbers
NUMBERS = {environment.TOLERANCE: "0.5", environment.ERROR_BOUND: "5", environment.DATA_LABEL: "delay"}


def delays():
    """The same world, whose label is how late a flight is."""
    return FRAME.drop(columns="late").assign(delay=2 * FRAME["wind"] + FRAME["hour"] / 12)


@pytest.mark.parametrize("estimator", pipelines.Estimator)
def test_a_first_model_of_numbers_is_compared_with_the_mean(tmp_path, estimator):
    parameters = {"C": 2} if estimator is pipelines.Estimator.LINEAR else {}
    asked = pipelines.Pipeline(estimator=estimator, parameters=parameters)
    made = trained(tmp_path, delays(), asked, **NUMBERS)

    assert artifact.load(made.uri, made.digest).is_regressor
    assert made.task is Task.REGRESSION
    assert made.classes == ()
    assert made.metrics["accuracy"] > 0.8 > 0.3 > made.metrics["constant_accuracy"]
    assert made.metrics["mae"] < 0.5
    assert passes(made)


def test_a_label_that_is_no_number_or_always_the_same_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="delay"):
        trained(tmp_path, FRAME.rename(columns={"late": "delay"}), **NUMBERS)
    with pytest.raises(DataError, match="all 960 rows to fit on have the same label, 3"):
        trained(tmp_path, delays().assign(delay=3.0), **NUMBERS)
