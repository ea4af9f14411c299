"""Reading labelled rows: the log with its joins, duplicates and damage, and datasets of files."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from modelmend.contract import log
from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime import compaction, dataset, predictionlog, store, targets
from modelmend.runtime.errors import DataError, NotFoundError, StoreError
from modelmend.runtime.job import Data
from modelmend.runtime.server import parts
from runtime import worlds

FEATURES = [
    Feature(name="hour", datatype=Datatype.INT64),
    Feature(name="wind", datatype=Datatype.FP64),
    Feature(name="carrier", datatype=Datatype.BYTES),
]
CLASSES = targets.Classes(("late", "on time"), ("late", "on time"))
ROWS = worlds.flights(days=5)


@pytest.fixture
def folder(tmp_path):
    worlds.write_log(tmp_path, ROWS)
    return tmp_path


def read(folder, start=None, end=None):
    return dataset.read(Data(log_uri=folder.as_uri(), start=start, end=end), FEATURES, CLASSES)


def files(folder, kind):
    return sorted(folder.rglob(f"{kind}-*.parquet"))


def test_predictions_come_joined_with_their_labels_in_order_of_time(folder):
    rows = read(folder)
    assert len(rows) == len(ROWS) == 200
    np.testing.assert_array_equal(rows.labels, ROWS["late"].to_numpy(dtype=object))
    np.testing.assert_array_equal(rows.columns["wind"], ROWS["wind"])
    assert rows.columns["carrier"].tolist() == ROWS["carrier"].tolist()
    assert (np.diff(rows.time) >= np.timedelta64(0)).all()
    assert rows.delay.p90 == 6 * 3600


def test_a_window_is_half_open_and_labels_may_come_after_it(folder):
    start, end = (ROWS["time"].iloc[number].to_pydatetime() for number in (50, 120))
    rows = read(folder, start, end)
    assert len(rows) == 70


def test_a_row_in_two_parts_counts_once(folder):
    for path in files(folder, log.PREDICTIONS) + files(folder, log.LABELS):
        path.with_name(path.name.replace("-p0-", "-copy-")).write_bytes(path.read_bytes())
    assert len(read(folder)) == 200


def test_of_two_labels_the_first_by_time_counts(folder):
    first = files(folder, log.LABELS)[0]
    table = pd.read_parquet(first)
    for name, delta, label in (("later", 5, "on time"), ("earlier", -5, "late")):
        changed = table.assign(**{log.LABEL: label, log.TIME: table[log.TIME] + timedelta(seconds=delta)})
        worlds.write_part(first.with_name(f"labels-{name}-0.parquet"), changed)
    rows = read(folder)
    assert len(rows) == 200
    assert set(rows.labels[: len(table)]) == {"late"}


def test_a_label_without_a_prediction_and_a_prediction_without_a_label_teach_nothing(folder):
    worlds.write_log(folder, ROWS.iloc[:30], labelled=lambda number: False, process="unlabelled")
    orphan = pd.read_parquet(files(folder, log.LABELS)[0]).assign(**{log.PREDICTION_ID: "orphan"})
    worlds.write_part(folder / "dt=2025-01-02" / "labels-orphan-0.parquet", orphan)
    assert len(read(folder)) == 200


def test_rows_of_one_request_join_by_their_number(tmp_path):
    worlds.write_log(tmp_path, ROWS, rows_per_request=4)
    rows = read(tmp_path)
    assert len(rows) == 200
    assert len(set(rows.requests)) == 50
    np.testing.assert_array_equal(rows.labels, ROWS["late"].to_numpy(dtype=object))


def test_damaged_parts_are_left_out_and_named(folder):
    victim = files(folder, log.PREDICTIONS)[0]
    victim.write_bytes(victim.read_bytes()[:500])
    (folder / "dt=2025-01-03" / "predictions-x-1.parquet").write_bytes(b"")
    pd.DataFrame({"other": [1]}).to_parquet(folder / "dt=2025-01-03" / "labels-x-1.parquet")
    rows = read(folder)
    assert len(rows) == 160
    assert rows.warnings == (
        "3 damaged part(s) of the log were left out, e.g. dt=2025-01-01/predictions-p0-0.parquet",
    )


def test_files_of_other_names_are_none_of_ours(folder):
    (folder / "dt=2025-01-01" / ".predictions-p9-0.parquet.writing").write_bytes(b"half")
    (folder / "dt=2025-01-01" / "notes.txt").write_text("hello")
    (folder / "dt=never").mkdir()
    (folder / "dt=never" / "predictions-a-0.parquet").write_bytes(b"")
    (folder / "dt=2025-13-45").mkdir()
    (folder / "dt=2025-13-45" / "predictions-a-0.parquet").write_bytes(b"")
    assert len(predictionlog.parts(folder.as_uri())) == len(list(folder.rglob("*-p0-*.parquet")))
    assert read(folder).warnings == ()


def test_rows_written_for_another_model_are_left_out(folder):
    worlds.write_log(folder, ROWS.drop(columns="wind"), process="old")
    rows = read(folder)
    assert len(rows) == 200
    assert rows.warnings == ("200 rows of the log were left out: they were written for a model without wind",)


def test_a_log_without_the_column_at_all_names_it(tmp_path):
    worlds.write_log(tmp_path, ROWS.drop(columns="wind"))
    with pytest.raises(DataError, match="column 'wind' is missing in every part of the log"):
        read(tmp_path)


def test_a_wrong_label_from_outside_costs_its_row_only(folder):
    path = files(folder, log.LABELS)[0]
    table = pd.read_parquet(path)
    table.loc[:2, log.LABEL] = "delayed"
    worlds.write_part(path, table)
    rows = read(folder)
    assert len(rows) == 197
    said = "a label that is not a class of the model (late, on time), e.g. 'delayed'"
    assert rows.warnings == (f"3 rows of the log have {said}: left out",)


def test_no_labels_yet(tmp_path):
    worlds.write_log(tmp_path, ROWS, labelled=lambda number: False)
    with pytest.raises(DataError, match=r"holds no labelled rows in the window \(200 without a label\)"):
        read(tmp_path)


def test_a_part_that_compaction_took_away_meanwhile_makes_it_read_again(folder, monkeypatch):
    real, gone = store.read, []

    def flaky(uri):
        if not gone:
            gone.append(uri)
            raise NotFoundError("gone")
        return real(uri)

    monkeypatch.setattr(store, "read", flaky)
    assert len(read(folder)) == 200
    assert gone


def test_boolean_and_missing_features_of_the_log(tmp_path):
    frame = ROWS.assign(
        wind=ROWS["wind"].where(ROWS.index % 4 > 0),
        carrier=ROWS["carrier"].astype(object).where(ROWS.index % 5 > 0),
    )
    frame["hour"] = ROWS["hour"] > 12
    worlds.write_log(tmp_path, frame)
    features = [Feature(name="hour", datatype=Datatype.BOOL), *FEATURES[1:]]
    rows = dataset.read(Data(log_uri=tmp_path.as_uri()), features, CLASSES)
    assert set(rows.columns["hour"]) == {0.0, 1.0}
    assert np.isnan(rows.columns["wind"]).sum() == 50
    assert sum(value is None for value in rows.columns["carrier"]) == 40


def test_a_folder_of_parquet_files_is_one_dataset(tmp_path):
    for number in range(4):
        ROWS.iloc[number::4].to_parquet(tmp_path / f"part-{number}.parquet")
    (tmp_path / "_SUCCESS").touch()
    rows = dataset.read(Data(tmp_path.as_uri(), "late", "time"), FEATURES, CLASSES)
    assert len(rows) == 200
    np.testing.assert_array_equal(rows.columns["wind"], ROWS["wind"])


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_the_window_holds_in_every_zone(zone, tmp_path):
    times = ROWS["time"].dt.tz_convert(zone) if zone else ROWS["time"].dt.tz_localize(None)
    ROWS.assign(time=times).to_parquet(tmp_path / "rows.parquet")
    start, end = (ROWS["time"].iloc[number].to_pydatetime() for number in (50, 120))
    data = Data((tmp_path / "rows.parquet").as_uri(), "late", "time", start=start, end=end)
    rows = dataset.read(data, FEATURES, CLASSES)
    assert len(rows) == 70
    np.testing.assert_array_equal(rows.columns["wind"], ROWS["wind"][50:120])


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
@pytest.mark.parametrize(("since", "until", "expected"), [(None, None, 70), (150, None, 50), (None, 150, 70)])
def test_a_window_counts_back_from_the_latest_row_that_is_not_excluded(
    name, since, until, expected, tmp_path
):
    path = tmp_path / name
    # In any order: the latest row is the latest by time, not the last of the file.
    shuffled = ROWS.sample(frac=1, random_state=0)
    shuffled.to_csv(path) if name.endswith("csv") else shuffled.to_parquet(path)
    times = [each.to_pydatetime() for each in ROWS["time"]]
    latest = 199 if until is None else until - 1
    data = Data(
        path.as_uri(),
        "late",
        "time",
        start=None if since is None else times[since],
        end=None if until is None else times[until],
        window=times[latest] - times[latest - 69],
    )

    rows = dataset.read(data, FEATURES, CLASSES)

    assert len(rows) == expected
    np.testing.assert_array_equal(rows.columns["wind"], ROWS["wind"][latest + 1 - expected : latest + 1])


def test_a_window_before_which_everything_lies_is_all_of_the_dataset(tmp_path):
    ROWS.to_parquet(tmp_path / "rows.parquet")
    data = Data((tmp_path / "rows.parquet").as_uri(), "late", "time", window=timedelta(days=9999))
    assert len(dataset.read(data, FEATURES, CLASSES)) == 200


def test_without_a_time_the_order_of_rows_is_time_and_it_warns(tmp_path):
    ROWS.to_parquet(tmp_path / "rows.parquet")
    rows = dataset.read(Data((tmp_path / "rows.parquet").as_uri(), "late"), FEATURES, CLASSES)
    assert "the dataset has no time column" in rows.warnings[0]
    np.testing.assert_array_equal(rows.columns["wind"], ROWS["wind"])


def test_codes_that_look_like_numbers_stay_text_in_csv(tmp_path):
    ROWS.assign(carrier=np.where(ROWS.index % 2, "01", "")).to_csv(tmp_path / "rows.csv", index=False)
    rows = dataset.read(Data((tmp_path / "rows.csv").as_uri(), "late", "time"), FEATURES, CLASSES)
    assert set(rows.columns["carrier"]) == {"01", None}


@pytest.mark.parametrize(
    ("label", "classes"), [(np.arange(200) % 2, ["0", "1"]), (np.arange(200) % 2 == 0, ["false", "true"])]
)
def test_labels_match_classes_whatever_their_type_in_the_file(label, classes, tmp_path):
    for name in ("rows.parquet", "rows.csv"):
        frame = ROWS.assign(late=label)
        frame.to_csv(tmp_path / name) if name.endswith("csv") else frame.to_parquet(tmp_path / name)
        rows = dataset.read(
            Data((tmp_path / name).as_uri(), "late", "time"), FEATURES, targets.Classes((), tuple(classes))
        )
        assert sorted(set(rows.labels)) == classes


@pytest.mark.parametrize(
    ("make", "kind", "sentence"),
    [
        (lambda root: None, StoreError, "rows.parquet does not exist"),
        (
            lambda root: (root / "rows.parquet").write_bytes(b"PAR1 cut"),
            DataError,
            "rows.parquet cannot be read as a table",
        ),
        (
            lambda root: (root / "rows.parquet").write_bytes(b""),
            DataError,
            "rows.parquet cannot be read as a table",
        ),
        (lambda root: (root / "rows.parquet").mkdir(), StoreError, "is a folder and a file was expected"),
    ],
)
def test_a_dataset_that_is_none_is_one_sentence(make, kind, sentence, tmp_path):
    make(tmp_path)
    with pytest.raises(kind, match=sentence):
        dataset.read(Data((tmp_path / "rows.parquet").as_uri(), "late", "time"), FEATURES, CLASSES)


def test_a_folder_without_tables_or_of_two_kinds_is_one_sentence(tmp_path):
    data = Data(tmp_path.as_uri(), "late", "time")
    with pytest.raises(StoreError, match=r"holds no \.parquet or \.csv files"):
        dataset.read(data, FEATURES, CLASSES)
    ROWS.to_parquet(tmp_path / "a.parquet")
    ROWS.to_csv(tmp_path / "b.csv")
    with pytest.raises(StoreError, match=r"holds both \.parquet and \.csv files"):
        dataset.read(data, FEATURES, CLASSES)


def test_what_servers_write_is_what_trainers_read(tmp_path):
    """The real writer of the server, with the types that it gives its columns."""
    chosen = ROWS.iloc[:40]
    seconds = (chosen["time"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()
    identifiers = [bytes([number]) * 8 for number in range(20)]
    written = parts.predictions(
        [
            parts.Predictions(
                version="flights-v0",
                features=tuple(FEATURES),
                columns={
                    "hour": chosen["hour"].to_numpy(dtype=float),
                    "wind": chosen["wind"].where(chosen.index > 0).to_numpy(),
                    "carrier": [None, *chosen["carrier"].astype(object)[1:]],
                },
                identifiers=identifiers,
                times=seconds[::2].tolist(),
                counts=[2] * 20,
                answers=np.zeros(40, dtype=np.intp),
                class_keys=("late", "on time"),
            )
        ]
    )
    labelled = parts.labels(
        [
            parts.LabelRow(
                identifiers[number // 2], number % 2, seconds[number] + 60, chosen["late"].iloc[number]
            )
            for number in range(40)
        ]
    )
    folder = tmp_path / parts.day(seconds[0])
    folder.mkdir()
    (folder / "predictions-a-0.parquet").write_bytes(written)
    (folder / "labels-a-0.parquet").write_bytes(labelled)
    before = read(tmp_path)
    np.testing.assert_array_equal(before.columns["hour"], chosen["hour"])
    assert before.columns["carrier"].tolist() == [None, *chosen["carrier"].astype(object)[1:]]
    assert np.isnan(before.columns["wind"][0])
    np.testing.assert_array_equal(before.labels, chosen["late"].to_numpy(dtype=object))
    assert compaction.compact(tmp_path.as_uri(), worlds.START + timedelta(days=9)) == 1
    after = read(tmp_path)
    for name, values in before.columns.items():
        np.testing.assert_array_equal(after.columns[name], values)
    np.testing.assert_array_equal(after.labels, before.labels)
