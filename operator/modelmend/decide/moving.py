"""The verdict on drift, from what the last window of a signal said. Called by judge; and by `scores` for the words of a
window that is waited for.

The windows themselves are judged when they end, by `evidence.watch`: their counts are too many to keep. Here it is
only said what there is: the last verdict, or why there is none yet.
"""

from datetime import UTC, datetime
from typing import Final

from modelmend.decide import sentences
from modelmend.evidence import verdict, watch

SHOWN: Final = 100
"""Characters of a feature's name in the status; a name may be as long as somebody likes."""


WATCHED: Final = {
    watch.Kind.INPUTS: "drift of inputs",
    watch.Kind.PREDICTIONS: "drift of predictions",
    watch.Kind.CLASSES: "label shift",
    watch.Kind.SCORES: "estimated accuracy",
    watch.Kind.LABELS: "concept drift",
}
"""What a signal watches, for its sentences."""


def judged(terms: watch.Terms, state: watch.State | None) -> tuple[verdict.Judgement, tuple[str, ...]]:
    """The judgement on drift, and the names of what drifted."""
    if state is None or state.terms != terms or state.said is None:
        return awaited(terms, state), ()
    found = state.said
    return found.judgement, tuple(name[:SHOWN] for name in found.drifted)


def awaited(terms: watch.Terms, state: watch.State | None) -> verdict.Judgement:
    """Unknown, as long as no window has ended."""
    unknown = f"{WATCHED[terms.kind]} unknown"
    if state is None or state.terms != terms:
        return verdict.unknown(f"{unknown}: its first window has not begun")
    begun, ends = _moment(state.begun_at), _moment(state.begun_at + terms.length)
    present = f"the window from {begun} is judged after {ends}"
    if state.lost is None:
        return verdict.unknown(f"{unknown}: {present}")
    return verdict.unknown(f"{unknown}: {_LOST[state.lost]}; {present}")


_LOST: Final = {
    watch.Lost.LATE: "the window before was dropped, since nobody could read it in time",
    watch.Lost.FORGOTTEN: "the window before was dropped, since Prometheus has no counters of its begin",
}


def _moment(seconds: float) -> str:
    return sentences.moment(datetime.fromtimestamp(seconds, UTC))
