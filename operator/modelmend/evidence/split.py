"""Is the candidate worse than the champion on traffic that was divided between them?

Called by guards (errors, slow requests). Each request went to one of the two at random, so nothing is paired; but
of the bad outcomes of a poll, the candidate's part should be its part of the requests. For each psi, summed over polls
with x bad outcomes of the candidate, e of both, and w the candidate's share of the outcomes:

    log E_psi = sum [ x ln psi - e ln(1 + w (psi - 1)) ];     E = mean_psi E_psi

H0: the candidate is not worse. Given the totals of both arms, x is then at most hypergeometric, whose exponential
moments are below the binomial's (Hoeffding 1963), so E is an e-process at any rate of errors, also at one that
swings for both at once. Fire when E >= 1/alpha, at any poll. The condition is random routing per request:
clients that keep a connection to one arm bring their own errors to that arm.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from modelmend.evidence import counts, evalue

RATIOS = (1.1, 1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class State:
    """ln E_psi, one per ratio; JSON-friendly. One per rollout, never reset between its steps."""

    logs: tuple[float, ...] = (0.0,) * len(RATIOS)

    @property
    def log_e(self) -> float:
        """ln of the e-value against "the candidate is not worse"."""
        return evalue.log_mean(self.logs)

    def to_json(self) -> dict[str, Any]:
        return {"logs": list(self.logs)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; ValueError when it was saved with another number of ratios."""
        logs = tuple(float(log) for log in saved["logs"])
        if len(logs) != len(RATIOS):
            raise ValueError(
                f"the comparison has {len(RATIOS)} ratios and {len(logs)} were saved; start it afresh"
            )
        return cls(logs)


def step(state: State, candidate: counts.Tally, champion: counts.Tally) -> State:
    """The state after one poll's new outcomes of both arms. An arm without outcomes proves nothing either way."""
    if not (candidate.n and champion.n):
        return state
    weight = candidate.n / (candidate.n + champion.n)
    bad = candidate.bad + champion.bad
    return State(
        tuple(
            log + candidate.bad * math.log(ratio) - bad * math.log1p(weight * (ratio - 1))
            for log, ratio in zip(state.logs, RATIOS, strict=True)
        )
    )
