"""The offline gate."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelmend.api.fields import Strict
from modelmend.api.rules import Rule
from modelmend.api.spec.numbers import Alpha
from modelmend.contract import slices as named
from modelmend.contract.slices import SLICES_MAX


class Requirement(StrEnum):
    """What the offline gate asks of a retrained candidate."""

    BETTER = "Better"
    NOT_WORSE = "NotWorse"


class InconclusiveSlice(StrEnum):
    """What the gate does with a retrained candidate when a slice has too few rows to tell."""

    ACCEPT = "Accept"
    REJECT = "Reject"


class Slice(Strict):
    """A part of the data on which a candidate must not be worse, however good it is on the whole."""

    column: Annotated[str, Field(min_length=1, max_length=253)]
    """A feature of the model; or, where retraining learns from a dataset, any column of it."""
    value: Annotated[str, Field(min_length=1, max_length=253)]
    """Rows with this value belong to the slice. Written as a text: HA, true, 1."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """How much worse than the champion is tolerated here."""

    @property
    def asked(self) -> named.Slice:
        """As a Job knows it."""
        return named.Slice(column=self.column, value=self.value)


class Evaluation(Strict):
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen. And what is
    right of a model that predicts numbers."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.errorBound) || has(self.tolerance)",
            sentence="errorBound is for models that predict numbers: give tolerance too",
            holds=lambda self: self.error_bound is None or self.tolerance is not None,
            field=".errorBound",
        ),
        Rule(
            cel="!(has(self.errorBound) && has(self.tolerance)) || self.errorBound > self.tolerance",
            sentence="errorBound must be more than tolerance: what is right would count as the largest error",
            holds=lambda self: (
                self.error_bound is None or self.tolerance is None or self.error_bound > self.tolerance
            ),
            field=".errorBound",
        ),
    )

    holdout: Annotated[float, Field(ge=0.05, le=0.5, strict=True)] = 0.2
    """Share of the window, the latest by time, that is held out."""
    require: Requirement = Requirement.BETTER
    """Better than the champion, or not worse by `margin`."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """For NotWorse: how much worse is tolerated."""
    alpha: Alpha = 0.05
    """Probability of a wrong pass."""
    tolerance: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """For a model that predicts numbers, which needs it: how far from the truth a prediction is still right, in the unit
    of the label. Its accuracy is the share that is right; candidate and champion are compared by who is farther from
    the truth, where more than a quarter of this lies between them. Not for a model that predicts classes. A change
    restarts the model's pods one after the other, and its labels are counted anew."""
    error_bound: Annotated[float, Field(gt=0, le=1e15, strict=True)] | None = None
    """Beside tolerance: up to which a single error counts for MAE and RMSE, in the same unit, since nothing can be proven
    of a mean that one row may move as far as it likes; ten tolerances when left out."""
    slices: Annotated[
        tuple[Slice, ...],
        Field(max_length=SLICES_MAX),
        Rule(
            cel="self.all(s, self.exists_one(t, t.column == s.column && t.value == s.value))",
            sentence="slices: each column and value may stand once",
            holds=lambda parts: len({(part.column, part.value) for part in parts}) == len(parts),
        ),
    ] = ()
    """Parts of the holdout on which a candidate is compared too, at alpha divided among them: it is rejected when it
    is proven worse on one by more than its margin."""
    on_inconclusive_slice: InconclusiveSlice = InconclusiveSlice.ACCEPT
    """What becomes of a retrained candidate when a slice has too few rows to tell whether it is worse there. Reject
    asks for proof that it is not, which takes hundreds of rows of each slice."""
