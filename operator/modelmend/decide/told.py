"""A judgement's sentence as a status may hold it: without running lengths of time and counts that move at every label.

Called by judge for the signals. What evidence says of a fall or of health is kept, since judge replaces it only when its
figures have moved; what is unknown would be told anew at every look, so it is told here with moments and in tenths.
"""

from dataclasses import replace
from datetime import UTC, datetime

from modelmend.decide import sentences
from modelmend.evidence import measures, verdict


def without_lengths_of_time(
    found: verdict.Judgement,
    labels: measures.Labels,
    seen: int,
    asked: measures.Signal,
    last: float,
    mature_at: float,
) -> verdict.Judgement:
    """The same judgement of a signal that is not refused. seen: rows that count for `minLabels`. last: when a label was
    last counted."""
    words = measures.asked(asked)
    what, of_all = words.metric, words.rows == "labels"
    since = sentences.moment(instant(last))
    empty = measures.figures(asked, labels.shown) is None
    if found.verdict is verdict.Verdict.BREACHED and empty:
        limit = verdict.figures(words.limit)[0]
        said = f"no label since {since} says" if of_all else f"no {words.rows} in its window say"
        return replace(found, because=f"{what} {words.moved} the limit {limit}, and {said} otherwise")
    if found.verdict is not verdict.Verdict.UNKNOWN:
        return found
    if labels.immature_for > 0:
        until = sentences.moment(instant(mature_at))
        return unknown(
            f"{what} not judged before {until}: the labels that arrive first are not typical", seen
        )
    lost = measures.absent(asked, labels.shown)
    lacking = f", no label of {', '.join(lost)} has come of late" if lost else ""
    if seen < max(asked.min_labels, 1):
        needed = sentences.progress(seen, max(asked.min_labels, 1))
        voting = (
            ""
            if asked.block is None
            else f", counted when their block of {verdict.duration(asked.block)} ends"
        )
        silent = f" and none since {since}" if labels.silence.is_too_long else ""
        return unknown(
            f"{what} unknown: {needed} {words.rows} needed for a verdict{silent}{voting}{lacking}", seen
        )
    if labels.silence.is_too_long or (of_all and not lost):
        return unknown(f"{what} unknown: no label since {since}", seen)
    return unknown(f"{what} unknown: {lacking.removeprefix(', ') or f'no {words.rows} in its window'}", seen)


def unknown(because: str, counted: int = 0) -> verdict.Judgement:
    """Unknown, in these words."""
    return verdict.Judgement(verdict.Verdict.UNKNOWN, None, None, counted, because)


def instant(seconds: float) -> datetime:
    """A moment that was counted in seconds."""
    return datetime.fromtimestamp(seconds, UTC)
