"""Candidate against champion in block mode: one bounded vote a block, where errors come in bursts.

Called by ledger and decide in place of `paired` when `rollout.analysis.block` is set. Pairs of one hour or day are
correlated: when one of the two models goes wrong on a kind of request that comes in bursts, many discordant pairs
are one event. With a, b, c counted over one block,

    worse, better    1 + L (a - b) / (a + b)  and  1 - L (a - b) / (a + b)          blocks with discordant pairs
    not worse        1 + L (m - (a - b) / n),  0 < L < 1 / (1 - m)                  blocks with pairs

multiply over blocks. Each factor has mean at most 1 as long as, in each block given those before, the candidate's
expected share of the discordant pairs is at most half (worse), at least half (better), or its expected excess of
errors is at least m (not worse).

"Worse" and "better" vote with the discordant pairs alone, as `paired` does: (a - b) / n is a few hundredths at
most, and even if it were the same in every block, ln(1/alpha) / ((a - b) / n) blocks would be needed to rule out
one great block in the other direction. "Not worse" must not leave such a block out: it takes more than ln(1/alpha)
/ m blocks with pairs, whatever the models (about 440 at alpha .05 and m = .01, 90 at m = .05), because a harm of 1
in a share m of blocks is what it has to exclude.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from modelmend.evidence import evalue, paired, search, verdict

BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
MARGIN_BETS = (0.1, 0.2, 0.4, 0.8, 0.95)


@dataclass(frozen=True, slots=True)
class State:
    """ln of each e-process, one per bet, and the pairs that wait for their vote; JSON-friendly. One per rollout.

    margin: the one that `not_worse` was gathered for; another one starts it afresh.
    gathered: pairs of the block numbered `block`. votes: blocks with pairs so far.
    """

    worse: tuple[float, ...] = (0.0,) * len(BETS)
    better: tuple[float, ...] = (0.0,) * len(BETS)
    not_worse: tuple[float, ...] = (0.0,) * len(MARGIN_BETS)
    margin: float | None = None
    gathered: paired.Paired = field(default_factory=lambda: paired.Paired(0, 0, 0))
    block: int | None = None
    votes: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "worse": list(self.worse),
            "better": list(self.better),
            "notWorse": list(self.not_worse),
            "margin": self.margin,
            "gathered": [self.gathered.a, self.gathered.b, self.gathered.c],
            "block": self.block,
            "votes": self.votes,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; ValueError when it was saved with another number of bets."""
        logs = [tuple(float(log) for log in saved[name]) for name in ("worse", "better", "notWorse")]
        if [len(each) for each in logs] != [len(BETS), len(BETS), len(MARGIN_BETS)]:
            raise ValueError("the comparison in blocks was saved with other bets; start it afresh")
        return cls(
            worse=logs[0],
            better=logs[1],
            not_worse=logs[2],
            margin=None if saved["margin"] is None else float(saved["margin"]),
            gathered=paired.Paired(*(int(count) for count in saved["gathered"])),
            block=None if saved["block"] is None else int(saved["block"]),
            votes=int(saved["votes"]),
        )


def step(state: State, new: paired.Paired, margin: float, at: float, length: float) -> State:
    """The state after one poll's new pairs; `at` and `length` in seconds. A block votes at the first poll after its
    end.

    ValueError for a margin outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"the margin {margin} must be at least 0 and below 1")
    if state.margin != margin:
        state = replace(state, not_worse=State().not_worse, margin=margin)
    number = math.floor(at / length)
    if state.block is not None and number > state.block:
        state = replace(_voted(state, margin), gathered=paired.Paired(0, 0, 0))
    gathered = state.gathered
    both = paired.Paired(gathered.a + new.a, gathered.b + new.b, gathered.c + new.c)
    return replace(state, gathered=both, block=number)


def compare(
    state: State, pairs: paired.Paired, margin: float, alpha: float, won: str = paired.RIGHT_ALONE
) -> paired.Comparison:
    """As `paired.compare`, from the blocks that voted; `pairs` are all of the rollout, for the score and for the
    discordant pairs that "not worse" asks for besides."""
    score = f"{won} {pairs.b:,} times against {pairs.a:,} in {pairs.n:,} pairs of {state.votes:,} blocks"
    if evalue.fires(evalue.log_mean(state.worse), alpha):
        because = f"the candidate is worse than the champion: {score} (alpha {alpha:g})"
        return paired.Comparison(paired.Finding.WORSE, pairs.n, None, because)
    gathered_for = state.not_worse if state.margin == margin else State().not_worse
    fires = evalue.fires(evalue.log_mean(gathered_for), alpha)
    if fires and paired.differs_enough_or_hardly(pairs, margin, alpha):
        claim = f"not worse than the champion by {margin:g} or more" if margin else "better than the champion"
        because = f"the candidate is {claim}: {score} (alpha {alpha:g})"
        return paired.Comparison(paired.Finding.NOT_WORSE, pairs.n, pairs.n, because)
    if not state.votes:
        because = "no block with pairs of candidate and champion has ended yet"
        return paired.Comparison(paired.Finding.UNDECIDED, pairs.n, None, because)
    blocks = _expected_blocks(gathered_for, state.votes, alpha)
    if blocks is None:
        because = f"undecided, with no end in sight at the observed rates: the candidate was {score}"
        return paired.Comparison(paired.Finding.UNDECIDED, pairs.n, None, because)
    because = (
        f"undecided after {state.votes:,} of about {verdict.about(blocks)} blocks: the candidate was {score}"
    )
    expected = max(math.ceil(pairs.n / state.votes * blocks), pairs.n + 1)
    return paired.Comparison(paired.Finding.UNDECIDED, pairs.n, expected, because)


def log_e_better(state: State) -> float:
    """ln of the e-value against "the candidate is not better"; 0 without blocks."""
    return evalue.log_mean(state.better)


def _voted(state: State, margin: float) -> State:
    pairs = state.gathered
    if not pairs.n:
        return state
    excess = (pairs.a - pairs.b) / pairs.n
    share = (pairs.a - pairs.b) / pairs.discordant if pairs.discordant else 0.0
    return replace(
        state,
        worse=tuple(log + math.log1p(bet * share) for log, bet in zip(state.worse, BETS, strict=True)),
        better=tuple(log + math.log1p(-bet * share) for log, bet in zip(state.better, BETS, strict=True)),
        not_worse=tuple(
            log + math.log1p(bet * (margin - excess))
            for log, bet in zip(state.not_worse, MARGIN_BETS, strict=True)
        ),
        votes=state.votes + 1,
    )


def _expected_blocks(logs: tuple[float, ...], votes: int, alpha: float) -> int | None:
    """Blocks in all at which "not worse" may be expected, each going on as it did on average; None if none grows."""
    if max(logs) < paired.NO_DRIFT * votes:
        return None
    more = search.first(
        lambda more: evalue.fires(evalue.log_mean([log * (1 + more / votes) for log in logs]), alpha)
    )
    return votes + more
