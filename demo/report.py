"""The picture and the report of a run, and the verdict that decides the exit code."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from demo import watch
from demo.replay import Record
from demo.watch import Story

HEALS_WANTED: Final = 2
GAIN_WANTED: Final = 0.05


@dataclass(frozen=True)
class Run:
    """Everything a report is made of."""

    frame: pd.DataFrame
    record: Record
    labelled: int
    failures: list[str]
    """Requests and feedback that failed, a line each."""
    story: Story
    versions: list[dict[str, Any]]
    """The ModelVersions at the end."""
    worse_digest: str
    """The artifact that was meant to be refused."""
    begun: float
    rate: float
    delay: float
    setup_seconds: dict[str, float]
    """How long each step before the replay took."""
    command: str = "make demo"


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    what: str
    holds: bool
    found: str


def checks(run: Run) -> list[Check]:
    """What the demo promises, measured."""
    healed, frozen = run.record.accuracy()
    heals = watch.heals(run.story)
    refused = [
        version
        for version in run.versions
        if version["spec"]["digest"] == run.worse_digest
        and version.get("status", {}).get("state") in ("Rejected", "RolledBack")
    ]
    why = refused[0]["status"].get("because", "") if refused else "it was not refused"
    count = len(run.frame)
    return [
        Check(
            f"at least {HEALS_WANTED} heals from breach to promotion",
            len(heals) >= HEALS_WANTED,
            f"{len(heals)}: {', '.join(heals)}",
        ),
        Check(
            f"healed at least {GAIN_WANTED} above frozen",
            healed - frozen >= GAIN_WANTED,
            f"{healed:.3f} against {frozen:.3f}",
        ),
        Check(
            "every request answered", run.record.answered == count, f"{run.record.answered:,} of {count:,}"
        ),
        Check("the worse artifact refused for cause", bool(refused), why),
    ]


def write(run: Run, folder: Path) -> tuple[Path, Path]:
    """picture.png and report.md below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    picture, report = folder / "picture.png", folder / "report.md"
    _draw(run, picture)
    report.write_text(_text(run))
    return picture, report


def _days(run: Run, moments: list[float]) -> list[Any]:
    """The flights' time at which the replay stood at those moments."""
    sent = run.record.sent[: run.record.at]
    places = np.clip(np.searchsorted(sent, moments), 0, len(sent) - 1)
    return [run.frame["time"].iloc[place] for place in places]


def _draw(run: Run, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    count = run.record.at
    seen = pd.DataFrame(
        {
            "time": run.frame["time"].iloc[:count],
            "healed": run.record.right[:count].astype(float),
            "frozen": run.record.frozen_right[:count].astype(float),
        }
    ).set_index("time")
    smooth = seen.rolling("7D", min_periods=200).mean()
    figure, axes = plt.subplots(figsize=(13, 6), layout="constrained")
    axes.plot(smooth.index, smooth["frozen"], color="#999999", label="frozen first model")
    axes.plot(smooth.index, smooth["healed"], color="#0b6e4f", linewidth=2, label="healed by Modelmend")
    for stage, colour in (
        ("Retraining", "#f4d58d"),
        ("Shadow", "#a7c7e7"),
        ("Canary", "#5b8fd9"),
        ("RollingBack", "#d1495b"),
    ):
        for place, (begin, end) in enumerate(run.story.spans(stage)):
            first, last = _days(run, [begin, end])
            axes.axvspan(
                first, last, color=colour, alpha=0.6, linewidth=0, label=stage if place == 0 else None
            )
    low = float(np.nanmin(smooth[["healed", "frozen"]].iloc[200:].to_numpy())) - 0.03
    previous = None
    for moment in run.story.moments:
        if moment.stable and moment.stable != previous:
            day = _days(run, [moment.at])[0]
            axes.axvline(day, color="#0b6e4f", linestyle=":", linewidth=1)
            axes.annotate(
                moment.stable, (day, low), xytext=(3, 4), textcoords="offset points", color="#0b6e4f"
            )
            previous = moment.stable
    for version in run.versions:
        if version.get("status", {}).get("state") == "Rejected":
            created = pd.Timestamp(version["spec"]["createdAt"]).timestamp()
            day = _days(run, [created])[0]
            axes.plot([day], [low + 0.015], marker="x", color="#d1495b", markersize=9)
            axes.annotate(
                f"{version['metadata']['name']} rejected",
                (day, low + 0.015),
                xytext=(6, -3),
                textcoords="offset points",
                color="#d1495b",
            )
    axes.set_ylim(bottom=low)
    axes.set_ylabel("accuracy, 7 days rolling")
    axes.set_title("Faster than the winter median? Flights out of New York, 2013")
    axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1.05), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _text(run: Run) -> str:
    latency = run.record.latency[~np.isnan(run.record.latency)] * 1000
    healed, frozen = run.record.accuracy()
    lines = [
        "# What the demo measured",
        "",
        f"Made by `{run.command}` on {time.strftime('%Y-%m-%d')}. {len(run.frame):,} flights of {run.frame['time'].iloc[0]:%d %B} to "
        f"{run.frame['time'].iloc[-1]:%d %B} 2013 as single requests at {run.rate:.0f} a second, truths {run.delay:g} s later.",
        "",
        "| what must hold | holds | found |",
        "|---|---|---|",
        *(
            f"| {check.what} | {'yes' if check.holds else '**no**'} | {check.found} |"
            for check in checks(run)
        ),
        "",
        "| figure | value |",
        "|---|---|",
        f"| accuracy healed, frozen | {healed:.4f}, {frozen:.4f} |",
        f"| requests answered, failed | {run.record.answered:,}, {len(run.failures):,} |",
        f"| latency at the client p50, p99 | {np.percentile(latency, 50):.0f} ms, {np.percentile(latency, 99):.0f} ms |",
        f"| labels fed back | {run.labelled:,} |",
        f"| the loop itself | {time.time() - run.begun:.0f} s |",
        *(f"| {step} | {seconds:.0f} s |" for step, seconds in run.setup_seconds.items()),
        "",
        "## Versions",
        "",
        "| version | state | trigger | why |",
        "|---|---|---|---|",
        *(
            f"| {version['metadata']['name']} | {version.get('status', {}).get('state', '-')} | {version['spec']['trigger']} | {version.get('status', {}).get('because', '')} |"
            for version in run.versions
        ),
        "",
        "## What happened",
        "",
        *(
            f"- {day:%d %B}: {moment.stage}{f' ({moment.candidate} {moment.weight} %)' if moment.candidate else ''}: {moment.because}"
            for moment, day in zip(
                run.story.moments, _days(run, [moment.at for moment in run.story.moments]), strict=True
            )
        ),
    ]
    if run.failures:
        lines += ["", "## Requests that failed", "", *(f"- {error}" for error in run.failures[:20])]
    return "\n".join(lines) + "\n"
