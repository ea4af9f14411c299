"""A good artifact: packed, loaded, and predicting what the pipeline predicted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from modelmend.contract import manifest
from modelmend.runtime import artifact, packing, reference
from modelmend.runtime.errors import ArtifactError, DataError
from runtime import worlds

ROWS = worlds.flights(days=10)
X, Y = ROWS[worlds.FEATURES], ROWS["late"]


def over_columns(final, text="carrier"):
    encode = ColumnTransformer(
        [("n", StandardScaler(), ["hour", "wind"]), ("c", OneHotEncoder(handle_unknown="ignore"), [text])]
    )
    return make_pipeline(encode, final)


PIPELINES = {
    "boosting from dtype": worlds.boosting(),
    "boosting behind an ordinal encoder": make_pipeline(
        ColumnTransformer(
            [("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), ["carrier"])],
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=10, categorical_features=[0]),
    ),
    "boosting with early stopping": worlds.boosting(early_stopping=True, random_state=1),
    "columns chosen by dtype": make_pipeline(
        ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include="number"))]),
        LogisticRegression(),
    ),
    "logistic regression": over_columns(LogisticRegression()),
    "imputed, selected by score": make_pipeline(
        ColumnTransformer(
            [("n", make_pipeline(SimpleImputer(), SelectKBest(f_classif, k=2)), ["hour", "wind"])]
        ),
        LogisticRegression(),
    ),
    "calibrated isotonic": over_columns(CalibratedClassifierCV(LogisticRegression(), method="isotonic")),
    "stacked": over_columns(StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=2)),
    "searched": over_columns(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2)),
    "tuned threshold": over_columns(TunedThresholdClassifierCV(LogisticRegression(), cv=2)),
    "Gaussian process": make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["hour", "wind"])]),
        GaussianProcessClassifier(1.0 * RBF(), optimizer=None),
    ),
    "forest": over_columns(RandomForestClassifier(5)),
    "classic boosting": over_columns(GradientBoostingClassifier(n_estimators=5)),
    "tree": over_columns(DecisionTreeClassifier(max_depth=4)),
    "neural network": over_columns(
        MLPClassifier((8,), learning_rate_init=0.05, max_iter=500, tol=1e-3, random_state=0)
    ),
    "brute neighbours": over_columns(KNeighborsClassifier(algorithm="brute")),
    "support vectors, no probabilities": over_columns(SVC()),
    "hinge loss, no probabilities": over_columns(SGDClassifier(random_state=0)),
}


def wire(frame):
    """What requests carry: numbers as they are, text as str with None for missing."""
    columns = {name: frame[name].to_numpy() for name in frame if name != "carrier"}
    text = frame["carrier"].astype(object)
    return columns | {"carrier": [None if pd.isna(value) else value for value in text]}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_loaded_pipeline_predicts_what_it_predicted_before(name, tmp_path):
    pipeline = PIPELINES[name].fit(X, Y)
    loaded, warnings = artifact.pack(
        pipeline, X, Y, uri=tmp_path.as_uri(), model="flights", time=ROWS["time"]
    )
    indices, probabilities = loaded.predict(loaded.frame(wire(X)))
    assert [loaded.class_keys[index] for index in indices] == pipeline.predict(X).tolist()
    if hasattr(pipeline, "predict_proba"):
        np.testing.assert_allclose(probabilities, pipeline.predict_proba(X))
        assert loaded.reference.score is not None
    else:
        assert probabilities is None
        assert loaded.reference.score is None
    assert warnings == ()
    assert loaded.manifest.metrics["accuracy"] > 0.7


def test_the_manifest_tells_schema_window_versions_and_accuracy(champion):
    read = artifact.load(champion.uri, champion.digest).manifest
    assert [(each.name, each.datatype.value, each.missing) for each in read.features] == [
        ("hour", "INT64", False),
        ("wind", "FP64", False),
        ("carrier", "BYTES", False),
    ]
    assert read.features[2].categories == ("AA", "B6", "UA")
    assert read.classes == ("late", "on time")
    assert read.rows == 800
    assert read.window.start >= worlds.START
    assert read.window.end > worlds.flights(days=20)["time"].max().to_pydatetime()
    assert set(read.libraries) == {"scikit-learn", "numpy", "skops"}
    assert read.metrics["accuracy"] > 0.8
    assert read.metrics["holdout_rows"] == 160


def test_the_digest_is_the_hash_of_the_manifest(champion):
    content = Path(champion.uri.removeprefix("file://"), "manifest.json").read_bytes()
    assert manifest.digest_of(content) == champion.digest


def test_an_array_pipeline_gets_arrays(tmp_path):
    random = np.random.default_rng(0)
    table = random.normal(size=(300, 3))
    target = (table[:, 0] > 0).astype(int)
    pipeline = LogisticRegression().fit(table, target)
    loaded, _ = artifact.pack(pipeline, table, target, uri=tmp_path.as_uri(), model="m")
    assert [feature.name for feature in loaded.manifest.features] == ["x0", "x1", "x2"]
    given = loaded.frame({"x0": [1.0, -3.0], "x1": np.zeros(2), "x2": [0, 0]})
    assert isinstance(given, np.ndarray)
    indices, probabilities = loaded.predict(given)
    assert indices.tolist() == [1, 0]
    assert probabilities.shape == (2, 2)
    assert loaded.class_keys == ("0", "1")


def test_names_of_array_columns_come_from_a_frame_or_from_options(tmp_path):
    table = np.random.default_rng(0).normal(size=(300, 2))
    target = table[:, 0] > 0
    pipeline = LogisticRegression().fit(table, target)
    from_frame, _ = artifact.pack(
        pipeline, pd.DataFrame(table, columns=["a", "b"]), target, uri=(tmp_path / "1").as_uri(), model="m"
    )
    from_options, _ = artifact.pack(
        pipeline,
        table,
        target,
        uri=(tmp_path / "2").as_uri(),
        model="m",
        options=packing.Options(names=("a", "b")),
    )
    assert [each.name for each in from_frame.manifest.features] == ["a", "b"]
    assert from_frame.manifest.features == from_options.manifest.features
    assert from_frame.class_keys == ("false", "true")
    assert isinstance(from_frame.frame({"a": [0.0], "b": [0.0]}), np.ndarray)


@pytest.mark.parametrize("dtype", ["str", "object", "string"])
def test_text_columns_of_every_dtype_come_back_as_they_were(dtype, tmp_path):
    table = X.astype({"carrier": dtype})
    pipeline = worlds.linear().fit(table, Y)
    loaded, _ = artifact.pack(pipeline, table, Y, uri=tmp_path.as_uri(), model="m", time=ROWS["time"])
    again = loaded.frame(wire(X))
    assert again["carrier"].dtype == table["carrier"].dtype
    indices, _ = loaded.predict(again)
    assert [loaded.class_keys[index] for index in indices] == pipeline.predict(table).tolist()


def test_nullable_and_narrow_numbers_become_what_scikit_learn_sees(tmp_path):
    table = pd.DataFrame(
        {
            "count": pd.array([None, *range(399)], dtype="Int64"),
            "small": np.arange(400, dtype=np.int8) % 100,
            "flag": np.arange(400) % 3 == 0,
            "real": np.linspace(0, 1, 400, dtype=np.float32),
        }
    )
    target = np.arange(400) % 5 > 1
    pipeline = HistGradientBoostingClassifier(max_iter=3).fit(table, target)
    loaded, _ = artifact.pack(pipeline, table, target, uri=tmp_path.as_uri(), model="m")
    kinds = [(each.datatype.value, each.missing) for each in loaded.manifest.features]
    assert kinds == [("INT64", True), ("INT64", False), ("BOOL", False), ("FP64", False)]
    given = loaded.frame({"count": [np.nan, 2.0], "small": [1, 2], "flag": [True, 0.0], "real": [0.5, 0.25]})
    assert [str(dtype) for dtype in given.dtypes] == ["float64", "int8", "bool", "float32"]
    assert loaded.bins("flag", [True, 0.0, np.nan]).tolist() == [1, 0, 3]


def test_missing_and_unseen_values_are_served(champion):
    loaded = artifact.load(champion.uri)
    given = loaded.frame({"hour": [3, 4], "wind": [0.1, np.nan], "carrier": ["ZZ", None]})
    assert given["carrier"].isna().all()
    indices, _ = loaded.predict(given)
    assert len(indices) == 2
    bins = loaded.reference.features["carrier"].bins
    assert [bins[index] for index in loaded.bins("carrier", ["ZZ", None])] == [
        reference.OTHER,
        reference.MISSING,
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"hour": [1], "wind": [1.0]}, "column 'carrier' is missing: the model needs hour, wind, carrier"),
        ({"hour": ["x"], "wind": [1.0], "carrier": ["AA"]}, "column 'hour' must hold numbers (INT64)"),
    ],
)
def test_a_frame_names_the_column_that_is_wrong(columns, sentence, champion):
    with pytest.raises(DataError, match="column") as caught:
        artifact.load(champion.uri).frame(columns)
    assert str(caught.value) == sentence


def test_reference_counts_add_up_and_cover_every_value(champion):
    loaded = artifact.load(champion.uri)
    for histogram in loaded.reference.features.values():
        assert sum(histogram.counts) == loaded.reference.rows == 800
        assert len(histogram.counts) == len(histogram.bins) == len(set(histogram.bins))
    assert sum(loaded.reference.classes.counts) == sum(loaded.reference.score.counts) == 160
    assert loaded.reference.classes.bins == ("late", "on time", reference.OTHER, reference.MISSING)


def test_the_example_is_typical_and_nobodys_row(champion):
    example = artifact.load(champion.uri).reference.example
    assert example["hour"] == int(np.quantile(worlds.flights(days=20)["hour"], 0.5))
    assert example["carrier"] in worlds.CARRIERS


def test_classes_come_back_with_their_types(tmp_path):
    for number, target in enumerate([Y == "late", (Y == "late").astype(int), (Y == "late") + 0.5]):
        pipeline = worlds.linear().fit(X, target if number < 2 else target.astype(str))
        chosen = target if number < 2 else target.astype(str)
        loaded, _ = artifact.pack(pipeline, X, chosen, uri=(tmp_path / str(number)).as_uri(), model="m")
        assert loaded.manifest.classes == tuple(np.asarray(pipeline.classes_).tolist())
        assert type(loaded.manifest.classes[0]) in (bool, int, str)


def test_predictions_are_the_pipelines_own_even_where_probabilities_disagree(tmp_path):
    pipeline = FixedThresholdClassifier(worlds.linear(), threshold=0.9, pos_label="on time").fit(X, Y)
    loaded, _ = artifact.pack(pipeline, X, Y, uri=tmp_path.as_uri(), model="m")
    indices, probabilities = loaded.predict(loaded.frame(wire(X)))
    assert [loaded.class_keys[index] for index in indices] == pipeline.predict(X).tolist()
    assert (probabilities.argmax(axis=1) != indices).any()


def test_packing_the_same_artifact_twice_is_fine_and_another_is_refused(tmp_path, champion):
    pipeline = worlds.linear().fit(X, Y)
    draft, _ = packing.prepare(pipeline, packing.Training(X, Y), "m", "v0", packing.Options())
    uri = tmp_path.as_uri()
    assert artifact.write(draft, uri) == artifact.write(draft, uri)
    other, _ = packing.prepare(pipeline, packing.Training(X, Y), "m", "v1", packing.Options())
    with pytest.raises(ArtifactError, match="already holds another artifact"):
        artifact.write(other, uri)


def test_nothing_is_loadable_before_the_manifest_is_there(tmp_path, monkeypatch):
    pipeline = worlds.linear().fit(X, Y)
    draft, _ = packing.prepare(pipeline, packing.Training(X, Y), "m", "v0", packing.Options())
    seen = []

    def spy(uri, content):
        seen.append(uri.rpartition("/")[2])

    monkeypatch.setattr(artifact.store, "write", spy)
    artifact.write(draft, tmp_path.as_uri())
    assert seen[-1] == "manifest.json"
    assert sorted(seen[:-1]) == ["model.skops", "reference.json"]


def test_a_local_cache_serves_a_remote_artifact_without_its_store(champion, tmp_path, monkeypatch):
    folder = Path(champion.uri.removeprefix("file://"))
    remote = {f"s3://bucket/m/{path.name}": path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(artifact.store, "read", remote.__getitem__)
    cache = tmp_path / "cache"
    first = artifact.load("s3://bucket/m", champion.digest, cache=cache)
    assert len(list(cache.iterdir())) == 3
    remote.clear()
    again = artifact.load("s3://bucket/m", champion.digest, cache=cache)
    assert again.digest == first.digest


def test_a_spoilt_cache_is_read_anew(champion, tmp_path, monkeypatch):
    folder = Path(champion.uri.removeprefix("file://"))
    remote = {f"s3://bucket/m/{path.name}": path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(artifact.store, "read", remote.__getitem__)
    artifact.load("s3://bucket/m", champion.digest, cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"spoilt")
    assert artifact.load("s3://bucket/m", champion.digest, cache=tmp_path).digest == champion.digest


def test_the_reference_is_plain_json(champion):
    text = Path(champion.uri.removeprefix("file://"), "reference.json").read_text()
    assert json.loads(text)["features"]["wind"]["kind"] == "numeric"


def test_svm_with_linear_kernel_has_no_probabilities(tmp_path):
    pipeline = over_columns(LinearSVC()).fit(X, Y)
    loaded, _ = artifact.pack(pipeline, X, Y, uri=tmp_path.as_uri(), model="m")
    assert not loaded.has_probabilities
