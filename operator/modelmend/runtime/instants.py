"""Instants of rows: always UTC, always microseconds, always there. Called wherever rows have times."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.runtime.errors import DataError


def column(values: Any, name: str) -> npt.NDArray[np.datetime64]:
    """n instants as datetime64[us] in UTC; times without a zone are taken to be UTC.

    Raises DataError for numbers, for text that is no timestamp, and for missing ones.
    """
    series = pd.Series(values) if not isinstance(values, pd.Series) else values
    if pd.api.types.is_numeric_dtype(series):
        raise DataError(
            f"time column {name!r} holds numbers: write timestamps (RFC 3339 text or a timestamp type)"
        )
    try:
        instants = pd.to_datetime(series, utc=True)
    except (ValueError, TypeError):
        raise DataError(
            f"time column {name!r} holds values that are no timestamps: write RFC 3339, e.g. 2025-01-31T08:00:00Z"
        ) from None
    gaps = int(instants.isna().sum())
    if gaps:
        raise DataError(f"time column {name!r} is missing in {gaps:,} rows: give every row its time")
    return np.asarray(instants.dt.tz_localize(None).to_numpy(), dtype="datetime64[us]")


def moment(instant: datetime) -> np.datetime64:
    """One instant in the form of `column`."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return np.datetime64(aware.astimezone(UTC).replace(tzinfo=None), "us")


def instant(found: np.datetime64) -> datetime:
    """The other way round."""
    moment_in_utc: datetime = found.astype("datetime64[us]").item()
    return moment_in_utc.replace(tzinfo=UTC)
