"""The verdict that decides the exit code, and the report.

`python -m demo.report out/demo` writes picture and report again from what a run has left there.
"""

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from demo import picture
from demo.run import Run
from demo.story import ROLLOUT, Span, Word

HEALS_WANTED: Final = 2
GAIN_WANTED: Final = 0.05
SETTLE: Final = 10.0
"""Seconds after a promotion or a rollback that still belong to it: the pods it leaves without traffic end then."""
PICTURE: Final = "picture.png"
REPORT: Final = "report.md"


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    what: str
    holds: bool
    found: str


def checks(run: Run) -> list[Check]:
    """What the demo promises, measured."""
    healed, frozen = run.record.accuracy()
    heals = [heal.version for heal in run.heals]
    refused = [
        version
        for version in run.versions
        if version["spec"]["digest"] == run.worse_digest
        and version.get("status", {}).get("state") in ("Rejected", "RolledBack")
    ]
    why = refused[0]["status"].get("because", "") if refused else "it was not refused"
    count = len(run.time)
    recording = run.recording
    return [
        Check(
            f"at least {HEALS_WANTED} heals from breach to promotion",
            len(heals) >= HEALS_WANTED,
            f"{len(heals)}{': ' if heals else ''}{', '.join(heals)}",
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
        Check(
            "recorded decisions, decided again, give identical Plans",
            recording.decisions > 0 and not recording.differing,
            recording.said,
        ),
        *(Check("the demo itself did all it had to", False, trouble) for trouble in run.troubles),
    ]


def write(run: Run, folder: Path) -> tuple[Path, Path]:
    """Picture and report below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    picture.draw(run, folder / PICTURE)
    (folder / REPORT).write_text(text(run))
    return folder / PICTURE, folder / REPORT


def text(run: Run) -> str:
    """The report."""
    healed, frozen = run.record.accuracy()
    recording = run.recording
    lines = [
        "# What the demo measured",
        "",
        f"Made by `make demo` on {run.made_on}. {len(run.time):,} flights of {run.time.iloc[0]:%-d %B} to "
        f"{run.time.iloc[-1]:%-d %B} 2013 as single requests at {run.rate:.0f} a second, truths {run.delay:g} s later. "
        "Beside this file: every request (`requests.csv.gz`), every change of status (`run.json`), and every decision "
        "(`decisions.jsonl`, for `modelmend replay`).",
        "",
        f"![accuracy, traffic and versions over the year]({PICTURE})",
        "",
        *_table("what must hold | holds | found", _verdicts(run)),
        "",
        *_table(
            "figure | value",
            [
                ("accuracy healed, frozen", f"{healed:.4f}, {frozen:.4f}"),
                (
                    "requests answered, failed",
                    f"{run.record.answered:,}, {len(run.record.errors):,} of {len(run.time):,}",
                ),
                (
                    "labels fed back, failed batches",
                    f"{run.labelled:,}, {len(run.failures) - len(run.record.errors):,}",
                ),
                ("rate", f"{run.rate:.1f} requests a second, on schedule whether or not answers came"),
                ("the loop itself, first request to last truth", f"{run.seconds:.0f} s"),
                (
                    "decisions recorded and decided again",
                    f"{recording.decisions:,} in {recording.size / 1e6:.0f} MB, {recording.differing:,} differ, "
                    f"{recording.seconds:.0f} s",
                ),
                *run.facts.items(),
            ],
        ),
        "",
        "## While traffic moved",
        "",
        f"Requests sent while it happened, and in the {SETTLE:.0f} s after a promotion or rollback, in which pods end.",
        "",
        *_table("while | times | failed of sent | latency p50 | p99", _moving(run)),
        "",
        "## Heals",
        "",
        *_table(
            "version | breach | promoted | Job | gate | shadow | canary | bake | all | because", _heals(run)
        ),
        "",
        "## What had moved",
        "",
        "Data drift: the inputs are spread otherwise than in the rows that the replaced model was fitted on. Concept drift: it is right "
        "more seldom than its own scores say of these very inputs, so the relation from inputs to outcome has moved. Said by the signals of the "
        "model that was replaced, each window of rows judged once, while it served.",
        "",
        *_table("what moved | version | breach | inputs | relation", _moved(run)),
        "",
        "## Set-up",
        "",
        *_table("step | seconds | built or fetched, and cached for the next run", _setup(run)),
        "",
        "## Versions",
        "",
        *_table(
            "version | state | trigger | why",
            [
                (
                    version["metadata"]["name"],
                    version.get("status", {}).get("state", "-"),
                    version["spec"]["trigger"],
                    version.get("status", {}).get("because", ""),
                )
                for version in run.versions
            ],
        ),
        "",
        "## What happened",
        "",
        *(
            f"- {day:%-d %B}: {moment}: {moment.because}"
            for moment, day in zip(
                run.story.moments, run.days([moment.at for moment in run.story.moments]), strict=True
            )
        ),
    ]
    if run.failures:
        lines += ["", "## Requests that failed", "", *(f"- {error}" for error in run.failures[:20])]
    return "\n".join(lines) + "\n"


def _table(head: str, rows: list[tuple[str, ...]]) -> list[str]:
    columns = [column.strip() for column in head.split("|")]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *cells)]


def _verdicts(run: Run) -> list[tuple[str, ...]]:
    return [(check.what, "yes" if check.holds else "**no**", check.found) for check in checks(run)]


def _moving(run: Run) -> list[tuple[str, ...]]:
    """Failures and latency by what went on."""
    story, ended = run.story, run.ended
    promotions = story.during(frozenset({"Promoting"}), ended)
    rollbacks = story.during(frozenset({"RollingBack"}), ended)
    rollouts = story.during(ROLLOUT, ended)
    retraining = story.during(frozenset({"Retraining"}), ended)
    in_rollout, in_job = run.sent_within(rollouts, SETTLE), run.sent_within(retraining)
    everything = np.ones(len(run.time), bool)

    def row(what: str, spans: list[Span] | None, chosen: Any) -> tuple[str, ...]:
        sent = chosen & ~np.isnan(run.record.sent)
        failed = int((sent & np.isnan(run.record.latency)).sum())
        p50, p99 = _latency(run, chosen)
        return what, "" if spans is None else str(len(spans)), f"{failed:,} of {int(sent.sum()):,}", p50, p99

    return [
        row("promotions", promotions, run.sent_within(promotions, SETTLE)),
        row("rollbacks", rollbacks, run.sent_within(rollbacks, SETTLE)),
        row("rollouts, from shadow to the end of bake or rollback", rollouts, in_rollout),
        row("retraining Jobs, on the same cores", retraining, in_job & ~in_rollout),
        row("neither rollout nor Job", None, everything & ~in_rollout & ~in_job),
        row("all", None, everything),
    ]


def _latency(run: Run, chosen: Any) -> tuple[str, str]:
    """p50 and p99 at the client, through the Gateway."""
    seen = run.record.latency[chosen]
    seen = seen[~np.isnan(seen)] * 1000
    if not len(seen):
        return "-", "-"
    return f"{np.percentile(seen, 50):.0f} ms", f"{np.percentile(seen, 99):.0f} ms"


def _heals(run: Run) -> list[tuple[str, ...]]:
    """How long each part of a heal took, in seconds of the replay."""
    rows = []
    for heal in run.heals:
        breach, promoted = run.days([heal.breach, heal.promoting])
        times = [heal.breach, heal.trained, heal.shadow, heal.canary, heal.promoting, heal.ended]
        parts = [f"{end - begin:.0f} s" for begin, end in itertools.pairwise(times)]
        whole = f"{heal.ended - heal.breach:.0f} s"
        rows.append((heal.version, f"{breach:%-d %B}", f"{promoted:%-d %B}", *parts, whole, heal.because))
    return rows


def _moved(run: Run) -> list[tuple[str, ...]]:
    """What the signals said of the model that each heal replaced."""
    rows: list[tuple[str, ...]] = []
    for heal in run.heals:
        found, (breach,) = run.moved(heal), run.days([heal.breach])
        rows.append(
            (
                found.kind,
                heal.version,
                f"{breach:%-d %B}",
                _said(run, found.inputs),
                _said(run, found.relation),
            )
        )
    return rows


def _said(run: Run, word: Word | None) -> str:
    """A verdict with its numbers, and the day of the replay on which it was known."""
    if word is None:
        return "no signal"
    (day,) = run.days([word.at])
    return f"{word.verdict} on {day:%-d %B}: {word.because}"


def _setup(run: Run) -> list[tuple[str, ...]]:
    """Each step, and whether it was a first time."""
    rows = []
    for step in run.steps:
        seconds = f"{step.seconds:.0f}" if step.seconds >= 1 else f"{step.seconds:.1f}"
        rows.append((step.what, seconds, ", ".join(step.fetched) or "nothing: warm"))
    whole = sum(step.seconds for step in run.steps)
    was_cold = any(step.fetched for step in run.steps)
    return [*rows, ("all", f"{whole:.0f}", "cold, where something is named" if was_cold else "warm")]


def main() -> int:
    """Draws and writes again; the exit code is the verdict."""
    folder = Path(sys.argv[1])
    run = Run.load(folder)
    print("\n".join(str(path) for path in write(run, folder)))
    return 0 if all(check.holds for check in checks(run)) else 1


if __name__ == "__main__":
    sys.exit(main())
