"""Who must answer requests: the backends of the route, and the version behind the front Service.

Weights are raised only to pods that are all ready, kept while any is, and taken away when none is. Nothing is ever
pointed at a version without a ready pod: then the route stays as it is.

    champion    candidate's pods     route
    ready       all of its share     as the phase says
    ready       some                 the candidate keeps what it has, at most what the phase says
    ready       none                 the champion answers alone
    none ready  some                 the candidate's pods answer with the champion's predictions (their shadow arm)
    none ready  none                 stays as it is

Without a gateway there is the Service alone. It is for the pods of one version, or for those of champion and candidate at
once, and then their numbers make the weights (split): the arm changes only when exactly these pods are ready, so that no
step is taken with the share of another.
"""

from dataclasses import dataclass, replace

from modelmend.api.status import Candidate, ModelDeploymentStatus, Phase
from modelmend.contract import arms
from modelmend.contract.arms import Arm, Side
from modelmend.decide import inputs
from modelmend.decide.observed import Backend, Observed, Server, percent
from modelmend.decide.reasons import DIRECT
from modelmend.decide.upkeep import servers


@dataclass(frozen=True, slots=True)
class Wanted:
    """Backends whose weights add up to 100, the version behind the front Service (None: all), the hash of the route's
    spec (None: no route), the port that a Service for all asks of each pod."""

    backends: tuple[Backend, ...]
    service: str | None
    inputs: str | None
    port: int | None = None


def is_up(server: Server | None, pods: int) -> bool:
    """So many pods are ready, and all are of the present template."""
    return server is not None and server.settled and server.ready >= pods


def answers(server: Server | None) -> bool:
    """At least one pod is ready."""
    return server is not None and server.ready > 0


def wanted(status: ModelDeploymentStatus, observed: Observed) -> Wanted | None:
    """For this status, in this world; None: leave the route as it is."""
    found = _backends(status, observed)
    if found is None:
        return None
    backends, service = found
    if not servers.splits_by_pods(observed.deployment.spec):
        return Wanted(backends, service, inputs.of_front(observed.deployment))
    if len(backends) == 1:
        return Wanted(backends, backends[0].version, None)
    server = observed.server(backends[1].version)
    assert server is not None, "only what has ready pods is a backend"
    return Wanted(backends, None, None, arms.SIDES[server.side][backends[1].arm])


def differs(wish: Wanted, observed: Observed) -> bool:
    """The route or the front Service is not as it should be."""
    front = observed.front
    return (
        front.backends != wish.backends
        or front.service != wish.service
        or front.shared != (wish.service is None)
        or front.inputs != wish.inputs
        or front.drifted
    )


def is_in_place(wish: Wanted, observed: Observed) -> bool:
    """As it should be, and the Gateway has accepted it."""
    return observed.front.accepted and not differs(wish, observed)


def weight_of(version: str, backends: tuple[Backend, ...] | None) -> int:
    """Percent that reaches any arm of this version."""
    return sum(backend.weight for backend in backends or () if backend.version == version)


_Found = tuple[tuple[Backend, ...], str] | None


def _backends(status: ModelDeploymentStatus, observed: Observed) -> _Found:
    candidate = status.candidate
    if candidate is not None and candidate.trigger in DIRECT and candidate.phase is Phase.PROMOTING:
        return _taken_over(status, candidate, observed)
    if candidate is not None and candidate.phase is Phase.BAKING:
        return _baking(candidate, observed)
    if candidate is not None and candidate.phase in servers.SCORED:
        return _shared(status, candidate, observed)
    if candidate is not None and candidate.phase is Phase.ROLLING_BACK and candidate.trigger not in DIRECT:
        return _alone(status, observed) or _covered(status, candidate, observed)
    return _alone(status, observed)


def _alone(status: ModelDeploymentStatus, observed: Observed) -> _Found:
    """The stable version answers everybody."""
    stable = status.stable
    if stable is None or not answers(observed.server(stable.version)):
        return None
    return _solo(stable.version)


def _solo(version: str) -> _Found:
    return (Backend(version, Arm.SOLO, 100),), version


def _taken_over(status: ModelDeploymentStatus, candidate: Candidate, observed: Observed) -> _Found:
    """All at once, when it is ready; at its first ready pod where nothing else answers."""
    pods = observed.deployment.spec.serving.replicas
    server, alone = observed.server(candidate.version), _alone(status, observed)
    has_it = observed.front.backends == (Backend(candidate.version, Arm.SOLO, 100),)
    if is_up(server, pods) or (answers(server) and (alone is None or has_it)):
        return _solo(candidate.version)
    return alone


