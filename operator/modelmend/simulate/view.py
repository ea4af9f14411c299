"""Progress on the terminal: what happens as it happens, how far it has come, and a summary at the end.

Everything goes to standard error but the summary: who pipes a simulation gets what it came to.
"""

from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from modelmend.simulate import report
from modelmend.simulate.outcome import Outcome
from modelmend.simulate.simulation import Listener
from modelmend.simulate.timeline import Moment

COLOURS: Final = {
    "SignalBreached": "yellow",
    "Rejected": "red",
    "RollingBack": "red",
    "Stalled": "red",
    "Promoted": "bold green",
    "Canary": "cyan",
    "CanaryStep": "cyan",
    "Shadow": "cyan",
}
QUIET: Final = frozenset({"Installing", "Evaluating", "CoolingDown", "Serving", "HealthUnknown", "Promoting"})
"""Events that follow from others; the report has them all."""


class View:
    """Shows one simulation. A context: the bar is gone when it ends."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._begin: datetime | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def listener(self) -> Listener:
        """What the simulation tells."""
        return Listener(doing=self._doing, begun=self._begun, heard=self._heard, passed=self._passed)

    def _doing(self, what: str) -> None:
        self._progress.update(self._task, description=what)
        self._progress.refresh()

    def _begun(self, begin: datetime, end: datetime) -> None:
        self._begin = begin
        self._progress.update(self._task, total=(end - begin).total_seconds(), description="replaying")

    def _heard(self, moment: Moment) -> None:
        if moment.event not in QUIET:
            line = Text(f"{moment.at:%Y-%m-%d %H:%M}  ", style="dim")
            line.append(f"{moment.event:<15}", style=COLOURS.get(moment.event, "default"))
            line.append(f" {moment.because}", style="default")
            self._progress.console.print(line, soft_wrap=True, highlight=False)

    def _passed(self, now: datetime) -> None:
        if self._begin is not None:
            done = max((now - self._begin).total_seconds(), 0.0)
            self._progress.update(self._task, completed=done, description=f"{now:%Y-%m-%d}")


def summary(found: Outcome, console: Console) -> None:
    """What it came to."""
    shares, tally = found.accuracy(), report.counts(found)
    releases = {"healed": tally["promoted"], "frozen": 0, "weekly": tally["weeklyRefits"]}
    table = Table("", "accuracy", "releases", box=None, pad_edge=False)
    for name, said in report.CONTENDERS.items():
        table.add_row(said, f"{shares[name]:.4f}", str(releases[name]))
    console.print(table)
    console.print(
        f"{tally['breaches']} breaches, {tally['retrainings']} retrainings: {tally['promoted']} promoted, "
        f"{tally['rejectedAtTheGate']} rejected at the gate, {tally['rolledBack']} rolled back, "
        f"{tally['trainingFailed']} failed, {tally['openAtTheEnd']} open at the end",
        highlight=False,
        soft_wrap=True,
    )
    for warning in found.warnings:
        console.print(f"warning: {warning}", highlight=False, soft_wrap=True)
