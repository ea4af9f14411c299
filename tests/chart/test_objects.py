"""What the chart makes of its values."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import chart
from localcluster import commands
from modelmend.api import resources
from modelmend.cli import run
from modelmend.loop import record
from render import restricted

pytestmark = pytest.mark.api

Object = dict[str, Any]
Rendering = Callable[..., list[Object]]
Finder = Callable[..., Object]
DIGEST = "sha256:" + "c" * 64


def arguments(objects: list[Object]) -> list[str]:
    """Arguments of the operator."""
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    found: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def test_helm_finds_nothing_to_complain_about(chart_folder: Path) -> None:
    said = commands.run([chart.helm(), "lint", "--strict", chart_folder], purpose="lint the chart")

    assert "0 chart(s) failed" in said


def test_every_pod_is_restricted(everything: list[Object]) -> None:
    found = [each["spec"]["template"]["spec"] for each in everything if each["kind"] == "Deployment"]
    found += [each["spec"] for each in everything if each["kind"] == "Pod"]

    assert len(found) == 2
    for spec in found:
        assert restricted.violations(spec, token=True) == []


def test_every_object_is_of_this_release_and_in_a_namespace(everything: list[Object]) -> None:
    for each in everything:
        if each["kind"] == "CustomResourceDefinition":
            continue
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "modelmend"
        assert ("namespace" in each["metadata"]) != each["kind"].startswith("ClusterRole")
        assert len(each["metadata"]["name"]) <= 63


def test_operator_is_told_everything_by_its_arguments(objects: Rendering) -> None:
    found = objects(
        {
            "runtimeImage": {"repository": "registry.example.com/runtime", "tag": "7", "digest": DIGEST},
            "prometheus": {"url": "https://metrics.example.com/prometheus"},
            "namespaces": ["ml", "fraud"],
            "gatewayNamespaces": ["infra"],
            "trustedTypes": ["xgboost.core.Booster", "lightgbm.basic.Booster"],
            "logLevel": "debug",
            "extraArgs": ["--resync=5m"],
        }
    )

    assert arguments(found) == [
        "run",
        f"--runtime-image=registry.example.com/runtime@{DIGEST}",
        "--prometheus-url=https://metrics.example.com/prometheus",
        "--prometheus-timeout=10",
        "--namespace=ml",
        "--namespace=fraud",
        "--allow-gateway-namespace=infra",
        "--trusted-type=xgboost.core.Booster",
        "--trusted-type=lightgbm.basic.Booster",
        "--lease-name=modelmend",
        "--lease-namespace=modelmend-system",
        "--metrics-port=8080",
        "--health-port=8081",
        "--log-level=debug",
        "--resync=5m",
    ]


def test_every_argument_is_one_that_the_operator_knows(objects: Rendering) -> None:
    values = {
        "namespaces": ["ml"],
        "gatewayNamespaces": ["infra"],
        "trustedTypes": ["a.B"],
        "prometheus": {"headersSecret": {"name": "x"}, "caConfigMap": {"name": "y"}},
        "record": {"enabled": True},
        "queries": {"enabled": False},
    }
    known = {"--" + name.replace("_", "-") for name in inspect.signature(run.run).parameters} | {
        "--no-queries"
    }

    assert {argument.partition("=")[0] for argument in arguments(objects(values))[1:]} <= known


@pytest.mark.parametrize("enabled", [True, False])
def test_queries_of_tenants_are_asked_unless_somebody_turns_them_off(
    objects: Rendering, *, enabled: bool
) -> None:
    assert ("--no-queries" in arguments(objects({"queries": {"enabled": enabled}}))) is not enabled


def test_prometheus_may_ask_for_credentials_and_have_a_certificate_of_its_own(
    objects: Rendering, one: Finder
) -> None:
    found = objects(
        {"prometheus": {"headersSecret": {"name": "token"}, "caConfigMap": {"name": "corporate-ca"}}}
    )
    spec = one(found, "Deployment")["spec"]["template"]["spec"]

    assert restricted.violations(spec, token=True) == []
    assert "--prometheus-header-file=/etc/modelmend/prometheus-headers/headers" in arguments(found)
    assert "--prometheus-ca-file=/etc/modelmend/prometheus-ca/ca.crt" in arguments(found)
    mounted = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted == {
        "tmp": "/tmp",
        "prometheus-headers": "/etc/modelmend/prometheus-headers",
        "prometheus-ca": "/etc/modelmend/prometheus-ca",
    }
    assert {volume["name"] for volume in spec["volumes"]} == set(mounted)


def record_volume(objects: list[Object], one: Finder) -> Object:
    """Where the operator records its decisions."""
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    (path,) = [
        argument.partition("=")[2] for argument in arguments(objects) if argument.startswith("--record=")
    ]
    (name,) = [mount["name"] for mount in spec["containers"][0]["volumeMounts"] if mount["mountPath"] == path]
    found: Object = next(volume for volume in spec["volumes"] if volume["name"] == name)
    return found


def test_decisions_are_recorded_on_request_where_the_root_file_system_is_read_only(
    objects: Rendering, one: Finder
) -> None:
    in_pod = objects({"record": {"enabled": True}})
    kept = objects({"record": {"enabled": True, "claim": "audit"}})

    assert record_volume(in_pod, one)["emptyDir"] == {"sizeLimit": "600Mi"}
    assert record_volume(kept, one)["persistentVolumeClaim"] == {"claimName": "audit"}
    for found in (in_pod, kept):
        spec = one(found, "Deployment")["spec"]["template"]["spec"]
        assert restricted.violations(spec, token=True) == []
    assert "record" not in json.dumps(one(objects(), "Deployment"))


def test_the_recording_fits_its_volume(objects: Rendering, one: Finder) -> None:
    limit = record_volume(objects({"record": {"enabled": True}}), one)["emptyDir"]["sizeLimit"]

    assert int(limit.removesuffix("Mi")) * 1024 * 1024 > 2 * record.LIMIT


def test_without_values_all_namespaces_and_gateways_are_served(objects: Rendering) -> None:
    assert not [
        argument
        for argument in arguments(objects())
        if argument.startswith(("--namespace", "--allow", "--trust"))
    ]


def test_probes_and_memory_are_the_agreed_ones(objects: Rendering, one: Finder) -> None:
    container = one(objects(), "Deployment")["spec"]["template"]["spec"]["containers"][0]

    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "metrics": 8080,
        "health": 8081,
    }
    assert container["resources"]["limits"] == {"memory": "256Mi"}


def test_a_disruption_budget_needs_a_second_replica(objects: Rendering, one: Finder) -> None:
    assert not [each for each in objects() if each["kind"] == "PodDisruptionBudget"]
    assert one(objects({"replicas": 2}), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    "kind",
    ["NetworkPolicy", "ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap", "PodDisruptionBudget"],
)
def test_what_needs_another_operator_or_a_decision_is_opt_in(
    objects: Rendering, everything: list[Object], kind: str
) -> None:
    assert not [each for each in objects() if each["kind"] == kind]
    assert [each for each in everything if each["kind"] == kind]


def test_crds_come_with_the_release_and_outlive_it(objects: Rendering) -> None:
    found = [each for each in objects() if each["kind"] == "CustomResourceDefinition"]

    assert {each["metadata"]["name"] for each in found} == {
        "modeldeployments.modelmend.dev",
        "modelversions.modelmend.dev",
    }
    for each in found:
        assert each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_crds_can_be_left_out_or_let_go(objects: Rendering) -> None:
    left_out = objects({"crds": {"enabled": False}})
    let_go = objects({"crds": {"keep": False}})

    assert not [each for each in left_out if each["kind"] == "CustomResourceDefinition"]
    assert all(
        "annotations" not in each["metadata"] for each in let_go if each["kind"] == "CustomResourceDefinition"
    )


def test_crds_of_the_chart_say_what_crds_say(objects: Rendering) -> None:
    shipped = {
        each["metadata"]["name"]: each for each in objects() if each["kind"] == "CustomResourceDefinition"
    }
    for path in (chart.ROOT / "crds").glob("*.yaml"):
        source = yaml.safe_load(path.read_text())

        assert shipped[source["metadata"]["name"]]["spec"] == source["spec"]


def test_a_template_marker_in_a_crd_is_text() -> None:
    definition = (
        "kind: X\nmetadata:\n  name: x.modelmend.dev\nspec:\n  description: like {{ .Values.secret }}\n"
    )

    assert 'like {{ "{{" }} .Values.secret }}' in chart.crd_template(definition, "crds/x.yaml")


def test_a_crd_with_annotations_of_its_own_is_refused_rather_than_broken() -> None:
    with pytest.raises(chart.ChartError, match=r"crds/x\.yaml: metadata must be a name alone"):
        chart.crd_template("metadata:\n  name: x\n  annotations: {}\nspec: {}\n", "crds/x.yaml")


def test_model_pods_are_not_believed_about_where_and_when(everything: list[Object], one: Finder) -> None:
    monitor = one(everything, "PodMonitor")["spec"]
    endpoint, where_it_answers = monitor["podMetricsEndpoints"]

    assert monitor["selector"]["matchLabels"]["app.kubernetes.io/managed-by"] == "modelmend"
    assert monitor["namespaceSelector"] == {"any": True}
    assert endpoint["honorLabels"] is False
    assert endpoint["honorTimestamps"] is False
    assert {"sourceLabels": ["__meta_kubernetes_namespace"], "targetLabel": "namespace"} in endpoint[
        "relabelings"
    ]
    # Which model the counters of a server of a user's own belong to is the target's word too.
    vouched = {each["targetLabel"] for each in endpoint["relabelings"]}
    assert vouched >= {"modelmend_model", "modelmend_rollout", "modelmend_process", "__metrics_path__"}
    (kept, *others) = where_it_answers["relabelings"]
    assert kept["action"] == "keep"
    assert (others, where_it_answers["honorLabels"]) == (endpoint["relabelings"], False)


def test_only_watched_namespaces_are_scraped(objects: Rendering, one: Finder) -> None:
    found = objects({"namespaces": ["ml"], "podMonitor": {"enabled": True}})

    assert one(found, "PodMonitor")["spec"]["namespaceSelector"] == {"matchNames": ["ml"]}


def test_the_operator_is_believed_about_the_models_namespaces(everything: list[Object], one: Finder) -> None:
    monitor = one(everything, "ServiceMonitor")["spec"]
    service = one(everything, "Service")

    assert monitor["endpoints"][0]["honorLabels"] is True
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://prometheus.monitoring:9090", "9090"),
        ("http://prometheus.monitoring/path", "80"),
        ("https://metrics.example.com", "443"),
        ("https://[fd00::1]:9443/prometheus", "9443"),
    ],
)
def test_network_policy_lets_the_operator_reach_prometheus(
    objects: Rendering, one: Finder, url: str, port: str
) -> None:
    policy = one(objects({"networkPolicy": {"enabled": True}, "prometheus": {"url": url}}), "NetworkPolicy")

    assert str(policy["spec"]["egress"][-1]["ports"][-1]["port"]) == port


def test_check_asks_for_what_the_roles_grant(objects: Rendering, one: Finder) -> None:
    found = objects({"namespaces": ["ml"]})
    check = one(found, "Pod")["spec"]["containers"][0]
    asked = json.loads(
        next(variable["value"] for variable in check["env"] if variable["name"] == "MODELMEND_CHECK")
    )

    assert (
        asked["rules"]
        == one([each for each in found if each["metadata"].get("namespace") == "ml"], "Role")["rules"]
    )
    assert asked["namespaces"] == ["ml"]
    compile(check["args"][0], "check.py", "exec")


def test_long_names_still_fit(objects: Rendering) -> None:
    for each in objects(
        {"fullnameOverride": "a" * 53, "dashboard": {"enabled": True}, "podMonitor": {"enabled": True}}
    ):
        assert len(each["metadata"]["name"]) <= 63


def test_the_examples_are_valid(chart_folder: Path) -> None:
    annotations = yaml.safe_load((chart_folder / "Chart.yaml").read_text())["annotations"]
    shown = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    shown += yaml.safe_load_all((chart.ROOT / "manifests" / "examples" / "flights.yaml").read_text())
    models = [each for each in shown if each["kind"] == "ModelDeployment"]

    assert len(models) == 2
    for each in models:
        resources.ModelDeployment.parse(
            each | {"metadata": {"namespace": "ml", "uid": "1", **each["metadata"]}}
        )


def test_manifests_and_copied_crds_are_fresh() -> None:
    copies = chart.crd_templates()

    assert chart.stale({**copies, chart.MANIFEST: chart.manifest()}) == []
    assert chart.orphans(copies) == []


def test_the_manifest_holds_no_hook_and_nothing_optional() -> None:
    found = [each for each in yaml.safe_load_all(chart.MANIFEST.read_text()) if each]

    assert {each["kind"] for each in found} == {
        "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Deployment", "Role", "RoleBinding", "Service",
        "ServiceAccount",
    }  # fmt: skip
    assert {each["metadata"]["namespace"] for each in found if "namespace" in each["metadata"]} == {
        "modelmend-system"
    }
