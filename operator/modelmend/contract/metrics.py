"""Names of the series that model pods export, and the words in their labels.

Only counters: sums merge over pods and windows, finished scores do not. `namespace` is missing on purpose:
it comes from the scrape target, since a pod that names its own namespace could forge its neighbour's accuracy.
"""

from enum import StrEnum
from typing import Final

# Labels of every series.
MODEL: Final = "model"
VERSION: Final = "version"
"""The version that predicted: feedback may reach any replica, so this is not always the counting pod's own."""
ROLLOUT: Final = "rollout"
ARM: Final = "arm"
PROCESS: Final = "process"
"""A boot id. A restarted pod is another process, so a counter never falls."""

CLASSES_MAX: Final = 50
"""Classes with a label of their own; a classifier with a thousand must not become a million series."""

# Labels of some.
RESULT: Final = "result"
CODE: Final = "code"
CLASS: Final = "class"
FEATURE: Final = "feature"
BIN: Final = "bin"
PREDICTED: Final = "predicted"
ACTUAL: Final = "actual"
DIGEST: Final = "digest"
FIGURE: Final = "figure"
"""On REFERENCE_BLOCK: `rows`, `others`, `mean` or `deviation` (`evidence.psi.Blocks`). On SCORED_EVIDENCE: `Scored`."""
PART: Final = "part"
"""On LOG_ROWS and LOG_DROPPED: `predictions` or `labels` (`contract.log`)."""

SCORE_FEATURE: Final = "__score__"
CLASS_FEATURE: Final = "__class__"
"""Values of `feature` under which the prediction's score and class are binned beside the inputs."""

REQUESTS: Final = "modelmend_requests_total"
REQUEST_DURATION: Final = "modelmend_request_duration_seconds"
PREDICTIONS: Final = "modelmend_predictions_total"
FEATURE_BINS: Final = "modelmend_feature_bins_total"
REFERENCE_BIN_FRACTION: Final = "modelmend_reference_bin_fraction"
REFERENCE_ROWS: Final = "modelmend_reference_rows"
"""By feature: the score and the class were counted on other rows than the inputs."""
REFERENCE_BLOCK: Final = "modelmend_reference_block"
"""How far contiguous blocks of the reference lie from its rest, by feature and figure; where that was measured."""
OUTCOMES: Final = "modelmend_outcomes_total"
"""Every labelled row, for people."""
EVIDENCE: Final = "modelmend_evidence_total"
"""One labelled row a request, for the detector: rows of one request are correlated. By RESULT, PREDICTED and ACTUAL;
older servers gave RESULT alone."""
PAIRED_OUTCOMES: Final = "modelmend_paired_outcomes_total"
"""One labelled row a request answered on the shadow or canary arm; version and rollout are the candidate's."""
ERRORS: Final = "modelmend_errors_total"
"""Of a regressor, beside EVIDENCE and for its rows: by RESULT, the rows, and the sums of their errors up to the bound
in millionths of it (`Errors`)."""
ABSOLUTE_ERROR: Final = "modelmend_absolute_error"
"""Of a regressor: a histogram of every labelled row, for people; sum by count is the mean absolute error."""
SQUARED_ERROR: Final = "modelmend_squared_error_total"
"""Of the same rows: the root of sum by count is the RMSE."""
SCORED: Final = "modelmend_scored_rows_total"
"""Predicted rows whose scores are numbers."""
EXPECTED_CORRECT: Final = "modelmend_expected_correct_total"
"""Sum over those rows of the largest probability: how many would be right if the scores were calibrated."""
SCORED_EVIDENCE: Final = "modelmend_scored_evidence_total"
"""What SCORED and EXPECTED_CORRECT are for predictions, for labels: one labelled row a request, by FIGURE `rows`,
`right` and `expected`. Of the same rows, so that neither late nor missing labels set two different times side by side."""
FEEDBACK: Final = "modelmend_feedback_total"
LABEL_DELAY: Final = "modelmend_label_delay_seconds"
LOG_ROWS: Final = "modelmend_log_rows_total"
LOG_DROPPED: Final = "modelmend_log_dropped_total"
LOG_FAILURES: Final = "modelmend_log_write_failures_total"
"""Attempts to write a part that failed; the part is kept and tried again until the buffer is full."""
MODEL_INFO: Final = "modelmend_model_info"

LATENCY_BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds. The same on every server, so that a changed latency guard needs no restart: the guard is judged at
the first bound that is not below it (`bucket_for`)."""
DELAY_BUCKETS: Final = (
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0, 172800.0, 604800.0, 2592000.0,
)  # fmt: skip


ERROR_BUCKETS: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bounds of ABSOLUTE_ERROR, in tolerances: at 1 stands the share that is right."""
MILLION: Final = 1_000_000


def bucket_for(seconds: float) -> float:
    """The bucket bound at which a latency limit is judged; the largest one for limits beyond the grid."""
    return next((bound for bound in LATENCY_BUCKETS if bound >= seconds), LATENCY_BUCKETS[-1])


class Evidence(StrEnum):
    """Values of `result` on EVIDENCE."""

    RIGHT = "right"
    WRONG = "wrong"


class Errors(StrEnum):
    """Values of `result` on ERRORS; no result of another family has these names."""

    ROWS = "rows"
    CLIPPED = "clipped"
    """Millionths of the bound: min(|error|, bound) / bound, summed."""
    CLIPPED_SQUARED = "clipped_squared"
    """The squares of that, summed."""


class Paired(StrEnum):
    """Values of `result` on PAIRED_OUTCOMES. Of a regressor "only wrong" means farther from the truth, and both are
    what the candidate is where neither is (`evidence.regression.farther`)."""

    BOTH_RIGHT = "both_right"
    CANDIDATE_ONLY_WRONG = "candidate_only_wrong"
    CHAMPION_ONLY_WRONG = "champion_only_wrong"
    BOTH_WRONG = "both_wrong"


class Scored(StrEnum):
    """Values of `figure` on SCORED_EVIDENCE."""

    ROWS = "rows"
    RIGHT = "right"
    EXPECTED = "expected"


class Feedback(StrEnum):
    """Values of `result` on FEEDBACK, and the per-item answers of the feedback endpoint."""

    MATCHED = "matched"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
