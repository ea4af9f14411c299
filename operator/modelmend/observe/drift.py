"""Whether a live object still is what was applied.

Every field of the manifest must have its value in the live object; what others added beside (defaults, a
sidecar of an admission webhook, a label of somebody's own) is theirs. Lists that server-side apply merges by a
key are compared by that key, all others whole: a fourth backend in a route is a change of the list.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from modelmend.render import child

Object = Mapping[str, Any]

MERGED_BY: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port", "protocol"),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
QUANTITIES: Final = frozenset({"cpu", "memory", "ephemeral-storage", "sizeLimit", "storage"})
_QUANTITY: Final = re.compile(r"^([0-9.]+)([a-zA-Z]{0,2})$")
_SUFFIXES: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def is_drifted(live: Object) -> bool:
    """Whether somebody changed a field of ours since it was applied, or the memory of how it was applied."""
    rendered = child.rendered(live)
    return rendered is None or not holds(rendered, live)


def holds(manifest: Object, live: Object) -> bool:
    """Whether every field of the manifest has its value in the live object."""
    return _holds(manifest, live, "")


def _holds(wanted: Any, found: Any, field: str) -> bool:
    if isinstance(wanted, Mapping):
        if not wanted:
            return found is None or isinstance(found, Mapping)
        return isinstance(found, Mapping) and all(
            _holds(value, found.get(name), name) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return _holds_list(wanted, found, field)
    if found is None:
        return not wanted  # The API server leaves out what is empty.
    if field in QUANTITIES:
        return bool(_quantity(wanted) == _quantity(found))
    return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)


def _holds_list(wanted: list[Any], found: Any, field: str) -> bool:
    if found is None:
        return not wanted
    if not isinstance(found, list):
        return False
    keys = MERGED_BY.get(field)
    if keys is None:
        return len(wanted) == len(found) and all(
            _holds(item, other, "") for item, other in zip(wanted, found, strict=True)
        )
    by_key = {tuple(item.get(key) for key in keys): item for item in found if isinstance(item, Mapping)}
    return all(_holds(item, by_key.get(tuple(item.get(key) for key in keys)), "") for item in wanted)


def _quantity(text: Any) -> Any:
    """The number that a quantity stands for: `500m` and `0.5` are one."""
    match = _QUANTITY.match(str(text))
    if match is None or match[2] not in _SUFFIXES:
        return text
    return Decimal(match[1]) * _SUFFIXES[match[2]]