def _shared(status: ModelDeploymentStatus, candidate: Candidate, observed: Observed) -> _Found:
    """Champion and candidate by weight."""
    stable = status.stable
    assert stable is not None, "a candidate that is compared has a champion"
    spec = observed.deployment.spec
    if candidate.phase is Phase.SHADOW:
        arm, target = Arm.SHADOW, spec.rollout.shadow.traffic
    else:
        arm, target = Arm.CANARY, servers.step_weight(candidate, spec)
    by_pods = servers.splits_by_pods(spec) and target < 100
    if by_pods:
        tried = _by_pods(status, candidate, arm, observed)
    else:
        tried = Backend(candidate.version, arm, _reachable(candidate, target, observed))
    if (by_pods or tried.weight < 100) and not answers(observed.server(stable.version)):
        return _covered(status, candidate, observed)
    return _split(stable.version, tried), stable.version


def has_its_share(status: ModelDeploymentStatus, observed: Observed) -> bool:
    """Exactly the pods that make the candidate's share are ready, and no others are there; True with a gateway."""
    spec, candidate = observed.deployment.spec, status.candidate
    if not servers.splits_by_pods(spec) or candidate is None or candidate.phase not in servers.SCORED:
        return True
    if candidate.trigger in DIRECT or servers.weight(candidate, spec) == 100:
        return True
    assert status.stable is not None, "a candidate that is compared has a champion"
    return (
        _has_exactly(observed.server(candidate.version), servers.share(candidate, spec))
        and _has_exactly(observed.server(status.stable.version), servers.beside(candidate, spec))
        and _may_mix(observed)
    )


def _has_exactly(server: Server | None, pods: int) -> bool:
    return server is not None and server.replicas == pods and is_up(server, pods)


def _may_mix(observed: Observed) -> bool:
    """One port means another arm to each of two versions; to a third it would mean the wrong one."""
    sides = [server.side for server in observed.servers]
    return len(sides) == len(set(sides)) == len(Side)


def _by_pods(status: ModelDeploymentStatus, candidate: Candidate, arm: Arm, observed: Observed) -> Backend:
    """The candidate as its pods let it be: in place of what it has only when all pods of its share are there."""
    spec = observed.deployment.spec
    present = next(
        (each for each in observed.front.backends or () if each.version == candidate.version), None
    )
    if has_its_share(status, observed):
        pods = servers.share(candidate, spec)
        return Backend(candidate.version, arm, percent(pods, pods + servers.beside(candidate, spec)))
    if present is None or not answers(observed.server(candidate.version)) or not _may_mix(observed):
        return Backend(candidate.version, arm, 0)
    return replace(present, arm=Arm.SHADOW if arm is Arm.SHADOW else present.arm)


def _baking(candidate: Candidate, observed: Observed) -> _Found:
    """The promoted version answers everybody, and the old champion stands by."""
    weight = _reachable(candidate, 100, observed)
    champion = candidate.champion or ""
    if not answers(observed.server(champion)):
        if not answers(observed.server(candidate.version)):
            return None
        return (Backend(candidate.version, Arm.CANARY, 100),), candidate.version
    service = candidate.version if weight else champion
    return _split(champion, Backend(candidate.version, Arm.CANARY, weight)), service


def _covered(status: ModelDeploymentStatus, candidate: Candidate, observed: Observed) -> _Found:
    """The champion has no ready pod; the candidate's pods hold the champion's model as well and answer in its place. A
    server of the user's own holds one model only, which is not proven yet: the route stays as it is."""
    assert status.stable is not None, "a candidate that is compared has a champion"
    if not observed.deployment.spec.serving.pairs:
        return None
    if not answers(observed.server(candidate.version)):
        return None
    return (Backend(candidate.version, Arm.SHADOW, 100),), status.stable.version


def _reachable(candidate: Candidate, target: int, observed: Observed) -> int:
    """The weight that the candidate's pods can take now."""
    server = observed.server(candidate.version)
    if is_up(server, servers.share(candidate, observed.deployment.spec)):
        return target
    if answers(server):
        return min(target, weight_of(candidate.version, observed.front.backends))
    return 0


def _split(champion: str, candidate: Backend) -> tuple[Backend, ...]:
    both = (Backend(champion, Arm.SOLO, 100 - candidate.weight), candidate)
    return tuple(backend for backend in both if backend.weight)
