"""What is of no use is refused with exit code 2 and one sentence: the file, the field or column, the remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import typer.testing
from sklearn.linear_model import Ridge

from modelmend.cli import simulate as command
from modelmend.runtime import artifact
from simulate import worlds

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(command.simulate)
Change = Callable[[pd.DataFrame], pd.DataFrame]


def run(file: Path, data: Path, *more: str) -> Any:
    arguments = ["-f", str(file), "--data", str(data), "--label", "late", "--time", "ts", *more]
    return typer.testing.CliRunner().invoke(APP, arguments)


def refused(found: Any) -> str:
    """The sentence; fails unless that is all there is."""
    assert found.exit_code == 2, found.output
    lines = [line for line in found.stderr.splitlines() if line.strip()]
    assert lines[-1].startswith("modelmend simulate: ")
    assert "Traceback" not in found.output
    return str(lines[-1])


POLICIES: dict[str, tuple[Any, str]] = {
    "no_document": ({}, "holds no ModelDeployments"),
    "another_kind": ({"kind": "Deployment"}, "holds no ModelDeployments"),
    "no_name": (worlds.policy() | {"metadata": {}}, "metadata.name is missing"),
    "another_version": (worlds.policy() | {"apiVersion": "modelmend.dev/v2"}, "write modelmend.dev/v1alpha1"),
    "unknown_field": (worlds.policy(canary={}), "spec.canary: Extra inputs"),
    "minimum_above_1": (
        worlds.policy(monitoring={"signals": [{"name": "accuracy", "minimum": 1.2}]}),
        "spec.monitoring.signals.0.minimum",
    ),
    "own_trainer": (
        worlds.policy(retraining={"trainer": {"template": {"image": "trainer:1"}}}),
        "a simulation runs no images: remove serving.template",
    ),
    "query": (
        worlds.policy(
            monitoring={"signals": [{"name": "refunds", "type": "Query", "query": "up", "below": 1}]}
        ),
        "spec.monitoring.signals: refunds is of type Query, and a simulation knows no more than rows and labels",
    ),
    "numbers": (
        worlds.policy(evaluation={"tolerance": 15}),
        "spec.evaluation.tolerance is for models that predict numbers, and a simulation knows classes alone",
    ),
    "suspended": (worlds.policy(suspend=True), "spec.suspend is true"),
    "pinned": (
        worlds.policy(model={"uri": "s3://models/late/v0", "pin": "late-v3"}),
        "spec.model.pin is late-v3",
    ),
}


@pytest.mark.parametrize(("body", "said"), POLICIES.values(), ids=POLICIES)
def test_policy_that_cannot_be_simulated_is_refused(body: Any, said: str, tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path, body=body)
    sentence = refused(run(file, data))

    assert said in sentence
    assert str(file) in sentence


def test_policy_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path)
    file.write_text("spec: {model: [}")

    assert "is not YAML in line 1" in refused(run(file, data))
    assert "does not exist" in refused(run(tmp_path / "nothing.yaml", data))


def _late(values: Any) -> Change:
    return lambda rows: rows.assign(late=values)


TABLES: dict[str, tuple[Change, str]] = {
    "no_label": (
        lambda rows: rows.drop(columns="late"),
        "no column 'late', which --label names; it has wind",
    ),
    "no_time": (lambda rows: rows.drop(columns="ts"), "no column 'ts', which --time names"),
    "no_feature": (lambda rows: rows[["late", "ts"]], "no column left for a feature"),
    "no_rows": (lambda rows: rows.iloc[:0], "holds no rows"),
    "gaps_in_time": (
        lambda rows: rows.assign(ts=rows["ts"].where(rows.index > 4)),
        "'ts' is missing in 5 rows",
    ),
    "numbers_for_time": (lambda rows: rows.assign(ts=np.arange(len(rows))), "'ts' holds numbers"),
    "no_label_at_all": (_late(np.nan), "'late' is empty in all"),
    "one_class": (_late(1), "'late' holds only '1'"),
    "one_class_at_first": (
        lambda rows: rows.assign(late=rows["late"].where(rows.index > 1000, 1)),
        "are '1': give a later --train-until",
    ),
    "too_few": (lambda rows: rows.iloc[:200], "40 labelled rows of the first fifth"),
    "empty_feature": (lambda rows: rows.assign(gust=np.nan), "'gust' is empty in the rows"),
    "times_as_feature": (lambda rows: rows.assign(seen=rows["ts"]), "leave the column out with --drop"),
    "label_as_feature": (lambda rows: rows.assign(truth=rows["late"]), "'truth' is the label itself"),
    "nothing_known_later": (
        lambda rows: rows.assign(late=rows["late"].astype(float).where(rows.index < 600)),
        "no replayed row has a label",
    ),
}


@pytest.mark.parametrize(("change", "said"), TABLES.values(), ids=TABLES)
def test_data_of_no_use_is_refused(change: Change, said: str, tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path, change(worlds.rows()))
    sentence = refused(run(file, data))

    assert said in sentence
    assert str(data) in sentence


def test_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path)
    data.write_bytes(b"PAR1 but not really")

    assert "it is damaged, or no parquet file" in refused(run(file, data))
    assert "is neither .parquet nor .csv" in refused(run(file, file))
    assert "does not exist" in refused(run(file, tmp_path / "nothing.parquet"))
    (tmp_path / "empty.csv").touch()
    assert "is empty" in refused(run(file, tmp_path / "empty.csv"))


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "label_is_time": (("--label", "ts"), "--label and --time both name 'ts'"),
    "drop_unknown": (("--drop", "id"), "no column 'id', which --drop names"),
    "no_moment": (("--train-until", "spring"), "--train-until 'spring' is no moment"),
    "moment_outside": (("--train-until", "2031-01-01"), "--train-until 2031-01-01 is outside of"),
    "end_before_begin": (
        ("--train-until", "2025-01-10", "--until", "2025-01-05"),
        "is not after --train-until",
    ),
    "no_duration": (("--label-delay", "soon"), "--label-delay 'soon' is no duration"),
    "no_artifact": (("--model", "nowhere"), "there is no manifest.json"),
}


@pytest.mark.parametrize(("more", "said"), OPTIONS.values(), ids=OPTIONS)
def test_option_of_no_use_is_refused(more: tuple[str, ...], said: str, tmp_path: Path) -> None:
    file, data = worlds.write(tmp_path)

    assert said in refused(run(file, data, *more))


def test_artifact_that_does_not_fit_the_data_is_refused(tmp_path: Path, first: str) -> None:
    file, data = worlds.write(tmp_path, worlds.rows().drop(columns="carrier"))
    assert "no column 'carrier', which the model of --model needs" in refused(
        run(file, data, "--model", first)
    )

    worlds.rows().replace({"late": {0: "no", 1: "yes"}}).to_parquet(data)
    assert "is a class of the model of --model" in refused(run(file, data, "--model", first))


def test_model_of_numbers_is_refused(tmp_path: Path) -> None:
    rows = worlds.rows()
    speed = rows["wind"] * 2 + np.arange(len(rows)) % 7
    fitted = Ridge().fit(rows[["wind"]], speed)
    artifact.pack(fitted, rows[["wind"]], speed, uri=(tmp_path / "model").as_uri(), model="m")
    file, data = worlds.write(tmp_path)

    assert "predicts numbers" in refused(run(file, data, "--model", (tmp_path / "model").as_uri()))


def test_simulation_that_ran_writes_its_report_and_returns_0(tmp_path: Path, first: str) -> None:
    file, data = worlds.write(tmp_path)
    csv, out = tmp_path / "rows.csv", tmp_path / "deep" / "out"
    worlds.rows().to_csv(csv, index=False)
    found = run(file, csv, "--model", first, "--out", str(out), "--label-delay", "1d12h")

    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in out.iterdir()) == ["picture.png", "report.md", "timeline.json"]
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "healed by Modelmend" in found.stdout
    assert "Promoted" in found.stderr
    assert str(tmp_path) not in (out / "report.md").read_text()
    assert "--out" in refused(run(file, data, "--out", str(file)))
