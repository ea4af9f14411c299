"""What a person gets wrong is refused at `kubectl apply`, naming the field, by the API server and by Python alike.

Each line is one mistake: what it is, where, the wrong value, and the value that was meant. The corrected object must
be accepted, so that no case passes because of another fault of the object.
"""

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from api.apiserver import ApiServer, Refused
from api.objects import DELETE, as_stored, changed, deployment
from modelmend.api.resources import ModelDeployment

SIGNAL = {"name": "accuracy", "minimum": 0.85}
SIGNALS = "spec.monitoring.signals"
STEPS = "spec.rollout.steps"
LOG = "spec.retraining.data.log"
DATASET = "spec.retraining.data.dataset"
COLUMNS = {"uri": "s3://ml/flights.parquet", "label": "late", "time": "at"}
HOSTS = "spec.serving.gateway.hostnames"
PARENT = "spec.serving.gateway.parentRef"
RESOURCES = "spec.serving.resources"


GRADED = {"tolerance": 15}
METRICS: dict[str, Any] = {
    "requests": {"name": "http_requests_total", "code": "status"},
    "outcomes": {"correct": "correct_total", "total": "labelled_total"},
}
CLASSES = {"name": "outcomes_total", "predicted": "predicted", "actual": "actual"}
BY_CLASS = {**METRICS, "outcomes": {"byClass": CLASSES}}
SLICES = "spec.evaluation.slices"
SLICE = {"column": "carrier", "value": "HA"}


@dataclass(frozen=True)
class Mistake:
    """One mistake and its correction."""

    what: str
    path: str
    wrong: Any
    right: Any
    named: str = ""
    """What both messages must name; the last part of the path when left out."""

    @property
    def field(self) -> str:
        """The word that both messages must hold."""
        return self.named or self.path.rpartition(".")[2].partition("[")[0]


def signal(**fields: Any) -> list[dict[str, Any]]:
    """A list of one signal."""
    return [{**SIGNAL, **fields}]


