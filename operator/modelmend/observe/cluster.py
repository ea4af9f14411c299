"""What the API server said last.

Two sources, neither enough alone: watch events are quick, but an object that is deleted while a watch is down
(410, then a new list) never gets an event; a LIST every few minutes finds it missing. Answers to our own writes
are a third, so that a decision never acts on what it has just changed itself.

    put(older resourceVersion)      ignored: a list or an event that was overtaken
    put(deleted uid, older word)    ignored: a list that was read before the deletion
    put(deleted uid, newer word)    it is back: to a watch, a label that is taken away looks like a deletion
    drop(other uid)                 ignored: the namesake that came after lives on

Objects are kept as compressed JSON, a tenth of what they take as dicts (a Deployment: 2 of 23 KB), and read when they
are asked for (40 us); what is derived from one (parsed, drifted) is kept beside it until it changes.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import orjson

from modelmend.api import names, resources
from modelmend.observe import answers

Object = dict[str, Any]
Key = answers.Key

TOMBSTONES: Final = 20_000
MANAGED: Final = f"{names.MANAGED_BY}={names.MANAGER}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is watched, and the label selector that the API server applies to it."""

    api_version: str
    name: str
    selector: str | None = None

    def __str__(self) -> str:
        return self.name


DEPLOYMENT: Final = Kind("apps/v1", "Deployment", MANAGED)
SERVICE: Final = Kind("v1", "Service", MANAGED)
ROUTE: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", MANAGED)
JOB: Final = Kind("batch/v1", "Job", MANAGED)
POD: Final = Kind("v1", "Pod", MANAGED)
VERSION: Final = Kind(resources.API_VERSION, resources.ModelVersion.KIND)
MODEL: Final = Kind(resources.API_VERSION, resources.ModelDeployment.KIND)
# The intent comes last: whoever sees it sees its children too.
WATCHED: Final = (DEPLOYMENT, SERVICE, ROUTE, JOB, POD, VERSION, MODEL)


class Listing(Protocol):
    """An answer to LIST."""

    @property
    def items(self) -> list[Object]:
        """All objects."""

    @property
    def resource_version(self) -> str:
        """When they were read."""


T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    """One object, and what was derived from it until it changes."""

    packed: bytes
    uid: str
    resource_version: str
    key: Key | None
    derived: dict[Callable[[Object], Any], Any] = field(default_factory=dict)
    observed_template: int | None = None
    """Fingerprint of the pod template that the Deployment controller has last acted on."""

    @property
    def live(self) -> Object:
        """The object; a new dict each time."""
        found: Object = orjson.loads(zlib.decompress(self.packed))
        return found


