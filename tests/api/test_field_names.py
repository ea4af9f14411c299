"""A field that a sentence, a document or an alert names is one that exists, spelt as a person must write it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelmend.api import crd

ROOT = Path(__file__).parents[2]
SCHEMAS = [
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for definition in (crd.model_deployment(), crd.model_version())
]
SPELT_OUT = re.compile(r"(?<![\w./-])(?:spec|status)(?:\.[a-z][A-Za-z0-9]*(?:\[\])?)+")
PARTS = "storage|serving|monitoring|retraining|evaluation|rollout|history"
SHORT = re.compile(rf"`((?:{PARTS})(?:\.[a-z][A-Za-z0-9]*)+)`")
"""As documents write what stands below spec."""
NOT_OURS = frozenset({"spec.template.spec.containers", "status.unused"})
"""Of Deployments; and what kopf is told, so that it can write nowhere else."""


def exists(path: str) -> bool:
    """Whether one of our kinds has the field."""
    return any(_leads(schema, path.replace("[]", "").split(".")) for schema in SCHEMAS)


def unknown(named: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """What names a field that does not exist."""
    return [(where, path) for where, path in sorted(named) if not exists(path) and path not in NOT_OURS]


def _leads(schema: dict[str, Any], path: list[str]) -> bool:
    for step in path:
        schema = schema.get("items", schema)
        if "x-kubernetes-preserve-unknown-fields" in schema or "additionalProperties" in schema:
            return True
        if step not in schema.get("properties", {}):
            return False
        schema = schema["properties"][step]
    return True


def sentences() -> Iterator[tuple[str, str]]:
    """(where, text) of every text in the package that is no docstring."""
    for file in sorted((ROOT / "operator/modelmend").rglob("*.py")):
        tree = ast.parse(file.read_text())
        silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value


def documents() -> Iterator[tuple[str, str]]:
    """(where, text) of every file that people read."""
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "charts/**/*.md",
        "charts/**/rules/*.yaml",
        "charts/**/values.yaml",
        "charts/**/NOTES.txt",
        "manifests/**/*.yaml",
        "demo/*.yaml",
    ):
        for file in sorted(ROOT.glob(pattern)):
            yield str(file.relative_to(ROOT)), file.read_text()


def test_every_field_that_a_sentence_names_exists() -> None:
    named = {(where, path) for where, text in sentences() for path in SPELT_OUT.findall(text)}

    assert {path for _, path in named} >= {"spec.model.pin", "spec.retraining.trainer.deadline"}
    assert unknown(named) == []


def test_every_field_that_a_document_names_exists() -> None:
    named = {(where, path) for where, text in documents() for path in SPELT_OUT.findall(text)}
    named |= {(where, f"spec.{path}") for where, text in documents() for path in SHORT.findall(text)}

    assert len(named) > 20
    assert unknown(named) == []


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("spec.rollout.steps[].weight", True),
        ("spec.monitoring.signals", True),
        ("spec.retraining.data.uri", False),
        ("status.retraining.pending.token", True),
        ("spec.metrics.accuracy", True),
        ("status.stage.name", False),
    ],
)
def test_a_misspelt_field_would_be_noticed(path: str, known: bool) -> None:
    assert exists(path) is known
