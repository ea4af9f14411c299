"""Do errors come in bursts? Then votes of single labels are not independent, and block mode should be on.

Called by voting at every poll without block mode, for votes within [0, 1] of any kind: r has no unit. Labels are gathered into groups of at least GROUP, in the order
in which they arrive; with z the standardised number of errors of a group (from the share of all labels before it),

    r = sum z_t z_(t-1) / sum z_t^2

is the correlation of successive groups. Without bursts r sqrt(pairs) is about standard normal (Bartlett 1946),
whatever the number of labels a poll. A warning only: r also rises when the share of errors moves for good.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from modelmend.evidence import counts

GROUP = 50
"""Labels in a group: enough to see a share, few enough to see bursts that last for a few hundred labels."""
KNOWN = 200
"""Labels before the share of errors is known well enough to compare a group with it."""
PAIRS_NEEDED = 30
STRICT = 4.0
"""Standard errors: looked at for ever, a smaller number would be passed by chance."""


@dataclass(frozen=True, slots=True)
class State:
    """pairs: of successive groups. product, square: the sums above. last: z of the last group; None before one.
    seen: labels of all groups. gathered: of the group that is not full yet. JSON-friendly."""

    pairs: int = 0
    product: float = 0.0
    square: float = 0.0
    last: float | None = None
    seen: counts.Tally = field(default_factory=counts.Tally)
    gathered: counts.Tally = field(default_factory=counts.Tally)

    @property
    def correlation(self) -> float | None:
        """r; None while too little is known."""
        return self.product / self.square if self.pairs >= PAIRS_NEEDED else None

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "product": self.product,
            "square": self.square,
            "last": self.last,
            "seen": self.seen.to_json(),
            "gathered": self.gathered.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        last = saved["last"]
        return cls(
            pairs=int(saved["pairs"]),
            product=float(saved["product"]),
            square=float(saved["square"]),
            last=None if last is None else float(last),
            seen=counts.Tally.from_json(saved["seen"]),
            gathered=counts.Tally.from_json(saved["gathered"]),
        )


def step(state: State, new: counts.Tally) -> State:
    """The state after one poll with `new` labels, wrong ones as bad. A poll that fills a group is not cut up."""
    gathered = state.gathered + new
    if gathered.n < GROUP:
        return replace(state, gathered=gathered)
    after = replace(state, seen=state.seen + gathered, gathered=counts.Tally())
    if state.seen.n < KNOWN:
        return after
    # Half an error more on each side, so that a model without errors has a deviation to divide by.
    expected = (state.seen.bad + 0.5) / (state.seen.n + 1)
    z = (gathered.bad - gathered.n * expected) / math.sqrt(gathered.n * expected * (1 - expected))
    if state.last is None:
        return replace(after, last=z)
    return replace(
        after,
        last=z,
        pairs=state.pairs + 1,
        product=state.product + z * state.last,
        square=state.square + z * z,
    )


def warning(state: State) -> str | None:
    """A clause for the status when bursts are seen; None when they are not."""
    correlation = state.correlation
    if correlation is None or correlation * math.sqrt(state.pairs) < STRICT:
        return None
    return (
        f"errors come in bursts (successive groups of {GROUP} labels correlate by {correlation:.2f}): the stated time "
        "between false alarms does not hold, set block to a time longer than a burst"
    )
