"""Why a candidate goes, and what follows from it: budget, memory, and what its author is told.

    reason          spends budget     digest is remembered    a person's artifact
    fault           yes               yes                     refused; tried again when spec changes
    Gate            breach, first     yes                     refused; tried again when spec changes
    Aborted         no                yes                     refused
    RollbackTo      no                yes                     not tried again
    Superseded      no                no                      the new one is tried
    the rest        no                no                      tried again when the suspension or the pin is gone

Budget is spent only by what Modelmend trains (after a breach, by the schedule, on request, as the first): a person's own artifact costs nothing.
"""

from enum import StrEnum
from typing import Final

from modelmend.api.status import Trigger


class Reason(StrEnum):
    """One CamelCase word; the sentence stands beside it in the status."""

    WORSE = "Worse"
    GUARD = "GuardBreached"
    UNREADY = "Unready"
    DEADLINE = "Deadline"
    GATE = "Gate"
    ABORTED = "Aborted"
    ROLLBACK_TO = "RollbackTo"
    SUPERSEDED = "Superseded"
    SUSPENDED = "Suspended"
    PINNED = "Pinned"
    LOST = "Lost"


FAULTS: Final = frozenset({Reason.WORSE, Reason.GUARD, Reason.UNREADY, Reason.DEADLINE})
REMEMBERED: Final = FAULTS | {Reason.GATE, Reason.ABORTED, Reason.ROLLBACK_TO}
REFUSED: Final = FAULTS | {Reason.GATE}
TRIED_AGAIN: Final = frozenset({Reason.SUSPENDED, Reason.PINNED, Reason.LOST})

HEALING: Final = frozenset({Trigger.BREACH, Trigger.SCHEDULE, Trigger.REQUEST})
"""Triggers of a retraining."""
TRAINED: Final = HEALING | {Trigger.FIRST}
"""Triggers whose artifact Modelmend makes itself."""
DIRECT: Final = frozenset({Trigger.INSTALL, Trigger.FIRST, Trigger.PIN, Trigger.ROLLBACK_TO})
"""Triggers whose version takes all traffic as soon as it is ready, beside no champion: the first, or a person's word."""


def spends_budget(trigger: Trigger, reason: Reason) -> bool:
    """Whether this end counts as a failed attempt to heal."""
    needed = trigger in (Trigger.BREACH, Trigger.FIRST)
    return trigger in TRAINED and (reason in FAULTS or (reason is Reason.GATE and needed))
