"""The ModelDeployment to simulate, read from its file and refused as the API server would refuse it."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from modelmend.api import resources
from modelmend.api.status import ModelDeploymentStatus
from modelmend.runtime.errors import SettingsError

UID: Final = "00000000-0000-4000-8000-000000000000"
"""Always the same: names of Jobs and rollouts come from it."""


def read(path: Path) -> resources.ModelDeployment:
    """The one ModelDeployment of a YAML file, with an empty status.

    Raises SettingsError: the file, the field, the remedy.
    """
    body = _body(path)
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise SettingsError(f"{path}: metadata.name is missing: give the ModelDeployment a name")
    body = {**body, "metadata": {"namespace": "default", **metadata, "uid": UID, "generation": 1}}
    body.pop("status", None)
    try:
        found = resources.ModelDeployment.parse(body)
    except ValidationError as problem:
        raise SettingsError(_sentence(path, problem)) from None
    _refuse_what_cannot_be_simulated(path, found)
    return found.model_copy(update={"status": ModelDeploymentStatus()})


def _body(path: Path) -> dict[str, Any]:
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: give the YAML file of a ModelDeployment") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read ({type(problem).__name__}): give a YAML file") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(f"{path} is not YAML{where}: correct its indentation and quotes") from None
    found = [
        document
        for document in documents
        if isinstance(document, dict) and document.get("kind") == resources.ModelDeployment.KIND
    ]
    if len(found) != 1:
        raise SettingsError(
            f"{path} holds {len(found) or 'no'} ModelDeployments: give a file with one (kind: {resources.ModelDeployment.KIND})"
        )
    version = found[0].get("apiVersion")
    if version != resources.API_VERSION:
        raise SettingsError(f"{path}: apiVersion is {version!r}: write {resources.API_VERSION}")
    return found[0]


def _sentence(path: Path, problem: ValidationError) -> str:
    """The first thing that is wrong, by its path in the file."""
    first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the ModelDeployment"
    message = first["msg"].removeprefix("Value error, ")
    more = problem.error_count() - 1
    rest = "" if not more else f" (and {more} more)"
    return f"{path}: {where}: {message}{rest}; docs/api.md says what each field takes"


def _refuse_what_cannot_be_simulated(path: Path, found: resources.ModelDeployment) -> None:
    for signal in found.spec.monitoring.signals:
        if signal.type.is_drift:
            raise SettingsError(
                f"{path}: spec.monitoring.signals: {signal.name} is of type {signal.type}, and a simulation judges labels "
                "alone: remove the signal to simulate"
            )
    if not found.spec.serving.pairs or found.spec.retraining.trainer.template is not None:
        raise SettingsError(
            f"{path}: spec has a template of an image of your own, and a simulation runs no images: remove "
            "serving.template, monitoring.metrics and retraining.trainer.template to simulate with the built-in ones"
        )
    if found.spec.suspend:
        raise SettingsError(
            f"{path}: spec.suspend is true, so nothing would be decided: set it to false to simulate"
        )
    if found.spec.model.pin is not None:
        raise SettingsError(
            f"{path}: spec.model.pin is {found.spec.model.pin}, and a pinned model is never healed: remove it to simulate"
        )
