"""What each signal showed over time, with its limit and its verdicts. Called by cli."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from modelmend.api.status import Verdict
from modelmend.backtest.lane import Lane, instant
from modelmend.backtest.replay import Outcome

COLOURS: Final = {Verdict.BREACHED: "#d1495b", Verdict.UNKNOWN: "#dddddd"}


def draw(found: Outcome, path: Path) -> None:
    """A PNG. Raises OSError."""
    signals = found.policy.spec.monitoring.signals
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(13, 1 + 2.4 * len(signals)), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
        for axes, signal in zip(rows, signals, strict=True):
            for lane in found.lanes:
                _line(axes, lane, signal.name)
            _verdicts(axes, found, signal.name)
            axes.set_ylabel(f"{signal.name}\n{signal.type.value}")
            axes.set_xlim(found.begin, found.end)
        namespace, name = found.policy.key
        rows[0].set_title(f"{namespace}/{name}: {len(found.alarms)} alarms (red; grey is Unknown)")
        handles, labels = rows[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=8, frameon=False)
        figure.savefig(path, format="png", metadata={"Software": None})


def _line(axes: Any, lane: Lane, signal: str) -> None:
    points = lane.points.get(signal, [])
    values = [float("nan") if point.value is None else point.value for point in points]
    axes.plot([instant(point.at) for point in points], values, linewidth=1.4, label=lane.name)
    limits = {moment.signal.bound for moment in lane.moments if moment.signal.name == signal} - {None}
    for limit in limits:
        axes.axhline(limit, color="#555555", linewidth=0.8, linestyle=":")


def _verdicts(axes: Any, found: Outcome, signal: str) -> None:
    for each in found.stretches:
        if each.signal == signal and each.verdict in COLOURS:
            axes.axvspan(each.begin, each.end, color=COLOURS[each.verdict], alpha=0.3, linewidth=0)
    for moment in found.alarms:
        if moment.signal.name == signal:
            axes.axvline(moment.at, color=COLOURS[Verdict.BREACHED], linewidth=1)
