"""A ModelDeployment as people keep it: one YAML document, refused as the API server would refuse it.

Called by the commands that try a policy before it is applied (simulate, backtest).
"""

from typing import Any, Final

import yaml
from pydantic import ValidationError

from modelmend.api import resources
from modelmend.api.status import ModelDeploymentStatus

UID: Final = "00000000-0000-4000-8000-000000000000"
"""Always the same: names of Jobs and rollouts come from it."""


def read(place: str, text: str, namespace: str = "default") -> resources.ModelDeployment:
    """The one ModelDeployment of a YAML text, with an empty status. `namespace` where it names none.

    Raises ValueError with one sentence: the place, the field, the remedy.
    """
    body = _body(place, text)
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ValueError(f"{place}: metadata.name is missing: give the ModelDeployment a name")
    body = {**body, "metadata": {"namespace": namespace, **metadata, "uid": UID, "generation": 1}}
    body.pop("status", None)
    try:
        found = resources.ModelDeployment.parse(body)
    except ValidationError as problem:
        raise ValueError(_sentence(place, problem)) from None
    return found.model_copy(update={"status": ModelDeploymentStatus()})


def _body(place: str, text: str) -> dict[str, Any]:
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{place} is not YAML{where}: correct its indentation and quotes") from None
    found = [
        document
        for document in documents
        if isinstance(document, dict) and document.get("kind") == resources.ModelDeployment.KIND
    ]
    if len(found) != 1:
        raise ValueError(
            f"{place} holds {len(found) or 'no'} ModelDeployments: give a file with one (kind: {resources.ModelDeployment.KIND})"
        )
    version = found[0].get("apiVersion")
    if version != resources.API_VERSION:
        raise ValueError(f"{place}: apiVersion is {version!r}: write {resources.API_VERSION}")
    return found[0]


def _sentence(place: str, problem: ValidationError) -> str:
    """The first thing that is wrong, by its path in the file."""
    first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the ModelDeployment"
    message = first["msg"].removeprefix("Value error, ")
    more = problem.error_count() - 1
    rest = "" if not more else f" (and {more} more)"
    return f"{place}: {where}: {message}{rest}; docs/api.md says what each field takes"
