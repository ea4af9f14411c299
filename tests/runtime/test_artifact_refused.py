"""Every bad artifact is refused with one sentence that names the file and says what to do."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from modelmend.contract import manifest
from modelmend.runtime import artifact, packing, trust
from modelmend.runtime.errors import ArtifactError, DataError, SentenceError
from runtime import worlds

ROWS = worlds.flights(days=6)
X, Y = ROWS[worlds.FEATURES], ROWS["late"]


@pytest.fixture
def folder(champion, tmp_path):
    """A copy of the champion that the test may spoil."""
    target = tmp_path / "artifact"
    shutil.copytree(champion.uri.removeprefix("file://"), target)
    return target


def sentence_of(folder, digest=None, trusted=()):
    with pytest.raises(SentenceError) as caught:
        artifact.load(folder.as_uri(), digest, trusted)
    text = str(caught.value)
    assert "\n" not in text
    assert isinstance(caught.value, ArtifactError)
    return text


def rewrite(folder, **changes):
    """Changes fields of the manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace(folder, name, content):
    """Puts another file in its place and corrects its hash, as somebody who packs by hand would."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite(folder, files=files | {name: manifest.digest_of(content)})


def model_file(folder):
    return (folder / "model.skops").read_bytes()


def test_a_folder_without_a_manifest(tmp_path):
    text = sentence_of(tmp_path)
    assert text == (
        f"there is no manifest.json at {tmp_path.as_uri()}: the URI is wrong, the artifact is still being written, or the "
        "folder was not made by `modelmend pack`"
    )


def test_another_digest_than_expected(folder):
    expected = "sha256:" + "0" * 64
    assert f"and {expected} was expected" in sentence_of(folder, expected)


@pytest.mark.parametrize("content", [b"", b'{"format": 1, "mod', b"\x80\x04garbage", b"[" * 100_000])
def test_a_manifest_that_is_cut_short(folder, content):
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json is not JSON: it is cut short or damaged" in sentence_of(folder)


def test_a_manifest_of_a_later_format(folder):
    rewrite(folder, format=2)
    assert "has format 2 and this Modelmend reads format 1: pack the model again" in sentence_of(folder)


def test_a_manifest_with_a_field_that_is_wrong(folder):
    rewrite(folder, rows="many")
    assert "manifest.json is not a manifest (rows: " in sentence_of(folder)


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"accuracy": float("nan")}, "metric 'accuracy' is nan: give a finite number"),
        ({"loss": float("inf")}, "metric 'loss' is inf: give a finite number"),
        ({"accuracy": 91}, "metric 'accuracy' is 91: give a share between 0 and 1"),
    ],
)
def test_a_manifest_with_a_metric_that_nobody_could_compare_with(folder, metrics, sentence):
    rewrite(folder, metrics=metrics)
    assert f"manifest.json: {sentence}" in sentence_of(folder)


def test_a_manifest_that_lists_no_model(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite(folder, files={"reference.json": files["reference.json"]})
    assert "lists no model.skops" in sentence_of(folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b", ".hidden", ""])
def test_a_manifest_whose_file_climbs_out_of_the_folder(folder, name):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite(folder, files=files | {name: "sha256:" + "0" * 64})
    assert "an artifact is one flat folder" in sentence_of(folder)


@pytest.mark.parametrize("name", ["model.skops", "reference.json"])
def test_a_file_that_is_missing(folder, name):
    (folder / name).unlink()
    assert f"{name} is missing although the manifest lists it" in sentence_of(folder)


@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_a_model_that_was_cut_short(folder, size):
    content = model_file(folder)[:size]
    (folder / "model.skops").write_bytes(content)
    assert f"model.skops is cut short or damaged ({len(content)} bytes)" in sentence_of(folder)


def test_a_model_that_was_changed_after_packing(folder, tmp_path):
    other = skops.io.dumps(LogisticRegression())
    (folder / "model.skops").write_bytes(other)
    text = sentence_of(folder)
    assert "model.skops is not the file that the manifest of sha256:" in text
    assert "(its hash differs)" in text


def test_a_reference_that_was_changed_after_packing(folder):
    (folder / "reference.json").write_text("{}")
    assert "reference.json is not the file that the manifest" in sentence_of(folder)


def test_a_reference_that_is_none(folder):
    replace(folder, "reference.json", b"{}")
    assert "reference.json is not a reference (rows: Field required)" in sentence_of(folder)


def test_a_reference_of_other_columns(folder):
    described = json.loads((folder / "reference.json").read_text())
    described["features"]["extra"] = described["features"]["wind"]
    replace(folder, "reference.json", json.dumps(described).encode())
    assert "reference.json describes other columns than the manifest" in sentence_of(folder)


class Explosive:
    """Would create a file if anybody unpickled it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "form", ["pickle", "pickle protocol 0", "joblib", "joblib zlib", "joblib gzip", "joblib xz"]
)
def test_a_pickle_in_the_models_place_is_never_unpickled(folder, form, tmp_path):
    victim = tmp_path / "unpickled"
    bomb = Explosive(victim)
    if form.startswith("pickle"):
        content = pickle.dumps(bomb, protocol=0 if form.endswith("0") else None)
    else:
        buffer = io.BytesIO()
        joblib.dump(bomb, buffer, compress=(form.split()[1], 3) if " " in form else 0)
        content = buffer.getvalue()
    replace(folder, "model.skops", content)
    text = sentence_of(folder)
    assert "model.skops is a pickle (or joblib) file and Modelmend never unpickles" in text
    assert not victim.exists()