def of_errors(evaluation: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A whole spec with one signal on errors, and this evaluation."""
    mae = {"name": "errors", "type": "MAE", "maximum": 20, **fields}
    signals = [{key: value for key, value in mae.items() if value is not None}]
    whole: dict[str, Any] = deployment(monitoring={"signals": signals}, evaluation=evaluation)["spec"]
    return whole


def shift(**fields: Any) -> list[dict[str, Any]]:
    """A list of one signal of shares of classes."""
    return [{"name": "mix", "type": "LabelShift", **fields}]


def guess(**fields: Any) -> list[dict[str, Any]]:
    """A list of one signal of an estimate."""
    return [{"name": "guess", "type": "EstimatedAccuracy", "minimum": 0.85, **fields}]


def concept(**fields: Any) -> list[dict[str, Any]]:
    """A list of one signal of concept drift."""
    return [{"name": "rule", "type": "ConceptDrift", **fields}]


def drift(**fields: Any) -> list[dict[str, Any]]:
    """A list of one signal of drift."""
    return [{"name": "inputs", "type": "FeatureDrift", **fields}]


def asked(**fields: Any) -> list[dict[str, Any]]:
    """A list of one query."""
    found = {"name": "refunds", "type": "Query", "query": "sum(refunds)", "above": 12, **fields}
    return [{name: value for name, value in found.items() if value is not None}]


def weights(*weights: int) -> list[dict[str, int]]:
    """Canary steps."""
    return [{"weight": weight} for weight in weights]


def own(*, metrics: Any = METRICS, signals: Any = None, rollout: Any = None, **template: Any) -> Any:
    """A spec with images of one's own."""
    spec = deployment()["spec"]
    return {
        **spec,
        "serving": {**spec["serving"], "template": {"image": "server:1", **template}},
        "monitoring": {"metrics": metrics, **({} if signals is None else {"signals": signals})},
        "retraining": {"trainer": {"template": {"image": "trainer:1"}}},
        **({} if rollout is None else {"rollout": rollout}),
    }


def without(spec: Any, *path: str) -> Any:
    """A spec without one of its parts."""
    return changed({"spec": spec}, ".".join(("spec", *path)), DELETE)["spec"]


def outcomes(**fields: Any) -> Any:
    """Metrics with these outcomes."""
    return {**METRICS, "outcomes": fields}


def each_hour(number: int) -> list[dict[str, str]]:
    """Slices."""
    return [{"column": "hour", "value": str(hour)} for hour in range(number)]


def first(**pipeline: Any) -> dict[str, Any]:
    """A whole spec without an artifact."""
    return first_by(pipeline=pipeline)


def first_by(**trainer: Any) -> dict[str, Any]:
    """The same with this trainer."""
    retraining = {"data": {"dataset": COLUMNS}, "trainer": trainer}
    return {**deployment()["spec"], "model": {}, "retraining": retraining}


MISTAKES = (
    # the object itself
    Mistake("a name of 41 characters", "metadata.name", "f" * 41, "f" * 40),
    Mistake("a name with a dot", "metadata.name", "flights.v1", "flights-v1"),
    Mistake("a name that begins with a digit", "metadata.name", "2nd-try", "try-2"),
    # unknown fields, at every depth
    Mistake("an unknown field in spec", "spec.colour", "blue", DELETE),
    Mistake("an unknown field two levels down", "spec.serving.replica", 2, DELETE),
    Mistake("an unknown field three levels down", "spec.rollout.guards.p99", "200ms", DELETE),
    Mistake("an unknown field in a list", f"{SIGNALS}", signal(treshold=1), signal(), "treshold"),
    Mistake("an unknown field four levels down", f"{LOG}.retain", "1h", DELETE),
    # what does not work yet is not accepted and ignored
    Mistake("a pod's template for a server", "spec.serving.template", {"spec": {}}, DELETE),
    Mistake(
        "a pod's template for a trainer",
        "spec.retraining.trainer.template",
        {"spec": {}},
        {"image": "trainer:1"},
    ),
    Mistake("a pipeline for a first training", "spec.retraining.trainer.pipeline", "boosting", DELETE),
    Mistake("a dataset without its name", "spec.retraining.data.uri", "s3://ml/flights.parquet", DELETE),
    Mistake("an autoscaler", "spec.serving.autoscaling", {"min": 2, "max": 8}, DELETE),
    Mistake("notifications", "spec.notifications", [{"slack": {}}], DELETE),
    # model
    Mistake("no model", "spec.model", DELETE, {"uri": "s3://models/flights/v0"}),
    Mistake("no uri", "spec.model.uri", DELETE, "s3://models/flights/v0"),
    Mistake("a file of one machine", "spec.model.uri", "file:///models/v0", "pvc://models/v0"),
    Mistake("a path without a scheme", "spec.model.uri", "/models/v0", "pvc://models/v0"),
    Mistake(
        "http without encryption",
        "spec.model.uri",
        "http://models.example.com/v0",
        "https://models.example.com/v0",
    ),
    Mistake("memory as storage", "spec.model.uri", "memory://v0", "s3://models/v0"),
    Mistake("a scheme in capitals", "spec.model.uri", "S3://models/v0", "s3://models/v0"),
    Mistake("a scheme and nothing more", "spec.model.uri", "s3://", "s3://models/v0"),
    Mistake("a signed url", "spec.model.uri", "https://a.example.com/v0?sig=1", "https://a.example.com/v0"),
    Mistake(
        "a password in a url",
        "spec.model.uri",
        "https://me:secret@a.example.com/v0",
        "https://a.example.com/v0",
    ),
    Mistake("a path that climbs", "spec.model.uri", "pvc://models/../v0", "pvc://models/v0"),
    Mistake("a path that ends in dots", "spec.model.uri", "pvc://models/..", "pvc://models/v0"),
    Mistake("a space in a uri", "spec.model.uri", "s3://models/my model", "s3://models/my-model"),
    Mistake("a newline after a uri", "spec.model.uri", "s3://models/v0\n", "s3://models/v0"),
    Mistake("a claim in capitals", "spec.model.uri", "pvc://Models/v0", "pvc://models/v0"),
    Mistake("a pin of another model", "spec.model.pin", "trains-v3", "flights-v3"),
    Mistake("a pin to a number", "spec.model.pin", "v3", "flights-v3"),
    Mistake("a pin to version zero", "spec.model.pin", "flights-v0", "flights-v10"),
    Mistake("a pin to a digest", "spec.model.pin", f"sha256:{'0' * 40}", "flights-v3"),
    Mistake("a pin that only begins well", "spec.model.pin", "flights-v2-v3", "flights-v3"),
    Mistake("an empty pin", "spec.model.pin", "", DELETE),
    # storage
    Mistake("no storage", "spec.storage", DELETE, {"uri": "pvc://ml/flights"}),
    Mistake("storage that cannot be written", "spec.storage.uri", "https://ml.example.com/f", "s3://ml/f"),
    Mistake("storage on one machine", "spec.storage.uri", "file:///ml", "pvc://ml"),
    Mistake("a Secret without a name", "spec.storage.credentialsSecretRef", {}, {"name": "s3"}, "name"),
    Mistake("a Secret's name in capitals", "spec.storage.credentialsSecretRef.name", "S3", "s3.keys"),
    # serving
    Mistake(
        "host names outside of a gateway",
        "spec.serving",
        {"hostnames": ["a.example.com"]},
        {"replicas": 2},
        "hostnames",
    ),
    Mistake("an empty gateway", "spec.serving.gateway", {}, DELETE, "parentRef"),
    Mistake(
        "a gateway without host names",
        "spec.serving.gateway",
        {"parentRef": {"name": "public"}},
        DELETE,
        "hostnames",
    ),
    Mistake("no replicas at all", "spec.serving.replicas", 0, 1),
    Mistake("replicas as text", "spec.serving.replicas", "2", 2),
    Mistake("half a replica", "spec.serving.replicas", 1.5, 2),
    Mistake("too many replicas", "spec.serving.replicas", 1001, 1000),
    Mistake("no host name", HOSTS, [], ["a.example.com"]),
    Mistake("an empty host name", HOSTS, [""], ["a.example.com"]),
    Mistake("a host name with a port", HOSTS, ["a.example.com:80"], ["a.example.com"]),
    Mistake("a host name with a scheme", HOSTS, ["https://a.example.com"], ["a.example.com"]),
    Mistake("a host name with an underscore", HOSTS, ["my_model.example.com"], ["my-model.example.com"]),
    Mistake("a wildcard in the middle", HOSTS, ["a.*.example.com"], ["*.example.com"]),
    Mistake("an address for a host name", HOSTS, ["10.0.0.1"], ["a.example.com"]),
    Mistake("a host name twice", HOSTS, ["a.example.com"] * 2, ["a.example.com"]),
    Mistake("seventeen host names", HOSTS, [f"a{n}.example.com" for n in range(17)], ["a.example.com"]),
    Mistake(
        "a Gateway without a name",
        PARENT,
        {"namespace": "infra"},
        {"name": "public", "namespace": "infra"},
        "name",
    ),
    Mistake("a Gateway's namespace in capitals", f"{PARENT}.namespace", "Infra", "infra"),
    Mistake("no memory", f"{RESOURCES}.memory", "0", "512Mi"),
    Mistake("memory without a unit", f"{RESOURCES}.memory", "512", "512Mi"),
    Mistake("thousandths of a byte", f"{RESOURCES}.memory", "512m", "512M"),
    Mistake("memory in a unit of another world", f"{RESOURCES}.memory", "512MB", "512Mi"),
    Mistake("no processor", f"{RESOURCES}.cpu", 0, 1),
    Mistake("no processor, in thousandths", f"{RESOURCES}.cpu", "0m", "1m"),
    Mistake("negative processors", f"{RESOURCES}.cpu", "-1", "1"),
    Mistake("half a processor as a number", f"{RESOURCES}.cpu", 0.5, "0.5"),
    # images of one's own
    Mistake("own server without metrics", "spec", without(own(), "monitoring"), own(), "monitoring.metrics"),
    Mistake(
        "metrics of the built-in server",
        "spec",
        without(own(), "serving", "template"),
        without(without(own(), "serving", "template"), "monitoring"),
        "serving.template",
    ),
    Mistake(
        "an own server without a gateway",
        "spec",
        without(own(), "serving", "gateway"),
        own(),
        "serving.gateway",
    ),
    Mistake(
        "own server with nothing to learn from", "spec", without(own(), "retraining"), own(), "retraining"
    ),
    Mistake(
        "own server and its log",
        "spec",
        {**own(), "retraining": {"data": {"log": {}}}},
        {**own(), "retraining": {"data": {"dataset": COLUMNS}}},
        "retraining.data.dataset",
    ),
    Mistake("drift of an own server", "spec", own(signals=drift()), own(signals=signal()), "signals"),
    Mistake(
        "recall without classes",
        "spec",
        own(signals=signal(type="Recall", positiveClass="yes")),
        own(metrics=BY_CLASS, signals=signal(type="Recall", positiveClass="yes")),
        "byClass",
    ),
    Mistake(
        "latency without its histogram",
        "spec",
        own(rollout={"guards": {"p99Latency": "200ms"}}),
        own(metrics={**METRICS, "latency": "http_seconds"}, rollout={"guards": {"p99Latency": "200ms"}}),
        "latency",
    ),
    Mistake(
        "a tolerance of an own server", "spec", {**own(), "evaluation": {"tolerance": 1}}, own(), "tolerance"
    ),
    Mistake(
        "pairs in blocks where there are none",
        "spec",
        own(rollout={"analysis": {"block": "1h"}}),
        own(rollout={"analysis": {"deadline": "2h"}}),
        "block",
    ),
    Mistake(
        "PromQL for a name", "spec", own(metrics=outcomes(correct="sum(a)", total="b")), own(), "correct"
    ),
    Mistake("half of the outcomes", "spec", own(metrics=outcomes(correct="a")), own(), "outcomes"),
    Mistake("no outcomes", "spec", own(metrics=outcomes()), own(), "outcomes"),
    Mistake(
        "outcomes twice",
        "spec",
        own(metrics=outcomes(correct="a", total="b", byClass=CLASSES)),
        own(metrics=outcomes(byClass=CLASSES)),
        "outcomes",
    ),
    Mistake(
        "somebody else's label",
        "spec",
        own(metrics={**METRICS, "requests": {"name": "a", "code": "modelmend_model"}}),
        own(metrics={**METRICS, "requests": {"name": "a", "code": "code"}}),
        "code",
    ),
    Mistake(
        "a label with a dash",
        "spec",
        own(metrics=outcomes(correct="a", total="b", rollout="a-b")),
        own(),
        "rollout",
    ),
    Mistake(
        "an own server without an image",
        "spec",
        without(own(), "serving", "template", "image"),
        own(),
        "image",
    ),
    Mistake(
        "an image with a space", "spec", own(image="server 1"), own(image="a.b:5000/c/d@sha256:00"), "image"
    ),
    Mistake("a port of root's", "spec", own(port=80), own(port=8080), "port"),
    Mistake("a path without its slash", "spec", own(path="predict"), own(path="/predict"), "path"),
    Mistake("a question to a probe", "spec", own(readyPath="/r?a=1"), own(readyPath="/r"), "readyPath"),
    Mistake(
        "a variable twice",
        "spec",
        own(env=[{"name": "A", "value": "1"}] * 2),
        own(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]),
        "env",
    ),
    Mistake(
        "a variable of Modelmend's",
        "spec",
        own(env=[{"name": "MODELMEND_URI", "value": "1"}]),
        own(env=[{"name": "URI", "value": "1"}]),
        "name",
    ),
    Mistake("a variable with a dash", "spec", own(env=[{"name": "a-b", "value": ""}]), own(), "name"),
    Mistake(
        "a pull secret twice",
        "spec",
        own(imagePullSecrets=["a", "a"]),
        own(imagePullSecrets=["a"]),
        "imagePullSecrets",
    ),
    # monitoring
    Mistake("an interval of nothing", "spec.monitoring.interval", "0s", "1s"),
    Mistake("an interval shorter than a poll", "spec.monitoring.interval", "999ms", "1s"),
    Mistake("an interval of a day", "spec.monitoring.interval", "24h", "1h"),
    Mistake("an interval without a unit", "spec.monitoring.interval", "30", "30s"),
    Mistake("an interval as a number", "spec.monitoring.interval", 30, "30s"),
    Mistake("a negative interval", "spec.monitoring.interval", "-30s", "30s"),
    Mistake("no signals", SIGNALS, [], signal()),
    Mistake("a signal without a name", SIGNALS, [{"minimum": 0.85}], signal(), "name"),
    Mistake("two signals of one name", SIGNALS, signal() * 2, [*signal(), *signal(name="other")]),
    Mistake("a minimum above one", SIGNALS, signal(minimum=85), signal(minimum=0.85), "minimum"),
    Mistake("a minimum of nothing", SIGNALS, signal(minimum=0), signal(minimum=1), "minimum"),
    Mistake("a negative minimum", SIGNALS, signal(minimum=-0.1), signal(minimum=0.1), "minimum"),
    Mistake("a minimum as text", SIGNALS, signal(minimum="0.85"), signal(minimum=0.85), "minimum"),
    Mistake("a minimum that is true", SIGNALS, signal(minimum=True), signal(minimum=0.85), "minimum"),
    Mistake("minimum and maxDrop", SIGNALS, signal(maxDrop=0.05), signal(), "minimum"),
    Mistake(
        "neither minimum nor maxDrop", SIGNALS, [{"name": "a"}], [{"name": "a", "maxDrop": 0.1}], "maxDrop"
    ),
    Mistake(
        "a drop of everything",
        SIGNALS,
        [{"name": "a", "maxDrop": 1}],
        [{"name": "a", "maxDrop": 0.99}],
        "maxDrop",
    ),
    Mistake("a signal that does not exist", SIGNALS, signal(type="Mood"), signal(type="Accuracy"), "type"),
    Mistake(
        "an action in small letters", SIGNALS, signal(action="retrain"), signal(action="Retrain"), "action"
    ),
    Mistake(
        "a class for a measure of all classes",
        SIGNALS,
        signal(positiveClass="yes"),
        signal(type="Recall", positiveClass="yes"),
        "positiveClass",
    ),
    Mistake(
        "a class for the balanced accuracy",
        SIGNALS,
        signal(type="BalancedAccuracy", positiveClass="yes"),
        signal(type="BalancedAccuracy"),
        "positiveClass",
    ),
    Mistake(
        "a class that is no text",
        SIGNALS,
        signal(type="F1", positiveClass=1),
        signal(type="F1", positiveClass="1"),
        "positiveClass",
    ),
    Mistake(
        "a class without a name",
        SIGNALS,
        signal(type="Precision", positiveClass=""),
        signal(type="Precision"),
        "positiveClass",
    ),
    Mistake("a block of two hours", SIGNALS, signal(block="2h"), signal(block="1h"), "block"),
    Mistake(
        "a block for one look at a window",
        SIGNALS,
        signal(block="1h", evidence="Threshold"),
        signal(block="1h", evidence="Lifelong"),
        "block",
    ),
    Mistake(
        "a false alarm at every block",
        SIGNALS,
        signal(block="1d", falseAlarmEvery="24h"),
        signal(block="1d", falseAlarmEvery="25h"),
        "falseAlarmEvery",
    ),
    Mistake(
        "a false alarm at every block of an hour",
        SIGNALS,
        signal(block="1h", falseAlarmEvery="1h"),
        signal(block="1h", falseAlarmEvery="2h"),
        "falseAlarmEvery",
    ),
    Mistake("block inside of evidence", SIGNALS, signal(evidence={"block": "1h"}), signal(), "evidence"),
    Mistake(
        "a rollout that ends before its first block",
        "spec.rollout.analysis",
        {"block": "1d"},
        {"block": "1d", "deadline": "400h"},
        "deadline",
    ),
    Mistake("no labels needed", SIGNALS, signal(minLabels=0), signal(minLabels=1), "minLabels"),
    Mistake("a window of nothing", SIGNALS, signal(window="0s"), signal(window="1s"), "window"),
    Mistake(
        "a false alarm at every look",
        SIGNALS,
        signal(falseAlarmEvery="30s"),
        signal(falseAlarmEvery="31s"),
        "falseAlarmEvery",
    ),
    Mistake("drift with a minimum", SIGNALS, drift(minimum=0.85), drift(), "minimum"),
    Mistake("drift with maxDrop", SIGNALS, drift(maxDrop=0.05), drift(effect=0.05), "maxDrop"),
    Mistake("drift with minLabels", SIGNALS, drift(minLabels=200), drift(), "minLabels"),
    Mistake(
        "drift of predictions with evidence",
        SIGNALS,
        drift(type="PredictionDrift", evidence="Threshold"),
        drift(type="PredictionDrift"),
        "evidence",
    ),
    Mistake("drift in blocks", SIGNALS, drift(block="1h"), drift(), "block"),
    Mistake("a shift of labels with a minimum", SIGNALS, shift(minimum=0.85), shift(effect=0.1), "minimum"),
    Mistake("a shift of labels with minLabels", SIGNALS, shift(minLabels=200), shift(), "minLabels"),
    Mistake("a shift of labels with evidence", SIGNALS, shift(evidence="Threshold"), shift(), "evidence"),
    Mistake(
        "a shift of labels that retrains", SIGNALS, shift(action="Retrain"), shift(action="Ignore"), "Retrain"
    ),
    Mistake("a shift of labels in percent", SIGNALS, shift(effect=1), shift(effect=0.9), "effect"),
    Mistake("concept drift with a minimum", SIGNALS, concept(minimum=0.85), concept(minLabels=50), "minimum"),
    Mistake("concept drift with maxDrop", SIGNALS, concept(maxDrop=0.05), concept(effect=0), "maxDrop"),
    Mistake("concept drift in blocks", SIGNALS, concept(block="1h"), concept(action="Retrain"), "block"),
    Mistake(
        "concept drift beyond all accuracy", SIGNALS, concept(effect=1.5), concept(effect=0.15), "effect"
    ),
    Mistake("concept drift with minRows", SIGNALS, concept(minRows=100), concept(minLabels=100), "minRows"),
    Mistake(
        "an estimate without a limit",
        SIGNALS,
        [{"name": "e", "type": "EstimatedAccuracy"}],
        guess(),
        "minimum",
    ),
    Mistake("an estimate with two limits", SIGNALS, guess(maxDrop=0.1), guess(), "maxDrop"),
    Mistake("an estimate with minLabels", SIGNALS, guess(minLabels=100), guess(minRows=100), "minRows"),
    Mistake("an estimate with evidence", SIGNALS, guess(evidence="Lifelong"), guess(), "evidence"),
    Mistake("an estimate with an effect", SIGNALS, guess(effect=0.1), guess(), "effect"),
    Mistake("an estimate that retrains", SIGNALS, guess(action="Retrain"), guess(action="Alert"), "Retrain"),
    Mistake("an estimate from no rows", SIGNALS, guess(minRows=0), guess(minRows=1), "minRows"),
    Mistake(
        "accuracy with minRows", SIGNALS, [{"name": "a", "minimum": 0.8, "minRows": 9}], guess(), "minRows"
    ),
    Mistake(
        "false alarms of concept drift at every window",
        SIGNALS,
        concept(falseAlarmEvery="11h59m"),
        concept(falseAlarmEvery="12h"),
        "falseAlarmEvery",
    ),
    Mistake(
        "an estimate's window shorter than a look",
        SIGNALS,
        guess(window="29s"),
        guess(window="30s"),
        "window",
    ),
    Mistake("drift of one class", SIGNALS, drift(positiveClass="yes"), drift(), "positiveClass"),
    Mistake(
        "recall with an effect",
        SIGNALS,
        signal(type="Recall", effect=0.1),
        signal(type="Recall"),
        "effect",
    ),
    Mistake("accuracy with an effect", SIGNALS, signal(effect=0.1), signal(), "effect"),
    Mistake("a negative effect", SIGNALS, drift(effect=-0.1), drift(effect=0), "effect"),
    Mistake("an effect in percent", SIGNALS, drift(effect=20), drift(effect=0.2), "effect"),
    Mistake("an effect as text", SIGNALS, drift(effect="0.2"), drift(effect=0.2), "effect"),
    Mistake(
        "false alarms of drift at every window",
        SIGNALS,
        drift(falseAlarmEvery="11h59m"),
        drift(falseAlarmEvery="12h"),
        "falseAlarmEvery",
    ),
    Mistake(
        "a window of drift shorter than a look", SIGNALS, drift(window="29s"), drift(window="30s"), "window"
    ),
    Mistake("errors without a tolerance", "spec", of_errors({}), of_errors(GRADED), "tolerance"),
    Mistake("errors without a limit", "spec", of_errors(GRADED, maximum=None), of_errors(GRADED), "maximum"),
    Mistake("errors with two limits", "spec", of_errors(GRADED, maxRise=5), of_errors(GRADED), "maxRise"),
    Mistake(
        "errors with a minimum",
        "spec",
        of_errors(GRADED, maximum=None, minimum=0.5),
        of_errors(GRADED, maximum=None, maxRise=0.5),
        "minimum",
    ),
    Mistake("errors with a drop", "spec", of_errors(GRADED, maxDrop=0.5), of_errors(GRADED), "maxDrop"),
    Mistake(
        "no error at all", "spec", of_errors(GRADED, maximum=0), of_errors(GRADED, maximum=0.1), "maximum"
    ),
    Mistake(
        "a limit beyond what counts",
        "spec",
        of_errors(GRADED, maximum=150),
        of_errors(GRADED, maximum=149),
        "maximum",
    ),
    Mistake(
        "a limit beyond a chosen bound",
        "spec",
        of_errors({**GRADED, "errorBound": 40}, maximum=40),
        of_errors({**GRADED, "errorBound": 40.5}, type="RMSE", maximum=40),
        "errorBound",
    ),
    Mistake("accuracy with a maximum", SIGNALS, signal(maximum=20), signal(), "maximum"),
    Mistake("accuracy that may rise", SIGNALS, signal(maxRise=0.1), signal(), "maxRise"),
    Mistake("accuracy with PromQL", SIGNALS, signal(query="up"), signal(), "query"),
    Mistake("accuracy above a number", SIGNALS, signal(above=0.8), signal(), "above"),
    Mistake("accuracy below a number", SIGNALS, signal(below=0.8), signal(), "below"),
    Mistake("accuracy for a while", SIGNALS, signal(**{"for": "10m"}), signal(), "for"),
    Mistake("drift that is missing", SIGNALS, drift(onMissing="Hold"), drift(), "onMissing"),
    Mistake("a query without PromQL", SIGNALS, asked(query=None), asked(), "query"),
    Mistake("a query of nothing", SIGNALS, asked(query=""), asked(), "query"),
    Mistake("a query of a book", SIGNALS, asked(query="1" * 2001), asked(query="1" * 2000), "query"),
    Mistake("a query without a threshold", SIGNALS, asked(above=None), asked(), "above"),
    Mistake("a query with two thresholds", SIGNALS, asked(below=3), asked(below=3, above=None), "below"),
    Mistake("a threshold as text", SIGNALS, asked(above="12"), asked(above=-12.5), "above"),
    Mistake("a query for no time", SIGNALS, asked(**{"for": "0s"}), asked(**{"for": "1s"}), "for"),
    Mistake("a query for days", SIGNALS, asked(**{"for": "1d"}), asked(**{"for": "24h"}), "for"),
    Mistake(
        "a missing value that is fine", SIGNALS, asked(onMissing="OK"), asked(onMissing="Hold"), "onMissing"
    ),
    Mistake(
        "a missing value that retrains",
        SIGNALS,
        asked(onMissing="Breach", action="Retrain"),
        asked(onMissing="Breach", action="Alert"),
        "onMissing",
    ),
    Mistake("a query with a minimum", SIGNALS, asked(minimum=0.8), asked(), "minimum"),
    Mistake("a query with labels", SIGNALS, asked(minLabels=9), asked(), "minLabels"),
    Mistake("a query in blocks", SIGNALS, asked(block="1h"), asked(), "block"),
    Mistake("a query with an effect", SIGNALS, asked(effect=0.1), asked(), "effect"),
    Mistake("a query of one class", SIGNALS, asked(positiveClass="yes"), asked(), "positiveClass"),
    Mistake("a query with a window", SIGNALS, asked(window="1h"), asked(window="6h"), "window"),
    Mistake(
        "a query with a guarantee",
        SIGNALS,
        asked(falseAlarmEvery="24h"),
        asked(falseAlarmEvery="720h"),
        "falseAlarmEvery",
    ),
    # retraining
    Mistake("minute 61", "spec.retraining.schedule", "61 * * * *", "59 * * * *"),
    Mistake("hour 24", "spec.retraining.schedule", "0 24 * * *", "0 23 * * *"),
    Mistake("day 0", "spec.retraining.schedule", "0 0 0 * *", "0 0 1 * *"),
    Mistake("month 13", "spec.retraining.schedule", "0 0 1 13 *", "0 0 1 12 *"),
    Mistake("weekday 8", "spec.retraining.schedule", "0 0 * * 8", "0 0 * * 7"),
    Mistake("three fields", "spec.retraining.schedule", "* * *", "* * * * *"),
    Mistake("six fields", "spec.retraining.schedule", "0 0 3 * * 0", "0 3 * * 0"),
    Mistake("a schedule in words", "spec.retraining.schedule", "every day", "0 0 * * *"),
    Mistake("a schedule by nickname", "spec.retraining.schedule", "@daily", "0 0 * * *"),
    Mistake("a step of nothing", "spec.retraining.schedule", "*/0 * * * *", "*/5 * * * *"),
    Mistake("hours that fall", "spec.retraining.schedule", "0 22-5 * * *", "0 22-23,0-5 * * *"),
    Mistake("weekdays that fall", "spec.retraining.schedule", "0 3 * * FRI-MON", "0 3 * * mon-fri"),
    Mistake("the 30th of February", "spec.retraining.schedule", "0 3 30 2 *", "0 3 29 2 *"),
    Mistake("the 31st of short months", "spec.retraining.schedule", "0 3 31 4,6,NOV *", "0 3 31 4,5 *"),
    Mistake("a cooldown in days", "spec.retraining.cooldown", "7d", "168h"),
    Mistake("a cooldown in words", "spec.retraining.cooldown", "six hours", "6h"),
    Mistake("a cooldown with a fraction", "spec.retraining.cooldown", "1.5h", "1h30m"),
    Mistake("a cooldown with spaces", "spec.retraining.cooldown", "1h 30m", "1h30m"),
    Mistake("a cooldown of centuries", "spec.retraining.cooldown", "9999999h", "99999h"),
    Mistake("an empty cooldown", "spec.retraining.cooldown", "", "0s"),
    Mistake("no attempts", "spec.retraining.budget.attempts", 0, 1),
    Mistake("a budget per nothing", "spec.retraining.budget.per", "0h", "1h"),
    Mistake("a combination that there is not", "spec.retraining.when", "Most", "All"),
    Mistake("an approval by nobody", "spec.retraining.approval", "Never", "Manual"),
    Mistake(
        "two sources of data",
        "spec.retraining.data",
        {"log": {}, "dataset": COLUMNS},
        {"dataset": COLUMNS},
        "data",
    ),
    Mistake(
        "retention shorter than window",
        LOG,
        {"window": "2h", "retention": "1h"},
        {"window": "2h", "retention": "2h"},
        "retention",
    ),
    Mistake(
        "a window longer than the usual retention", LOG, {"window": "2161h"}, {"window": "2160h"}, "retention"
    ),
    Mistake("a log window of nothing", LOG, {"window": "0s"}, {"window": "1s"}, "window"),
    Mistake("a dataset without a label", DATASET, {"uri": "s3://a/b", "time": "at"}, COLUMNS, "label"),
    Mistake("the label for the time", DATASET, {**COLUMNS, "time": "late"}, COLUMNS, "time"),
    Mistake("a dataset of one machine", DATASET, {**COLUMNS, "uri": "file:///a.csv"}, COLUMNS, "uri"),
    Mistake("nothing to begin with", "spec.model", DELETE, {"uri": "s3://models/flights/v0"}, "model.uri"),
    Mistake("a pipeline beside an artifact", "spec.retraining.trainer.pipeline", {}, DELETE),
    Mistake("a pipeline of one's own", "spec", first(estimator="sklearn.svm.SVC"), first(), "estimator"),
    Mistake(
        "a parameter of another estimator",
        "spec",
        first(parameters={"C": 1}),
        first(estimator="Linear", parameters={"C": 1}),
        "parameters",
    ),
    Mistake(
        "a parameter by word",
        "spec",
        first(parameters={"max_iter": "many"}),
        first(parameters={"max_iter": 200}),
        "max_iter",
    ),
    Mistake(
        "the label for a feature",
        "spec",
        first(features=["late", "wind"]),
        first(features=["wind"]),
        "features",
    ),
    Mistake("the time for a feature", "spec", first(features=["at"]), first(features=["wind"]), "features"),
    Mistake(
        "a pipeline for a trainer of one's own",
        "spec",
        first_by(pipeline={}, template={"image": "registry.example/trainer:1"}),
        first_by(template={"image": "registry.example/trainer:1"}),
        "pipeline",
    ),
    Mistake(
        "501 features",
        "spec",
        first(features=[f"f{n}" for n in range(501)]),
        first(features=[f"f{n}" for n in range(500)]),
        "features",
    ),
    Mistake("a trainer without time", "spec.retraining.trainer.deadline", "0s", "1m"),
    Mistake("a trainer without memory", "spec.retraining.trainer.memory", "1Mi", "1Gi"),
    # evaluation
    Mistake("everything held out", "spec.evaluation.holdout", 1, 0.5),
    Mistake("nothing held out", "spec.evaluation.holdout", 0, 0.05),
    Mistake("a certainty", "spec.evaluation.alpha", 0, 0.0001),
    Mistake("a requirement of perfection", "spec.evaluation.require", "Best", "Better"),
    Mistake("a margin of everything", "spec.evaluation.margin", 1, 0),
    Mistake("a tolerance of nothing", "spec.evaluation.tolerance", 0, 0.001),
    Mistake("a tolerance below nothing", "spec.evaluation.tolerance", -15, 15),
    Mistake("a tolerance in words", "spec.evaluation.tolerance", "15 min", 15.5),
    Mistake(
        "a bound on errors alone",
        "spec.evaluation",
        {"errorBound": 100},
        {"errorBound": 100, "tolerance": 15},
        "errorBound",
    ),
    Mistake(
        "a bound on errors that is right",
        "spec.evaluation",
        {"errorBound": 15, "tolerance": 15},
        {"errorBound": 15.5, "tolerance": 15},
        "errorBound",
    ),
    Mistake("a slice twice", SLICES, [SLICE, {**SLICE, "margin": 0.5}], [SLICE, {**SLICE, "value": "UA"}]),
    Mistake("a slice without a value", SLICES, [{"column": "carrier"}], [SLICE], "value"),
    Mistake("a slice of a number", SLICES, [{**SLICE, "value": 1}], [{**SLICE, "value": "1"}], "value"),
    Mistake("a slice of nothing", SLICES, [{**SLICE, "column": ""}], [SLICE], "column"),
    Mistake("a slice that may be all wrong", SLICES, [{**SLICE, "margin": 1}], [SLICE], "margin"),
    Mistake("a condition for a slice", SLICES, [{**SLICE, "above": 3}], [SLICE], "above"),
    Mistake("nine slices", SLICES, each_hour(9), each_hour(8)),
    Mistake("a slice in doubt", "spec.evaluation.onInconclusiveSlice", "Pass", "Accept"),
    # rollout
    Mistake("weights that fall", STEPS, weights(50, 10), weights(10, 50)),
    Mistake("weights that fall at the end", STEPS, weights(10, 50, 20), weights(10, 20, 50)),
    Mistake("a weight twice", STEPS, weights(10, 10), weights(10, 11)),
    Mistake("a weight above a hundred", STEPS, weights(10, 150), weights(10, 100), "weight"),
    Mistake("a weight of nothing", STEPS, weights(0, 50), weights(1, 50), "weight"),
    Mistake("a weight as text", STEPS, [{"weight": "10%"}], weights(10), "weight"),
    Mistake("weights without their name", STEPS, [10, 50], weights(10, 50)),
    Mistake("no steps", STEPS, [], weights(100)),
    Mistake("a shadow of nothing", "spec.rollout.shadow.traffic", 0, 1),
    Mistake("a shadow above a hundred", "spec.rollout.shadow.traffic", 101, 100),
    Mistake("a deadline of nothing", "spec.rollout.analysis.deadline", "0s", "1s"),
    Mistake("a deadline in weeks", "spec.rollout.analysis.deadline", "1w", "168h"),
    Mistake("an alpha above one half", "spec.rollout.analysis.alpha", 0.6, 0.5),
    Mistake("an end by waiting", "spec.rollout.analysis.onInconclusive", "Wait", "Promote"),
    Mistake("no errors allowed", "spec.rollout.guards.errorRate", 0, 0.001),
    Mistake("only errors", "spec.rollout.guards.errorRate", 1, 0.999),
    Mistake("latency beyond the histogram", "spec.rollout.guards.p99Latency", "11s", "10s"),
    Mistake("latency of nothing", "spec.rollout.guards.p99Latency", "0ms", "1ms"),
    Mistake("a bake without a unit", "spec.rollout.bake", "10", "10m"),
    # the rest
    Mistake("a history of one", "spec.history.limit", 1, 2),
    Mistake("a suspension by word", "spec.suspend", "yes", True),
    Mistake("a suspension by number", "spec.suspend", 1, False),
)


