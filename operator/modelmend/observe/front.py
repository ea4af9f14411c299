"""The HTTPRoute, the front Service and the key as `observed.Front`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from modelmend.api import names, ownership, resources
from modelmend.contract import arms
from modelmend.contract.arms import Arm
from modelmend.decide import observed
from modelmend.observe import cluster, drift, pods, servers

Object = Mapping[str, Any]
_ARMS: Final = {port: arm for arm, port in arms.PORTS.items()}


@dataclass(slots=True)
class Fronts:
    """Remembers since when each route's present backends have been accepted."""

    _since: dict[str, tuple[tuple[observed.Backend, ...], datetime]] = field(default_factory=dict)

    def front(
        self,
        seen: cluster.Cluster,
        owner: resources.ModelDeployment,
        pods: Sequence[observed.Server],
        key: bool,
        now: datetime,
    ) -> observed.Front:
        """How requests come in. `key`: whether the Secret is known to exist."""
        place = owner.key
        route = _ours(seen.live(cluster.ROUTE.name, *place), owner)
        service = _ours(seen.live(cluster.SERVICE.name, *place), owner)
        points_to = (
            None if service is None else (service["spec"].get("selector") or {}).get(names.VERSION_LABEL)
        )
        front = observed.Front(key=key, service=points_to, shared=service is not None and points_to is None)
        if owner.spec.serving.gateway is None:
            self._since.pop(owner.metadata.uid, None)
            return replace(
                front,
                backends=None if service is None else _behind(service, points_to, pods),
                # One that is left over is to go, whatever it was made from.
                inputs=None if route is None else servers.annotation(route, names.INPUTS) or "",
                accepted=service is not None,
                drifted=service is not None and bool(seen.derive(cluster.SERVICE, place, drift.is_drifted)),
            )
        drifted = (route is not None and bool(seen.derive(cluster.ROUTE, place, drift.is_drifted))) or (
            service is not None and bool(seen.derive(cluster.SERVICE, place, drift.is_drifted))
        )
        if route is None:
            self._since.pop(owner.metadata.uid, None)
            return replace(front, drifted=drifted)
        backends = _backends(route)
        accepted, message = _acceptance(route)
        return replace(
            front,
            backends=backends,
            inputs=servers.annotation(route, names.INPUTS),
            accepted=accepted,
            message=message,
            drifted=drifted,
            settled_since=self._settled_since(owner.metadata.uid, backends, accepted, now),
        )

    def forget(self, uid: str) -> None:
        """A ModelDeployment is gone."""
        self._since.pop(uid, None)

    def _settled_since(
        self, uid: str, backends: tuple[observed.Backend, ...], accepted: bool, now: datetime
    ) -> datetime | None:
        if not accepted:
            self._since.pop(uid, None)
            return None
        known = self._since.get(uid)
        if known is None or known[0] != backends:
            known = self._since[uid] = (backends, now)
        return known[1]


def _ours(live: Object | None, owner: resources.ModelDeployment) -> Object | None:
    if live is None or live["metadata"].get("deletionTimestamp"):
        return None
    return live if ownership.is_controlled_by(dict(live), owner.metadata.uid) else None


def _behind(
    service: Object, version: str | None, pods: Sequence[observed.Server]
) -> tuple[observed.Backend, ...]:
    """The versions whose pods get requests from a Service: the champion first, who answers alone."""
    target = next((port.get("targetPort") for port in service["spec"].get("ports") or ()), None)
    if version is not None:
        return (observed.Backend(version, Arm(target) if target in list(Arm) else Arm.SOLO, 100),)
    ready = [server for server in pods if server.ready]
    total = sum(server.ready for server in ready)
    found = [
        observed.Backend(
            server.version, arm, observed.percent(server.ready, total) if len(ready) > 1 else 100
        )
        for server in ready
        if isinstance(target, int) and (arm := arms.at(target, server.side)) is not None
    ]
    found.sort(key=lambda backend: backend.arm is not Arm.SOLO)
    if len(found) > 1:
        # Percents that were rounded one by one need not add up.
        rest = sum(backend.weight for backend in found[1:])
        found[0] = replace(found[0], weight=100 - rest)
    return tuple(found)


def _backends(route: Object) -> tuple[observed.Backend, ...]:
    found = []
    for rule in (route["spec"].get("rules") or ())[:1]:
        for backend in rule.get("backendRefs") or ():
            arm, weight = _ARMS.get(backend.get("port")), backend.get("weight", 1)
            if arm is not None and weight > 0:
                found.append(observed.Backend(backend["name"], arm, weight))
    return tuple(found)


def _acceptance(route: Object) -> tuple[bool, str | None]:
    """Whether our Gateway takes the route as it stands now; else what it says."""
    parents = route["spec"].get("parentRefs")
    if not parents:
        return False, "somebody took the Gateway out of the route"
    parent = parents[0]
    namespace = parent.get("namespace") or route["metadata"]["namespace"]
    name = f"Gateway {namespace}/{parent['name']}"
    for status in (route.get("status") or {}).get("parents") or ():
        reference = status["parentRef"]
        if (reference["name"], reference.get("namespace") or route["metadata"]["namespace"]) != (
            parent["name"],
            namespace,
        ):
            continue
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        wanted = [conditions.get(kind) for kind in ("Accepted", "ResolvedRefs")]
        for condition in wanted:
            if condition is not None and condition["status"] == "False" and _is_current(condition, route):
                return False, pods.short(
                    f"{name} says {condition['type']}=False ({condition.get('reason')}): {condition.get('message')}"
                )
        if all(
            condition is not None and condition["status"] == "True" and _is_current(condition, route)
            for condition in wanted
        ):
            return True, None
    return False, f"{name} has not accepted the route yet"


def _is_current(condition: Object, route: Object) -> bool:
    return bool(condition.get("observedGeneration", 0) >= route["metadata"].get("generation", 0))
