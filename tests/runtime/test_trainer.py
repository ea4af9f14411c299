"""The built-in trainer on a world that drifts, from the log and from datasets."""

import json
import os
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelmend.contract import environment, result, slices
from modelmend.runtime import artifact, job, store, trainer
from modelmend.runtime.errors import DataError, SentenceError, SettingsError
from runtime import worlds

DRIFTED = worlds.flights(days=60)


@pytest.fixture
def logged(tmp_path):
    """A storage whose log holds days 30 to 60, after the turn of the world."""
    worlds.write_log(tmp_path / "storage" / "log", DRIFTED[DRIFTED["time"] >= worlds.days(30)[0]])
    return tmp_path


def task(root, champion, **more):
    return job.Task.from_environment(worlds.job_environment(root, champion.uri, champion.digest, **more))


def dataset_task(root, champion, frame, name="rows.parquet", **more):
    path = root / name
    frame.to_csv(path, index=False) if ".csv" in name else frame.to_parquet(path, index=False)
    data = {
        environment.DATA_URI: path.as_uri(),
        environment.DATA_LABEL: "late",
        environment.DATA_TIME: "time",
    }
    return task(root, champion, **(data | more))


def test_after_a_drift_the_candidate_is_better_on_rows_that_neither_saw(logged, champion):
    outcome = trainer.train(task(logged, champion))

    candidate = artifact.load(outcome.uri, outcome.digest)
    assert outcome.metrics["accuracy"] > 0.85 > 0.3 > outcome.metrics["champion_accuracy"]
    assert outcome.classes == ("late", "on time")
    assert outcome.evaluation.b > 10 * outcome.evaluation.a
    counts = outcome.evaluation
    assert counts.a + counts.b + counts.c == outcome.metrics["holdout_rows"] == 240
    assert outcome.parent == candidate.manifest.parent == champion.digest
    assert candidate.manifest.model == "flights"
    assert candidate.manifest.version == "flights-v1"
    assert outcome.rows == candidate.manifest.rows == 960
    assert outcome.warnings == ()
    candidate.smoke()


def test_the_artifact_is_the_very_model_that_was_compared(logged, champion):
    outcome = trainer.train(task(logged, champion))
    candidate = artifact.load(outcome.uri)
    held = DRIFTED[DRIFTED["time"] >= outcome.window.end]
    predicted, _ = candidate.predict(
        candidate.frame({name: held[name].to_numpy() for name in worlds.FEATURES})
    )
    right = np.asarray(candidate.class_keys)[predicted] == held["late"].to_numpy()
    assert len(held) == 240
    measured = candidate.manifest.holdout
    assert outcome.holdout == measured
    assert (measured.rows, measured.right) == (240, right.sum())
    assert 120 <= measured.expected <= 240
    assert sum(map(sum, measured.confusion)) == 240
    assert right.mean() == pytest.approx(outcome.metrics["accuracy"])


def test_the_window_of_the_candidate_ends_where_the_holdout_begins(logged, champion):
    outcome = trainer.train(task(logged, champion))
    fitted = DRIFTED[(DRIFTED["time"] >= outcome.window.start) & (DRIFTED["time"] < outcome.window.end)]
    assert len(fitted) == outcome.rows
    assert outcome.window.start == fitted["time"].min()


def test_how_much_the_days_of_the_window_differ_stands_in_the_reference(tmp_path, champion):
    frame = worlds.flights(days=60, per_day=200, turn=100)
    candidate = artifact.load(trainer.train(dataset_task(tmp_path, champion, frame)).uri)

    described = candidate.reference
    for histogram in (*described.features.values(), described.score, described.classes):
        assert histogram.blocks.rows == pytest.approx(200, abs=5)
    assert sum(described.score.counts) == 2400, "the score was counted on the holdout"
    assert sum(described.features["wind"].counts) == described.rows == 9600


