"""Nothing serves and spec names no artifact: a first version is trained, and installed when it is worth anything.

    Installing: Job -> record -> gate against a constant answer -> pods -> Serving

Its Job, its record and its gate are those of any retraining (healing, gate); it is shown as Installing all the while,
since nobody is answered. An attempt that fails costs budget and a rest like any other. Whoever changes spec has
mended what was wrong with it: the next attempt begins at once (memory).
"""

from modelmend.api import names
from modelmend.api.status import ModelDeploymentStatus, Stage, Trigger
from modelmend.decide import memory, outcomes, sentences
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change


def artifact_is_withdrawn(case: Case) -> Finding | None:
    """The first artifact is being read, and spec names none any more."""
    if case.status.stable is not None or case.status.resolving is None or case.spec.model.uri is not None:
        return None
    return begun(case, case.status)


def first_version_waits(case: Case) -> Finding | None:
    """An attempt has failed, and the next one is not due: a person may ask for it at once."""
    until = case.status.retraining.cooldown_until
    if case.status.stable is not None or until is None or case.now >= until or _asked(case) is not None:
        return None
    return Finding(Stage.INSTALLING, waiting(case.status), case.status)


def first_version_is_trained(case: Case) -> Finding | None:
    """A Job begins."""
    if case.status.stable is not None:
        return None
    status, token = case.status, _asked(case)
    if token is not None:
        status = memory.handled(status, names.RETRAIN, token)
    return begun(case, status)


def begun(case: Case, status: ModelDeploymentStatus) -> Finding:
    """The first training, whatever was in flight before."""
    dataset = case.spec.retraining.data.dataset
    assert dataset is not None, "spec names an artifact or a dataset"
    because = (
        f"nothing serves and spec.model.uri names no artifact: the first version is trained on {dataset.uri}"
    )
    rested = change(status.retraining, cooldown_until=None, cooldown_because=None)
    status = change(status, resolving=None, candidate=None, retraining=rested)
    status = outcomes.retrain(case, status, Trigger.FIRST, because)
    return Finding(Stage.INSTALLING, f"training {status.sequence} begins: {because}", status)


def waiting(status: ModelDeploymentStatus) -> str:
    """What went wrong, and when it is tried again."""
    retraining = status.retraining
    assert retraining.cooldown_until is not None, "it waits for a moment"
    again = f"tried again at {sentences.moment(retraining.cooldown_until)}, or at once when spec changes"
    return sentences.joined("nothing serves", retraining.cooldown_because, again)


def _asked(case: Case) -> str | None:
    return case.command(names.RETRAIN)
