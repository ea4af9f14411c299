"""What a person says by annotations, by spec.suspend and by spec.model.pin.

Each annotation carries a token and is acted on once; removed, it may be given again. approve stands with what waits for
it (healing, rollout), and retrain-requested-at with the other triggers (healing).
"""

from modelmend.api import names
from modelmend.api.status import ModelDeploymentStatus, Phase, Refusal, Stage, Trigger
from modelmend.decide import memory, outcomes, sentences, stages
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.observed import Observed
from modelmend.decide.plan import Notify, Tone


def reset_was_asked(case: Case) -> Finding | None:
    """Forget what was spent and refused; a breach is to be proven anew."""
    token = case.command(names.RESET)
    if token is None:
        return None
    status = memory.handled(case.status, names.RESET, token)
    stable = None if status.stable is None else change(status.stable, evidence_since=case.now)
    retraining = memory.forgiven(status.retraining)
    status = change(status, stalled=None, refusal=None, stable=stable, retraining=retraining)
    return Finding(
        stages.natural(status), "a person reset the failures, and the evidence starts anew", status
    )


def defect_is_held(case: Case) -> Finding | None:
    """Stalled in the middle of something: only a defect of Modelmend itself brings that about, so nothing moves. Or
    Stalled before anything served."""
    status = case.status
    idle = status.candidate is None and status.retraining.running is None and status.resolving is None
    if status.stalled is None or (idle and status.stable is not None):
        return None
    return Finding(Stage.STALLED, status.stalled, status)


def rollback_target_is_unknown(case: Case) -> Finding | None:
    """There is nothing to go back to by that name, or a pin forbids it."""
    target = case.command(names.ROLLBACK_TO)
    if target is None or case.spec.suspend:
        return None
    why = None
    if case.pinned is not None:
        why = f"spec.model.pin names {case.pinned}"
    elif case.status.stable is None:
        why = "nothing serves yet"
    elif case.observed.version(target) is None:
        why = f"known versions: {known(case.observed)}"
    if why is None:
        return None
    message = f"cannot roll back to {target}: {why}"
    generation = case.observed.deployment.metadata.generation
    refusal = Refusal(generation=generation, reason="UnknownVersion", message=message, token=target)
    status = change(memory.handled(case.status, names.ROLLBACK_TO, target), refusal=refusal)
    return Finding(case.stage, message, status)


def abort_names_nothing(case: Case) -> Finding | None:
    """No candidate, no retraining by that name."""
    token = case.command(names.ABORT)
    if token is None or case.spec.suspend or token in abortable(case):
        return None
    status = memory.handled(case.status, names.ABORT, token)
    message = f"nothing to abort: {token} is not in flight ({sentences.listed(abortable(case))})"
    return Finding(
        case.stage, case.status.because or message, status, (Notify(Tone.WARNING, "NothingToAbort", message),)
    )


def abortable(case: Case) -> tuple[str, ...]:
    """What the annotation abort may name now."""
    status, candidate = case.status, case.status.candidate
    found: list[str] = []
    if candidate is not None and status.stable is not None and candidate.phase is not Phase.ROLLING_BACK:
        found += [candidate.version, candidate.digest]
    elif status.retraining.running is not None:
        next_version = names.version(case.name, status.last_version + 1)
        found += [f"retrain-{status.retraining.running.sequence}", next_version]
    elif status.retraining.pending is not None:
        found.append(status.retraining.pending.token)
    return tuple(found)


def model_is_suspended(case: Case) -> Finding | None:
    """Observe only. The champion is kept as spec says; nothing else is begun, and what was begun is dropped."""
    if not case.spec.suspend:
        return None
    status = dropped(case.status)
    if status.stable is None or case.status.resolving is not None:
        # Read again when the suspension ends.
        status = change(status, candidate=None, handled=change(status.handled, uri=None))
    serving = "nothing serves yet" if status.stable is None else f"{status.stable.version} serves"
    waiting = names.RETRAIN if case.command(names.RETRAIN) else None
    waiting = names.ROLLBACK_TO if case.command(names.ROLLBACK_TO) else waiting
    waits = None if waiting is None else f"the annotation {waiting} waits"
    because = sentences.joined(f"suspended by spec.suspend: {serving} and nothing is begun", waits)
    return Finding(Stage.SUSPENDED, because, status)


def rollback_was_asked(case: Case) -> Finding | None:
    """A known version is to serve again. Whatever was spent before, a person has come."""
    target = case.command(names.ROLLBACK_TO)
    if target is None or case.status.candidate is not None:
        return None
    status = memory.handled(case.status, names.ROLLBACK_TO, target)
    if case.status.stalled is not None:
        status = change(status, stalled=None, retraining=memory.forgiven(status.retraining))
    if target == case.stable.version:
        because = f"{target} serves already"
        return Finding(stages.natural(status), because, status, (Notify(Tone.NORMAL, "RolledBack", because),))
    status = outcomes.bring_back(case, status, target, Trigger.ROLLBACK_TO)
    return Finding(Stage.PROMOTING, f"{target} comes up again, by the annotation rollback-to", status)


def pin_was_asked(case: Case) -> Finding | None:
    """spec.model.pin names a known version that does not serve, and was not refused."""
    pin = case.pinned
    if pin is None or case.status.candidate is not None or case.status.stable is None:
        return None
    if pin == case.stable.version:
        return None
    if case.observed.version(pin) is None or (case.status.refusal and case.status.refusal.token is None):
        return None
    status = change(case.status, handled=change(case.status.handled, pin=pin))
    status = outcomes.bring_back(case, status, pin, Trigger.PIN)
    return Finding(Stage.PROMOTING, f"{pin} comes up, pinned by spec.model.pin", status)


def model_is_pinned(case: Case) -> Finding | None:
    """Serve, and heal nothing. A request to retrain is answered, not kept for the day the pin goes."""
    pin = case.pinned
    if pin is None or case.status.stable is None:
        return None
    serving = case.stable.version
    news: tuple[Notify, ...] = ()
    status = change(dropped(case.status), handled=change(case.status.handled, pin=pin))
    if case.status.resolving is not None:
        # Read again when the pin is gone.
        status = change(status, handled=change(status.handled, uri=None))
    token = case.command(names.RETRAIN)
    if token is not None:
        status = memory.handled(status, names.RETRAIN, token)
        message = f"not retrained: spec.model.pin names {pin}"
        news = (Notify(Tone.WARNING, "Pinned", message),)
    because = f"{serving} serves, pinned by spec.model.pin: nothing is healed"
    if pin != serving:
        because = f"{serving} serves; spec.model.pin names {pin}, and nothing is healed"
    return Finding(Stage.SERVING, because, status, news)


def dropped(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Nothing is in flight any more: the Job goes, and nothing is counted against the budget."""
    retraining = change(status.retraining, running=None, pending=None)
    return change(status, resolving=None, retraining=retraining)


def known(observed: Observed) -> str:
    """The versions that exist, for a sentence."""
    return sentences.listed(tuple(version.metadata.name for version in observed.versions))
