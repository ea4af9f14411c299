"""The outcome as text for people and as JSON for programs."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from modelmend.api import fields
from modelmend.api.status import Verdict
from modelmend.backtest.lane import Moment, instant
from modelmend.backtest.replay import Outcome

LONGEST: Final = 5
"""Unknown stretches that are told one by one; JSON has all."""
MARKS: Final = {Verdict.BREACHED: "!", Verdict.UNKNOWN: "?", Verdict.OK: " "}


def line(moment: Moment) -> str:
    """One verdict: when, of what, and by which numbers."""
    found = moment.signal
    limit = "" if found.bound is None else f" against {found.bound:g}"
    value = "" if found.value is None else f" ({found.value:.3f}{limit}, n {found.n:,})"
    return (
        f"{MARKS[found.verdict]} {_moment(moment.at)}  {moment.version}  {found.name}: {found.verdict.value}{value}: "
        f"{found.because}"
    )


def text(found: Outcome) -> str:
    """Every change of a verdict, then the totals."""
    return "\n".join([*_timeline(found), "", *totals(found)])


def totals(found: Outcome) -> list[str]:
    """What it came to, a line each."""
    return [*_versions(found), *_signals(found), *_silences(found), _verdict(found), *_warned(found)]


def as_json(found: Outcome) -> str:
    """Everything in plain JSON types."""
    return json.dumps(to_json(found), indent=1, ensure_ascii=False)


def to_json(found: Outcome) -> dict[str, Any]:
    """The same as plain types."""
    namespace, name = found.policy.key
    return {
        "namespace": namespace,
        "name": name,
        "from": fields.format_instant(found.begin),
        "to": fields.format_instant(found.end),
        "step": fields.format_duration(found.step),
        "queries": found.queries,
        "alarms": [moment.to_json() for moment in found.alarms],
        "retrainings": [
            {"at": fields.format_instant(asked.at), "version": asked.version, "because": asked.because}
            for asked in found.requests
        ],
        "timeline": [moment.to_json() for moment in found.moments],
        "versions": [
            {
                "version": each.name,
                "rollout": each.life.rollout,
                "from": fields.format_instant(instant(each.began)),
                "to": fields.format_instant(instant(each.ended)),
                "labels": each.counted.labels.n,
                "wrong": round(each.counted.labels.bad),
            }
            for each in found.lanes
        ],
        "signals": {
            signal.name: {
                "alarms": _alarms(found, signal.name),
                "asksForRetraining": signal.name in found.healing,
                **{
                    f"seconds{verdict.value}": round(found.lasted(verdict, signal.name).total_seconds())
                    for verdict in Verdict
                },
            }
            for signal in found.policy.spec.monitoring.signals
        },
        "unknown": [
            {
                "version": each.version,
                "signal": each.signal,
                "from": fields.format_instant(each.begin),
                "to": fields.format_instant(each.end),
                "because": each.because,
            }
            for each in found.stretches
            if each.verdict is Verdict.UNKNOWN
        ],
        "skipped": list(found.skipped),
        "warnings": list(found.warnings),
    }


def _timeline(found: Outcome) -> Iterator[str]:
    for moment in found.moments:
        yield line(moment)
        if moment.figures:
            yield (
                f"      of {moment.labels:,} labels of {moment.version} so far {moment.wrong:,} wrong; since the fall began "
                f"{moment.figures['wrongSinceFall']:,g} of {moment.figures['labelsSinceFall']:,}"
            )
        if moment.signal.drifted:
            yield f"      drifted: {', '.join(moment.signal.drifted)}"
        if moment.signal.warning is not None:
            yield f"      but: {moment.signal.warning}"


def _versions(found: Outcome) -> Iterator[str]:
    for each in found.lanes:
        counted = each.counted.labels
        right = f", {1 - counted.share:.3f} right" if counted.n else ""
        yield f"{each.name}: {_moment(instant(each.began))} to {_moment(instant(each.ended))}, {counted.n:,} labels{right}"


def _signals(found: Outcome) -> Iterator[str]:
    for signal in found.policy.spec.monitoring.signals:
        times = {verdict: found.lasted(verdict, signal.name) for verdict in Verdict}
        whole = sum(times.values(), timedelta(0)) or timedelta(1)
        shares = ", ".join(f"{verdict.value} {times[verdict] / whole:.0%}" for verdict in Verdict)
        asks = "asks for a retraining" if signal.name in found.healing else "only tells"
        alarms = _alarms(found, signal.name)
        yield f"{signal.name} ({signal.type.value}, {asks}): {alarms} alarm{'' if alarms == 1 else 's'}; {shares}"


def _silences(found: Outcome) -> Iterator[str]:
    unknown = [each for each in found.stretches if each.verdict is Verdict.UNKNOWN]
    for each in sorted(unknown, key=lambda each: -each.length)[:LONGEST]:
        yield (
            f"unknown for {_length(each.length)} from {_moment(each.begin)}: {each.version} {each.signal}: {each.because}"
        )
    if len(unknown) > LONGEST:
        yield f"and {len(unknown) - LONGEST} shorter unknown stretches"


def _verdict(found: Outcome) -> str:
    span = f"in {_length(found.end - found.begin)}, looking every {fields.format_duration(found.step)}"
    alarms = f"{len(found.alarms)} alarm{'' if len(found.alarms) == 1 else 's'} {span}"
    if not found.requests:
        return f"{alarms}; none would have asked for a retraining."
    first, times = found.requests[0], len(found.requests)
    often = "once" if times == 1 else f"{times} times"
    return (
        f"{alarms}; a retraining would have been asked for {often}, first at {_moment(first.at)} of {first.version}: "
        f"{first.because}"
    )


def _warned(found: Outcome) -> Iterator[str]:
    if found.skipped:
        yield f"Not judged, since they never served alone: {', '.join(found.skipped)} (--version judges them all the same)."
    yield from (f"Warning: {warning}." for warning in found.warnings)


def _alarms(found: Outcome, signal: str) -> int:
    return sum(moment.signal.name == signal for moment in found.alarms)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _length(lasted: timedelta) -> str:
    hours = lasted.total_seconds() / 3600
    return (
        f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h" if hours >= 2 else f"{hours * 60:.0f} min"
    )