def test_any_other_file_in_the_models_place(folder):
    replace(folder, "model.skops", b"<html>")
    assert "model.skops is not a skops file" in sentence_of(folder)


def test_a_zip_that_is_no_skops_file(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    replace(folder, "model.skops", buffer.getvalue())
    assert "model.skops cannot be built (KeyError)" in sentence_of(folder)


def test_a_zip_with_a_damaged_member(folder):
    content = bytearray(model_file(folder))
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    replace(folder, "model.skops", bytes(content))
    assert "model.skops" in sentence_of(folder)


def test_another_version_of_scikit_learn(folder):
    libraries = json.loads((folder / "manifest.json").read_text())["libraries"]
    rewrite(folder, libraries=libraries | {"scikit-learn": "1.5.2"})
    text = sentence_of(folder)
    assert "was trained with scikit-learn 1.5.2 and this image runs" in text
    assert (
        "pack the model again with this version, or serve it with the image that it was trained with" in text
    )


def test_another_minor_version_of_skops(folder):
    libraries = json.loads((folder / "manifest.json").read_text())["libraries"]
    rewrite(folder, libraries=libraries | {"skops": "0.9.0"})
    assert "was written with skops 0.9.0 and this image reads" in sentence_of(folder)


def test_another_patch_of_skops_and_another_numpy_are_fine(folder):
    libraries = json.loads((folder / "manifest.json").read_text())["libraries"]
    patched = libraries["skops"].rpartition(".")[0] + ".99"
    rewrite(folder, libraries=libraries | {"skops": patched, "numpy": "2.0.0"})
    assert artifact.load(folder.as_uri()).manifest.libraries["skops"] == patched


def double(table):
    return table


def test_an_unknown_type_is_named_and_runs_only_when_the_operator_trusts_it(tmp_path):
    table = ROWS[["hour", "wind"]]
    pipeline = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(table, Y)
    name = f"{double.__module__}.double"
    with pytest.raises(ArtifactError) as caught:
        artifact.pack(pipeline, table, Y, uri=tmp_path.as_uri(), model="m")
    assert name in str(caught.value)
    assert "add them to the operator's trustedTypes" in str(caught.value)
    assert not list(tmp_path.iterdir())

    options = packing.Options(trusted=(name,))
    loaded, _ = artifact.pack(pipeline, table, Y, uri=tmp_path.as_uri(), model="m", options=options)
    assert name in sentence_of(tmp_path)
    assert artifact.load(tmp_path.as_uri(), trusted=[name]).digest == loaded.digest


def test_a_function_call_hidden_in_a_model_is_not_made(folder, tmp_path):
    victim = tmp_path / "called"
    pipeline = make_pipeline(FunctionTransformer(double), LogisticRegression())
    content = io.BytesIO(skops.io.dumps(pipeline))
    with zipfile.ZipFile(content) as archive:
        schema = archive.read("schema.json").decode()
    schema = schema.replace(f'"__module__": "{double.__module__}"', '"__module__": "os"').replace(
        '"double"', '"mkdir"'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", schema)
    replace(folder, "model.skops", buffer.getvalue())
    assert "mkdir" in sentence_of(folder)
    assert not victim.exists()


@pytest.mark.parametrize("name", ["TreePredictor", "Tree"])
def test_a_tree_that_points_outside_of_itself(name):
    if name == "Tree":
        model = DecisionTreeClassifier(max_depth=2).fit(ROWS[["hour", "wind"]], Y)
        model.tree_.children_left[0] = 10_000
    else:
        model = worlds.boosting().fit(X, Y)
        model._predictors[0][0].nodes["left"][0] = 10_000
    with pytest.raises(ArtifactError, match="nodes point outside of it"):
        trust.check_trees(model, "model.skops")


def test_a_tree_that_never_ends(folder):
    model = worlds.boosting().fit(X, Y)
    model._predictors[3][0].nodes["right"][0] = 0
    replace(folder, "model.skops", skops.io.dumps(model))
    assert "model.skops holds a tree whose nodes point outside of it" in sentence_of(folder)


def test_a_model_of_other_classes_than_its_manifest(folder):
    other = worlds.boosting().fit(X, np.where(Y == "late", "a", "b"))
    replace(folder, "model.skops", skops.io.dumps(other))
    assert "model.skops knows other classes than its manifest" in sentence_of(folder)


def test_a_model_of_other_columns_than_its_manifest(folder):
    other = worlds.boosting().fit(X[["wind", "hour", "carrier"]], Y)
    replace(folder, "model.skops", skops.io.dumps(other))
    assert "model.skops was fitted on other columns" in sentence_of(folder)


def test_something_that_is_no_estimator(folder):
    replace(folder, "model.skops", skops.io.dumps({"weights": [1, 2]}))
    assert "holds a dict and not a scikit-learn estimator" in sentence_of(folder)


def test_a_regressor(folder):
    replace(folder, "model.skops", skops.io.dumps(LinearRegression().fit(ROWS[["hour"]], ROWS["wind"])))
    assert "is for Regression and its manifest says Classification: pack the model again" in sentence_of(
        folder
    )


@pytest.mark.parametrize(
    ("pipeline", "target", "sentence"),
    [
        (FunctionTransformer(), Y, "is neither a classifier nor a regressor"),
        (
            make_pipeline(FunctionTransformer(), FunctionTransformer()),
            Y,
            "is neither a classifier nor a regressor",
        ),
    ],
)
def test_packing_refuses_what_is_no_model(pipeline, target, sentence, tmp_path):
    table = ROWS[["hour"]]
    with pytest.raises(ArtifactError, match=sentence):
        artifact.pack(pipeline.fit(table, target), table, target, uri=tmp_path.as_uri(), model="m")


def test_packing_refuses_an_unfitted_pipeline(tmp_path):
    with pytest.raises(ArtifactError, match="is not fitted: call fit before packing"):
        artifact.pack(worlds.linear(), X, Y, uri=tmp_path.as_uri(), model="m")


def test_packing_refuses_two_targets_at_once(tmp_path):
    table = ROWS[["hour", "wind"]]
    pipeline = DecisionTreeClassifier().fit(table, np.stack([Y == "late", Y == "late"], axis=1))
    with pytest.raises(ArtifactError, match="pack one model for each target"):
        artifact.pack(pipeline, table, Y, uri=tmp_path.as_uri(), model="m")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table[["wind", "hour", "carrier"]], "give the very DataFrame that it was fitted on"),
        (lambda table: table.assign(when=ROWS["time"]), "dtype datetime64"),
        (
            lambda table: table.assign(hour=table["hour"].astype("category")),
            "is a category of values that are not text",
        ),
        (lambda table: table.rename(columns={"hour": 3}), "column 3 is not named by text"),
        (lambda table: table.assign(carrier=[1, *table["carrier"][1:]]), "mixes text with other values"),
        (
            lambda table: table.assign(carrier=pd.Series([None, *table["carrier"][1:]], dtype=object)),
            "holds None: use NaN",
        ),
        (lambda table: table.iloc[:-1], "y has 240 labels and X has 239 rows"),
        (lambda table: pd.concat([table, table["wind"]], axis=1), "column 'wind' appears twice"),
        (lambda table: table.iloc[:, :0], "has no columns"),
        (
            lambda table: table.rename(columns={"hour": "__score__"}),
            "has a name that Modelmend's metrics need",
        ),
    ],
)
def test_packing_refuses_a_table_that_no_request_could_fill(change, sentence, tmp_path):
    pipeline = worlds.boosting().fit(X, Y)
    with pytest.raises(DataError, match=sentence):
        artifact.pack(pipeline, change(X), Y, uri=tmp_path.as_uri(), model="m")


