"""Retraining: what asks for it, who must agree, the Job, and what failures cost."""

from modelmend.api import names
from modelmend.api.spec import Approval, When
from modelmend.api.status import PendingApproval, Running, SignalStatus, Stage, Trigger, Verdict
from modelmend.contract.result import Failed, Succeeded
from modelmend.decide import combined, memory, outcomes, schedule, sentences, situation
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.observed import Job, JobKind
from modelmend.decide.plan import Notify, Tone
from modelmend.decide.upkeep import jobs


def retraining_was_aborted(case: Case) -> Finding | None:
    """A person stopped the Job, or refused it before it began. It costs a rest, and no attempt."""
    retraining, token = case.status.retraining, case.command(names.ABORT)
    if token is None or (retraining.running is None and retraining.pending is None):
        return None
    # abort_names_nothing came before: the token names what is in flight.
    because = f"{token} was aborted by a person"
    rested = outcomes.cool_down(case, change(retraining, running=None, pending=None), because, failed=False)
    status = change(memory.handled(case.status, names.ABORT, token), retraining=rested)
    return Finding(Stage.COOLING_DOWN, because, status)


def retraining_failed(case: Case) -> Finding | None:
    """The Job says so, was deleted, or has not ended in its time."""
    running, job = case.status.retraining.running, _job(case)
    if running is None:
        return None
    why = None
    if job is not None and isinstance(job.result, Failed):
        why = job.result.error
    elif job is None and running.uid is not None:
        why = "somebody deleted its Job before it ended"
    elif (
        case.now >= running.started_at + case.spec.retraining.trainer.deadline + outcomes.GRACE
        and not _made(job)
    ):
        why = sentences.joined("its Job did not end in time", job.trouble if job else case.observed.blocked)
    if why is None:
        return None
    because = f"{_called(running)} failed: {why}"
    rested = outcomes.cool_down(case, change(case.status.retraining, running=None), because, failed=True)
    # Of the first training no change of stage tells.
    news = (Notify(Tone.WARNING, "FirstTrainingFailed", because),) if case.status.stable is None else ()
    return Finding(Stage.COOLING_DOWN, because, change(case.status, retraining=rested), news)


def retraining_made_an_artifact(case: Case) -> Finding | None:
    """It becomes the candidate."""
    running, job = case.status.retraining.running, _job(case)
    if running is None or job is None or not isinstance(job.result, Succeeded):
        return None
    version = jobs.next_version(case.status, case.observed)
    status = outcomes.propose(case, job.result, running.trigger)
    because = sentences.joined(f"{_called(running)} made {version}", *job.result.warnings)
    return Finding(Stage.EVALUATING, because, status)


def retraining_runs(case: Case) -> Finding | None:
    """One Job in flight."""
    running, job = case.status.retraining.running, _job(case)
    if running is None:
        return None
    because = f"{_called(running)} runs: {running.because}"
    return Finding(Stage.RETRAINING, sentences.joined(because, job.trouble if job else None), case.status)


def budget_is_spent(case: Case) -> Finding | None:
    """So many failures that a person is needed."""
    budget, status = case.spec.retraining.budget, case.status
    failed = len(outcomes.within_budget(case, status.retraining))
    if status.stalled is not None or failed < budget.attempts:
        return None
    hours = budget.per.total_seconds() / 3600
    serving = "nothing serves" if status.stable is None else f"{case.stable.version} serves on"
    last = status.retraining.cooldown_because or "no reason was kept"
    because = (
        f"{failed} attempts to heal failed within {hours:g} h, the last one: {last}; "
        f"{serving} until spec changes or the annotation {names.RESET} is set"
    )
    retraining = change(status.retraining, pending=None)
    return Finding(Stage.STALLED, because, change(status, stalled=because, retraining=retraining))


def model_is_stalled(case: Case) -> Finding | None:
    """A person is needed."""
    stalled = case.status.stalled
    return None if stalled is None else Finding(Stage.STALLED, stalled, case.status)


def retraining_is_approved(case: Case) -> Finding | None:
    """A person wrote its token."""
    pending = case.status.retraining.pending
    if pending is None or case.command(names.APPROVE) != pending.token:
        return None
    status = memory.handled(case.status, names.APPROVE, pending.token)
    number = int(pending.token.removeprefix("retrain-"))
    status = outcomes.retrain(case, status, pending.trigger, pending.because, number)
    return Finding(
        Stage.RETRAINING, f"retraining {number} begins: a person approved it; {pending.because}", status
    )


def retraining_is_outdated(case: Case) -> Finding | None:
    """It waited for a person because of a breach, and the breach is over."""
    retraining = case.status.retraining
    if retraining.pending is None or retraining.pending.trigger is not Trigger.BREACH:
        return None
    if not combined.is_over(case.spec, case.status.signals):
        return None
    over = "no signal is" if case.spec.retraining.when is When.ANY else "not all signals are"
    because = f"{retraining.pending.token} is outdated: {over} breached any more"
    rested = outcomes.cool_down(case, change(retraining, pending=None), because, failed=False)
    return Finding(Stage.COOLING_DOWN, because, change(case.status, retraining=rested))


