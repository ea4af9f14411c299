"""The picture of a run: how right the answers were, and below it, on the same days, what the operator did about it.

accuracy   healed against frozen, 7 days rolling; a mark where a breach began a heal, with what the signals of drift say
           had moved
traffic    the candidate's share: retraining, shadow, canary, bake, rollback; a cross for what the gate rejected
serves     a band for each version that was stable, with its name
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from demo.run import Run
from demo.story import Moment

HEALED: Final = "#0b6e4f"
FROZEN: Final = "#8a93a6"
BAD: Final = "#c8323c"
INK: Final = "#22262e"
FAINT: Final = "#6b7280"
STAGES: Final = {
    "Retraining": "#f2b134",
    "Shadow": "#a9cbe8",
    "Canary": "#2b6cb0",
    "Bake": "#5fae8b",
    "Rollback": BAD,
}
"""In the order of a heal."""
VERSIONS: Final = (FROZEN, "#2a9d8f", "#e0903a", "#6a78c9", "#b5577f", "#7a9e3f", "#3f8fb5", "#a8763e")
"""The first version is what the frozen model is, so it has its colour."""
WINDOW: Final = "7D"
SETTLED: Final = 200
"""Answers from which on a rolling mean is drawn."""
BREACH: Final[dict[str, Any]] = {
    "marker": "o",
    "markersize": 8.5,
    "color": STAGES["Retraining"],
    "markeredgecolor": "white",
    "markeredgewidth": 1.5,
    "linestyle": "none",
    "zorder": 4,
}
REJECTED: Final[dict[str, Any]] = {
    "marker": "X",
    "markersize": 9.5,
    "color": BAD,
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 6,
}
REJECTED_AT: Final = 80.0
"""Height of the crosses: above shadow and canary."""
ROOM_FOR_A_NAME: Final = 0.15
"""Share of the year to the next cross that a label needs."""


def draw(run: Run, path: Path) -> None:
    """Writes the picture as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import dates as untyped

    dates: Any = untyped

    style: dict[Any, Any] = {
        "font.size": 11,
        "axes.edgecolor": "#c9ced6",
        "axes.labelcolor": FAINT,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "text.color": INK,
        "hatch.linewidth": 1.4,
    }
    with plt.rc_context(style):
        figure, (accuracy, traffic, serves) = plt.subplots(
            3, 1, figsize=(13, 7.3), sharex=True, height_ratios=(6.0, 1.5, 0.55), gridspec_kw={"hspace": 0.09}
        )
        figure.subplots_adjust(left=0.072, right=0.908, top=0.838, bottom=0.062)
        for stage, (begin, end) in run.story.spans(_tried, run.ended):
            accuracy.axvspan(*run.days([begin, end]), color=STAGES[stage], alpha=0.16, linewidth=0)
        _accuracy(run, accuracy)
        _traffic(run, traffic)
        _serves(run, serves)
        for axes in (accuracy, traffic, serves):
            axes.spines[["top", "right"]].set_visible(False)
            axes.yaxis.set_label_coords(-0.045, 0.5)
            for day in _promoted(run):
                axes.axvline(day, color=HEALED, linewidth=1, alpha=0.45, zorder=1)
        serves.set_xlim(run.time.iloc[0], run.time.iloc[run.record.at - 1])
        serves.xaxis.set_major_locator(dates.MonthLocator())
        serves.xaxis.set_major_formatter(dates.DateFormatter("%-d %B"))
        _title(run, figure)
        figure.savefig(path, dpi=120, facecolor="white")
        plt.close(figure)