def asked(*parts):
    return {environment.SLICES: slices.encode(slices.Slice(column=c, value=v) for c, v in parts)}


def test_slices_of_the_holdout_are_counted_apart(logged, champion):
    whole = asked(("carrier", "UA"), ("hour", "7"), ("carrier", "ZZ"))
    outcome = trainer.train(task(logged, champion, **whole))

    held = DRIFTED[DRIFTED["time"] >= outcome.window.end]
    united, seven, nobody = outcome.evaluation.slices
    assert (united.name, seven.name, nobody.name) == ("carrier = UA", "hour = 7", "carrier = ZZ")
    assert united.a + united.b + united.c == (held["carrier"] == "UA").sum() > 50
    assert seven.a + seven.b + seven.c == (held["hour"] == 7).sum() > 0
    assert united.b > 10 * united.a
    assert (nobody.a, nobody.b, nobody.c) == (0, 0, 0)


def test_slices_of_all_values_of_a_column_add_up_to_the_whole(tmp_path, champion):
    """Of a column that is no feature, which only a dataset has; a missing value is in no slice."""
    of_flags = DRIFTED.assign(night=DRIFTED["hour"] < 6)
    of_numbers = of_flags.assign(night=of_flags["night"].astype(float))
    of_gaps = of_flags.assign(night=of_flags["night"].astype(object).where(DRIFTED["hour"] != 3))
    names = {"flags": ("true", "false"), "numbers": ("1", "0"), "gaps": ("true", "false")}
    for number, (kind, frame) in enumerate(
        {"flags": of_flags, "numbers": of_numbers, "gaps": of_gaps}.items()
    ):
        given = dataset_task(
            tmp_path,
            champion,
            frame,
            f"{number}.parquet",
            **asked(*(("night", name) for name in names[kind])),
        )
        found = trainer.train(given).evaluation
        night, day = found.slices
        if kind == "gaps":
            assert night.a + night.b + night.c + day.a + day.b + day.c < found.a + found.b + found.c
        else:
            assert (night.a + day.a, night.b + day.b, night.c + day.c) == (found.a, found.b, found.c)
        assert night.c > 0


def test_a_slice_of_a_column_that_is_not_there_is_one_sentence(logged, tmp_path, champion):
    with pytest.raises(
        DataError, match=r"column 'gate' of a slice is no feature of the model, which has hour, wind, carrier"
    ) as caught:
        trainer.train(task(logged, champion, **asked(("gate", "A1"))))
    assert "correct spec.evaluation.slices, or retrain from a dataset that has it" in str(caught.value)
    with pytest.raises(DataError, match=r"^column 'gate' is missing in .*correct spec\.evaluation\.slices$"):
        trainer.train(dataset_task(tmp_path, champion, DRIFTED, **asked(("gate", "A1"))))
    lists = DRIFTED.assign(gate=[["A", "B"]] * len(DRIFTED))
    with pytest.raises(DataError, match="column 'gate' of a slice holds lists or objects"):
        trainer.train(dataset_task(tmp_path, champion, lists, **asked(("gate", "A"))))


def test_without_a_drift_neither_is_better(tmp_path, champion):
    steady = worlds.flights(days=60, turn=99)
    worlds.write_log(tmp_path / "storage" / "log", steady[steady["time"] >= worlds.days(30)[0]])
    outcome = trainer.train(task(tmp_path, champion))
    assert abs(outcome.metrics["accuracy"] - outcome.metrics["champion_accuracy"]) < 0.06


