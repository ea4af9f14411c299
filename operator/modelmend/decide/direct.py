"""A version that takes all traffic as soon as it is ready: the first one, a pin, a rollback-to.

No evidence is asked for: nothing serves yet, or a person has decided.
"""

from modelmend.api.status import Phase, Stage, Trigger
from modelmend.decide import first, memory, outcomes, sentences, situation
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.reasons import Reason
from modelmend.decide.upkeep import records


def version_is_not_recorded(case: Case) -> Finding | None:
    """The first version's record is being written. Without its Job there is nothing to write: it is read, or made, again."""
    if not _is_direct(case) or case.recorded is not None:
        return None
    if records.result_of(case.status, case.observed) is not None:
        return Finding(Stage.INSTALLING, f"{case.candidate.version} is being recorded", case.status)
    uri = case.spec.model.uri
    if uri is None:
        return first.begun(case, case.status)
    status = outcomes.resolve(case, case.status, Trigger.INSTALL, uri)
    return Finding(Stage.INSTALLING, f"reading the artifact at {uri} again", status)


def version_never_became_ready(case: Case) -> Finding | None:
    """A person's choice cannot serve; what served goes on. The first version has nobody to go back to, and waits."""
    if not _is_direct(case) or case.status.stable is None or not situation.is_unready_for_too_long(case):
        return None
    because = situation.unready(case)
    return Finding(Stage.ROLLING_BACK, because, outcomes.send_back(case, Reason.UNREADY, because))


def version_has_taken_over(case: Case) -> Finding | None:
    """The route sends it everything and the Gateway says so: it is the stable version."""
    if not _is_direct(case) or not _has_everything(case) or not case.front_is_in_place:
        return None
    candidate = case.candidate
    status = outcomes.become_stable(case, case.status)
    because = f"{candidate.version} serves, the first version"
    if candidate.trigger is Trigger.FIRST:
        status = change(status, retraining=memory.forgiven(status.retraining))
    if candidate.trigger is Trigger.PIN:
        because = f"{candidate.version} serves, pinned by spec.model.pin"
    if candidate.trigger is Trigger.ROLLBACK_TO:
        because = f"{candidate.version} serves again, by the annotation rollback-to"
        left = case.stable.digest
        if left not in (*status.rejected, candidate.digest):
            status = change(status, rejected=(*status.rejected, left)[-outcomes.REMEMBERED :])
        rested = outcomes.cool_down(case, status.retraining, because, failed=False)
        status = change(status, retraining=rested)
    stage = Stage.COOLING_DOWN if candidate.trigger is Trigger.ROLLBACK_TO else Stage.SERVING
    return Finding(stage, because, change(status, candidate=None))


def version_is_coming_up(case: Case) -> Finding | None:
    """Its pods, or the Gateway, are awaited."""
    if not _is_direct(case):
        return None
    stage = Stage.INSTALLING if case.status.stable is None else Stage.PROMOTING
    because = sentences.joined(f"{case.candidate.version} {_errand(case)}", situation.holding(case))
    return Finding(stage, because, case.status)


def _errand(case: Case) -> str:
    match case.candidate.trigger:
        case Trigger.PIN:
            return "comes up, pinned by spec.model.pin"
        case Trigger.ROLLBACK_TO:
            return "comes up again, by the annotation rollback-to"
        case _:
            return "comes up, the first version"


def _is_direct(case: Case) -> bool:
    return case.candidate_is_direct and case.in_phase(Phase.PROMOTING)


def _has_everything(case: Case) -> bool:
    backends = case.observed.front.backends or ()
    return tuple(backend.version for backend in backends) == (case.candidate.version,)
