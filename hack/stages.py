"""Writes docs/stages.md from the code that decides: the table of edges, drawn, and what every stage shows.

The drawing and the conditions of each stage stand in docs/architecture.md too, between two marks.

python hack/stages.py [--write]    writes both
python hack/stages.py --check      fails when one differs from what stands there
"""

import argparse
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from modelmend.api import resources, spec, status  # noqa: E402
from modelmend.contract.arms import Arm  # noqa: E402
from modelmend.decide import conditions, decision, inputs, observed, stages  # noqa: E402

PAGE: Final = ROOT / "docs" / "stages.md"
OVERVIEW: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- Written by hack/stages.py from here"
END: Final = "<!-- to here. -->"
WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST: Final = "sha256:" + 64 * "0"
KINDS: Final = ("Ready", "Reconciling", "Stalled", "Progressing")


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Stages",
            "",
            "<!-- Written by hack/stages.py from operator/modelmend/decide. Do not edit. -->",
            "",
            "A stage is what people are shown; decisions are made from facts. These are all the ways from one to another.",
            "Whatever is not in this table is a defect: the model is Stalled with a sentence, and serves on.",
            "",
            *_drawing(),
            "",
            "| from | to | because |",
            "|---|---|---|",
            *(f"| {here} | {there} | {why} |" for (here, there), why in stages.EDGES.items()),
            "",
            "## What each stage shows",
            "",
            *_conditions(),
            "",
            "## What is asked, in order",
            "",
            "The first finding that applies is the diagnosis.",
            "",
            *(f"1. `{find.__name__}`: {_first_line(find)}" for find in decision.FINDINGS),
            "",
        ]
    )


def overview(present: str) -> str:
    """The other page, with what stands between the marks written anew."""
    before, begin, rest = present.partition(BEGIN)
    mark, _, old = rest.partition("\n")
    _, end, after = old.partition(END)
    if not begin or not end:
        raise SystemExit(f"{OVERVIEW.relative_to(ROOT)} has lost the marks between which the stages stand")
    return f"{before}{begin}{mark}\n" + "\n".join(["", *_drawing(), "", *_conditions(), "", end]) + after


def _conditions() -> list[str]:
    return [
        "`Reconciling` and `Stalled` are present only while they hold. `Healthy` follows the signals alone: False on a",
        "breach (reason Breached, or what is seen instead: ConceptDrifted, EstimateBreached, LabelsShifted, Drifted),",
        "Unknown when a signal has been Unknown for longer than three polls and the slowest labels (p99), or as soon as",
        "Prometheus has been silent for too long; True only when every signal is OK. Beside others, what is judged once a",
        "window is waited for while its first one runs: up to five windows long it does not count.",
        "",
        f"| stage | {' | '.join(KINDS)} |",
        f"|---|{'---|' * len(KINDS)}",
        *_rows(),
    ]


def _drawing() -> list[str]:
    """The life without people: what they may do at any stage would make it a ball of wool."""
    by_people = ("a person", "resumed")
    ways = [
        f"    {here} --> {there}: {why.replace(':', ',').replace(';', ',')}"
        for (here, there), why in stages.EDGES.items()
        if not why.startswith(by_people)
    ]
    return ["```mermaid", "stateDiagram-v2", "    [*] --> Installing", *ways, "```"]


def _rows() -> list[str]:
    rows = [_row(stage.value, _status(stage)) for stage in status.Stage]
    rows.append(
        _row("any, while a person's spec is carried out", _status(status.Stage.EVALUATING, resolving=True))
    )
    rows.append(
        _row("any, while what a person asked for is refused", _status(status.Stage.SERVING, refused=True))
    )
    return rows


def _row(label: str, shown: status.ModelDeploymentStatus) -> str:
    held: defaultdict[str, str] = defaultdict(lambda: "")
    suspended = shown.stage is status.Stage.SUSPENDED
    for condition in conditions.conditions(shown, _observed(shown, suspended)):
        held[condition.type] = condition.status.value
    return f"| {label} | {' | '.join(held[kind] or '-' for kind in KINDS)} |"


def _status(
    stage: status.Stage, *, resolving: bool = False, refused: bool = False
) -> status.ModelDeploymentStatus:
    """A status as the stage leaves it, as far as conditions look."""
    stable = status.Stable(version="m-v1", digest=DIGEST, uri="s3://a/b", rollout="u-1", since=WHEN)
    reading = status.Resolving(
        sequence=2, job="j", uri="s3://a/c", trigger=status.Trigger.SPEC, started_at=WHEN
    )
    return status.ModelDeploymentStatus(
        stage=stage,
        because="…",
        stable=None if stage is status.Stage.INSTALLING else stable,
        stalled="…" if stage is status.Stage.STALLED else None,
        resolving=reading if resolving else None,
        refusal=status.Refusal(generation=1, reason="RolloutRejected", message="…") if refused else None,
    )


def _observed(shown: status.ModelDeploymentStatus, suspended: bool) -> observed.Observed:
    """A world in which the stable version serves."""
    body: dict[str, Any] = {
        "model": {"uri": "s3://a/b"},
        "storage": {"uri": "s3://a/s"},
        "serving": {"gateway": {"parentRef": {"name": "g"}, "hostnames": ["m.example.com"]}},
        "suspend": suspended,
    }
    owner = resources.ModelDeployment(
        metadata=resources.Metadata(name="m", namespace="n", uid="u"),
        spec=spec.ModelDeploymentSpec.model_validate(body),
        status=shown,
    )
    version = resources.ModelVersion(
        metadata=resources.Metadata(name="m-v1", namespace="n", uid="v"),
        spec=resources.ModelVersionSpec(
            deployment="m",
            number=1,
            uri="s3://a/b",
            digest=DIGEST,
            trigger=status.Trigger.INSTALL,
            because="…",
            created_at=WHEN,
            image="i",
        ),
    )
    serves = shown.stable is not None
    server = observed.Server("m-v1", "u-1", inputs.of_server(owner, version), replicas=1, ready=1)
    front = observed.Front(
        key=True,
        service="m-v1",
        backends=(observed.Backend("m-v1", Arm.SOLO, 100),),
        inputs=inputs.of_front(owner),
        accepted=True,
    )
    return observed.Observed(
        now=WHEN,
        deployment=owner,
        settings=observed.Settings(runtime_image="i"),
        versions=(version,) if serves else (),
        servers=(server,) if serves else (),
        front=front if serves else observed.Front(),
    )


def _first_line(find: Any) -> str:
    return str(find.__doc__).strip().splitlines()[0]


def main() -> int:
    """0 when both pages are as they should be."""
    arguments = argparse.ArgumentParser(description=__doc__)
    what = arguments.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="fail instead of writing")
    what.add_argument("--write", action="store_true", help="write the pages (the default)")
    pages = {PAGE: page(), OVERVIEW: overview(OVERVIEW.read_text())}
    if not arguments.parse_args().check:
        for path, wanted in pages.items():
            path.write_text(wanted)
        return 0
    old = [path for path, wanted in pages.items() if not path.exists() or path.read_text() != wanted]
    for path in old:
        print(
            f"{path.relative_to(ROOT)} is not what the code says: run python hack/stages.py", file=sys.stderr
        )
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