def test_the_same_rows_and_seed_give_the_same_model_however_the_log_is_cut(
    logged, champion, tmp_path_factory
):
    first = trainer.train(task(logged, champion))
    other = tmp_path_factory.mktemp("other")
    rows = DRIFTED[DRIFTED["time"] >= worlds.days(30)[0]]
    worlds.write_log(other / "storage" / "log", rows)
    for path in list((other / "storage" / "log").rglob("*.parquet")):
        table = pd.read_parquet(path)
        half = len(table) // 2
        worlds.write_part(path.with_name(path.name.replace("-p0-", "-p1-")), table.iloc[:half])
        worlds.write_part(path.with_name(path.name.replace("-p0-", "-p2-")), table.iloc[half - 3 :])
        path.unlink()
    second = trainer.train(task(other, champion))
    assert second.metrics == first.metrics
    assert second.evaluation == first.evaluation
    columns = {name: DRIFTED[name].to_numpy() for name in worlds.FEATURES}
    one, two = (artifact.load(each.uri) for each in (first, second))
    np.testing.assert_array_equal(one.predict(one.frame(columns))[1], two.predict(two.frame(columns))[1])


def test_the_seed_goes_to_every_random_state_that_nobody_chose():
    forest = worlds.boosting(random_state=5)
    assert trainer.seeded(forest, 3).random_state == 5
    assert trainer.seeded(worlds.boosting(), 3).random_state == 3
    assert trainer.seeded(worlds.linear(), 3).get_params()["logisticregression__random_state"] == 3


def test_the_window_of_data_is_kept(logged, champion):
    start, end = worlds.days(32, 50)
    outcome = trainer.train(
        task(logged, champion, **{environment.DATA_FROM: start, environment.DATA_TO: end})
    )
    assert outcome.rows + outcome.metrics["holdout_rows"] == 18 * 40
    assert outcome.window.start.isoformat() >= start
    assert outcome.window.end.isoformat() < end


def test_only_labelled_rows_teach_and_the_label_delay_is_measured(tmp_path, champion):
    rows = DRIFTED[DRIFTED["time"] >= worlds.days(30)[0]]
    worlds.write_log(
        tmp_path / "storage" / "log", rows, labelled=lambda number: number % 3 > 0, delay=timedelta(hours=30)
    )
    outcome = trainer.train(task(tmp_path, champion))
    assert outcome.rows + outcome.metrics["holdout_rows"] == 800
    assert outcome.label_delay.p50 == outcome.label_delay.p99 == 30 * 3600
    assert artifact.load(outcome.uri).manifest.label_delay == outcome.label_delay


def test_rows_of_one_request_count_once_in_the_comparison(tmp_path, champion):
    rows = DRIFTED[DRIFTED["time"] >= worlds.days(30)[0]]
    worlds.write_log(tmp_path / "storage" / "log", rows, rows_per_request=5)
    outcome = trainer.train(task(tmp_path, champion))
    assert outcome.metrics["holdout_rows"] == 240 / 5
    assert outcome.rows == 960


def test_a_holdout_that_the_champion_knows_is_cut_down_to_later_rows(tmp_path, champion):
    # The champion was fitted on days 0 to 20; the holdout of days 5 to 25 begins on day 17.
    rows = DRIFTED[(DRIFTED["time"] >= worlds.days(5)[0]) & (DRIFTED["time"] < worlds.days(25)[0])]
    worlds.write_log(tmp_path / "storage" / "log", rows)
    outcome = trainer.train(task(tmp_path, champion, **{environment.HOLDOUT: "0.4"}))
    assert outcome.metrics["holdout_rows"] == 200
    assert outcome.warnings == (
        "the champion was fitted on 120 of the 320 holdout rows: compared on the 200 later ones",
    )


def test_a_holdout_that_the_champion_knows_whole_favours_it_and_says_so(tmp_path, champion):
    rows = DRIFTED[DRIFTED["time"] < worlds.days(20)[0]]
    worlds.write_log(tmp_path / "storage" / "log", rows)
    outcome = trainer.train(task(tmp_path, champion))
    assert outcome.warnings == (
        "the champion was fitted on 160 of the 160 holdout rows and only 0 are later: the comparison favours the champion",
    )
    assert outcome.evaluation.c > 0


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz"])
def test_a_dataset_teaches_as_the_log_does(name, tmp_path, champion):
    outcome = trainer.train(
        dataset_task(tmp_path, champion, DRIFTED, name, **{environment.DATA_FROM: worlds.days(30)[0]})
    )
    assert outcome.metrics["accuracy"] > 0.85
    assert outcome.rows == 960
    assert outcome.warnings == ()


