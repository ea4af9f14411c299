"""How figures and moments are written, so that a sentence changes only when what it says does.

A status is written again whenever a sentence in it changes; so no sentence holds a running length of time, and
counts that grow with every label are rounded.
"""

from datetime import datetime

from modelmend.api import fields


def moment(instant: datetime) -> str:
    """2026-03-01T06:00:00Z: whole seconds, UTC."""
    return fields.format_instant(instant.replace(microsecond=0))


def count(number: int) -> int:
    """Two significant digits above 100: 1,234 is 1,200."""
    return number if number <= 100 else round(number, 2 - len(str(number)))


def are_close(held: int, found: int) -> bool:
    """Within a tenth."""
    return abs(held - found) * 10 <= held


def figure(value: float) -> float:
    """Four digits behind the point; of a number below 1, four digits."""
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")


def share(value: float | None) -> float | None:
    """Three digits."""
    return None if value is None else round(value, 3)


def progress(number: int, needed: int) -> str:
    """`60 of 200`: in tenths of what is needed, so that it changes ten times on the way."""
    tenth = max(needed // 10, 1)
    return f"{min(max(number, 0) // tenth * tenth, needed):,} of {needed:,}"


def joined(*parts: str | None) -> str:
    """The parts that are there, as one sentence."""
    return "; ".join(part for part in parts if part)


def listed(names: tuple[str, ...]) -> str:
    """`a, b, c`, or `none`."""
    return ", ".join(names) or "none"
