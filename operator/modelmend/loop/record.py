"""Observed and Plan of every look, as JSON lines, for `modelmend replay`: what was seen decides again, the same.

Nothing depends on it: a disk that is full costs lines, and no decision.
"""

import contextlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import orjson
from pydantic import TypeAdapter

from modelmend.decide import observed, plan

log = logging.getLogger(__name__)

LIMIT: Final = 256 * 1024 * 1024
"""Bytes of one file; then the one before is overwritten."""
_PLAN: Final[TypeAdapter[plan.Plan]] = TypeAdapter(plan.Plan)


@dataclass(slots=True)
class Tape:
    """Writes `decisions.jsonl` in a folder."""

    folder: Path
    _file: TextIO | None = field(default=None)
    _complained: bool = False

    def write(self, found: observed.Observed, wanted: plan.Plan) -> None:
        """One line; none where it cannot be written."""
        try:
            self._write(found, wanted)
        except OSError as error:
            if not self._complained:
                log.warning("decisions are not recorded: %s", error)
            self._complained = True
            self.close()
        else:
            self._complained = False

    def _write(self, found: observed.Observed, wanted: plan.Plan) -> None:
        line = orjson.dumps({"observed": observed.dump(found), "plan": dump(wanted)}).decode()
        path = self.folder / "decisions.jsonl"
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a")
            if not _is_whole(path):
                # What was cut short by a kill, or by a full disk, must not take this line with it.
                self._file.write("\n")
        elif self._file.tell() > LIMIT:
            self._file.close()
            path.replace(self.folder / "decisions.1.jsonl")
            self._file = path.open("a")
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # It flushes, and the disk may still be full.
                file.close()


def _is_whole(path: Path) -> bool:
    """Whether the last line has its end."""
    with path.open("rb") as file:
        return not file.seek(0, os.SEEK_END) or (file.seek(-1, os.SEEK_END) >= 0 and file.read() == b"\n")


def dump(wanted: plan.Plan) -> Any:
    """A Plan as plain JSON types."""
    return _PLAN.dump_python(wanted, mode="json", by_alias=True)