def test_packing_refuses_labels_that_are_missing_unknown_or_leaked(tmp_path):
    pipeline = worlds.boosting().fit(X, Y)
    for target, sentence in [
        (Y.where(np.arange(len(Y)) > 2), "is missing .* in 3 of 240 rows"),
        (["early", *Y[1:]], "labels that are no class of the model: 'early' in 1 of 240 rows"),
    ]:
        with pytest.raises(DataError, match=sentence):
            artifact.pack(pipeline, X, target, uri=tmp_path.as_uri(), model="m")
    leaked = X.assign(arrived_late=np.where(Y == "late", 1.0, 0.0))
    with pytest.raises(DataError, match="feature 'arrived_late' is the label itself"):
        artifact.pack(worlds.boosting().fit(leaked, Y), leaked, Y, uri=tmp_path.as_uri(), model="m")


def test_packing_warns_of_an_encoder_that_dies_of_news(tmp_path):
    table = X.astype({"carrier": "str"})
    strict = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["carrier"])]), LogisticRegression())
    _, warnings = artifact.pack(strict.fit(table, Y), table, Y, uri=tmp_path.as_uri(), model="m")
    assert warnings == (
        "requests with a value of 'carrier' that was not in the training data will be refused: set handle_unknown on its encoder",
    )