def retraining_awaits_approval(case: Case) -> Finding | None:
    """A person is asked."""
    pending = case.status.retraining.pending
    if pending is None:
        return None
    return Finding(Stage.AWAITING_APPROVAL, _asked(pending), case.status)


def cooldown_is_over(case: Case) -> Finding | None:
    """Healing may go on."""
    until = case.status.retraining.cooldown_until
    if until is None or case.now < until:
        return None
    rested = change(case.status.retraining, cooldown_until=None, cooldown_because=None)
    status = change(case.status, retraining=rested)
    return Finding(Stage.SERVING, serving(case), status)


def retraining_is_due(case: Case) -> Finding | None:
    """A person asks (at once); a signal is breached, or the schedule has come (after the cooldown)."""
    found = _request(case) or _breach(case) or _tick(case)
    if found is None:
        return None
    trigger, because, case = found
    status = case.status
    if case.spec.retraining.approval is Approval.AUTO:
        status = outcomes.retrain(case, status, trigger, because)
        return Finding(Stage.RETRAINING, f"retraining {status.sequence} begins: {because}", status)
    sequence = status.sequence + 1
    pending = PendingApproval(token=f"retrain-{sequence}", trigger=trigger, since=case.now, because=because)
    status = change(status, sequence=sequence, retraining=change(status.retraining, pending=pending))
    return Finding(Stage.AWAITING_APPROVAL, _asked(pending), status)


def model_cools_down(case: Case) -> Finding | None:
    """Rest after an end."""
    retraining = case.status.retraining
    if retraining.cooldown_until is None:
        return None
    until = sentences.moment(retraining.cooldown_until)
    because = f"cooling down until {until}: {retraining.cooldown_because or 'a healing has ended'}"
    return Finding(Stage.COOLING_DOWN, because, case.status)


def model_serves(case: Case) -> Finding | None:
    """Nothing is the matter, or nothing that Modelmend may act on."""
    return Finding(Stage.SERVING, serving(case), case.status)


def serving(case: Case) -> str:
    """How the stable version serves: what stands in its way, or its most telling signal."""
    standing = situation.champion_holds(case) or situation.gateway_refuses(case)
    return standing or sentences.joined(
        f"{case.stable.version} serves",
        _telling(case.status.signals),
        combined.held_back(case.spec, case.status.signals),
        case.status.handled.uri_because,
    )


def _telling(signals: tuple[SignalStatus, ...]) -> str | None:
    """The worst verdict's sentence; the first signal's where all are alike. Beside what is judged once a window, that of a
    measure: whether inputs that moved do harm is what people ask next."""
    order = (Verdict.BREACHED, Verdict.UNKNOWN, Verdict.OK)
    worst = min(signals, key=lambda signal: order.index(signal.verdict), default=None)
    if worst is None or not worst.type.is_windowed:
        return None if worst is None else worst.because
    harm = next((signal.because for signal in signals if not signal.type.is_windowed), None)
    return sentences.joined(worst.because, harm)


def _request(case: Case) -> tuple[Trigger, str, Case] | None:
    token = case.command(names.RETRAIN)
    if token is None:
        return None
    status = memory.handled(case.status, names.RETRAIN, token)
    return Trigger.REQUEST, f"a person asked for it ({token})", case.with_status(status)


def _breach(case: Case) -> tuple[Trigger, str, Case] | None:
    if case.status.retraining.cooldown_until is not None:
        return None
    because = combined.breach(case.spec, case.status.signals)
    return None if because is None else (Trigger.BREACH, because, case)


def _tick(case: Case) -> tuple[Trigger, str, Case] | None:
    """Missed moments count once."""
    retraining, line = case.status.retraining, case.spec.retraining.schedule
    if retraining.cooldown_until is not None or retraining.scheduled is None or line is None:
        return None
    due = schedule.following(line, retraining.scheduled)
    if due is None or due > case.now:
        return None
    status = change(case.status, retraining=change(retraining, scheduled=case.now))
    return (
        Trigger.SCHEDULE,
        f"the schedule {line} was due at {sentences.moment(due)}",
        case.with_status(status),
    )


def _job(case: Case) -> Job | None:
    running = case.status.retraining.running
    return None if running is None else case.observed.job(JobKind.RETRAIN, running.sequence)


def _called(running: Running) -> str:
    return f"{'' if running.trigger is Trigger.FIRST else 're'}training {running.sequence}"


def _made(job: Job | None) -> bool:
    return job is not None and isinstance(job.result, Succeeded)


def _asked(pending: PendingApproval) -> str:
    return (
        f"{pending.token} waits for a person: {pending.because}; "
        f"approve with the annotation {names.APPROVE}={pending.token}"
    )
