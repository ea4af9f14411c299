"""Giving traffic back: why it must be, and when it is done.

RollingBack: route back to the champion -> the Gateway has accepted it -> drain -> pods go -> story told -> CoolingDown
"""

from modelmend.api import names
from modelmend.api.status import Phase, Stage, Trigger
from modelmend.decide import memory, outcomes, sentences, situation
from modelmend.decide.case import Case, Finding
from modelmend.decide.reasons import Reason
from modelmend.decide.upkeep import records


def candidate_is_unwanted(case: Case) -> Finding | None:
    """A person says so, or its record is gone. What has no pods yet simply ends."""
    if case.status.stable is None or case.status.candidate is None or case.in_phase(Phase.ROLLING_BACK):
        return None
    found = _unwanted(case)
    if found is None:
        return None
    reason, because = found
    if reason is Reason.ABORTED:
        case = case.with_status(memory.handled(case.status, names.ABORT, case.command(names.ABORT) or ""))
    if case.in_phase(Phase.EVALUATING):
        return Finding(Stage.COOLING_DOWN, because, outcomes.end(case, reason, because))
    return Finding(Stage.ROLLING_BACK, because, outcomes.send_back(case, reason, because))


def traffic_is_back(case: Case) -> Finding | None:
    """The champion answers everybody, the candidate's pods are gone and its story is told."""
    if not case.in_phase(Phase.ROLLING_BACK) or not case.front_is_in_place:
        return None
    if case.candidate_server is not None or not records.is_told(case.recorded, records.ROLLED_BACK):
        return None
    because = case.candidate.failure or ""
    status = outcomes.end(case, Reason(case.candidate.reason or Reason.SUPERSEDED), because)
    return Finding(Stage.COOLING_DOWN, because, status)


def traffic_goes_back(case: Case) -> Finding | None:
    """On the way; says what it waits for."""
    if not case.in_phase(Phase.ROLLING_BACK):
        return None
    waits = situation.champion_holds(case)
    if waits is not None and not case.candidate_is_direct:
        waits = f"{waits}, so the pods of {case.candidate.version} answer with its predictions"
    because = sentences.joined(case.candidate.failure, waits or situation.gateway_holds(case))
    return Finding(Stage.ROLLING_BACK, because, case.status)


def _unwanted(case: Case) -> tuple[Reason, str] | None:
    candidate, uri, pin = case.candidate, case.spec.model.uri, case.pinned
    target = case.command(names.ROLLBACK_TO)
    if case.spec.suspend:
        return Reason.SUSPENDED, f"{candidate.version} gives its traffic back: spec.suspend was set"
    if case.recorded is None and candidate.phase is not Phase.EVALUATING:
        return Reason.LOST, f"{candidate.version} goes: somebody deleted its ModelVersion"
    if candidate.trigger is Trigger.PIN and pin != candidate.version:
        return Reason.SUPERSEDED, f"{candidate.version} goes: spec.model.pin was changed"
    if pin is not None and candidate.trigger is not Trigger.PIN and not _bakes(case, pin):
        return Reason.PINNED, f"{candidate.version} goes: spec.model.pin names {pin}"
    if pin is None and case.status.handled.uri is not None and case.status.handled.uri != uri:
        return Reason.SUPERSEDED, f"{candidate.version} goes: spec.model.uri names another artifact"
    if target is not None and not _bakes(case, target):
        return Reason.ROLLBACK_TO, f"{candidate.version} goes: a person went back to {target}"
    if case.command(names.ABORT) in (candidate.version, candidate.digest):
        return Reason.ABORTED, f"{candidate.version} goes: a person aborted it"
    return None


def _bakes(case: Case, version: str) -> bool:
    """The version is the promoted one, on probation."""
    return case.in_phase(Phase.BAKING) and case.candidate.version == version
