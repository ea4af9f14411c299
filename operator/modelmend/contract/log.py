"""The prediction log: what servers write and trainers read.

    <storage>/log/dt=YYYY-MM-DD/predictions-<process>-<number>.parquet
    <storage>/log/dt=YYYY-MM-DD/labels-<process>-<number>.parquet
    <storage>/log/dt=YYYY-MM-DD/compacted-<digest of the parts>.parquet      predictions joined with labels

One prediction row for each row of each request, one label row for each label that feedback brought; they join
on (prediction_id, row). A label that arrives twice counts once, the first by time.
"""

from typing import Final

PREDICTIONS: Final = "predictions"
LABELS: Final = "labels"
COMPACTED: Final = "compacted"

PREDICTION_ID: Final = "prediction_id"
"""The random part of the signed token (hex), not the token itself: the log can forge no feedback."""
ROW: Final = "row"
TIME: Final = "time"
"""timestamp[us, UTC]: of the prediction in predictions, of the label in labels."""
VERSION: Final = "version"
PREDICTION: Final = "prediction"
"""The answered class, as `class_key`; of a regressor the number, as `number_text`."""
LABEL: Final = "label"
"""The true class, or number, in the same way."""
LABEL_TIME: Final = "label_time"
"""In compacted parts, where TIME is the prediction's: when the label came. Null, like LABEL, without a label."""
FEATURE_PREFIX: Final = "f."
"""Column of a feature: a feature may be called `time`."""


def part_seconds(window: float) -> float:
    """How long a server may hold a row back before it writes a part, in seconds: a sixtieth of what a retraining
    looks back on, between 2 s and a minute. Any window of an hour or more gets the minute."""
    return min(max(window / 60.0, 2.0), 60.0)


def class_key(value: object) -> str:
    """The text by which a class is known in logs, labels and metrics: True is `true`, 1 and 1.0 are `1`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def number_text(value: float) -> str:
    """The shortest text that reads back as this very number."""
    return repr(float(value))
