"""CPU and memory as Kubernetes writes them, limited to what makes sense for a pod of ours."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from modelmend.api.rules import Rule, quoted, whole

CPU_PATTERN: Final = r"^([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)$"
MEMORY_PATTERN: Final = r"^[0-9]{1,15}(k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""Without `m`: `512m` of memory is half a byte, and nobody means it."""

_BYTES: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def millicores(cpu: str) -> int:
    """`250m`, `0.25` and `1` to thousandths of a core."""
    return int(cpu[:-1]) if cpu.endswith("m") else int(Decimal(cpu) * 1000)


def memory_bytes(memory: str) -> int:
    """`512Mi` to bytes."""
    number, unit = re.fullmatch(r"([0-9]+)([A-Za-z]*)", memory).groups()  # type: ignore[union-attr]
    return int(number) * _BYTES[unit]


def _as_text(value: Any) -> Any:
    """YAML reads `cpu: 1` as a number, and Kubernetes lets that pass for a quantity."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": pattern, "maxLength": 20})


def _at_least(pattern: str, least: str) -> str:
    return (
        f"string(self).matches({quoted(pattern)})"
        f" && quantity(string(self)).compareTo(quantity({quoted(least)})) >= 0"
    )


Cpu = Annotated[
    str,
    BeforeValidator(_as_text),
    _schema(CPU_PATTERN),
    Rule(
        cel=_at_least(CPU_PATTERN, "1m"),
        sentence="must be cores such as 2 or 0.5, or thousandths such as 250m, and more than nothing",
        holds=lambda value: whole(CPU_PATTERN, value) and millicores(value) >= 1,
    ),
]

Memory = Annotated[
    str,
    BeforeValidator(_as_text),
    _schema(MEMORY_PATTERN),
    Rule(
        cel=_at_least(MEMORY_PATTERN, "64Mi"),
        sentence="must be bytes with a unit such as 512Mi or 2Gi, at least 64Mi: less does not hold a Python process",
        holds=lambda value: whole(MEMORY_PATTERN, value) and memory_bytes(value) >= 64 * 2**20,
    ),
]
