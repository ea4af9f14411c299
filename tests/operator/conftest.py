"""An API server in memory, as much of one as Leases and Events need: names, uids, resourceVersions, conflicts.

A fixture and no module to import: `operator` is a module of the standard library.
"""

import copy
import itertools
from typing import Any

import pytest

from modelmend.act import api, errors

Object = dict[str, Any]


class MemoryApi:
    """`act.api.Api` without a network. `failing` is raised by every call while it is set."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes: list[tuple[str, Object]] = []
        self.failing: Exception | None = None
        self._versions = itertools.count(1)

    async def get(
        self, api_version: str, kind: str, namespace: str, name: str, *, metadata_only: bool = False
    ) -> Object:
        self._fail()
        try:
            return copy.deepcopy(self.objects[kind, namespace, name])
        except KeyError:
            raise errors.Missing(f"{kind} {name} does not exist", status=404) from None

    async def list(
        self, api_version: str, kind: str, namespace: str | None, selector: str | None
    ) -> api.Listing:
        self._fail()
        found = [
            copy.deepcopy(item)
            for (of, where, _), item in self.objects.items()
            if of == kind and namespace in (None, where)
        ]
        return api.Listing(found, str(next(self._versions)))

    async def create(self, manifest: Object) -> Object:
        self._fail()
        place = self._place(manifest)
        if place in self.objects:
            raise errors.Exists(f"{place} exists", status=409)
        made = copy.deepcopy(manifest)
        made["metadata"]["uid"] = f"uid-{next(self._versions)}"
        return self._store("create", made)

    async def apply(self, manifest: Object, *, manager: str = api.MANAGER, status: bool = False) -> Object:
        self._fail()
        present = self.objects.get(self._place(manifest))
        wanted = manifest["metadata"]
        if present is None or present["metadata"]["uid"] != wanted.get("uid"):
            raise errors.Conflict("the uid differs", status=409)
        if wanted.get("resourceVersion", "") not in ("", present["metadata"]["resourceVersion"]):
            raise errors.Conflict("the object has been modified", status=409)
        metadata = copy.deepcopy(present["metadata"])
        for name in ("labels", "annotations"):
            metadata[name] = metadata.get(name, {}) | wanted.get(name, {})
        return self._store("apply", {**present, **manifest, "metadata": metadata})

    def touch(self, manifest: Object, **more: Any) -> Object:
        """Somebody else writes: an object with other parts, and no word of it to anybody."""
        made = copy.deepcopy(self.objects[self._place(manifest)]) | more
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[self._place(made)] = made
        return copy.deepcopy(made)

    async def replace(self, manifest: Object) -> Object:
        self._fail()
        present = self.objects[self._place(manifest)]
        if present["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise errors.Conflict("the object has been modified", status=409)
        return self._store("replace", copy.deepcopy(manifest))

    async def delete(self, target: Object) -> None:
        self._fail()
        if self.objects.pop(self._place(target), None) is None:
            raise errors.Missing("it is gone", status=404)
        self.writes.append(("delete", target))

    def _store(self, verb: str, made: Object) -> Object:
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[self._place(made)] = made
        self.writes.append((verb, copy.deepcopy(made)))
        return copy.deepcopy(made)

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing

    @staticmethod
    def _place(manifest: Object) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        return manifest["kind"], metadata["namespace"], metadata["name"]


@pytest.fixture
def server() -> MemoryApi:
    """An empty one."""
    return MemoryApi()
