"""Names of the environment variables that Modelmend sets on the pods it starts.

The trainer's half is public: any image that reads it and answers with a `result.JobResult` on its
termination message is a trainer.
"""

from typing import Final

# Every pod.
MODEL: Final = "MODELMEND_MODEL"
"""Name of the ModelDeployment; the `{m}` of the inference protocol."""
NAMESPACE: Final = "MODELMEND_NAMESPACE"
VERSION: Final = "MODELMEND_VERSION"
"""Name of the ModelVersion that this pod serves, or that this Job would make."""
TRUSTED_TYPES: Final = "MODELMEND_TRUSTED_TYPES"
"""Comma-separated types that skops may build beyond scikit-learn's and numpy's own. Comes from the operator's
configuration and never from an artifact: a list read from the artifact would be no list at all."""
FEEDBACK_KEY_FILE: Final = "MODELMEND_FEEDBACK_KEY_FILE"
"""File with the key (32 bytes or more) that signs prediction ids of this model."""
LOG_URI: Final = "MODELMEND_LOG_URI"
"""Folder of the prediction log; parts go to `dt=YYYY-MM-DD/` below it. Unset: nothing is logged."""
LOG_PART_SECONDS: Final = "MODELMEND_LOG_PART_SECONDS"
"""How long a server may hold a row of the log back (`log.part_seconds`)."""

# Servers.
ROLLOUT: Final = "MODELMEND_ROLLOUT"
"""Which life of this version: uid prefix + a number that only grows. A version that returns, or a namesake,
is another rollout, so that its counters start from nothing."""
SIDE: Final = "MODELMEND_SIDE"
"""`left` or `right` (`arms.Side`): which ports the shadow and canary arms have. Unset: left, and no other ports."""
URI: Final = "MODELMEND_URI"
PATH_SUFFIX: Final = "_PATH"
"""For images of a user's own: beside each of our variables that ends in `_URI` and names something on a claim stands
one that ends so, with its path in the container (MODELMEND_PATH for MODELMEND_URI)."""
OPAQUE: Final = "MODELMEND_OPAQUE"
"""`true` for `resolve`: the artifact may be any file or folder, for a server that knows what to make of it."""
DIGEST: Final = "MODELMEND_DIGEST"
CHAMPION_VERSION: Final = "MODELMEND_CHAMPION_VERSION"
CHAMPION_ROLLOUT: Final = "MODELMEND_CHAMPION_ROLLOUT"
CHAMPION_URI: Final = "MODELMEND_CHAMPION_URI"
CHAMPION_DIGEST: Final = "MODELMEND_CHAMPION_DIGEST"
"""The four CHAMPION variables are set on a candidate's pods: they load both models."""

# Jobs: `modelmend resolve` and every trainer.
SEQUENCE: Final = "MODELMEND_SEQUENCE"
"""Number of this Job, never used twice; names the staging folder."""
POD_UID: Final = "MODELMEND_POD_UID"
PARENT_URI: Final = "MODELMEND_PARENT_URI"
PARENT_DIGEST: Final = "MODELMEND_PARENT_DIGEST"
OUTPUT_URI: Final = "MODELMEND_OUTPUT_URI"
"""Staging folder of this very pod (`…/staging/<sequence>/<pod uid>`): two pods of one Job never interleave."""
DATA_URI: Final = "MODELMEND_DATA_URI"
"""A Parquet or CSV dataset; unset: the prediction log joined with its labels."""
DATA_LABEL: Final = "MODELMEND_DATA_LABEL"
DATA_TIME: Final = "MODELMEND_DATA_TIME"
DATA_FROM: Final = "MODELMEND_DATA_FROM"
DATA_TO: Final = "MODELMEND_DATA_TO"
"""RFC 3339 instants, the window of rows to learn from: from <= time < to."""
DATA_WINDOW_SECONDS: Final = "MODELMEND_DATA_WINDOW_SECONDS"
"""Of a dataset: rows so far back from its latest one. Nobody but who reads the dataset knows when that was."""
HOLDOUT: Final = "MODELMEND_HOLDOUT"
"""Fraction of the window, the latest by time, that neither fit may see."""
PIPELINE: Final = "MODELMEND_PIPELINE"
"""JSON of `contract.pipelines.Pipeline`, where there is no parent: what a first version is trained with."""
SLICES: Final = "MODELMEND_SLICES"
"""JSON, `[{"column": …, "value": …}]`: parts of the holdout whose paired counts are reported too (`contract.slices`)."""
SEED: Final = "MODELMEND_SEED"
LOG_RETENTION_SECONDS: Final = "MODELMEND_LOG_RETENTION_SECONDS"
UNREFERENCED: Final = "MODELMEND_UNREFERENCED"
"""Comma-separated digests below `…/artifacts/` that the trainer may delete."""
STORAGE_URI: Final = "MODELMEND_STORAGE_URI"
TOLERANCE: Final = "MODELMEND_TOLERANCE"
"""Of a model that predicts numbers, for servers and Jobs: how far from the truth is still right."""
ERROR_BOUND: Final = "MODELMEND_ERROR_BOUND"
"""Beside it: up to which an error counts for MAE and RMSE."""
TERMINATION_LOG: Final = "MODELMEND_TERMINATION_LOG"
"""Where the result goes; /dev/termination-log unless a test says otherwise."""
