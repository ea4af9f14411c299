"""What is remembered of a rollout whose requests are divided between candidate and champion.

Called by ledger at every poll of a candidate's rollout, in place of pairs, where each of the two runs a server of the
user's own. `margin.compare` judges it.

The champion's labels are taken as a total, and what is new is counted from the total seen here last: both sides of a
comparison then begin and end at the same polls, also after a restart of the operator, when the two ledgers come from
checkpoints of different moments. The first poll with a label of the candidate only sets that mark: what the champion
was told before the canary is of other requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from modelmend.evidence import counts, split


@dataclass(frozen=True, slots=True)
class State:
    """JSON-friendly.

    against: the e-process. candidate, champion: labels of each since the comparison began.
    seen: the champion's total at the last poll; None until the candidate has had a label.
    """

    against: split.State = field(default_factory=split.State)
    candidate: counts.Tally = field(default_factory=counts.Tally)
    champion: counts.Tally = field(default_factory=counts.Tally)
    seen: counts.Tally | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "against": self.against.to_json(),
            "candidate": self.candidate.to_json(),
            "champion": self.champion.to_json(),
            "seen": None if self.seen is None else self.seen.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError or ValueError when `saved` is not of its making."""
        seen = saved.get("seen")
        return cls(
            against=split.State.from_json(saved["against"]),
            candidate=counts.Tally.from_json(saved["candidate"]),
            champion=counts.Tally.from_json(saved["champion"]),
            seen=None if seen is None else counts.Tally.from_json(seen),
        )


def step(state: State, candidate: counts.Tally, champion: counts.Tally) -> State:
    """The state after one poll: `candidate` are its new labels, `champion` all labels of the other so far."""
    if state.seen is None:
        return State(seen=champion if candidate.n else None)
    wrong = max(champion.bad - state.seen.bad, 0)
    right = max(champion.n - champion.bad - (state.seen.n - state.seen.bad), 0)
    beside = counts.Tally(int(right + wrong), wrong)
    return State(
        against=split.step(state.against, candidate, beside),
        candidate=state.candidate + candidate,
        champion=state.champion + beside,
        seen=champion,
    )
