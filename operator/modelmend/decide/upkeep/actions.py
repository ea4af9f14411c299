"""The actions of a plan: news first, then at most one group that changes the world, then the books.

Groups in the order in which they may not wait: a traffic shift is safe as it stands (front.wanted points at ready pods
only) and takes harm away; servers are made or scaled before traffic comes; pods go after it has left; a Job last.
What a name's owner keeps to himself (Foreign) is left out.
"""

from collections.abc import Iterable
from datetime import datetime

from modelmend.api import names
from modelmend.api.status import ModelDeploymentStatus
from modelmend.decide import plan
from modelmend.decide.observed import Observed
from modelmend.decide.upkeep import front, history, jobs, records, servers

Action = plan.Action


def groups(status: ModelDeploymentStatus, observed: Observed, because: str) -> list[tuple[Action, ...]]:
    """What must change in the world, most urgent first; empty when everything is as it should be."""
    found = (
        _shift(status, observed, because),
        _serve(status, observed),
        _retire(status, observed),
        _launch(status, observed),
    )
    allowed = (tuple(action for action in group if not _is_foreign(action, observed)) for group in found)
    return [group for group in allowed if group]


def books(status: ModelDeploymentStatus, observed: Observed) -> tuple[Action, ...]:
    """Records and what is cleared away: nobody's request depends on them."""
    record = records.missing(status, observed)
    found: Iterable[Action] = (
        *(() if record is None else (record,)),
        *records.untold(status, observed),
        *(plan.ForgetVersion(version.metadata.name) for version in history.prunable(status, observed)),
        *jobs.unwanted(status, observed),
    )
    return tuple(action for action in found if not _is_foreign(action, observed))


def drained_at(version: str, observed: Observed) -> datetime | None:
    """When the pods of a version may go; None while traffic may still reach them."""
    seen = observed.front
    if front.weight_of(version, seen.backends) or seen.service == version or seen.shared:
        return None
    if seen.backends is None:
        return observed.now
    if servers.splits_by_pods(observed.deployment.spec):
        # Nobody says when a Service has arrived on every node. Pods that end serve on for a while and ask clients that
        # keep connections open to leave: until then these ask nobody else.
        return observed.now if seen.inputs is None else None
    if not seen.accepted or seen.settled_since is None:
        return None
    return seen.settled_since + observed.settings.drain


def _shift(status: ModelDeploymentStatus, observed: Observed, because: str) -> tuple[Action, ...]:
    wish = front.wanted(status, observed)
    if wish is None or not front.differs(wish, observed):
        return ()
    if not is_allowed(observed) and observed.front.inputs != wish.inputs:
        # A route that was attached before goes on taking weights: nobody is cut off, and a candidate can be sent back.
        return ()
    return (plan.ShiftTraffic(wish.backends, wish.service, wish.inputs, because, wish.port),)


def is_allowed(observed: Observed) -> bool:
    """The operator's configuration lets a route attach to the Gateway's namespace."""
    allowed, gateway = observed.settings.allowed_gateway_namespaces, observed.deployment.spec.serving.gateway
    own = observed.deployment.metadata.namespace
    wanted = own if gateway is None else gateway.parent_ref.namespace or own
    return allowed is None or wanted == own or wanted in allowed


def _serve(status: ModelDeploymentStatus, observed: Observed) -> tuple[Action, ...]:
    wished = servers.wanted(status, observed).serving
    key: tuple[Action, ...] = (plan.EnsureKey(),) if wished and not observed.front.key else ()
    return key + tuple(wish for wish in wished if servers.differs(wish, observed.server(wish.version)))


def _retire(status: ModelDeploymentStatus, observed: Observed) -> tuple[Action, ...]:
    kept = servers.wanted(status, observed).kept
    spare = (server.version for server in observed.servers if server.version not in kept)
    return tuple(plan.Retire(version) for version in spare if _is_drained(version, observed))


def _is_drained(version: str, observed: Observed) -> bool:
    at = drained_at(version, observed)
    return at is not None and at <= observed.now


def _launch(status: ModelDeploymentStatus, observed: Observed) -> tuple[Action, ...]:
    job = jobs.missing(status, observed)
    return () if job is None else (job,)


def _is_foreign(action: Action, observed: Observed) -> bool:
    taken = {(foreign.kind, foreign.name) for foreign in observed.foreign}
    return any(child in taken for child in _children(action, observed))


def _children(action: Action, observed: Observed) -> tuple[tuple[str, str], ...]:
    """Kind and name of the objects that an action writes."""
    own = observed.deployment.metadata.name
    match action:
        case plan.EnsureKey():
            return (("Secret", names.feedback_secret(own)),)
        case plan.EnsureServing(version=version) | plan.Retire(version=version):
            return ("Deployment", version), ("Service", version)
        case plan.ShiftTraffic():
            service = ("Service", own)
            return (service,) if action.inputs is None else (("HTTPRoute", own), service)
        case plan.LaunchResolve(job=job) | plan.LaunchRetraining(job=job):
            return (("Job", job),)
        case (
            plan.RecordVersion(name=version)
            | plan.DescribeVersion(name=version)
            | plan.ForgetVersion(name=version)
        ):
            return (("ModelVersion", version),)
        case _:
            return ()
