"""decide: what is the matter, what follows from it, and does the answer hold.

Observed -> Case (judged, noted) -> the first finding that applies -> its status -> the world it wants -> Plan
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from modelmend.api import names
from modelmend.api.resources import ModelDeployment
from modelmend.api.status import ModelDeploymentStatus, Stage
from modelmend.contract.arms import Arm
from modelmend.decide import (
    announce,
    commands,
    conditions,
    direct,
    first,
    gate,
    healing,
    invariants,
    judge,
    moments,
    resolve,
    rollback,
    rollout,
    stages,
    standing,
)
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.observed import Observed
from modelmend.decide.plan import Plan, ShiftTraffic
from modelmend.decide.upkeep import actions, front, history, split

AT_ONCE: Final = timedelta(0)

FINDINGS: Final[tuple[Callable[[Case], Finding | None], ...]] = (
    # A person's words come first.
    commands.reset_was_asked,
    commands.defect_is_held,
    commands.rollback_target_is_unknown,
    commands.abort_names_nothing,
    # Traffic goes back whatever else is the matter, if there is somebody to go back to.
    rollout.champion_is_lost,
    rollback.candidate_is_unwanted,
    rollback.traffic_is_back,
    rollback.traffic_goes_back,
    commands.model_is_suspended,
    commands.rollback_was_asked,
    resolve.artifact_is_named,
    # A candidate, from its record to its bake.
    direct.version_is_not_recorded,
    direct.version_never_became_ready,
    direct.version_has_taken_over,
    direct.version_is_coming_up,
    gate.candidate_is_not_recorded,
    gate.candidate_was_rejected,
    gate.candidate_fails_the_gate,
    gate.candidate_passes_the_gate,
    rollout.candidate_is_not_ready,
    rollout.candidate_is_worse,
    rollout.candidate_breaks_a_guard,
    rollout.time_is_up,
    rollout.candidate_is_not_worse,
    rollout.step_is_passed,
    rollout.promotion_is_approved,
    rollout.promotion_is_ready,
    rollout.bake_is_over,
    rollout.candidate_is_tried,
    # No candidate from here on.
    commands.pin_was_asked,
    commands.model_is_pinned,
    first.artifact_is_withdrawn,
    resolve.artifact_is_invalid,
    resolve.reading_was_interrupted,
    resolve.artifact_serves_already,
    resolve.artifact_is_read,
    resolve.artifact_is_being_read,
    resolve.nothing_can_be_installed,
    healing.retraining_was_aborted,
    healing.retraining_failed,
    healing.retraining_made_an_artifact,
    healing.retraining_runs,
    healing.budget_is_spent,
    healing.model_is_stalled,
    healing.retraining_is_approved,
    healing.retraining_is_outdated,
    healing.retraining_awaits_approval,
    first.first_version_waits,
    first.first_version_is_trained,
    # Something serves from here on.
    healing.cooldown_is_over,
    healing.retraining_is_due,
    healing.model_cools_down,
    healing.model_serves,
)
"""In order: the first that applies is the diagnosis. The last one always does."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The finding that won, by name, and the case it was found in."""

    name: str
    finding: Finding
    case: Case


def decide(observed: Observed) -> Plan:
    """What to write and to do now. Total: it raises nothing for any world that can be observed."""
    if observed.deployment.metadata.deletion_timestamp is not None:
        # Owner references collect the children.
        return Plan((), observed.deployment.status, "it is being deleted", None, "model_is_deleted")
    diagnosis = diagnose(observed)
    plan = prescribe(diagnosis, observed)
    broken = invariants.broken(observed, plan)
    if not broken:
        return plan
    because = f"a defect of Modelmend: {'; '.join(broken)} (found {diagnosis.name}); nothing was done"
    return _halted(diagnosis, because)


def diagnose(observed: Observed) -> Diagnosis:
    """The first finding that applies."""
    case = Case.of(observed)
    for find in FINDINGS:
        finding = find(case)
        if finding is not None:
            finding = replace(finding, stage=stages.shown(finding.stage, finding.status))
            return Diagnosis(find.__name__, _by_the_table(case, find.__name__, finding), case)
    raise AssertionError("the last finding always applies")