def test_a_window_of_a_dataset_counts_back_from_its_latest_row(tmp_path, champion):
    days = str(30 * 86400)
    outcome = trainer.train(
        dataset_task(tmp_path, champion, DRIFTED, **{environment.DATA_WINDOW_SECONDS: days})
    )
    # The day of the latest row is not over, so a part of day 29 is in.
    assert 960 <= outcome.rows < 992
    assert outcome.metrics["accuracy"] > 0.85


def test_a_published_artifact_lies_under_its_digest_and_staging_is_empty(logged, champion):
    outcome = trainer.train(task(logged, champion))
    storage = logged / "storage"
    assert outcome.uri == (storage / "artifacts" / outcome.digest.removeprefix("sha256:")).as_uri()
    assert store.listing((storage / "staging").as_uri()) == ()


def test_without_a_storage_the_artifact_stays_in_staging(logged, champion):
    given = worlds.job_environment(logged, champion.uri, champion.digest)
    given[environment.LOG_URI] = given.pop(environment.STORAGE_URI) + "/log"
    outcome = trainer.train(job.Task.from_environment(given))
    assert outcome.uri == given[environment.OUTPUT_URI]
    assert artifact.load(outcome.uri, outcome.digest)


def test_a_category_that_came_up_since_is_learnt(tmp_path, champion):
    rows = DRIFTED.assign(carrier=DRIFTED["carrier"].astype(object).where(DRIFTED.index % 5 > 0, "ZZ"))
    outcome = trainer.train(dataset_task(tmp_path, champion, rows))
    assert artifact.load(outcome.uri).manifest.features[2].categories == ("AA", "B6", "UA", "ZZ")


def test_requests_with_gaps_stay_welcome_when_a_window_had_none(tmp_path, logged):
    gaps = worlds.flights(days=20)
    gaps.loc[::7, "wind"] = np.nan
    pipeline = worlds.boosting().fit(gaps[worlds.FEATURES], gaps["late"])
    parent, _ = artifact.pack(
        pipeline,
        gaps[worlds.FEATURES],
        gaps["late"],
        uri=(tmp_path / "parent").as_uri(),
        model="flights",
        time=gaps["time"],
    )
    given = worlds.job_environment(logged, (tmp_path / "parent").as_uri(), parent.digest)
    outcome = trainer.train(job.Task.from_environment(given))
    assert [each.missing for each in artifact.load(outcome.uri).manifest.features] == [False, True, False]


def test_a_grandchild_is_trained_from_a_child(logged, champion):
    child = trainer.train(task(logged, champion))
    given = worlds.job_environment(logged, child.uri, child.digest, **{environment.VERSION: "flights-v2"})
    grandchild = trainer.train(job.Task.from_environment(given))
    assert grandchild.parent == child.digest
    assert grandchild.metrics["champion_accuracy"] > 0.85


def test_scikit_learns_complaints_become_warnings(tmp_path, logged):
    rows = worlds.flights(days=20)
    pipeline = worlds.linear().set_params(logisticregression__max_iter=1)
    with pytest.warns(match="lbfgs failed to converge"):
        pipeline.fit(rows[worlds.FEATURES], rows["late"])
    with pytest.warns(match="lbfgs failed to converge"):
        parent, _ = artifact.pack(
            pipeline,
            rows[worlds.FEATURES],
            rows["late"],
            uri=(tmp_path / "p").as_uri(),
            model="m",
            time=rows["time"],
        )
    given = worlds.job_environment(logged, (tmp_path / "p").as_uri(), parent.digest)
    outcome = trainer.train(job.Task.from_environment(given))
    assert [
        each for each in outcome.warnings if each.startswith("ConvergenceWarning: lbfgs failed to converge")
    ]


