"""Any or all of several signals: `retraining.when`.

Called by decide over the signals whose action is Retrain. Unknown is neither yes nor no (Kleene's three-valued
logic):

    Any     Breached if one is; else Unknown if one is Unknown; else OK
    All     OK if one is; else Unknown if one is Unknown; else Breached

Guarantees add up: with `Any` of k signals, false alarms come up to k times as often as each promises; with `All`,
as rarely as the rarest, since all must be breached at once.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from modelmend.evidence import verdict


class When(enum.StrEnum):
    ANY = "Any"
    ALL = "All"


@dataclass(frozen=True, slots=True)
class Named:
    """A signal's judgement under its name."""

    name: str
    judgement: verdict.Judgement


@dataclass(frozen=True, slots=True)
class Combined:
    """because: one sentence without a full stop, naming the signals that decided, with what they say."""

    verdict: verdict.Verdict
    because: str


def combine(when: When, signals: Sequence[Named]) -> Combined:
    """The verdict on all signals together; Unknown without any."""
    if not signals:
        return Combined(verdict.Verdict.UNKNOWN, "no signal retrains")
    decisive, otherwise = verdict.Verdict.BREACHED, verdict.Verdict.OK
    if when is When.ALL:
        decisive, otherwise = otherwise, decisive
    for found in (decisive, verdict.Verdict.UNKNOWN):
        if saying := [each for each in signals if each.judgement.verdict is found]:
            return Combined(found, _told(found, saying, len(signals)))
    return Combined(otherwise, _told(otherwise, signals, len(signals)))


_WORDS = {
    verdict.Verdict.OK: "within limits",
    verdict.Verdict.BREACHED: "breached",
    verdict.Verdict.UNKNOWN: "unknown",
}


def _told(found: verdict.Verdict, saying: Sequence[Named], of: int) -> str:
    if of == 1:
        return saying[0].judgement.because
    details = "; ".join(f"{each.name}: {each.judgement.because}" for each in saying)
    return f"{len(saying)} of {of} signals {'is' if len(saying) == 1 else 'are'} {_WORDS[found]} ({details})"