def test_a_model_that_cannot_predict_its_example_is_found_by_the_smoke_test(champion):
    loaded = artifact.load(champion.uri)
    loaded.smoke()
    loaded.estimator.__dict__["_predictors"] = None
    with pytest.raises(ArtifactError, match="cannot predict its own example row"):
        loaded.smoke()


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["late"], "knows one class only"),
        ([b"a", b"b"], "has classes that are no booleans, numbers or text"),
        (np.array([1, "1"], dtype=object), "has classes that read the same in logs"),
    ],
)
def test_classes_that_no_label_could_name(classes, sentence):
    model = LogisticRegression().fit(ROWS[["hour", "wind"]], Y)
    model.classes_ = np.asarray(classes)
    with pytest.raises(ArtifactError, match=sentence):
        packing.check_model(model, "model.skops")


def test_packing_refuses_a_table_that_does_not_fit_the_pipeline(tmp_path):
    numbers = ROWS[["hour", "wind"]].to_numpy(dtype=float)
    pipeline = LogisticRegression().fit(numbers, Y)
    for table, options, sentence in [
        (X, packing.Options(), "X has columns that are not numbers and the pipeline was fitted on an array"),
        (numbers[:, :1], packing.Options(), "X has 1 columns and the pipeline was fitted on 2"),
        (numbers, packing.Options(names=("a",)), "1 feature names were given for 2 columns"),
        (numbers.astype(str), packing.Options(), "an array of numbers with two dimensions"),
    ]:
        with pytest.raises(DataError, match=sentence):
            artifact.pack(pipeline, table, Y, uri=tmp_path.as_uri(), model="m", options=options)


def test_packing_refuses_times_that_do_not_fit(tmp_path):
    pipeline = worlds.boosting().fit(X, Y)
    for times, sentence in [
        (ROWS["time"][:-1], "there are 239 times for 240 rows"),
        (np.arange(240), "time column 'time' holds numbers"),
        (["later"] * 240, "holds values that are no timestamps"),
    ]:
        with pytest.raises(DataError, match=sentence):
            artifact.pack(pipeline, X, Y, uri=tmp_path.as_uri(), model="m", time=times)


def test_packing_refuses_a_holdout_that_takes_a_whole_class(tmp_path):
    target = np.where(np.arange(240) < 235, "late", "on time")
    pipeline = worlds.boosting().fit(X, target)
    with pytest.raises(DataError, match="a class has no row outside of the holdout"):
        artifact.pack(pipeline, X, target, uri=tmp_path.as_uri(), model="m", time=ROWS["time"])


def test_a_step_that_skops_cannot_store(tmp_path):
    table = ROWS[["hour", "wind"]]
    pipeline = make_pipeline(FunctionTransformer(), LogisticRegression()).fit(table, Y)
    pipeline.steps[0][1].source = (number for number in range(3))
    with pytest.raises(ArtifactError, match="cannot be stored by skops"):
        artifact.pack(
            pipeline, table, Y, uri=tmp_path.as_uri(), model="m", options=packing.Options(metrics={})
        )
