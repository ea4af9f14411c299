"""A real data set for models that predict numbers: 442 patients, ten measurements each, and how far their diabetes had
progressed a year later (Efron, Hastie, Johnstone, Tibshirani 2004; it comes with scikit-learn).

Its rows have no time of their own, so they get one here, one every ten minutes, over and over. From `turn` on the
scale by which progression is judged is another one: whoever learnt before is wrong by that much.
"""

from datetime import timedelta

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from runtime import worlds

FEATURES = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
LABEL = "progression"
TOLERANCE = 60.0
SHIFT = 80.0


def patients(rows: int = 442, turn: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Rows with the features, `progression` and `time`; from row `turn` on the truth is SHIFT higher."""
    found = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": LABEL})
    order = np.random.default_rng(seed).permutation(len(found))
    frame = found.iloc[np.resize(order, rows)].reset_index(drop=True)
    frame[FEATURES] = frame[FEATURES].astype(float)
    frame[LABEL] = frame[LABEL] + np.where(np.arange(rows) >= (rows if turn is None else turn), SHIFT, 0.0)
    frame["time"] = [worlds.START + timedelta(minutes=10 * row) for row in range(rows)]
    return frame


def linear():
    return make_pipeline(StandardScaler(), Ridge())


def boosting():
    return HistGradientBoostingRegressor(max_iter=20, random_state=0)
