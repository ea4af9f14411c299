"""Cron lines: five fields in UTC, as Kubernetes' CronJob reads them.

What is refused here would raise in the parser later, when nobody is looking: a number out of range, a range that
falls, a day that no named month has. Names of days and months may be written in either case.
"""

import re
from typing import Annotated, Final

from pydantic import Field

from modelmend.api.rules import Rule, quoted, whole

DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ORDER: Final = " ".join(DAYS + MONTHS)
"""A name that stands further right is later: how a range of names is seen to fall."""


def _list_of(item: str) -> str:
    return f"{item}(,{item})*"


def _field(number: str, names: tuple[str, ...] = ()) -> str:
    """One field: a list of `*`, numbers, names and rising ranges, each with an optional step."""
    single, ranges = f"({number})", f"({number})-({number})"
    if names:
        name = "|".join(names)
        single, ranges = f"({number}|{name})", f"({ranges}|({name})-({name}))"
    return _list_of(rf"(\*|{single}|{ranges})(/[1-9][0-9]?)?")


SCHEDULE_PATTERN: Final = (
    "^"
    + " +".join(
        (
            _field("[0-5]?[0-9]"),
            _field("[01]?[0-9]|2[0-3]"),
            _field("0?[1-9]|[12][0-9]|3[01]"),
            _field("0?[1-9]|1[0-2]", MONTHS),
            _field("0?[0-7]", DAYS),
        )
    )
    + "$"
)
"""For a line in capitals."""

_SHORT: Final = (("0?2", "FEB"), ("0?4", "APR"), ("0?6", "JUN"), ("0?9", "SEP"), ("11", "NOV"))
"""Months without a 31st; the first one has no 30th either."""


def _lost(months: tuple[tuple[str, str], ...]) -> str:
    """Items of the month field that may well hold none but these months.

    A range without a step that goes on to the next month holds a long one. With a step it may not, so it is lost
    when it begins with a short one, which costs a few lines that nobody writes.
    """
    names = [name for spellings in months for name in spellings]
    begins = "|".join(names)
    alone = "|".join(f"{name}(-{name})?" for name in names)
    return f"({alone}|({begins})(-[0-9A-Z]+)?/[0-9]+)"


NEVER_PATTERN: Final = (
    "^[^ ]+ +[^ ]+ +("
    + _list_of("3[01][-/0-9]*") + " +" + _list_of(_lost(_SHORT[:1])) + "|"
    + _list_of("31[-/0-9]*") + " +" + _list_of(_lost(_SHORT))
    + r") +\*[^ ]*$"
)  # fmt: skip
"""The 30th of February, the 31st of June. With a weekday beside it such a line does come due."""


def is_cron_line(line: str) -> bool:
    """Five fields, each in its range."""
    return line.isascii() and whole(SCHEDULE_PATTERN, line.upper())


def rises(line: str) -> bool:
    """Every range begins before it ends; true of what is no cron line at all."""
    for first, last in re.findall(r"([0-9]+|[A-Z]{3})-([0-9]+|[A-Z]{3})", line.upper()):
        if first.isdecimal() and last.isdecimal():
            if int(first) > int(last):
                return False
        elif _ORDER.find(first) > _ORDER.find(last):
            return False
    return True


def comes_due(line: str) -> bool:
    """There is a month with such a day."""
    return not whole(NEVER_PATTERN, line.upper())


_LINE: Final = "self.upperAscii()"
_CEL_IS_CRON: Final = f"{_LINE}.matches({quoted(SCHEDULE_PATTERN)})"
_CEL_RISES: Final = (
    f"{_LINE}.findAll('[0-9]+-[0-9]+').all(r, int(r.split('-')[0]) <= int(r.split('-')[1])) && "
    f"{_LINE}.findAll('[A-Z]+-[A-Z]+').all(r, "
    f"{quoted(_ORDER)}.indexOf(r.split('-')[0]) <= {quoted(_ORDER)}.indexOf(r.split('-')[1]))"
)

Schedule = Annotated[
    str,
    Field(max_length=100),
    # No `pattern` in the schema: the API server would print all of it at the person who mistyped a digit.
    Rule(
        cel=_CEL_IS_CRON,
        sentence="must be a cron line of five fields in UTC (minute 0-59, hour 0-23, day 1-31, month 1-12, "
        "weekday 0-7), such as '0 3 * * 0' for Sundays at three",
        holds=is_cron_line,
    ),
    Rule(
        cel=f"!{_CEL_IS_CRON} || ({_CEL_RISES})",
        sentence="must not have a range that falls: write it as two, such as 22-23,0-5",
        holds=lambda line: not is_cron_line(line) or rises(line),
    ),
    Rule(
        cel=f"!{_LINE}.matches({quoted(NEVER_PATTERN)})",
        sentence="must come due: name a month that has such a day",
        holds=comes_due,
    ),
]
