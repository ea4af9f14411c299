"""What `kubectl apply` cannot know: a Job finds it, and within ten seconds of that Job a condition says it in one
sentence, with the object, what is wrong with it, and the remedy. The champion, where there is one, serves on.

Only the kubelet is played: the Jobs are the operator's own, and an artifact's sentence is what `modelmend resolve`
says when it is run with the arguments and the environment that the operator gave to its pod.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from api.apiserver import Object
from api.running.conftest import DIGEST, World, artifact
from modelmend.contract import environment, manifest, storage
from modelmend.runtime import artifact as artifacts
from modelmend.runtime import commands, packing
from runtime import worlds

pytestmark = pytest.mark.api

SECONDS = 10
"""From the end of a Job to the condition that tells of it."""
FOLDER = "pvc://models/flights"


@dataclass
class Pod:
    """The pod of the operator's present Job, run by hand."""

    world: World
    monkeypatch: pytest.MonkeyPatch
    mounts: Path
    """Where claims are mounted."""

    def runs(self, kind: str) -> Object:
        """The Job's pod, once it runs."""

        def running() -> Object | None:
            pods = self.world.api.objects("v1", "Pod", self.world.namespace)
            found = [pod for pod in pods if pod["metadata"]["labels"].get("modelmend.dev/job") == kind]
            return found[0] if found and found[0].get("status", {}).get("phase") == "Running" else None

        pod: Object = self.world.until(f"the pod of a {kind} Job runs", running)
        return pod

    def says(self, kind: str) -> str:
        """The termination message of the command that its pod was told to run."""
        pod = self.runs(kind)
        container = pod["spec"]["containers"][0]
        told = self.mounts / "termination-log"
        uid = pod["metadata"]["uid"]
        with self.monkeypatch.context() as patched:
            patched.setattr(storage, "MOUNT_ROOT", PurePosixPath(self.mounts))
            for variable in container["env"]:
                value = variable.get("value", uid)
                # As the kubelet does it.
                value = value.replace(f"$({environment.POD_UID})", uid).replace("$$", "$")
                patched.setenv(variable["name"], value)
            patched.setenv(environment.TERMINATION_LOG, str(told))
            CliRunner().invoke(commands.app, container["args"])
        return told.read_text()

    def ends(self, kind: str, message: str, *, failed: bool) -> None:
        """The Job ends with this message."""
        self.world.node.results[kind] = {"raw": message} | ({"error": ""} if failed else {})

    def is_cleared(self, kind: str) -> None:
        """The Job is recorded and gone, and the next one runs until it is told to end."""
        self.world.until("the Job is gone", lambda: not self.world.jobs())
        self.world.node.results.pop(kind, None)


