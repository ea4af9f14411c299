"""What a backtest is given in files: the policy, and the ModelVersions that a cluster remembers.

Prometheus has the counters of a version, and neither its value on a holdout nor how long its labels take: those stand
in its ModelVersion (`kubectl get modelversions -o yaml`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelmend.api import document, resources


class Unreplayable(Exception):
    """One sentence: what is wrong with the options, the policy or the history, and what to do."""


def policy(path: Path, namespace: str | None) -> resources.ModelDeployment:
    """The one ModelDeployment of a YAML file. Raises Unreplayable."""
    try:
        found = document.read(str(path), _text(path, "the YAML file of a ModelDeployment"))
    except ValueError as problem:
        raise Unreplayable(str(problem)) from None
    if not found.spec.serving.pairs:
        raise Unreplayable(
            f"{path}: spec.serving.template is a server of your own, and a backtest replays what the built-in server counted: "
            "give a ModelDeployment without one"
        )
    if namespace is None:
        return found
    metadata = found.metadata.model_copy(update={"namespace": namespace})
    return found.model_copy(update={"metadata": metadata})


def versions(path: Path | None, owner: resources.ModelDeployment) -> dict[str, resources.ModelVersion]:
    """The ModelVersions of this ModelDeployment in a file, by name. Raises Unreplayable."""
    if path is None:
        return {}
    text = _text(path, "what `kubectl get modelversions -o yaml` prints")
    try:
        bodies = [each for document_ in yaml.safe_load_all(text) for each in _items(document_)]
        found = [resources.ModelVersion.parse(body) for body in bodies]
    except (yaml.YAMLError, ValidationError):
        raise Unreplayable(
            f"--records {path} holds no ModelVersions of this release: give what `kubectl get modelversions -o yaml` prints"
        ) from None
    own = {each.metadata.name: each for each in found if each.spec.deployment == owner.metadata.name}
    if not own:
        raise Unreplayable(
            f"--records {path} holds no ModelVersion of {owner.metadata.name}: give those of its namespace"
        )
    return own


def metrics(pairs: tuple[str, ...]) -> Mapping[str, float]:
    """NAME=VALUE on a holdout. Raises Unreplayable."""
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise Unreplayable(
                f"--metric {pair!r} is no measure: write NAME=VALUE, such as accuracy=0.91"
            ) from None
    return found


def _items(body: Any) -> list[Any]:
    if not isinstance(body, dict):
        return []
    if body.get("kind") == resources.ModelVersion.KIND:
        return [body]
    return [each for item in body.get("items") or () for each in _items(item)]


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise Unreplayable(f"{path} does not exist: give {what}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise Unreplayable(f"{path} cannot be read ({type(problem).__name__}): give {what}") from None