def leaked(frame):
    return frame.assign(late=frame["carrier"].astype(object).map({"AA": "late", "B6": "on time"})).dropna()


BAD = {
    "too few rows": (lambda frame: frame.iloc[:100], "too few labelled rows: 80 to fit on and 20 held out"),
    "no rows at all": (lambda frame: frame.iloc[:0], "holds no rows in the window"),
    "one class": (
        lambda frame: frame[frame["late"] == "late"],
        "only one class, 'late', is in the",
    ),
    "a missing feature": (
        lambda frame: frame.drop(columns="wind"),
        "column 'wind' is missing in file:///.*/rows.parquet, which has hour, carrier, late, time",
    ),
    "a missing label column": (
        lambda frame: frame.drop(columns="late"),
        "label column 'late' is missing in",
    ),
    "a missing time column": (
        lambda frame: frame.drop(columns="time"),
        "time column 'time' is missing in",
    ),
    "labels that are missing": (
        lambda frame: frame.assign(late=frame["late"].where(frame.index % 10 > 0)),
        "label 'late' is missing .NaN or null. in 240 of 2,400 rows",
    ),
    "labels of an unknown class": (
        lambda frame: frame.assign(late=frame["late"].where(frame.index % 100 > 0, "early")),
        "labels that are no class of the model: 'early' in",
    ),
    "a label that is a feature under another name": (leaked, "feature 'carrier' is the label itself"),
    "times that are missing": (
        lambda frame: frame.assign(time=frame["time"].where(frame.index > 3)),
        "time column 'time' is missing in 4 rows",
    ),
    "times that are numbers": (
        lambda frame: frame.assign(time=frame.index),
        "time column 'time' holds numbers: write timestamps",
    ),
    "times that are none": (
        lambda frame: frame.assign(time="yesterday"),
        "time column 'time' holds values that are no timestamps",
    ),
    "one time for all rows": (
        lambda frame: frame.assign(time=frame["time"].iloc[0]),
        "all rows up to the holdout have the same time",
    ),
    "text where numbers were": (
        lambda frame: frame.assign(wind="strong"),
        "column 'wind' should hold numbers .FP64.",
    ),
    "numbers where text was": (
        lambda frame: frame.assign(carrier=frame.index % 3),
        "column 'carrier' should hold text and holds int64 values",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_sentence(name, tmp_path, champion):
    change, sentence = BAD[name]
    with pytest.raises(DataError, match=sentence) as caught:
        trainer.train(dataset_task(tmp_path, champion, change(DRIFTED)))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "storage").exists()


def test_a_label_among_the_features_is_a_leak(tmp_path, champion):
    with pytest.raises(DataError, match="the label 'wind' is one of the features"):
        trainer.train(dataset_task(tmp_path, champion, DRIFTED, **{environment.DATA_LABEL: "wind"}))


def test_gaps_that_the_pipeline_cannot_take_are_one_sentence(tmp_path):
    rows = worlds.flights(days=20)
    pipeline = worlds.linear().fit(rows[worlds.FEATURES], rows["late"])
    uri = (tmp_path / "p").as_uri()
    artifact.pack(pipeline, rows[worlds.FEATURES], rows["late"], uri=uri, model="m", time=rows["time"])
    (tmp_path / "rows.parquet").unlink(missing_ok=True)
    DRIFTED.assign(wind=DRIFTED["wind"].where(DRIFTED.index % 9 > 0)).to_parquet(tmp_path / "rows.parquet")
    given = worlds.job_environment(
        tmp_path,
        uri,
        **{
            environment.DATA_URI: (tmp_path / "rows.parquet").as_uri(),
            environment.DATA_LABEL: "late",
            environment.DATA_TIME: "time",
        },
    )
    with pytest.raises(
        DataError, match=r"cannot be fitted on the 1,920 rows .ValueError: Input X contains NaN"
    ):
        trainer.train(job.Task.from_environment(given))


def test_a_spoilt_champion_is_one_sentence(logged, champion, tmp_path):
    given = worlds.job_environment(logged, (tmp_path / "nowhere").as_uri(), champion.digest)
    with pytest.raises(SentenceError, match=r"there is no manifest\.json at"):
        trainer.train(job.Task.from_environment(given))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            environment.PARENT_URI,
            "",
            "MODELMEND_PARENT_URI is not set: the trainer refits a champion",
        ),
        (environment.OUTPUT_URI, "", "MODELMEND_OUTPUT_URI is not set"),
        (environment.HOLDOUT, "1.5", "MODELMEND_HOLDOUT is 1.5: give a fraction between 0 and 1"),
        (environment.HOLDOUT, "half", "MODELMEND_HOLDOUT is 'half': give a number"),
        (environment.HOLDOUT, "nan", "MODELMEND_HOLDOUT is 'nan': give a number"),
        (environment.SEED, "inf", "MODELMEND_SEED is 'inf': give a number"),
        (environment.DATA_FROM, "monday", "MODELMEND_DATA_FROM is 'monday': give an RFC 3339 instant"),
        (environment.DATA_TO, "2000-01-01T00:00:00Z", "MODELMEND_DATA_FROM is not before MODELMEND_DATA_TO"),
        (environment.DATA_URI, "file:///x.parquet", "MODELMEND_DATA_URI is set without MODELMEND_DATA_LABEL"),
        (environment.LOG_RETENTION_SECONDS, "-1", "MODELMEND_LOG_RETENTION_SECONDS is -1"),
        (environment.DATA_WINDOW_SECONDS, "0", "MODELMEND_DATA_WINDOW_SECONDS is 0"),
        (environment.SLICES, "carrier=HA", "MODELMEND_SLICES is 'carrier=HA': give a list such as"),
        (environment.SLICES, '[{"column": "x"}]', "MODELMEND_SLICES is"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name, value, sentence, tmp_path, champion):
    given = worlds.job_environment(tmp_path, champion.uri, **{environment.DATA_FROM: worlds.days(1)[0]})
    with pytest.raises(SettingsError) as caught:
        trainer.train(job.Task.from_environment(given | {name: value}))
    assert sentence in str(caught.value)