def prescribe(diagnosis: Diagnosis, observed: Observed) -> Plan:
    """The status that answers a finding, and the actions that make the world follow it."""
    finding, case = diagnosis.finding, diagnosis.case
    before, status = observed.deployment.status, history.forget(finding.status, observed)
    groups = actions.groups(status, observed, finding.because)
    group = groups[0] if groups else ()
    status = _shown(_weighed(status, observed, group, case.judgements), finding, observed)
    news = (*announce.news(before, status), *finding.news)
    look = moments.next_look(case, status)
    if len(groups) > 1 or (status != before and not group):
        look = AT_ONCE
    return Plan(
        (*news, *group, *actions.books(status, observed)), status, status.because or "", look, diagnosis.name
    )


def _by_the_table(case: Case, name: str, finding: Finding) -> Finding:
    """An edge that is not in the table is a defect."""
    present = case.observed.deployment.status.stage
    if stages.leads(present, finding.stage):
        return finding
    because = f"a defect of Modelmend: no way leads from {present} to {finding.stage} (found {name}); nothing was done"
    return Finding(Stage.STALLED, because, change(case.status, stalled=because))


def _halted(diagnosis: Diagnosis, because: str) -> Plan:
    """Nothing is done, and it says why."""
    before = diagnosis.case.observed.deployment.status
    finding = Finding(Stage.STALLED, because, change(before, stalled=because))
    status = _shown(finding.status, finding, diagnosis.case.observed)
    return Plan(announce.news(before, status), status, because, None, diagnosis.name)


def _weighed(
    status: ModelDeploymentStatus,
    observed: Observed,
    group: tuple[actions.Action, ...],
    judged: judge.Judgements,
) -> ModelDeploymentStatus:
    """The candidate's arm and weight, as ordered now or before."""
    candidate = status.candidate
    if candidate is None:
        return status
    ordered = next(
        (action.backends for action in group if isinstance(action, ShiftTraffic)), observed.front.backends
    )
    arms = [backend.arm for backend in ordered or () if backend.version == candidate.version]
    arm = arms[0] if arms else candidate.arm
    since = candidate.pairs_at_step
    if candidate.arm is Arm.SHADOW and arm is not Arm.SHADOW:
        # Its pods may have come late. Only from here on does it answer for itself, and that is what a step is for.
        since = judged.pairs
    return change(
        status,
        candidate=change(
            candidate, weight=front.weight_of(candidate.version, ordered), arm=arm, pairs_at_step=since
        ),
    )


def _shown(status: ModelDeploymentStatus, finding: Finding, observed: Observed) -> ModelDeploymentStatus:
    """The fields that people read."""
    metadata = observed.deployment.metadata
    trouble = standing.trouble(status, observed)
    because = trouble.message if trouble is not None and trouble.halts else finding.because
    serving = status.stable.version if status.stable is not None else None
    server = None if serving is None else observed.server(serving)
    selector = None
    if serving is not None:
        selector = ",".join(f"{key}={value}" for key, value in names.selector(metadata.name, serving).items())
    status = change(
        status,
        stage=finding.stage,
        because=because,
        replicas=None if serving is None else (0 if server is None else server.ready),
        selector=selector,
        split=split.told(observed.deployment.spec),
        url=_url(observed.deployment),
    )
    return change(status, conditions=conditions.conditions(status, observed))


def _url(deployment: ModelDeployment) -> str | None:
    """Where clients ask; None when every host name is a wildcard, which nobody can call."""
    metadata, serving = deployment.metadata, deployment.spec.serving
    host: str | None = f"{metadata.name}.{metadata.namespace}.svc"
    if serving.gateway is not None:
        hostnames = serving.gateway.hostnames
        host = next((hostname for hostname in hostnames if not hostname.startswith("*")), None)
    path = f"/v2/models/{metadata.name}" if serving.template is None else serving.template.path
    return None if host is None else f"http://{host}{path}"
