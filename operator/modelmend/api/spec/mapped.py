"""Which of a server's own counters mean what. Names of series and labels only, never PromQL: nobody's text becomes
part of a query that others' numbers come from."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.rules import Pattern, Rule

SeriesName = Annotated[
    str,
    Field(max_length=128),
    Pattern(
        r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", "must be the name of a series: letters, digits, _ and :, and no PromQL"
    ),
]
LabelName = Annotated[
    str,
    Field(max_length=128),
    Pattern(r"^[a-zA-Z_][a-zA-Z0-9_]*$", "must be the name of a label: letters, digits and _"),
    Rule(
        cel="!self.startsWith('__') && !self.startsWith('modelmend_') && !(self in ['namespace', 'le'])",
        sentence="must be a label of your own: __…, modelmend_…, namespace and le are not",
        holds=lambda name: not name.startswith(("__", "modelmend_")) and name not in ("namespace", "le"),
    ),
]


class MappedRequests(Strict):
    """The counter of requests."""

    name: SeriesName
    """Such as http_requests_total."""
    code: LabelName
    """Its label with the HTTP status, such as 503 or 5xx: what begins with 5 has failed."""


class MappedClasses(Strict):
    """A counter of labelled predictions by predicted and actual class."""

    name: SeriesName
    """Such as outcomes_total."""
    predicted: LabelName
    """Its label with the predicted class."""
    actual: LabelName
    """Its label with the true class."""


class MappedOutcomes(Strict):
    """Labelled predictions: of each request at most one, since those of one request are not independent."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.correct) == has(self.total) && has(self.total) != has(self.byClass)",
            sentence="outcomes are either correct and total, or byClass",
            holds=lambda self: (
                (self.correct is None) == (self.total is None)
                and (self.total is None) != (self.by_class is None)
            ),
        ),
    )

    correct: SeriesName | None = None
    """Counter of labelled predictions that were right."""
    total: SeriesName | None = None
    """Counter of all labelled predictions, right or wrong."""
    by_class: MappedClasses | None = None
    """One counter by predicted and actual class, which Precision, Recall, F1 and BalancedAccuracy need."""
    rollout: LabelName | None = None
    """Label with the MODELMEND_ROLLOUT of the pod that predicted, for servers that take the label of a prediction
    which another pod made. Left out: every pod counts its own predictions only."""


class Metrics(Strict):
    """The counters of a server of your own."""

    requests: MappedRequests
    """Requests by HTTP status: what the guard of errors sees."""
    outcomes: MappedOutcomes
    """Labelled predictions: what signals and the comparison of two versions see."""
    latency: SeriesName | None = None
    """Histogram of request durations in seconds, without _bucket: what the guard of latency sees."""
