"""The offline gate."""

from enum import StrEnum
from typing import Annotated

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
    """The gate before any traffic: champion and candidate on the same later rows, which neither has seen."""

    holdout: Annotated[float, Field(ge=0.05, le=0.5, strict=True)] = 0.2
    """Share of the window, the latest by time, that is held out."""
    require: Requirement = Requirement.BETTER
    """Better than the champion, or not worse by `margin`."""
    margin: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.01
    """For NotWorse: how much worse is tolerated."""
    alpha: Alpha = 0.05
    """Probability of a wrong pass."""
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