def test_nowhere_to_learn_from(tmp_path, champion):
    given = worlds.job_environment(tmp_path, champion.uri)
    del given[environment.STORAGE_URI]
    with pytest.raises(SettingsError, match="neither MODELMEND_DATA_URI nor MODELMEND_LOG_URI is set"):
        trainer.train(job.Task.from_environment(given))


def message(root):
    return result.decode(Path(root / "termination-log").read_text())


def test_a_job_that_succeeds_says_so_in_one_line(logged, champion, capsys):
    given = worlds.job_environment(logged, champion.uri, champion.digest)
    assert job.run(trainer.train, environ=given) == 0
    told = message(logged)
    assert isinstance(told, result.Succeeded)
    assert artifact.load(told.uri, told.digest)
    assert json.loads(capsys.readouterr().out) == json.loads((logged / "termination-log").read_text())


def test_a_job_that_fails_says_one_sentence_and_exits_1(tmp_path, champion):
    given = worlds.job_environment(tmp_path, champion.uri, champion.digest)
    assert job.run(trainer.train, environ=given) == 1
    told = message(tmp_path)
    assert isinstance(told, result.Failed)
    assert told.error.startswith(f"the log at {(tmp_path / 'storage/log').as_uri()} holds no labelled rows")


def test_a_bug_is_called_a_bug_and_leaks_no_value(tmp_path, caplog):
    def work(task):
        raise ZeroDivisionError("secret value of a row")

    assert job.run(work, environ=worlds.job_environment(tmp_path)) == 1
    told = message(tmp_path)
    assert told.error.startswith("ZeroDivisionError in ")
    assert "bug of Modelmend" in told.error
    assert "secret" not in told.error
    assert "Traceback" in caplog.text