def in_python(written: dict[str, Any]) -> str | None:
    """What Python says against an object; None when nothing."""
    try:
        ModelDeployment.parse(as_stored(written))
    except pydantic.ValidationError as refusal:
        return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in refusal.errors())
    return None


def on_the_server(api_client: ApiServer, written: dict[str, Any]) -> str | None:
    """What the API server says against an object; None when nothing."""
    try:
        api_client.create(written, dry_run=True)
    except Refused as refusal:
        if refusal.code not in {400, 422}:
            raise
        return refusal.message
    return None


@pytest.mark.api
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_mistake_is_refused_by_name_and_its_correction_accepted(
    mistake: Mistake, api_client: ApiServer, crds: object
) -> None:
    start = deployment(namespace="default")

    refused = on_the_server(api_client, changed(start, mistake.path, mistake.wrong))
    corrected = on_the_server(api_client, changed(start, mistake.path, mistake.right))

    assert refused is not None, "the API server accepts it"
    assert mistake.field in refused
    assert "evaluation error" not in refused, "a rule broke instead of speaking"
    assert corrected is None


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_mistake_is_refused_in_python_by_the_same_name(mistake: Mistake) -> None:
    start = deployment()

    refused = in_python(changed(start, mistake.path, mistake.wrong))
    corrected = in_python(changed(start, mistake.path, mistake.right))

    assert refused is not None, "Python accepts it"
    assert mistake.field in refused
    assert corrected is None


