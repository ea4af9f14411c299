"""The ModelDeployment to simulate, read from its file and refused as the API server would refuse it."""

from pathlib import Path

from modelmend.api import document, resources
from modelmend.contract import storage
from modelmend.runtime.errors import SettingsError


def read(path: Path) -> resources.ModelDeployment:
    """The one ModelDeployment of a YAML file, with an empty status.

    Raises SettingsError: the file, the field, the remedy.
    """
    try:
        found = document.read(str(path), path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: give the YAML file of a ModelDeployment") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read ({type(problem).__name__}): give a YAML file") from None
    except ValueError as problem:
        raise SettingsError(str(problem)) from None
    _refuse_what_cannot_be_simulated(path, found)
    return found


def with_artifact(found: resources.ModelDeployment) -> tuple[resources.ModelDeployment, str]:
    """Where spec names no artifact, the one that the simulation makes before its begin stands in for it; its URI."""
    model = found.spec.model
    uri = model.uri or storage.join(found.spec.storage.uri, "first")
    spec = found.spec.model_copy(update={"model": model.model_copy(update={"uri": uri})})
    return found.model_copy(update={"spec": spec}), uri


def _refuse_what_cannot_be_simulated(path: Path, found: resources.ModelDeployment) -> None:
    for signal in found.spec.monitoring.signals:
        if not (signal.type.is_measured or signal.type.is_windowed):
            raise SettingsError(
                f"{path}: spec.monitoring.signals: {signal.name} is of type {signal.type}, and a simulation knows no more than "
                "rows and labels: remove the signal to simulate"
            )
    if not found.spec.serving.pairs or found.spec.retraining.trainer.template is not None:
        raise SettingsError(
            f"{path}: spec has a template of an image of your own, and a simulation runs no images: remove "
            "serving.template, monitoring.metrics and retraining.trainer.template to simulate with the built-in ones"
        )
    if found.spec.evaluation.tolerance is not None:
        raise SettingsError(
            f"{path}: spec.evaluation.tolerance is for models that predict numbers, and a simulation knows classes alone: "
            "give a policy for a classifier"
        )
    if found.spec.suspend:
        raise SettingsError(
            f"{path}: spec.suspend is true, so nothing would be decided: set it to false to simulate"
        )
    if found.spec.model.pin is not None:
        raise SettingsError(
            f"{path}: spec.model.pin is {found.spec.model.pin}, and a pinned model is never healed: remove it to simulate"
        )
