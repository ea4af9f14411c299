"""Why a candidate goes, and what follows from it: budget, memory, and what its author is told.

    reason          spends budget     digest is remembered    a person's artifact
    fault           yes               yes                     refused; tried again when spec changes
    Gate            after a breach    yes                     refused; tried again when spec changes
    Aborted         no                yes                     refused
    RollbackTo      no                yes                     not tried again
    Superseded      no                no                      the new one is tried
    the rest        no                no                      tried again when the suspension or the pin is gone

Budget is spent only by healing (a breach, the schedule, a request): a person's own artifact costs nothing.
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
DIRECT: Final = frozenset({Trigger.INSTALL, Trigger.PIN, Trigger.ROLLBACK_TO})
"""Triggers whose version takes all traffic as soon as it is ready, without evidence: the first, or a person's word."""


def spends_budget(trigger: Trigger, reason: Reason) -> bool:
    """Whether this end counts as a failed attempt to heal."""
    return trigger in HEALING and (reason in FAULTS or (reason is Reason.GATE and trigger is Trigger.BREACH))
