"""Durations on the command line: Kubernetes' units, and days. Nobody thinks of a label's delay in hours."""

import re
from datetime import timedelta

from modelmend.api import fields


def parse(option: str, text: str) -> timedelta:
    """30m, 12h, 7d or 1d12h. Raises ValueError, one sentence that names the option."""
    days = re.match(r"([0-9]{1,5})d", text)
    rest = text[days.end() :] if days else text
    try:
        found = timedelta(days=int(days[1]) if days else 0)
        return found + fields.parse_duration(rest) if rest else found
    except ValueError:
        raise ValueError(
            f"{option} {text!r} is no duration: write whole numbers with units (d, h, m, s), such as 1d or 1h30m"
        ) from None