def _title(run: Run, figure: Any) -> None:
    healed, frozen = run.record.accuracy()
    count, failed = len(run.time), len(run.record.errors)
    figure.text(
        *(0.072, 0.945),
        "The winds change, the model heals",
        fontsize=20,
        fontweight="bold",
    )
    figure.text(
        *(0.072, 0.905),
        f"“Is this flight out of New York faster than the winter median?”  {count:,} flights of 2013, one request each, "
        f"{failed:,} failed; accuracy {_share(healed)} healed, {_share(frozen)} frozen; {len(run.heals)} heals.",
        color=FAINT,
        fontsize=10.5,
    )
    from matplotlib import lines, patches

    stages = [
        patches.Patch(
            facecolor=colour,
            edgecolor="white" if name == "Shadow" else "none",
            hatch="////" if name == "Shadow" else None,
            label=name.lower(),
        )
        for name, colour in STAGES.items()
        if name != "Rollback" or run.story.during(frozenset({"RollingBack"}), run.ended)
    ]
    handles = [
        lines.Line2D([], [], label="breach", **BREACH),
        *stages,
        lines.Line2D([], [], label="rejected at the gate", **REJECTED),
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.068, 0.848),
        ncols=len(handles),
        frameon=False,
        handlelength=1.3,
        handleheight=0.9,
        columnspacing=1.4,
        borderaxespad=0,
        fontsize=10.5,
    )