SPELLINGS = {
    "spec.retraining.cooldown": (
        "0s", "0h", "1h1h", "30m1h", "1h30m", "1ms", "99999h", "100000h", "9999999m", "1m1m1m1m", "1m1m1m1m1m", "1H", "\u0661h", "1 h",
        "1h\n", "h", "1", "1µs", "1us", "1ns", "+1h", "1e3s", "01h", "1.0h", "P1D", "0001ms", "99999h99999h99999h99999h",
    ),
    "spec.retraining.schedule": (
        "* * * * *", "  * * * * *", "*  * * * *", "* * * * * ", "*\t* * * *", "0,30 * * * *", "0,,30 * * * *", "0- * * * *", "5/10 * * * *",
        "1-10/3 * * * *", "*/99 * * * *", "*/100 * * * *", "00 03 01 01 00", "0 0 L * *", "0 0 * * 5L", "0 0 * * 1#2", "0 0 ? * *",
        "0 0 * jan-mar *", "0 0 * MAR-JAN *", "0 0 * JAN-3 *", "0 0 * FEBRUARY *", "0 0 * * sun", "0 0 * * SAT-SUN", "0 0 * * SUN-SAT",
        "0 0 31 2 *", "0 0 31 2 1", "0 0 31 2 */2", "0 0 30 FEB *", "0 0 30,31 2 *", "0 0 29 2 *", "0 0 31 4,5 *", "0 0 31 APR,JUN *",
        "7-7 * * * *", "8-7 * * * *", "08-09 * * * *", "* * * * 7-7", "*-5 * * * *", "-5 * * * *", "\u017fUN * * * *", "0 0 * * \u017fun",
    ),
    "spec.model.uri": (
        "s3://b", "s3://b/", "s3://b//c", "s3://b/c?x", "s3://b/c#x", "s3://b/c%20d", "s3://b/ü", "s3://-b", "s3:///b", "gs://b_c/d", "abfs://c@a.dfs.core.windows.net/p",
        "https://a", "https://a:8443/b", "https://a:b/c", "https://[::1]/b", "pvc://c", "pvc://c/", "pvc://c./p", "pvc://c-/p", f"pvc://{'c' * 63}/p",
        f"pvc://{'c' * 64}/p", "pvc:///p", "s3://b/.", "s3://b/./c", "s3://b/..c", "s3://b/c..", "s3://b/.../c", "s3://b/c/..", "s3://b/it's", f"s3://b/{'c' * 1017}",
        f"s3://b/{'c' * 1018}", "simplecache::s3://b/c", "s3://b/c\u00a0d", "s3://b/c\u2028", "s3a://b", "gcs://b", "abfss://c@a/p",
    ),
    "spec.serving.resources.memory": (
        "64Mi", "63Mi", "65536Ki", "65535Ki", "67108864", "67108863", 67108864, 1, "1Gi", "1.5Gi", "1e9", "1G", "1g", "0.1T", "1Ti", "1Pi", "1E", " 1Gi", "1Gi ",
        "999999999999999Ti", True,
    ),
    "spec.serving.resources.cpu": (
        "1", 1, "0.001", "0.0001", "0.5", ".5", "5.", "1m", "0m", "0.0", "1.5m", "9999999m", "10000000m", "1k", "1e3", "10000", "9999", -1, False,
    ),
    "spec.serving.gateway.hostnames[0]": (
        "a", "A", "a.b", "a..b", ".a", "a.", "*.a", "*", "*a.b", "a-.b", "-a.b", "1.2.3.4", "1.2.3", "1a.2", f"{'a' * 63}.b", f"{'a' * 64}.b", "ä.de", "a.b\n",
        ".".join(["a" * 49] * 5), ".".join(["a" * 50] * 5),
    ),
    "spec.serving.gateway.parentRef.name": ("a", "a.b", "a..b", "-a", "a-", "A", "a" * 253, "a" * 254, "", "a_b"),
    "spec.monitoring.signals": (
        [{"name": "a" * 63, "minimum": 1}], [{"name": "a" * 64, "minimum": 1}], [{"name": "a", "minimum": 1.0000001}], [{"name": "a", "maxDrop": 1e-9}],
        [{"name": f"a{n}", "minimum": 0.5} for n in range(16)], [{"name": f"a{n}", "minimum": 0.5} for n in range(17)],
        [{"name": "a", "minimum": 0.5, "minLabels": 2**63}],
    ),
    "spec.model.pin": ("flights-v1", "flights-v01", "flights-v999999999", "flights-v1000000000", "flights-v-1", "flights-v", "Flights-v1", "flights-v1\n", "flights-v\u0661"),
    "metadata.name": ("a", "a" * 40, "a-", "a-b", "a--b"),
    # Whole numbers against fractional bounds: the API server's own `minimum` and `maximum` misjudge some of them.
    "spec.evaluation.holdout": (0, 0.0, 0.049, 0.05, 0.5, 0.51, 1, 1.0, -1),
    "spec.evaluation.alpha": (0, 0.00009, 0.0001, 1e-4, 0.5, 1, -1),
    "spec.evaluation.margin": (0, 0.0, 0.999, 1, 1.0, -0.1, -1),
    "spec.rollout.analysis.margin": (0, 0.0, 0.499, 0.5, 1, -0.1, -1),
    "spec.rollout.guards.errorRate": (0, 0.0, 1e-9, 0.999, 1, 1.0, -1),
    "spec.rollout.steps": (
        [{"weight": n} for n in range(1, 21)], [{"weight": n} for n in range(1, 22)], [{"weight": 100}], [{"weight": 10, "pause": "1m"}], [None],
    ),
}  # fmt: skip
"""Texts at the edge of what is accepted: both sides must draw the line at the same place, wherever it is."""


@pytest.mark.api
@pytest.mark.parametrize(("path", "values"), SPELLINGS.items(), ids=SPELLINGS)
def test_python_and_the_api_server_draw_the_same_line(
    path: str, values: tuple[Any, ...], api_client: ApiServer, crds: object
) -> None:
    written = [(value, changed(deployment(namespace="default"), path, value)) for value in values]

    verdicts = [(value, on_the_server(api_client, new), in_python(new)) for value, new in written]

    disagreed = [verdict for verdict in verdicts if (verdict[1] is None) != (verdict[2] is None)]
    assert not disagreed
