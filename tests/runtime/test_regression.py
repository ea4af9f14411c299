"""Models that predict numbers, on real patients: packed, resolved, refitted, compared by who is farther from the truth."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeRegressor

from modelmend.contract import environment, log
from modelmend.contract.manifest import Task
from modelmend.runtime import artifact, job, packing, reference, resolve, targets, trainer
from modelmend.runtime.errors import ArtifactError, DataError, SettingsError
from modelmend.runtime.grading import Grading
from runtime import regressions, worlds
from runtime.regressions import FEATURES, LABEL, TOLERANCE

GRADED = {environment.TOLERANCE: str(TOLERANCE), environment.ERROR_BOUND: "600"}


def packed(folder, pipeline=None, frame=None, **options):
    frame = regressions.patients() if frame is None else frame
    pipeline = regressions.linear() if pipeline is None else pipeline
    fitted = pipeline.fit(frame[FEATURES], frame[LABEL])
    chosen = packing.Options(**options)
    return artifact.pack(
        fitted,
        frame[FEATURES],
        frame[LABEL],
        uri=folder.as_uri(),
        model="patients",
        time=frame["time"],
        options=chosen,
    )[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("champion") / "artifact"
    return packed(folder), folder.as_uri()


def task(root, origin=None, **more):
    model, uri = origin or (None, None)
    told = worlds.job_environment(root, uri, None if model is None else model.digest, **(GRADED | more))
    return job.Task.from_environment(told)


def write_log(folder, frame):
    """What servers would have written for these rows."""
    time = pd.to_datetime(frame["time"], utc=True)
    identifiers = [f"{row:024x}" for row in range(len(frame))]
    predictions = pd.DataFrame(
        {
            log.PREDICTION_ID: identifiers,
            log.ROW: 0,
            log.TIME: time,
            log.VERSION: "v0",
            log.PREDICTION: "150.0",
        }
        | {log.FEATURE_PREFIX + name: frame[name].to_numpy() for name in FEATURES}
    )
    texts = [each if isinstance(each, str) else log.number_text(each) for each in frame[LABEL]]
    labels = pd.DataFrame(
        {log.PREDICTION_ID: identifiers, log.ROW: 0, log.LABEL: texts, log.TIME: time + pd.Timedelta("1h")}
    )
    for kind, table in ((log.PREDICTIONS, predictions), (log.LABELS, labels)):
        for number, (day, part) in enumerate(table.groupby(table[log.TIME].dt.date)):
            worlds.write_part(folder / f"dt={day}" / f"{kind}-p0-{number}.parquet", part)


@pytest.mark.parametrize(
    "pipeline",
    [
        regressions.linear(),
        regressions.boosting(),
        RandomForestRegressor(5, random_state=0),
        DecisionTreeRegressor(max_depth=3),
    ],
    ids=lambda pipeline: type(pipeline).__name__,
)
def test_regressors_are_packed_and_predict_as_before(pipeline, tmp_path):
    frame = regressions.patients()
    loaded = packed(tmp_path / "artifact", pipeline)

    assert (loaded.manifest.task, loaded.manifest.classes, loaded.class_keys) == (Task.REGRESSION, (), ())
    assert set(loaded.manifest.metrics) == {"mae", "rmse", "holdout_rows"}
    assert 30 < loaded.manifest.metrics["mae"] < loaded.manifest.metrics["rmse"] < 90
    found, probabilities = loaded.predict(loaded.frame({name: frame[name].to_numpy() for name in FEATURES}))
    assert np.array_equal(found, pipeline.predict(frame[FEATURES]))
    assert probabilities is None
    assert loaded.reference.classes is None
    assert sum(loaded.reference.score.counts) == 88
    assert min(loaded.reference.score.counts[:-1]) > 0


def test_a_model_of_one_number_has_no_spread_of_predictions():
    assert reference.spread(np.full(10, 3.0)) is None


def test_the_accuracy_within_any_tolerance_is_read_from_the_artifact(place, tmp_path):
    _, uri = place
    outcome = resolve.resolve(task(tmp_path), job.Origin(uri))

    assert outcome.task is Task.REGRESSION
    assert outcome.metrics["tolerance"] == TOLERANCE
    wider = resolve.resolve(task(tmp_path, **{environment.TOLERANCE: "90"}), job.Origin(uri))
    assert 0.5 < outcome.metrics["accuracy"] < wider.metrics["accuracy"] < 1
    errors = np.abs(np.random.default_rng(0).normal(size=400))
    grid = reference.error_grid(errors)
    assert reference.within(grid, 0.7) == pytest.approx((errors <= 0.7).mean(), abs=0.01)
    assert (reference.within(grid, 0.0), reference.within(grid, 9.0)) == (0.0, 1.0)


def test_an_artifact_without_measured_errors_says_that_a_drop_has_no_beginning(tmp_path):
    model = packed(tmp_path / "artifact", metrics={"mae": 40.0})
    outcome = resolve.resolve(task(tmp_path), job.Origin((tmp_path / "artifact").as_uri()))

    assert model.reference.errors is None
    assert outcome.metrics == {"mae": 40.0}
    assert "no measured accuracy" in outcome.warnings[0]


def test_a_regressor_needs_a_tolerance_and_a_classifier_none(place, tmp_path):
    _, uri = place
    untold = job.Task.from_environment(worlds.job_environment(tmp_path))
    with pytest.raises(SettingsError, match=r"predicts numbers, .* set spec\.evaluation\.tolerance"):
        resolve.resolve(untold, job.Origin(uri))

    frame = regressions.patients()
    high = np.where(frame[LABEL] > 150, "high", "low")
    fitted = LogisticRegression(max_iter=5000).fit(frame[FEATURES], high)
    artifact.pack(fitted, frame[FEATURES], high, uri=(tmp_path / "classes").as_uri(), model="patients")
    with pytest.raises(
        SettingsError, match=r"predicts classes, of which spec\.evaluation\.tolerance says nothing"
    ):
        resolve.resolve(task(tmp_path), job.Origin((tmp_path / "classes").as_uri()))
    # Both fields at once: the artifact fits its tolerance, and what serves is of another kind.
    classes = (artifact.load((tmp_path / "classes").as_uri()), (tmp_path / "classes").as_uri())
    with pytest.raises(targets.OtherKindError, match="cannot be compared"):
        resolve.resolve(task(tmp_path, classes), job.Origin(uri))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "far"])
def test_a_tolerance_that_makes_no_sense_names_its_variable(value):
    with pytest.raises(SettingsError, match=environment.TOLERANCE):
        Grading.from_environment({environment.TOLERANCE: value, environment.ERROR_BOUND: "10"})


def test_after_a_shift_the_candidate_is_closer_to_the_truth(place, tmp_path):
    write_log(tmp_path / "storage" / "log", regressions.patients(900, turn=0))

    outcome = trainer.train(task(tmp_path, place))

    assert outcome.task is Task.REGRESSION
    assert outcome.evaluation.b > 2 * outcome.evaluation.a
    assert outcome.evaluation.a + outcome.evaluation.b + outcome.evaluation.c == 180
    assert outcome.metrics["champion_accuracy"] + 0.1 < outcome.metrics["accuracy"]
    assert outcome.metrics["tolerance"] == TOLERANCE
    candidate = artifact.load(outcome.uri, outcome.digest)
    assert candidate.manifest.metrics["mae"] < 60
    assert candidate.reference.errors is not None
    # A person may name the artifact later: both are compared on what neither saw.
    again = resolve.resolve(task(tmp_path, place), job.Origin(outcome.uri))
    assert again.evaluation == outcome.evaluation


def test_labels_of_the_log_that_are_no_numbers_are_left_out_and_named(place, tmp_path):
    frame = regressions.patients(400, turn=0)
    frame[LABEL] = frame[LABEL].astype(object)
    frame.loc[3, LABEL], frame.loc[9, LABEL] = "ill", "inf"
    write_log(tmp_path / "storage" / "log", frame)

    outcome = trainer.train(task(tmp_path, place))

    assert (
        outcome.warnings[-1]
        == "2 rows of the log have a label that is not a finite number, e.g. 'ill': left out"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda label: label.where(label.index != 3), r"is missing \(NaN or null\) in 1 of 400 rows"),
        (lambda label: label.where(label.index != 3, np.inf), "is infinite in 1 of 400 rows"),
        (lambda label: label.astype(str) + " mg", "and the model predicts numbers"),
        (lambda label: label * 0 + 5.0, "all 320 rows to fit on have the same label, 5"),
    ],
)
def test_truths_of_a_dataset_that_teach_nothing_are_refused(change, sentence, place, tmp_path):
    frame = regressions.patients(400)
    frame[LABEL] = change(frame[LABEL])
    frame.to_parquet(tmp_path / "rows.parquet")
    data = {
        environment.DATA_URI: (tmp_path / "rows.parquet").as_uri(),
        environment.DATA_LABEL: LABEL,
        environment.DATA_TIME: "time",
    }
    with pytest.raises(DataError, match=sentence):
        trainer.train(task(tmp_path, place, **data))


@pytest.mark.parametrize("sign", [2.0, -1.0])
def test_a_feature_that_is_the_truth_itself_is_refused(sign, tmp_path):
    # All values of `noise` differ, as all labels do: that alone says nothing.
    frame = regressions.patients().drop_duplicates(LABEL)
    table = frame[FEATURES].assign(
        noise=np.random.default_rng(0).random(len(frame)), later=np.exp(frame[LABEL] * sign / 100)
    )
    with pytest.raises(DataError, match="'later' is the label itself"):
        artifact.pack(
            LinearRegression().fit(table, frame[LABEL]),
            table,
            frame[LABEL],
            uri=(tmp_path / "artifact").as_uri(),
            model="patients",
        )


def test_several_targets_are_no_model_of_one_number(tmp_path):
    frame = regressions.patients()
    both = LinearRegression().fit(frame[FEATURES], frame[[LABEL, "age"]])
    with pytest.raises(ArtifactError, match="it predicts several numbers for a row"):
        artifact.pack(
            both, frame[FEATURES], frame[LABEL], uri=(tmp_path / "artifact").as_uri(), model="patients",
            options=packing.Options(holdout=0),
        )  # fmt: skip


def test_an_unfitted_regressor_is_no_model(tmp_path):
    with pytest.raises(ArtifactError, match="is not fitted"):
        packing.check_model(LinearRegression(), "model.skops")