def test_a_job_that_is_terminated_says_so(tmp_path):
    def work(task):
        os.kill(os.getpid(), signal.SIGTERM)

    assert job.run(work, environ=worlds.job_environment(tmp_path)) == 1
    assert message(tmp_path).error.startswith("the Job was stopped before its end")


def test_tidying_up_cannot_spoil_a_result(logged, champion):
    def explode(task):
        raise RuntimeError("disk on fire")

    given = worlds.job_environment(logged, champion.uri, champion.digest)
    assert job.run(trainer.train, explode, environ=given) == 0
    assert isinstance(message(logged), result.Succeeded)


def test_a_dataset_without_times_teaches_and_claims_no_window(tmp_path, champion):
    rows = DRIFTED[DRIFTED["time"] >= worlds.days(30)[0]]
    outcome = trainer.train(dataset_task(tmp_path, champion, rows, **{environment.DATA_TIME: ""}))
    assert outcome.metrics["accuracy"] > 0.85
    assert outcome.window is None
    assert artifact.load(outcome.uri).manifest.window is None
    assert outcome.warnings == (
        "whether the champion has learnt from the holdout is unknown, which can only favour it",
        "the dataset has no time column, so its rows are taken to be in order of time: name it in spec.retraining.data.dataset.time",
    )


def strict_parent(tmp_path, rows):
    """A pipeline that refuses carriers that it does not know, fitted on these rows."""
    encode = ColumnTransformer(
        [("c", OneHotEncoder(), ["carrier"]), ("n", StandardScaler(), ["hour", "wind"])]
    )
    table = rows[worlds.FEATURES].astype({"carrier": "str"})
    pipeline = make_pipeline(encode, LogisticRegression()).fit(table, rows["late"])
    loaded, _ = artifact.pack(
        pipeline,
        table,
        rows["late"],
        uri=(tmp_path / "p").as_uri(),
        model="m",
        version="v0",
        time=rows["time"],
    )
    return job.Origin((tmp_path / "p").as_uri(), loaded.digest)


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        (30, "v0 cannot predict the holdout .ValueError.: its pipeline refuses values"),
        (55, "the candidate cannot predict the holdout"),
    ],
)
def test_a_pipeline_that_dies_of_news_is_one_sentence(since, sentence, tmp_path):
    parent = strict_parent(tmp_path, worlds.flights(days=20))
    news = DRIFTED.assign(
        carrier=DRIFTED["carrier"].astype(object).where(DRIFTED["time"] < worlds.days(since)[0], "ZZ")
    )
    with pytest.raises(DataError, match=sentence):
        trainer.train(dataset_task(tmp_path, parent, news))


def test_a_log_whose_labels_are_no_classes_is_refused(tmp_path, champion):
    worlds.write_log(tmp_path / "storage" / "log", DRIFTED.iloc[:200].assign(late="delayed"))
    with pytest.raises(DataError, match=r"no label in the log at .* is a class of the model .late, on time."):
        trainer.train(task(tmp_path, champion))


def test_a_class_that_is_gone_is_named(tmp_path):
    rows = worlds.flights(days=20)
    three = rows.assign(late=rows["late"].where(rows["hour"] < 20, "never"))
    pipeline = worlds.boosting().fit(three[worlds.FEATURES], three["late"])
    uri = (tmp_path / "p").as_uri()
    parent, _ = artifact.pack(
        pipeline, three[worlds.FEATURES], three["late"], uri=uri, model="m", time=three["time"]
    )
    with pytest.raises(DataError, match="class 'never' is in none of the 1,920 rows to fit on"):
        trainer.train(dataset_task(tmp_path, job.Origin(uri, parent.digest), DRIFTED))