@dataclass(slots=True)
class Cluster:
    """The registry. All methods are synchronous and run in the event loop."""

    _objects: dict[str, dict[Key, _Entry]] = field(
        default_factory=lambda: {kind.name: {} for kind in WATCHED}
    )
    _children: dict[Key, dict[tuple[str, str], None]] = field(default_factory=dict)
    _gone: OrderedDict[str, int | None] = field(default_factory=OrderedDict)
    """uid -> resource version at which it was gone; None: for good."""

    def put(self, live: Object) -> Key | None:
        """Take an object as it is now. Returns the key that it concerns when this was news; where its label has
        changed, the key that it concerned before."""
        kind, metadata = live["kind"], live["metadata"]
        entries = self._objects.get(kind)
        if entries is None or self._is_gone(metadata):
            return None
        place = metadata["namespace"], metadata["name"]
        known = entries.get(place)
        if known is not None and not _is_newer(metadata, known):
            return None
        entry = _Entry(_packed(live), metadata["uid"], metadata["resourceVersion"], _key_of(live))
        if kind == DEPLOYMENT.name:
            entry.observed_template = _observed_template(live, known)
        if known is not None:
            self._unlink(kind, place, known)
        entries[place] = entry
        if entry.key is not None and kind != MODEL.name:
            self._children.setdefault(entry.key, {})[kind, place[1]] = None
        return entry.key if known is None or known.key is None else known.key

    def drop(self, live: Object, *, for_good: bool = False) -> Key | None:
        """An object is gone, or its label is. `for_good`: we deleted it, and whatever is said of it later is late.

        Returns the key that it concerns when this was news.
        """
        metadata = live["metadata"]
        place = metadata["namespace"], metadata["name"]
        at = None if for_good else _number(metadata["resourceVersion"])
        return self._drop(live["kind"], place, metadata["uid"], at)

    def resync(self, kind: Kind, listing: Listing, namespace: str | None = None) -> set[Key]:
        """Take a whole LIST (of one namespace, or of all). Returns the keys for which it was news."""
        found = {item["metadata"]["uid"] for item in listing.items}
        changed = {key for item in listing.items if (key := self.put(item)) is not None}
        read_at = _number(listing.resource_version)
        for place, entry in list(self._objects[kind.name].items()):
            if namespace not in (None, place[0]) or entry.uid in found:
                continue
            if read_at is not None and (_number(entry.resource_version) or 0) > read_at:
                continue  # It came after the list was read.
            if (key := self._drop(kind.name, place, entry.uid, read_at)) is not None:
                changed.add(key)
        return changed

    def live(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of that name."""
        entry = self._objects[kind].get((namespace, name))
        return None if entry is None else entry.live

    def derive(self, kind: Kind, place: Key, compute: Callable[[Object], T]) -> T | None:
        """What follows from an object, computed once until it changes; None when there is no such object."""
        entry = self._objects[kind.name].get(place)
        if entry is None:
            return None
        if compute not in entry.derived:
            entry.derived[compute] = compute(entry.live)
        found: T = entry.derived[compute]
        return found

    def keys(self) -> list[Key]:
        """All ModelDeployments."""
        return list(self._objects[MODEL.name])

    def model(self, key: Key) -> resources.ModelDeployment | None:
        """The ModelDeployment. Raises pydantic.ValidationError when it cannot be read."""
        return self.derive(MODEL, key, resources.ModelDeployment.parse)

    def versions(self, owner: resources.ModelDeployment) -> tuple[resources.ModelVersion, ...]:
        """Its ModelVersions, by number."""
        found = []
        for name in self._names(owner.key, VERSION):
            version = self.derive(VERSION, (owner.key[0], name), resources.ModelVersion.parse)
            if version is not None and any(
                reference.controller and reference.uid == owner.metadata.uid
                for reference in version.metadata.owner_references
            ):
                found.append(version)
        return tuple(sorted(found, key=lambda version: version.spec.number))

    def children(self, key: Key, kind: Kind) -> list[Object]:
        """All objects of a kind whose labels say that they belong to this ModelDeployment, by name."""
        return [self._objects[kind.name][key[0], name].live for name in sorted(self._names(key, kind))]

    def template_is_observed(self, place: Key) -> bool:
        """Whether the Deployment controller has acted on the pod template that stands in this Deployment."""
        entry = self._objects[DEPLOYMENT.name].get(place)
        return entry is not None and entry.observed_template == self.derive(DEPLOYMENT, place, _fingerprint)

    def count(self) -> dict[str, int]:
        """Objects held, by kind."""
        return {kind: len(entries) for kind, entries in self._objects.items()}

    def _names(self, key: Key, kind: Kind) -> Iterator[str]:
        return (name for found, name in self._children.get(key, {}) if found == kind.name)

    def _is_gone(self, metadata: Object) -> bool:
        if metadata["uid"] not in self._gone:
            return False
        gone_at, said_at = self._gone[metadata["uid"]], _number(metadata["resourceVersion"])
        if gone_at is None or said_at is None or said_at <= gone_at:
            return True
        del self._gone[metadata["uid"]]
        return False

    def _drop(self, kind: str, place: Key, uid: str, at: int | None) -> Key | None:
        if self._gone.get(uid, 0) is not None:
            self._gone[uid] = at
        while len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)
        entries = self._objects.get(kind, {})
        known = entries.get(place)
        if known is None or known.uid != uid:
            return None
        del entries[place]
        self._unlink(kind, place, known)
        return known.key

    def _unlink(self, kind: str, place: Key, entry: _Entry) -> None:
        if entry.key is None or (linked := self._children.get(entry.key)) is None:
            return
        linked.pop((kind, place[1]), None)
        if not linked:
            del self._children[entry.key]


def _key_of(live: Object) -> Key | None:
    metadata = live["metadata"]
    if live["kind"] == MODEL.name:
        return metadata["namespace"], metadata["name"]
    instance = (metadata.get("labels") or {}).get(names.INSTANCE)
    return None if instance is None else (metadata["namespace"], instance)


def _is_newer(metadata: Object, known: _Entry) -> bool:
    """Also of a namesake: the one that was made later is the one that lives."""
    new, old = _number(metadata["resourceVersion"]), _number(known.resource_version)
    if new is None or old is None:
        return bool(metadata["resourceVersion"] != known.resource_version)
    return new > old


def _number(resource_version: str) -> int | None:
    """Resource versions of one kind compare as numbers (KEP-5504)."""
    return int(resource_version) if resource_version.isdigit() else None


def _packed(live: Object) -> bytes:
    """Without what nobody reads."""
    metadata = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    trimmed = {**live, "metadata": metadata}
    if live["kind"] == POD.name:
        trimmed.pop("spec", None)
    return zlib.compress(orjson.dumps(trimmed), 1)


def _observed_template(live: Object, before: _Entry | None) -> int | None:
    status = live.get("status") or {}
    if status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0):
        return _fingerprint(live)
    if before is not None and before.uid == live["metadata"]["uid"]:
        return before.observed_template
    return None


def _fingerprint(live: Object) -> int:
    return zlib.crc32(orjson.dumps(live["spec"]["template"], option=orjson.OPT_SORT_KEYS))