def _accuracy(run: Run, axes: Any) -> None:
    count = run.record.at
    answered = ~np.isnan(run.record.latency[:count])
    seen = pd.DataFrame(
        {
            "healed": np.where(answered, run.record.right[:count], np.nan),
            "frozen": np.where(answered, run.record.frozen_right[:count], np.nan),
        },
        index=pd.DatetimeIndex(run.time.iloc[:count]),
    )
    smooth = seen.rolling(WINDOW, min_periods=SETTLED).mean().dropna()
    # More points than the eye can tell apart would only blur the lines.
    smooth = smooth.resample("6h").last().dropna()
    healed, frozen = smooth["healed"], smooth["frozen"]
    axes.fill_between(
        smooth.index, frozen, healed, where=healed > frozen, color=HEALED, alpha=0.10, linewidth=0
    )
    axes.plot(smooth.index, frozen, color=FROZEN, linewidth=1.6)
    axes.plot(smooth.index, healed, color=HEALED, linewidth=2.4)
    axes.axhline(run.minimum, color=BAD, linewidth=1, linestyle=(0, (5, 4)), alpha=0.8)
    for begin, _ in run.story.during(frozenset({"Retraining"}), run.ended):
        (day,) = run.days([begin])
        place = min(int(smooth.index.searchsorted(day)), len(smooth) - 1)
        axes.plot([day], [healed.iloc[place]], **BREACH)
        heal = next((each for each in run.heals if each.breach == begin), None)
        if heal is not None:
            axes.annotate(
                run.moved(heal).kind,
                (day, healed.iloc[place]),
                xytext=(0, -16),
                textcoords="offset points",
                ha="center",
                fontsize=9.5,
                color=INK,
                bbox={
                    "boxstyle": "square,pad=0.15",
                    "facecolor": "white",
                    "edgecolor": "none",
                    "alpha": 0.85,
                },
                zorder=5,
            )
    low = float(min(smooth.min().min(), run.minimum))
    high = float(smooth.max().max())
    axes.set_ylim(low - 0.12 * (high - low), high + 0.05 * (high - low))
    axes.yaxis.set_major_formatter(lambda value, _: _share(value, 2))
    axes.set_ylabel("accuracy, 7 days rolling")
    axes.grid(axis="y", color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    _label_ends(
        axes,
        [
            (float(healed.iloc[-1]), "healed", HEALED, "bold"),
            (float(frozen.iloc[-1]), "frozen v1", FROZEN, "bold"),
            (run.minimum, f"minimum {_share(run.minimum, 2)}", BAD, "normal"),
        ],
        apart=0.055 * (high - low + 0.1),
    )


def _label_ends(axes: Any, labels: list[tuple[float, str, str, str]], apart: float) -> None:
    """Names the lines at their right ends, moved apart where they would overlap."""
    last = -np.inf
    for height, text, colour, weight in sorted(labels):
        last = max(height, last + apart)
        axes.annotate(
            text,
            (1, last),
            xycoords=axes.get_yaxis_transform(),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight=weight,
            annotation_clip=False,
        )


def _traffic(run: Run, axes: Any) -> None:
    """What share of the requests reached the candidate's pods, and in which stage."""
    for (stage, weight), (begin, end) in run.story.spans(_share_of_candidate, run.ended):
        first, last = run.days([begin, end])
        look: dict[str, Any] = {"facecolor": STAGES[stage], "linewidth": 0}
        if stage == "Shadow":
            look |= {"hatch": "////", "edgecolor": "white"}
        if stage == "Retraining":
            look |= {"alpha": 0.75}
        axes.fill_between([first, last], 0, weight, **look)
    _rejections(run, axes)
    axes.set_ylim(0, 108)
    axes.set_yticks([0, 50, 100], ["0", "50", "100 %"])
    axes.set_ylabel("candidate's\ntraffic")
    axes.tick_params(axis="x", length=0)


def _rejections(run: Run, axes: Any) -> None:
    """A cross for each version that the gate rejected, named where there is room."""
    rejected = [version for version in run.versions if version.get("status", {}).get("state") == "Rejected"]
    moments = [pd.Timestamp(version["spec"]["createdAt"]).timestamp() for version in rejected]
    days = run.days(moments)
    begin, end = run.time.iloc[0], run.time.iloc[run.record.at - 1]
    for place, (version, day) in enumerate(zip(rejected, days, strict=True)):
        axes.plot([day], [REJECTED_AT], **REJECTED)
        following = days[place + 1] if place + 1 < len(days) else end
        room = (following - day) / (end - begin)
        name = f"{_short(version['metadata']['name'])} rejected"
        if version["spec"]["digest"] == run.worse_digest:
            name += ", a careless push"
        if room < ROOM_FOR_A_NAME:
            name = _short(version["metadata"]["name"])
        axes.annotate(
            name,
            (day, REJECTED_AT),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=BAD,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            zorder=5,
        )


def _tried(moment: Moment) -> str | None:
    """Shadow or Canary, once requests reach the candidate's pods."""
    return moment.stage if moment.stage in ("Shadow", "Canary") and moment.weight else None


def _share_of_candidate(moment: Moment) -> tuple[str, float] | None:
    """What the traffic panel shows of a moment: the stage and its height."""
    if moment.stage == "Retraining":
        return "Retraining", 9.0
    if moment.stage == "Promoting":
        return "Bake", float(moment.weight or 100)
    if moment.stage in ("Shadow", "Canary"):
        return moment.stage, float(moment.weight)
    if moment.stage == "RollingBack":
        return "Rollback", 100.0
    return None


def _serves(run: Run, axes: Any) -> None:
    spans = run.story.spans(lambda moment: moment.stable, run.ended)
    length = run.time.iloc[run.record.at - 1] - run.time.iloc[0]
    colours: dict[str, str] = {}
    for version, (begin, end) in spans:
        colour = colours.setdefault(version, VERSIONS[len(colours) % len(VERSIONS)])
        first, last = run.days([begin, end])
        axes.axvspan(first, last, color=colour, linewidth=0)
        # A name where it fits: whole, short, or not at all.
        share = (last - first) / length
        name = version if share > 0.07 else _short(version) if share > 0.02 else ""
        axes.text(
            first + (last - first) / 2,
            0.47,
            name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="center",
            color="white",
            fontweight="bold",
            fontsize=10.5,
            clip_on=True,
        )
    axes.set_yticks([])
    axes.set_ylabel("serves")


def _promoted(run: Run) -> list[pd.Timestamp]:
    """The days on which another version became stable."""
    spans = run.story.spans(lambda moment: moment.stable, run.ended)
    return run.days([begin for _, (begin, _) in spans[1:]])


def _short(version: str) -> str:
    """`v3` of `flights-v3`."""
    return version.rpartition("-")[2]


def _share(value: float, digits: int = 3) -> str:
    """.825 rather than 0.825."""
    return f"{value:.{digits}f}".removeprefix("0")
