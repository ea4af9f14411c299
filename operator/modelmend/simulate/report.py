"""The report, the timeline as JSON, and the picture, in one folder. The same options give the same bytes."""

import json
from pathlib import Path
from typing import Any, Final

from modelmend.api import fields
from modelmend.simulate import outcome, picture
from modelmend.simulate.outcome import Attempt, Outcome

CONTENDERS: Final = {
    "healed": "healed by Modelmend",
    "frozen": "the first model, left alone",
    "weekly": "refitted every week, no gate",
}


def write(found: Outcome, folder: Path) -> tuple[Path, ...]:
    """report.md, timeline.json and picture.png below `folder`, which is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    report, timeline, drawn = (folder / name for name in ("report.md", "timeline.json", "picture.png"))
    report.write_text(_text(found))
    timeline.write_text(json.dumps(to_json(found), indent=1, ensure_ascii=False) + "\n")
    picture.draw(found, drawn)
    return report, timeline, drawn


def to_json(found: Outcome) -> dict[str, Any]:
    """Everything in plain JSON types."""
    return {
        "policy": found.deployment.metadata.name,
        "options": found.options,
        "from": fields.format_instant(found.begin),
        "to": fields.format_instant(found.end),
        "requests": len(found.requests),
        "labelled": int(found.judged.sum()),
        "accuracy": {name: round(value, 6) for name, value in found.accuracy().items()},
        "counts": counts(found),
        "attempts": [attempt.to_json() for attempt in found.attempts()],
        "months": [
            {
                "month": month,
                "labelled": n,
                "accuracy": {name: round(value, 6) for name, value in shares.items()},
            }
            for month, n, shares in found.by_month()
        ],
        "versions": [
            {
                "version": version.metadata.name,
                "state": version.status.state,
                "trigger": version.spec.trigger.value,
                "rows": version.spec.rows,
                "metrics": version.spec.metrics,
                "because": version.status.because,
            }
            for version in found.versions
        ],
        "timeline": [moment.to_json() for moment in found.timeline.moments],
        "warnings": list(found.warnings),
    }


def counts(found: Outcome) -> dict[str, int]:
    """How often what happened."""
    return {
        "breaches": found.breaches,
        "retrainings": found.timeline.retrainings,
        "promoted": found.counted(outcome.PROMOTED),
        "rejectedAtTheGate": found.counted(outcome.REJECTED),
        "rolledBack": found.counted(outcome.ROLLED_BACK),
        "trainingFailed": found.counted(outcome.FAILED),
        "openAtTheEnd": found.counted(outcome.OPEN),
        "weeklyRefits": found.weekly.refits,
    }


def verdict(found: Outcome) -> str:
    """What a reader should take away, in one or two sentences; never kinder than the figures."""
    share = found.accuracy()
    gain, behind = share["healed"] - share["frozen"], share["weekly"] - share["healed"]
    tally = counts(found)
    sentence = (
        f"Healed {share['healed']:.3f} against {share['frozen']:.3f} frozen ({gain:+.3f}), "
        f"with {tally['retrainings']} retrainings and {tally['promoted']} promotions. "
    )
    if behind > 0:
        return sentence + (
            f"A refit every week without a gate would have been better by {behind:.3f}, at {tally['weeklyRefits']} unguarded "
            "releases: try a higher minimum, a shorter cooldown, or retraining.schedule."
        )
    return (
        sentence
        + f"A refit every week without a gate: {share['weekly']:.3f}, at {tally['weeklyRefits']} unguarded releases."
    )


def _text(found: Outcome) -> str:
    name, share, tally = found.deployment.metadata.name, found.accuracy(), counts(found)
    options = " ".join(f"{key} {value}" for key, value in found.options.items())
    stage = found.deployment.status.stage
    lines = [
        f"# What this policy would have done: {name}",
        "",
        f"Made by `modelmend simulate {options}`.",
        "",
        f"{len(found.requests):,} rows from {_day(found.begin)} to {_day(found.end)} were replayed as requests, "
        f"{int(found.judged.sum()):,} of them with a label. {verdict(found)}",
        "",
        "![accuracy](picture.png)",
        "",
        "| | accuracy | releases |",
        "|---|---|---|",
        f"| {CONTENDERS['healed']} | {share['healed']:.4f} | {tally['promoted']} |",
        f"| {CONTENDERS['frozen']} | {share['frozen']:.4f} | 0 |",
        f"| {CONTENDERS['weekly']} | {share['weekly']:.4f} | {_refits(found)} |",
        "",
        f"{tally['breaches']} breaches, {tally['retrainings']} retrainings: {tally['promoted']} promoted, "
        f"{tally['rejectedAtTheGate']} rejected at the gate, {tally['rolledBack']} rolled back, "
        f"{tally['trainingFailed']} failed, {tally['openAtTheEnd']} open at the end. "
        f"At the end: {stage.value if stage else '-'}.",
        "",
        *_warned(found),
        "## Every attempt, and what it took",
        "",
        "Labels: counted of the champion until the breach; in brackets those since its accuracy began to fall. Pairs: labelled",
        "requests that champion and candidate both answered.",
        "",
        "| asked | candidate | outcome | after | labels | holdout | pairs | last word |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(attempt) for attempt in found.attempts()),
        "",
        "## Month by month",
        "",
        "| month | labelled | healed | frozen | weekly |",
        "|---|---|---|---|---|",
        *(
            f"| {month} | {n:,} | {shares['healed']:.3f} | {shares['frozen']:.3f} | {shares['weekly']:.3f} |"
            for month, n, shares in found.by_month()
        ),
        "",
        "## What happened",
        "",
        *(f"- {_minute(moment.at)} **{moment.event}** {moment.because}" for moment in found.timeline.moments),
    ]
    return "\n".join(lines) + "\n"


def _refits(found: Outcome) -> str:
    skipped = found.weekly.skipped
    return f"{found.weekly.refits}" + (f", {skipped} weeks had too few rows" if skipped else "")


def _warned(found: Outcome) -> list[str]:
    if not found.warnings:
        return []
    return ["Warnings:", "", *(f"- {warning}" for warning in found.warnings), ""]


def _row(attempt: Attempt) -> str:
    since = f" ({attempt.labels_since_fall:,})" if attempt.labels_since_fall is not None else ""
    after = "-" if attempt.ended is None else _length(attempt)
    cells = (
        _minute(attempt.asked),
        attempt.candidate or "-",
        attempt.outcome,
        after,
        "-" if attempt.labels is None else f"{attempt.labels:,}{since}",
        _number(attempt.holdout),
        _number(attempt.pairs),
        attempt.because.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"


def _length(attempt: Attempt) -> str:
    assert attempt.ended is not None
    hours = (attempt.ended - attempt.asked).total_seconds() / 3600
    return f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _day(at: Any) -> str:
    return f"{at:%Y-%m-%d}"


def _minute(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
