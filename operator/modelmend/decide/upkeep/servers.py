"""Which versions must have pods, how many, and from which spec.

phase of the candidate      stable version      candidate                    old champion
none, Evaluating            spec                -                            -
Shadow, Canary, Awaiting    spec *              ceil(its share of spec) *    -
Promoting                   spec                spec                         -
Baking                      spec (it is it)     spec                         spec
RollingBack                 spec                as it is, until it retires   -

* Without a gateway it is the numbers of pods that make its share: see split.
"""

import math
from dataclasses import dataclass

from modelmend.api.resources import ModelVersion
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import Candidate, ModelDeploymentStatus, Phase
from modelmend.contract.arms import Side
from modelmend.decide import inputs
from modelmend.decide.observed import Observed, Server
from modelmend.decide.plan import Champion, EnsureServing
from modelmend.decide.reasons import DIRECT
from modelmend.decide.upkeep import split

SCORED = (Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING)
"""Phases in which a candidate has pods beside the champion's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Servers that must be, and versions whose servers must not be taken away."""

    serving: tuple[EnsureServing, ...]
    kept: frozenset[str]


def splits_by_pods(spec: ModelDeploymentSpec) -> bool:
    """No gateway: the front Service sends requests, and the number of pods behind it decides who gets how many."""
    return spec.serving.gateway is None


def share(candidate: Candidate, spec: ModelDeploymentSpec) -> int:
    """Pods of the candidate: its share of the champion's replicas, at least one."""
    whole, asked = spec.serving.replicas, weight(candidate, spec)
    if asked is None:
        return whole
    if splits_by_pods(spec) and asked < 100:
        return split.counts(asked, whole).candidate
    return max(math.ceil(whole * asked / 100), 1)


def beside(candidate: Candidate | None, spec: ModelDeploymentSpec) -> int:
    """Pods of the version that serves, beside this candidate's."""
    whole = spec.serving.replicas
    asked = None if candidate is None else weight(candidate, spec)
    if asked is not None and splits_by_pods(spec) and asked < 100:
        return split.counts(asked, whole).champion
    return whole


def weight(candidate: Candidate, spec: ModelDeploymentSpec) -> int | None:
    """Percent that the candidate's phase asks for; None where it asks for as many pods as the champion has."""
    if candidate.phase is Phase.SHADOW:
        return spec.rollout.shadow.traffic
    if candidate.phase in (Phase.CANARY, Phase.AWAITING_APPROVAL):
        return step_weight(candidate, spec)
    return None


def step_weight(candidate: Candidate, spec: ModelDeploymentSpec) -> int:
    """Percent of the canary step; the last one's where spec has lost steps meanwhile."""
    steps = spec.rollout.steps
    return steps[min(candidate.step, len(steps) - 1)].weight


def wanted(status: ModelDeploymentStatus, observed: Observed) -> Wanted:
    """For this status, in this world."""
    spec, stable, candidate = observed.deployment.spec, status.stable, status.candidate
    serving: list[EnsureServing | None] = []
    kept: set[str] = set()
    if stable is not None:
        loaded = _champion(status, observed) if _bakes(candidate) else None
        pods = beside(candidate, spec)
        serving.append(_serving(status, observed, stable.version, stable.rollout, pods, loaded))
        kept.add(stable.version)
    if candidate is not None and candidate.phase in SCORED:
        loaded = None if candidate.trigger in DIRECT else _champion(status, observed)
        pods = share(candidate, spec)
        serving.append(_serving(status, observed, candidate.version, candidate.rollout, pods, loaded))
        kept.add(candidate.version)
    if candidate is not None and _bakes(candidate) and candidate.champion is not None:
        rollout = candidate.champion_rollout or ""
        serving.append(_serving(status, observed, candidate.champion, rollout, spec.serving.replicas, None))
        kept.add(candidate.champion)
    return Wanted(tuple(server for server in serving if server is not None), frozenset(kept))


def differs(wish: EnsureServing, present: Server | None) -> bool:
    """The server is not as it should be."""
    return (
        present is None
        or present.drifted
        or present.replicas != wish.replicas
        or present.inputs != wish.inputs
        or present.rollout != wish.rollout
    )


def spec_waits(status: ModelDeploymentStatus, observed: Observed) -> bool:
    """Pods keep the spec they were made from until the rollout in flight has ended."""
    return (
        status.stable is not None and _rolls(status.candidate) and _has_pods(status.stable.version, observed)
    )


def _bakes(candidate: Candidate | None) -> bool:
    return candidate is not None and candidate.phase is Phase.BAKING


def _rolls(candidate: Candidate | None) -> bool:
    return candidate is not None and candidate.phase is not Phase.EVALUATING


def _has_pods(version: str, observed: Observed) -> bool:
    server = observed.server(version)
    return server is not None and server.ready > 0


def _serving(
    status: ModelDeploymentStatus,
    observed: Observed,
    name: str,
    rollout: str,
    replicas: int,
    champion: Champion | None,
) -> EnsureServing | None:
    """None while the version is not recorded: its record holds the image that its pods run."""
    version = observed.version(name)
    if version is None:
        return None
    return EnsureServing(
        version=name,
        rollout=rollout,
        uri=version.spec.uri,
        digest=version.spec.digest,
        image=version.spec.image,
        replicas=replicas,
        inputs=_inputs(status, observed, version),
        champion=champion,
        side=_side(status, observed, name),
    )


def _side(status: ModelDeploymentStatus, observed: Observed, name: str) -> Side:
    """Pods keep theirs; new ones take the other than those they stand beside."""
    present, candidate = observed.server(name), status.candidate
    if present is not None:
        return present.side
    if candidate is None or candidate.champion is None:
        return Side.LEFT
    is_candidate = candidate.version == name
    other = observed.server(candidate.champion if is_candidate else candidate.version)
    if other is not None:
        return other.side.other
    return Side.RIGHT if is_candidate else Side.LEFT


def _inputs(status: ModelDeploymentStatus, observed: Observed, version: ModelVersion) -> str:
    """Hash of the present spec; during a rollout the one its pods were made from. Pods that take no traffic yet, and a
    stable version without a ready pod, take a changed spec at once: it may be their cure."""
    present = observed.server(version.metadata.name)
    takes_over = status.candidate is not None and status.candidate.trigger in DIRECT
    is_direct = (
        takes_over and status.candidate is not None and status.candidate.version == version.metadata.name
    )
    if present is not None and spec_waits(status, observed) and not is_direct:
        return present.inputs
    return inputs.of_server(observed.deployment, version)


def _champion(status: ModelDeploymentStatus, observed: Observed) -> Champion | None:
    """What the candidate is compared with; nothing where its pods are of the user's own image."""
    if not observed.deployment.spec.serving.pairs:
        return None
    stable, candidate = status.stable, status.candidate
    if stable is not None and candidate is not None and stable.version != candidate.version:
        return Champion(stable.version, stable.rollout, stable.uri, stable.digest)
    if candidate is None or candidate.champion is None:
        return None
    version = observed.version(candidate.champion)
    if version is None:
        return None
    return Champion(
        candidate.champion, candidate.champion_rollout or "", version.spec.uri, version.spec.digest
    )
