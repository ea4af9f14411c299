"""Accuracy over time: healed, frozen, weekly; with what the operator was doing at each moment."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from modelmend.api.status import Stage
from modelmend.simulate.outcome import Outcome

LINES: Final = {
    "frozen": ("first model, left alone", "#999999", 1.2, "-"),
    "weekly": ("refitted every week, no gate", "#c77f2a", 1.2, "--"),
    "healed": ("healed by Modelmend", "#0b6e4f", 2.0, "-"),
}
STAGES: Final = {
    Stage.RETRAINING: "#f4d58d",
    Stage.SHADOW: "#a7c7e7",
    Stage.CANARY: "#5b8fd9",
    Stage.ROLLING_BACK: "#d1495b",
    Stage.STALLED: "#e3b5bc",
}
SHORTEST: Final = 0.002
"""Of the whole picture: what lasted less is drawn that wide, or nobody would see it."""
POINTS: Final = 4000
"""Points of a line; more would only make the file larger."""


def draw(found: Outcome, path: Path) -> None:
    """A PNG. Raises OSError."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(13, 6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        low = _lines(found, axes)
        _stages(found, axes)
        _events(found, axes, low)
        for limit in sorted(set(found.limits.values())):
            axes.axhline(limit, color="#555555", linewidth=0.8, linestyle=":")
            axes.annotate(
                f"limit {limit:g}",
                (1, limit),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                color="#555555",
            )
        axes.set_ylim(bottom=low)
        axes.set_ylabel(f"accuracy, {_window(found) / pd.Timedelta(days=1):.3g} days rolling")
        share = found.accuracy()
        axes.set_title(
            f"{found.deployment.metadata.name}: healed {share['healed']:.3f}, frozen {share['frozen']:.3f}, "
            f"weekly {share['weekly']:.3f}"
        )
        figure.legend(loc="outside lower center", ncols=8, frameon=False)
        # Nothing of the day it was drawn: the same simulation gives the same file.
        figure.savefig(path, metadata={"Software": None})


def _window(found: Outcome) -> pd.Timedelta:
    """Seven days, or a thirtieth of a short replay."""
    return min(pd.Timedelta(days=7), pd.Timedelta(found.end - found.begin) / 30)


def _lines(found: Outcome, axes: Any) -> float:
    """The three lines; the bottom of the picture."""
    judged = found.judged
    times = pd.to_datetime(found.requests.seconds[judged], unit="s", utc=True)
    # A rolling window wants times that rise, and rows of one instant are in some order.
    right = pd.DataFrame({name: values[judged].astype(float) for name, values in found.right().items()})
    right.index = times
    smooth = right.rolling(_window(found), min_periods=min(50, len(right))).mean()
    shown = smooth.iloc[:: max(len(smooth) // POINTS, 1)]
    for name, (label, colour, width, style) in LINES.items():
        axes.plot(shown.index, shown[name], color=colour, linewidth=width, linestyle=style, label=label)
    lowest = float(np.nanmin([shown.min().min(), *found.limits.values()]))
    return max(lowest - 0.05, 0.0)


def _stages(found: Outcome, axes: Any) -> None:
    shortest, told = (found.end - found.begin) * SHORTEST, set()
    for span in found.spans():
        colour = STAGES.get(Stage(span.stage))
        if colour is None:
            continue
        label = None if span.stage in told else span.stage
        told.add(span.stage)
        end = max(span.end, span.begin + shortest)
        axes.axvspan(span.begin, end, color=colour, alpha=0.6, linewidth=0, label=label)


def _events(found: Outcome, axes: Any, low: float) -> None:
    shown = {"Promoted": ("#0b6e4f", ""), "Rejected": ("#d1495b", "x "), "RollingBack": ("#d1495b", "< ")}
    prefix = f"{found.deployment.metadata.name}-"
    number = 0
    for moment in found.timeline.moments:
        if moment.event not in shown or moment.candidate is None:
            continue
        colour, mark = shown[moment.event]
        if moment.event == "Promoted":
            axes.axvline(moment.at, color=colour, linestyle=":", linewidth=1)
        # In three rows, since neighbours would cover each other.
        place = (3, 4 + 11 * (number % 3))
        axes.annotate(
            mark + moment.candidate.removeprefix(prefix),
            (moment.at, low),
            xytext=place,
            textcoords="offset points",
            color=colour,
        )
        number += 1
