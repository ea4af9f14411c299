"""Field types that more than one resource uses, and the base of every model.

Every type refuses in Python what the API server refuses: numbers are not read from text, texts are matched to
their very end.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from modelmend.api.rules import LIST_KEYS, LIST_TYPE, VALIDATIONS, Pattern, Rule, quoted, whole

# ---------------------------------------------------------------------------------------------------- durations
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
DURATION_PATTERN: Final = r"^([0-9]{1,5}h|[0-9]{1,7}(m|s|ms)){1,4}$"
"""The units of Gateway API's durations. Whole numbers, so that nothing is lost between text and value; no days,
which Go and CEL do not know; few enough digits that no sum overflows."""
_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h)")
_SPELLING: Final = (
    "a duration is whole numbers with units (h, m, s, ms), such as 30s or 1h30m; days are hours: 24h"
)


def parse_duration(value: Any) -> timedelta:
    """`1h30m`, `250ms`, `720h` to a timedelta.

    Raises ValueError with the units that exist, for anything else.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not whole(DURATION_PATTERN, value):
        raise ValueError(f"{value!r} is no duration: {_SPELLING}")
    return timedelta(milliseconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(value)))


def format_duration(value: timedelta) -> str:
    """The shortest exact spelling: 5400 s is `1h30m`. Whole milliseconds; nothing finer is ever needed."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def cel_durations(comparison: str, *texts: str) -> str:
    """CEL that compares durations where there are any.

    A text that is none has a rule of its own to say so. A field may be missing when the API server tries a
    default, which it does before it fills in the defaults inside.
    """
    there = [f"has({text})" for text in texts if "." in text]
    spelt = [f"{text}.matches({quoted(DURATION_PATTERN)})" for text in texts]
    return f"!({' && '.join(there + spelt)}) || {comparison}"


def between(shortest: str, longest: str | None = None) -> Rule:
    """Bounds for a Duration."""
    least, most = parse_duration(shortest), None if longest is None else parse_duration(longest)
    cel = f"duration(self) >= duration({quoted(shortest)})"
    sentence = f"must be at least {shortest}"
    if longest is not None:
        cel = f"({cel} && duration(self) <= duration({quoted(longest)}))"
        sentence += f" and at most {longest}"
    return Rule(
        cel=cel_durations(cel, "self"),
        sentence=sentence,
        holds=lambda value: least <= value and (most is None or value <= most),
    )


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": DURATION_PATTERN,
            "maxLength": 36,
            VALIDATIONS: [Rule(f"self.matches({quoted(DURATION_PATTERN)})", _SPELLING).to_object()],
        }
    ),
]
"""A duration as Kubernetes' Gateway API writes it; a timedelta inside."""


# ---------------------------------------------------------------------------------------------------- instants
def _parse_instant(value: Any) -> Any:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it; microseconds only where there are any."""
    text = value.astimezone(UTC).isoformat(timespec="microseconds" if value.microsecond else "seconds")
    return text.replace("+00:00", "Z")


Instant = Annotated[
    datetime,
    BeforeValidator(_parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment in UTC."""


# ------------------------------------------------------------------------------------------------------- texts
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
VersionName = Annotated[str, Field(min_length=1, max_length=63)]

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

DnsName = Annotated[
    str,
    Field(max_length=63),
    Pattern(
        f"^{_LABEL}$",
        "must be lower-case letters, digits and dashes, and begin and end with a letter or digit",
    ),
]
"""A DNS label, as namespaces and signals are named."""

ObjectName = Annotated[
    str,
    Field(max_length=253),
    Pattern(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "must be the name of an object: lower-case letters, digits, dashes and dots",
    ),
]
"""A DNS subdomain, as Secrets and Gateways are named."""

Hostname = Annotated[
    str,
    Field(max_length=253),
    Pattern(
        rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$",
        "must be a host name such as flights.example.com, or a wildcard such as *.example.com; no port, no path",
    ),
    Rule(
        cel="!self.matches('^[0-9.]+$')",
        sentence="must be a host name: a route does not match IP addresses",
        holds=lambda name: not whole("^[0-9.]+$", name),
    ),
]


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """What the API server makes sure of by itself: the list is a set."""
    if len(set(names)) < len(names):
        raise ValueError("each may stand once")
    return names


# ------------------------------------------------------------------------------------------------------- bases
MAP_BY_NAME: Final[dict[str, Any]] = {LIST_TYPE: "map", LIST_KEYS: ["name"]}
MAP_BY_TYPE: Final[dict[str, Any]] = {LIST_TYPE: "map", LIST_KEYS: ["type"]}
SET: Final[dict[str, Any]] = {LIST_TYPE: "set"}
"""For `json_schema_extra` of a list field: how server-side apply merges it. Every other list is atomic."""


class _Shape(BaseModel):
    """Base of every model: camelCase outside, frozen, with rules that hold once it exists."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, use_attribute_docstrings=True
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        broken = [rule.sentence for rule in self.RULES if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    def to_object(self) -> dict[str, Any]:
        """Plain JSON types in camelCase, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Strict(_Shape):
    """Base of everything a person writes: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Lenient(_Shape):
    """Base of everything Modelmend writes: a field from a newer operator is kept out of the way, not an error."""

    model_config = ConfigDict(extra="ignore")
