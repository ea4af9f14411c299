"""Observed and Plan of every look, as JSON lines, for `modelmend replay`: what was seen decides again, the same."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import orjson
from pydantic import TypeAdapter

from modelmend.decide import observed, plan

LIMIT: Final = 256 * 1024 * 1024
"""Bytes of one file; then the one before is overwritten."""
_PLAN: Final[TypeAdapter[plan.Plan]] = TypeAdapter(plan.Plan)


@dataclass(slots=True)
class Tape:
    """Writes `decisions.jsonl` in a folder."""

    folder: Path
    _file: TextIO | None = field(default=None)

    def write(self, found: observed.Observed, wanted: plan.Plan) -> None:
        """One line."""
        line = orjson.dumps({"observed": observed.dump(found), "plan": dump(wanted)}).decode()
        path = self.folder / "decisions.jsonl"
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a")
        elif self._file.tell() > LIMIT:
            self._file.close()
            path.replace(self.folder / "decisions.1.jsonl")
            self._file = path.open("a")
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def dump(wanted: plan.Plan) -> Any:
    """A Plan as plain JSON types."""
    return _PLAN.dump_python(wanted, mode="json", by_alias=True)
