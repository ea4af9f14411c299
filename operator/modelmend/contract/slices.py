"""Parts of the data that somebody named: `column = value`. What a Job is asked to count apart, and under which name.

The whole list goes to the Job in one environment variable (`environment.SLICES`), and its counts come back on the
termination message. That has 4,096 bytes for everything, so there are at most `SLICES_MAX` slices, and a long one is known
by a hash of what it says.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SLICES_MAX: Final = 8
NAME_BYTES: Final = 60
"""Bytes that a slice's name may take in JSON, without its quotes."""

Text = Annotated[str, Field(min_length=1, max_length=253)]


class Slice(BaseModel):
    """The rows whose column has this value, written as a class is (`log.class_key`): 1.0 is `1`, True is `true`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    column: Text
    value: Text

    @property
    def name(self) -> str:
        """How a result calls it: `carrier = HA`, or a hash where that is long."""
        said = f"{self.column} = {self.value}"
        if len(json.dumps(said, ensure_ascii=False).encode()) - 2 <= NAME_BYTES:
            return said
        return "slice " + hashlib.sha256(said.encode()).hexdigest()[:16]


_ADAPTER: Final[TypeAdapter[tuple[Slice, ...]]] = TypeAdapter(
    Annotated[tuple[Slice, ...], Field(max_length=SLICES_MAX)]
)


def encode(slices: Iterable[Slice]) -> str | None:
    """The value of `environment.SLICES`; None, which leaves it unset, where nothing is counted apart."""
    listed = [{"column": part.column, "value": part.value} for part in slices]
    return json.dumps(listed) if listed else None


def decode(text: str) -> tuple[Slice, ...]:
    """What `encode` wrote. Raises ValueError for anything else."""
    return _ADAPTER.validate_json(text)
