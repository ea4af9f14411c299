"""The live view: what the model serves, how well, and what the operator makes of it."""

from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.replay import Record
from demo.watch import Story

RECENT = 2000
"""Flights behind the "lately" figures."""

COLOURS = {
    "Serving": "green",
    "Stalled": "red",
    "RollingBack": "red",
    "Canary": "cyan",
    "Shadow": "cyan",
    "Promoting": "magenta",
}


def draw(story: Story, record: Record, total: int, day: str, heals: int) -> Panel:
    """One frame."""
    status: dict[str, Any] = story.latest.get("status", {})
    stage = status.get("stage", "-")
    healed, frozen = record.accuracy()
    healed_lately, frozen_lately = record.accuracy(RECENT)
    facts = Table.grid(padding=(0, 2))
    facts.add_row("stage", Text(stage, style=f"bold {COLOURS.get(stage, 'yellow')}"), "flights of", day)
    stable, candidate = status.get("stable") or {}, status.get("candidate") or {}
    facts.add_row("serves", stable.get("version", "-"), "candidate", _candidate(candidate))
    facts.add_row(
        "healed",
        f"{healed:.3f} (lately {healed_lately:.3f})",
        "frozen",
        f"{frozen:.3f} (lately {frozen_lately:.3f})",
    )
    facts.add_row("answered", f"{record.answered:,} of {record.at:,}", "failed", str(len(record.errors)))
    facts.add_row("heals", str(heals), "", "")
    for signal in status.get("signals", []):
        facts.add_row(
            signal["name"],
            f"{signal['verdict']} {signal.get('value', '-')}",
            "limit",
            f"{signal.get('bound', '-')} (n = {signal.get('n', 0):,})",
        )
    return Panel(
        Group(
            facts,
            Text(status.get("because", ""), style="italic"),
            ProgressBar(total=total, completed=record.at),
        ),
        title="modelmend: flights of 2013 out of New York",
    )


def line(story: Story, record: Record, total: int, day: str, heals: int) -> str:
    """The same for a terminal that is none: one line."""
    status = story.latest.get("status", {})
    healed, frozen = record.accuracy(RECENT)
    candidate = _candidate(status.get("candidate") or {})
    return (
        f"{day}  {record.at:>6,}/{total:,}  {status.get('stage', '-'):<16} serves {(status.get('stable') or {}).get('version', '-')}"
        f"  candidate {candidate}  lately healed {healed:.3f} frozen {frozen:.3f}  failed {len(record.errors)}  heals {heals}"
        f"  {status.get('because', '')}"
    )


def _candidate(candidate: dict[str, Any]) -> str:
    if not candidate:
        return "-"
    evidence = candidate.get("evidence", {})
    expected = f" of about {evidence['expectedPairs']:,}" if evidence.get("expectedPairs") else ""
    return f"{candidate['version']} {candidate['phase']} {candidate.get('weight', 0)} % ({evidence.get('pairs', 0):,} pairs{expected})"
