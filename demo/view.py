"""The live view: what the model serves, how well, and what the operator makes of it."""

import time
from typing import Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.replay import Record
from demo.story import Story
from modelmend.evidence import bounds, counts

RECENT: Final = 2000
"""Flights behind the "lately" figures."""
SHOWN: Final = 6
"""Changes of status that are shown below, the last ones."""
Z95: Final = 1.96

COLOURS: Final = {
    "Serving": "green",
    "Stalled": "red",
    "RollingBack": "red",
    "Canary": "cyan",
    "Shadow": "cyan",
    "Promoting": "magenta",
    "OK": "green",
    "Breached": "red",
}


def draw(story: Story, record: Record, total: int, day: str, heals: int) -> Panel:
    """One frame."""
    status: dict[str, Any] = story.latest.get("status", {})
    stage = status.get("stage", "-")
    healed, frozen = record.accuracy()
    healed_lately, frozen_lately = record.accuracy(RECENT)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("flights of", day)
    facts.add_row("stage", _coloured(stage))
    facts.add_row("serves", (status.get("stable") or {}).get("version", "-"))
    facts.add_row("candidate", _candidate(status))
    facts.add_row("evidence", _evidence(status))
    for signal in status.get("signals", []):
        facts.add_row(signal["name"], _coloured(signal["verdict"]) + Text(f" {_signal(signal)}"))
    facts.add_row(
        "all answers",
        f"healed {healed:.3f}, frozen {frozen:.3f}; lately {healed_lately:.3f}, {frozen_lately:.3f}",
    )
    facts.add_row(
        "requests",
        f"{record.answered:,} answered of {record.at:,}, {len(record.errors)} failed; heals {heals}",
    )
    # The last changes first: a low terminal cuts off what stands below.
    before = [
        Text(
            f"{time.strftime('%H:%M:%S', time.localtime(moment.at))} {moment}: {moment.because}",
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )
        for moment in reversed(story.moments[-SHOWN - 1 : -1])
    ]
    because = Text(status.get("because", ""), style="italic")
    # Padding ends the bar's line; the bar itself does not.
    bar = Padding(ProgressBar(total=total, completed=record.at), 0)
    return Panel(
        Group(facts, because, bar, Text("before:", style="dim"), *before),
        title="modelmend: flights of 2013 out of New York",
    )


def line(story: Story, record: Record, total: int, day: str, heals: int) -> str:
    """The same for a terminal that is none: one line."""
    status = story.latest.get("status", {})
    healed, frozen = record.accuracy(RECENT)
    signals = [
        f"{signal['name']} {signal['verdict']} {_signal(signal)}" for signal in status.get("signals", [])
    ]
    parts = [
        f"{day:>12} {record.at:>7,}/{total:,}",
        f"{status.get('stage', '-'):<12}",
        f"serves {(status.get('stable') or {}).get('version', '-')}",
        *signals,
        f"healed {healed:.3f} frozen {frozen:.3f} lately",
        f"failed {len(record.errors)}",
        f"heals {heals}",
    ]
    if status.get("candidate"):
        parts[3:3] = [f"candidate {_candidate(status)}", f"evidence {_evidence(status)}"]
    return " | ".join([*parts, status.get("because", "")])


def _coloured(word: str) -> Text:
    return Text(word, style=f"bold {COLOURS.get(word, 'yellow')}")


def _candidate(status: dict[str, Any]) -> str:
    """Who it is, and what it gets."""
    candidate = status.get("candidate")
    if not candidate:
        return "-"
    champion = f", against {candidate['champion']}" if candidate.get("champion") else ""
    return (
        f"{candidate['version']} {candidate['phase']}, {candidate.get('weight', 0)} % of requests{champion}"
    )


def _evidence(status: dict[str, Any]) -> str:
    """The paired comparison so far."""
    evidence = (status.get("candidate") or {}).get("evidence")
    if not evidence:
        return "-"
    expected = f" of about {evidence['expectedPairs']:,}" if evidence.get("expectedPairs") else ""
    return (
        f"{evidence.get('verdict', 'Undecided')}: {evidence.get('pairs', 0):,} pairs{expected}, "
        f"only the candidate wrong in {evidence.get('candidateOnlyWrong', 0):,}, "
        f"only the champion in {evidence.get('championOnlyWrong', 0):,}"
    )


def _signal(signal: dict[str, Any]) -> str:
    """Value and limit, and the bounds of a value that is a share of rows; or why there is no value."""
    limit = f"limit {signal['bound']:.3f}" if signal.get("bound") is not None else "no limit yet"
    value, n = signal.get("value"), signal.get("n", 0)
    if value is None:
        return f"({limit}): {signal.get('because', '')}"
    if signal.get("type") != "Accuracy":
        return f"{value:.3f} (n = {n:,}), {limit}"
    low, high = bounds.wilson(counts.Tally(n, round(n * (1 - value))), Z95)
    return f"{value:.3f} ({1 - high:.3f} to {1 - low:.3f} at 95 %, n = {n:,}), {limit}"
