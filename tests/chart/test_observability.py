"""Alerts fire when they should, lead to a runbook, and name only series that somebody exports.

The promtool cases stand in rules/, beside this file, and can be run by hand.
"""

import json
import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import binaries, settings
from modelmend.api import status
from modelmend.api.spec import SignalType
from modelmend.contract import metrics
from modelmend.shell import figures

CASES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "modelmend"
RUNBOOKS = ROOT / "docs" / "runbooks"

OPERATOR = {
    f"{family.name}_total" if family.type == "counter" else family.name
    for family in figures.Figures().registry.collect()
}
HISTOGRAMS = {metrics.REQUEST_DURATION, metrics.LABEL_DELAY} | {
    family.name for family in figures.Figures().registry.collect() if family.type == "histogram"
}
MODELS = {
    value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("modelmend_")
}


def alerts() -> list[dict[str, Any]]:
    """Every alerting rule."""
    groups = yaml.safe_load((CHART / "rules" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recordings() -> list[dict[str, Any]]:
    """Every recording rule."""
    groups = yaml.safe_load((CHART / "rules" / "drift.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard that asks something."""
    dashboard = json.loads((CHART / "dashboards" / "modelmend.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def questions() -> Iterator[str]:
    """Every query of alerts, recordings and dashboard, Grafana's variables filled in."""
    yield from (rule["expr"] for rule in alerts() + recordings())
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in (
                ("$window", "6h"),
                ("$__rate_interval", "1m"),
                ("$namespace", "ml"),
                ("$model", "flights"),
            ):
                text = text.replace(name, value)
            yield text


def series(question: str) -> set[str]:
    """Names of series in a query; those of a histogram by the histogram's own name."""
    unquoted = re.sub(r'"[^"]*"', "", question)
    found = set(re.findall(r"modelmend[a-z0-9_:]+", unquoted))
    return {
        next(
            (name for name in HISTOGRAMS if each in {f"{name}_bucket", f"{name}_sum", f"{name}_count"}), each
        )
        for each in found
    }


@pytest.fixture(scope="session")
def promtool() -> str:
    """The program; comes with the Prometheus that the local cluster uses."""
    beside = binaries.find(settings.cache_folder(), "prometheus").with_name("promtool")
    return shutil.which("promtool") or str(beside)


@pytest.mark.api
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_rules_hold_in_every_world_that_promtool_is_shown(promtool: str, case: Path) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", case], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.api
def test_every_question_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"question:{number}", "expr": text} for number, text in enumerate(questions())]
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_only_series_that_are_exported_are_asked_for() -> None:
    known = MODELS | OPERATOR | {rule["record"] for rule in recordings()}

    for question in questions():
        assert series(question) <= known, question


def test_every_series_of_a_model_pod_that_people_need_is_on_the_dashboard() -> None:
    shown = set().union(*(series(target["expr"]) for panel in panels() for target in panel["targets"]))

    assert {
        metrics.EVIDENCE,
        metrics.PAIRED_OUTCOMES,
        metrics.REQUESTS,
        metrics.FEEDBACK,
        metrics.LOG_DROPPED,
    } <= shown


def test_stages_and_verdicts_in_alerts_exist() -> None:
    text = "\n".join(rule["expr"] for rule in alerts())

    assert set(re.findall(r'stage="(\w+)"', text)) <= set(status.Stage)
    assert set(re.findall(r'verdict="(\w+)"', text)) <= set(status.Verdict)


def test_results_and_conditions_in_alerts_exist() -> None:
    families = {family.name: family for family in figures.Figures().registry.collect()}
    text = "\n".join(rule["expr"] for rule in alerts())

    for series_name, label, value in re.findall(
        r'modelmend_operator_(polls|reconcile)_total\{(\w+)="(\w+)"', text
    ):
        samples = families[f"modelmend_operator_{series_name}"].samples
        assert value in {sample.labels.get(label) for sample in samples}
    conditions = typing.get_args(status.Condition.model_fields["type"].annotation)
    assert set(re.findall(r'operator_condition\{type="(\w+)"', text)) <= set(conditions)
    kinds = [
        kind
        for each in re.findall(r'signal_verdict\{type[=!]?[=~]"([^"]+)"', text)
        for kind in each.split("|")
    ]
    assert kinds
    assert all(any(re.fullmatch(kind, known) for known in SignalType) for kind in kinds)
    assert set(re.findall(r'status="(\w+)"', text)) <= set(status.ConditionStatus)


def test_every_alert_leads_to_a_runbook_and_every_runbook_has_an_alert() -> None:
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"RUNBOOKS/{rule['alert']}.md"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert (RUNBOOKS / f"{rule['alert']}.md").read_text().startswith(f"# {rule['alert']}\n")
    assert {path.stem for path in RUNBOOKS.glob("Modelmend*.md")} == {rule["alert"] for rule in alerts()}


def test_every_alert_has_a_promtool_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = yaml.safe_load((Path(__file__).parent / "rules" / "alerts.yaml").read_text())["tests"]
    tried = [
        (each["alertname"], bool(each["exp_alerts"])) for case in cases for each in case["alert_rule_test"]
    ]

    for rule in alerts():
        assert (rule["alert"], True) in tried
        assert (rule["alert"], False) in tried


def test_panels_are_laid_out_without_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["description"].endswith(".")
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_a_renamed_series_would_be_noticed() -> None:
    assert series(
        'sum by (le) (rate(modelmend_request_duration_seconds_bucket{model="modelmend_x"}[5m])) / modelmend_y_total'
    ) == {
        "modelmend_request_duration_seconds",
        "modelmend_y_total",
    }
