"""What each signal's verdict promises, in one sentence for its status. Called by judge.

A guarantee follows from spec alone, and is worth nothing without its condition, so both stand together; the tables of
docs/evidence.md measure them.
"""

from modelmend.api import fields
from modelmend.api.spec import Signal, SignalEvidence, SignalType


def of(signal: Signal) -> str:
    """The guarantee with its condition; that there is none is said too."""
    rarely = f"at least {fields.format_duration(signal.false_alarm_every)} between false alarms on average"
    if signal.type is SignalType.QUERY:
        return "none: false alarms come as often as the query gives them"
    if signal.type.is_drift:
        return f"{rarely}, while rows are alike and nothing drifts"
    if signal.type is SignalType.LABEL_SHIFT:
        return f"{rarely}, while it takes classes for each other as on its holdout and their shares stay"
    if signal.type.is_by_scores:
        return f"{rarely}, while its scores are worth what they were on its holdout and rows are alike"
    if signal.evidence is SignalEvidence.THRESHOLD:
        return "none over time: every look is judged by itself, at 4 standard errors"
    single = "poll with labels" if signal.type.is_error else "label"
    unit = single if signal.block is None else f"block of {signal.block.value}"
    return f"{rarely}, while every {unit} meets the limit, whatever came before it"