@pytest.fixture
def pod(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pod:
    """Of this test's world."""
    (tmp_path / "mounts" / "models").mkdir(parents=True)
    return Pod(world, monkeypatch, tmp_path / "mounts")


# ------------------------------------------------------------------------------------------------------- artifacts
def _nothing_there(folder: Path) -> None:
    shutil.rmtree(folder)


def _cut_manifest(folder: Path) -> None:
    _cut(folder / manifest.MANIFEST_FILE)


def _cut_model(folder: Path) -> None:
    _cut(folder / manifest.MODEL_FILE)


def _file_left_out(folder: Path) -> None:
    (folder / manifest.REFERENCE_FILE).unlink()


def _another_file(folder: Path) -> None:
    (folder / manifest.REFERENCE_FILE).write_text("{}")


def _pickle(folder: Path) -> None:
    content = pickle.dumps({"weights": [1, 2]})
    (folder / manifest.MODEL_FILE).write_bytes(content)
    files = json.loads((folder / manifest.MANIFEST_FILE).read_text())["files"]
    _rewrite(folder, files=files | {manifest.MODEL_FILE: manifest.digest_of(content)})


def _other_scikit_learn(folder: Path) -> None:
    libraries = json.loads((folder / manifest.MANIFEST_FILE).read_text())["libraries"]
    _rewrite(folder, libraries=libraries | {"scikit-learn": "1.5.2"})


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _rewrite(folder: Path, **changes: object) -> None:
    path = folder / manifest.MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@dataclass(frozen=True)
class Fault:
    """A way to spoil an artifact, and what the sentence must name."""

    spoil: Callable[[Path], None]
    what: str
    remedy: str


FAULTS = {
    "missing": Fault(_nothing_there, "there is no manifest.json at {}", "the URI is wrong, "),
    "truncated-manifest": Fault(_cut_manifest, "{}/manifest.json is not JSON", "copy or pack the artifact again"),
    "truncated-model": Fault(_cut_model, "{}/model.skops is cut short", "copy or pack the artifact again"),
    "incomplete": Fault(_file_left_out, "{}/reference.json is missing", "copy or pack the artifact again"),
    "wrong-hash": Fault(_another_file, "{}/reference.json is not the file that the manifest", "copy or pack"),
    "pickle": Fault(_pickle, "{}/model.skops is a pickle", "write the model with `modelmend pack`"),
    "other-scikit-learn": Fault(_other_scikit_learn, "{} was trained with scikit-learn 1.5.2", "pack the model again"),
}  # fmt: skip


def test_artifact_that_cannot_be_used_is_a_condition_that_names_the_file_and_the_remedy(
    world: World, pod: Pod
) -> None:
    good = pod.mounts / "models" / "flights" / "good"
    _pack(good)
    world.operator.start()
    for name, fault in FAULTS.items():
        shutil.copytree(good, good.with_name(name))
        fault.spoil(good.with_name(name))
        uri = f"{FOLDER}/{name}"
        world.apply(model={"uri": uri}, storage={"uri": FOLDER})

        message = pod.says("resolve")
        pod.ends("resolve", message, failed="error" in json.loads(message))
        stalled = world.until(
            f"an artifact that is {name} is said", lambda uri=uri: _refused(world, uri), seconds=SECONDS
        )

        assert stalled["reason"] == "InvalidArtifact", name
        assert stalled["message"].startswith(f"spec.model.uri names {uri}, which cannot be used: ")
        assert fault.what.format(uri) in stalled["message"]
        assert fault.remedy in stalled["message"]
        assert "\n" not in stalled["message"]
        ready = world.condition("Ready")
        assert (ready["status"], ready["message"]) == ("False", stalled["message"])
        assert world.status()["because"] == stalled["message"]
        assert world.status()["stage"] == "Stalled"
        pod.is_cleared("resolve")

    world.apply(model={"uri": f"{FOLDER}/good"}, storage={"uri": FOLDER})
    pod.ends("resolve", pod.says("resolve"), failed=False)
    assert world.until_serving()["stable"]["uri"] == f"{FOLDER}/good"
    assert world.condition("Stalled") == {}


def test_bad_artifact_beside_a_champion_is_refused_and_the_champion_serves_on(world: World, pod: Pod) -> None:
    before = world.installed(storage={"uri": FOLDER})
    pod.is_cleared("resolve")
    bad = pod.mounts / "models" / "flights" / "bad"
    _pack(bad)
    _pickle(bad)
    world.apply(model={"uri": f"{FOLDER}/bad"}, storage={"uri": FOLDER})

    pod.ends("resolve", pod.says("resolve"), failed=True)
    stalled = world.until("it is said", lambda: _refused(world, f"{FOLDER}/bad"), seconds=SECONDS)

    assert "never unpickles" in stalled["message"]
    assert world.condition("Ready")["status"] == "False"
    assert world.status()["stage"] == "Serving"
    assert world.status()["stable"] == before["stable"]
    assert world.backends() == [("flights-v1", 8080, 100)]
    pod.is_cleared("resolve")

    world.node.results["resolve"] = artifact()
    world.apply(storage={"uri": FOLDER})  # The author takes it back.
    world.until_serving()


def _pack(folder: Path) -> None:
    rows = worlds.flights(days=6)
    table = rows[worlds.FEATURES]
    pipeline = worlds.boosting().fit(table, rows["late"])
    options = packing.Options(holdout=0, metrics={"accuracy": 0.9})
    artifacts.pack(pipeline, table, rows["late"], uri=folder.as_uri(), model="flights", options=options)


def _refused(world: World, uri: str) -> Object | None:
    stalled = world.condition("Stalled")
    return stalled if uri in stalled.get("message", "") else None


# -------------------------------------------------------------------------------------------------- first trainings
ROWS = worlds.flights(days=6)
DATASET = {"uri": f"{FOLDER}/rows.parquet", "label": "late", "time": "time"}
UNLEARNABLE: dict[str, tuple[pd.DataFrame | None, str]] = {
    "no dataset": (None, "pvc://models/flights/rows.parquet does not exist: check the URI"),
    "no label column": (ROWS.drop(columns="late"), "label column 'late' is missing in pvc://models/flights/rows.parquet"),
    "one class": (ROWS.assign(late="late"), "only one class, 'late', is in the 192 rows to fit on: widen the window"),
    "no labels": (ROWS.assign(late=None), "label 'late' is missing (NaN or null) in 240 of 240 rows"),
    "the future": (
        ROWS.assign(time=ROWS["time"] + pd.Timedelta(days=36_500)),
        "time column 'time' lies in the future in 240 of 240 rows",
    ),
    "30 rows": (ROWS.head(30), "too few labelled rows: 24 to fit on and 6 held out, where 100 and 30 are needed"),
    "no rule": (
        ROWS.assign(late=np.random.default_rng(5).permutation(ROWS["late"])),
        "is not proven better than always answering the most frequent class",
    ),
}  # fmt: skip
"""What the dataset holds, and what is said of it."""


def test_dataset_from_which_nothing_can_be_learnt_is_one_sentence_until_it_is_mended(
    world: World, pod: Pod
) -> None:
    def begins(number: int, frame: pd.DataFrame | None) -> None:
        if frame is not None:
            file.parent.mkdir(exist_ok=True)
            frame.to_parquet(file, index=False)
        if number:  # The first one begins by itself.
            token = {"modelmend.dev/retrain-requested-at": str(number)}
            world.api.merge(world.flights(), {"metadata": {"annotations": token}})
        pod.runs("retrain")

    file = pod.mounts / "models" / "flights" / "rows.parquet"
    world.operator.start()
    world.apply(
        model={},
        storage={"uri": FOLDER},
        retraining={"budget": {"attempts": len(UNLEARNABLE) + 1}, "data": {"dataset": DATASET}},
    )
    for number, (what, (frame, told)) in enumerate(UNLEARNABLE.items()):
        begins(number, frame)
        pod.ends("retrain", (said := pod.says("retrain")), failed="error" in said)
        ready = world.until(
            f"{what} is said",
            lambda told=told: (
                told in (found := world.condition("Ready"))["message"]
                and found["reason"] == "FirstTrainingFailed"
                and found
            ),
            seconds=SECONDS,
        )

        assert ready["status"] == "False"
        assert "\n" not in ready["message"]
        assert world.condition("Reconciling")["status"] == "True"
        assert len(world.status()["retraining"]["attempts"]) == number + 1
        pod.is_cleared("retrain")
    assert world.deployment() is None

    begins(99, ROWS)
    pod.ends("retrain", pod.says("retrain"), failed=False)
    serving = world.until_serving()
    version = world.child("modelmend.dev/v1alpha1", "ModelVersion", serving["stable"]["version"])
    assert version is not None
    assert version["spec"]["trigger"] == "First"
    assert version["spec"]["evaluation"]["b"] > version["spec"]["evaluation"]["a"]


# -------------------------------------------------------------------------------------------------------- trainers
GARBAGE = {
    "words": ("epoch 1 of 9, loss 0.31", False, "'epoch 1 of 9, loss 0.31'"),
    "a traceback": ("Traceback (most recent call last):\n  File \"t.py\"\nKeyError: 'x'", True, "Traceback"),
    "nothing": ("", False, "ended without a result on its termination message"),
    "nothing, and a code": ("", True, "exited with code 1"),
    "bytes": ("\x01\x02{", False, "is not a result"),
    "a list": ("[1, 2]", False, "'[1, 2]'"),
    "half a result": (json.dumps(artifact())[:50], False, "is not a result"),
    "a digest that is none": (json.dumps(artifact("sha256:short")), False, "is not a result"),
    "a metric that is no number": (
        json.dumps(artifact(metrics={"accuracy": float("nan")})),
        False,
        "is not a result",
    ),
    "more rows than there are": (json.dumps(artifact(rows=10**30)), False, "is not a result"),
    "half a letter": ('{"error": "\\ud800"}', True, "is not a result"),
    "an error without words": ('{"error": ""}', True, "gave no reason"),
    "an artifact, and a code": (json.dumps(artifact()), True, "exited with code 1"),
}
"""What the pod prints, whether it fails, and what the sentence must quote."""


def test_trainer_that_prints_garbage_is_a_failure_with_a_sentence_and_the_champion_serves_on(
    world: World, pod: Pod
) -> None:
    before = world.installed(retraining={"budget": {"attempts": len(GARBAGE) + 1}})
    pod.is_cleared("resolve")
    for number, (what, (message, failed, quoted)) in enumerate(GARBAGE.items()):
        token = {"modelmend.dev/retrain-requested-at": str(number)}
        world.api.merge(world.flights(), {"metadata": {"annotations": token}})
        pod.runs("retrain")
        sequence = world.status()["retraining"]["running"]["sequence"]

        pod.ends("retrain", message, failed=failed)
        told = f"retraining {sequence} failed: "
        ready = world.until(
            f"a trainer that prints {what} is said",
            lambda told=told: told in (found := world.condition("Ready"))["message"] and found,
            seconds=SECONDS,
        )

        assert quoted in ready["message"], what
        assert "\n" not in ready["message"]
        assert ready["status"] == "True", "the champion serves"
        assert ready["reason"] == "CoolingDown"
        assert world.condition("Progressing")["status"] == "False"
        assert len(world.status()["retraining"]["attempts"]) == number + 1
        pod.is_cleared("retrain")

    assert world.status()["stable"] == before["stable"]
    assert world.backends() == [("flights-v1", 8080, 100)]
    assert world.status()["lastVersion"] == 1, "nothing was made of it"


# ----------------------------------------------------------------------------------------------------------- names
def _taken(kind: str, name: str) -> Object:
    """An object of somebody else."""
    versions = {
        "Deployment": "apps/v1",
        "HTTPRoute": "gateway.networking.k8s.io/v1",
        "ModelVersion": "modelmend.dev/v1alpha1",
    }
    labels = {"app": "of-somebody-else"}
    container = {"name": "web", "image": "example.com/web:1"}
    specs: dict[str, Object] = {
        "Deployment": {
            "selector": {"matchLabels": labels},
            "replicas": 0,
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "HTTPRoute": {"parentRefs": [{"name": "public"}]},
        "ModelVersion": {
            "deployment": "trains",
            "number": 1,
            "uri": "s3://models/trains",
            "digest": DIGEST,
            "trigger": "Install",
            "because": "installed by a person",
            "createdAt": "2026-01-01T00:00:00Z",
            "image": "example.com/runtime:1",
        },
        "Service": {"ports": [{"port": 80}], "selector": labels},
    }
    made: Object = {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": {"name": name}}
    return made | ({"spec": specs[kind]} if kind in specs else {"stringData": {"key": "theirs"}})


NAMES = (
    ("ModelVersion", "flights-v1"),
    ("Secret", "flights-feedback"),
    ("Service", "flights-v1"),
    ("Deployment", "flights-v1"),
    ("HTTPRoute", "flights"),
    ("Service", "flights"),
)
"""Every child that is named after its ModelDeployment, in the order in which they are made."""


def test_every_childs_name_that_somebody_else_owns_is_said_and_left_alone(world: World) -> None:
    held = []
    owner = world.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "theirs", "namespace": world.namespace},
        }
    )
    controller = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "theirs",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    for kind, name in NAMES:
        wanted = _taken(kind, name)
        wanted["metadata"] |= {"namespace": world.namespace, "ownerReferences": [controller]}
        held.append(world.api.create(wanted))
    world.node.results["resolve"] = artifact()
    world.operator.start()
    world.apply()

    for (kind, name), theirs in zip(NAMES, held, strict=True):
        stalled = world.until(
            f"that {kind} {name} is taken is said",
            lambda what=f"{kind} {name} ": (
                what in world.condition("Stalled").get("message", "") and world.condition("Stalled")
            ),
            seconds=SECONDS,
        )
        assert stalled["reason"] == "NameTaken"
        assert f"{kind} {name} belongs to ConfigMap theirs: it is left alone" in stalled["message"]
        assert "delete it, or give the ModelDeployment another name" in stalled["message"]
        assert world.condition("Ready")["status"] == "False"
        now = world.api.get(theirs)
        assert now["metadata"].get("generation") == theirs["metadata"].get("generation")
        assert now["metadata"]["ownerReferences"] == [controller]
        assert not [
            entry for entry in now["metadata"]["managedFields"] if entry["manager"].startswith("modelmend")
        ]

        world.api.delete(theirs)
        world.until(
            "it is gone", lambda kind=kind, name=name, theirs=theirs: _gone(world, theirs, kind, name)
        )
        world.api.merge(
            world.flights(), {"metadata": {"annotations": {"example.com/look": f"{kind}-{name}"}}}
        )

    world.until_serving()


def _gone(world: World, theirs: Object, kind: str, name: str) -> bool:
    found = world.child(theirs["apiVersion"], kind, name)
    return found is None or found["metadata"]["uid"] != theirs["metadata"]["uid"]


# ------------------------------------------------------------------------------------------------------------ pins
def test_pin_of_a_version_that_does_not_exist_is_said_with_those_that_do(world: World) -> None:
    world.node.results["resolve"] = artifact()
    world.operator.start()
    uri = "s3://models/flights/v0"
    world.apply(model={"uri": uri, "pin": "flights-v7"})

    world.until("the first version serves", lambda: world.backends() == [("flights-v1", 8080, 100)])
    stalled = world.until("it is said", lambda: world.condition("Stalled"), seconds=SECONDS)
    assert stalled["reason"] == "UnknownVersion"
    assert stalled["message"] == (
        "spec.model.pin names flights-v7, which is not known; known versions: flights-v1"
    )
    assert world.condition("Ready")["status"] == "False"

    world.apply(model={"uri": uri, "pin": "flights-v1"})
    world.until_serving()
    assert "pinned by spec.model.pin" in world.status()["because"]
