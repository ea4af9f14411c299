"""When the cron line of `retraining.schedule` comes due, in UTC."""

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError


def is_readable(line: str) -> bool:
    """Five fields that name at least one moment."""
    return following(line, datetime(2024, 1, 1, tzinfo=UTC)) is not None


def following(line: str, after: datetime) -> datetime | None:
    """The first moment of the line after `after`; None for a line that is wrong or never comes due."""
    if len(line.split()) != 5:
        return None
    try:
        return next(CronSim(line, after.astimezone(UTC)), None)
    except CronSimError:
        return None
