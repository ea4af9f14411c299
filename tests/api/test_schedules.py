"""What the schema calls a cron line, the parser that runs it can read, and it comes due."""

from datetime import UTC, datetime

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmend.api import schedule

NAMES = [*schedule.DAYS, *schedule.MONTHS]

UNHURRIED = settings(deadline=None)
"""A slow core is no defect."""

number = st.integers(0, 65).map(str)
point = st.one_of(number, st.sampled_from(NAMES))
item = st.one_of(
    st.just("*"),
    point,
    st.builds("{}-{}".format, point, point),
    st.builds(
        "{}/{}".format,
        st.one_of(st.just("*"), point, st.builds("{}-{}".format, point, point)),
        st.integers(0, 40),
    ),
)
field = st.lists(item, min_size=1, max_size=3).map(",".join)
late_days = st.lists(
    st.sampled_from(["30", "31", "30-31", "31-31", "30/1", "31/5"]), min_size=1, max_size=2
).map(",".join)
few_months = st.lists(
    st.sampled_from(
        [
            "2",
            "02",
            "FEB",
            "4",
            "6",
            "11",
            "NOV",
            "2-2",
            "4-4",
            "2-4/2",
            "4-6/2",
            "2/7",
            "2/9",
            "2-3",
            "4-5",
            "9-11/2",
        ]
    ),
    min_size=1,
    max_size=3,
).map(",".join)


@UNHURRIED
@given(st.builds("{} {} {} {} {}".format, field, field, field, field, field))
def test_accepted_line_is_one_that_the_parser_reads(line: str) -> None:
    if schedule.is_cron_line(line) and schedule.rises(line) and schedule.comes_due(line):
        CronSim(line, datetime(2026, 1, 1, tzinfo=UTC))


@UNHURRIED
@given(late_days, few_months, st.sampled_from(["*", "*/2", "1"]))
def test_accepted_line_comes_due(days: str, months: str, weekdays: str) -> None:
    line = f"0 3 {days} {months} {weekdays}"
    if schedule.is_cron_line(line) and schedule.rises(line) and schedule.comes_due(line):
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))


@UNHURRIED
@given(st.builds("{} {} {} {} {}".format, number, number, number, number, number))
def test_plain_line_that_the_parser_reads_is_accepted(line: str) -> None:
    try:
        CronSim(line, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError:
        return
    assert schedule.is_cron_line(line)
    assert schedule.rises(line)
    assert schedule.comes_due(line)


@pytest.mark.parametrize(
    "line",
    [
        "0 3 31 * *",
        "0 3 31 1-12/2 *",
        "0 3 30 2-3 *",
        "0 3 31 2,3 *",
        "0 3 31 2 1",
        "0 3 30 APR *",
        "0 3 28-31 2 *",
    ],
)
def test_line_that_comes_due_now_and_then_is_accepted(line: str) -> None:
    assert schedule.is_cron_line(line)
    assert schedule.comes_due(line)
