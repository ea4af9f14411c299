"""The HTTPRoute, the stable Service and the key as `observed.Front`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from modelmend.api import names, ownership, resources
from modelmend.contract import arms
from modelmend.decide import observed
from modelmend.observe import cluster, drift, pods, servers

Object = Mapping[str, Any]
_ARMS: Final = {port: arm for arm, port in arms.PORTS.items()}


@dataclass(slots=True)
class Fronts:
    """Remembers since when each route's present backends have been accepted."""

    _since: dict[str, tuple[tuple[observed.Backend, ...], datetime]] = field(default_factory=dict)

    def front(
        self, seen: cluster.Cluster, owner: resources.ModelDeployment, key: bool, now: datetime
    ) -> observed.Front:
        """How requests come in. `key`: whether the Secret is known to exist."""
        place = owner.key
        route = _ours(seen.live(cluster.ROUTE.name, *place), owner)
        service = _ours(seen.live(cluster.SERVICE.name, *place), owner)
        points_to = (
            None if service is None else (service["spec"].get("selector") or {}).get(names.VERSION_LABEL)
        )
        drifted = (route is not None and bool(seen.derive(cluster.ROUTE, place, drift.is_drifted))) or (
            service is not None and bool(seen.derive(cluster.SERVICE, place, drift.is_drifted))
        )
        if route is None:
            self._since.pop(owner.metadata.uid, None)
            return observed.Front(key=key, service=points_to, drifted=drifted)
        backends = _backends(route)
        accepted, message = _acceptance(route)
        return observed.Front(
            key=key,
            service=points_to,
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
