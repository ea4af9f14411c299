"""`modelmend replay`: decides what was recorded again. The same worlds must give the same plans; where they do not,
either the rules were changed or something impure crept into them."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from modelmend.decide import decision, observed
from modelmend.loop import record


def replay(
    file: Annotated[Path, typer.Argument(help="decisions.jsonl of `modelmend run --record`.", exists=True)],
) -> None:
    """Decide recorded worlds again and compare; fails when a plan differs."""
    decisions, differing, cut = 0, 0, 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                recorded = orjson.loads(line)
            except orjson.JSONDecodeError:
                # The operator was killed in the middle of it, or the disk was full.
                cut += 1
                continue
            world = observed.load(recorded["observed"])
            again = orjson.loads(orjson.dumps(record.dump(decision.decide(world))))
            decisions += 1
            if again != recorded["plan"]:
                differing += 1
                where = ", ".join(_differences(recorded["plan"], again))
                print(
                    f"line {number}: {world.deployment.metadata.namespace}/{world.deployment.metadata.name}: {where}"
                )
    left_out = f", {cut:,} lines were cut short and are left out" if cut else ""
    print(f"{decisions:,} decisions, {differing:,} differ{left_out}")
    if differing:
        raise typer.Exit(1)


def _differences(before: Any, after: Any, path: str = "plan") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        return [
            found
            for name in names
            for found in _differences(before.get(name), after.get(name), f"{path}.{name}")
        ]
    return [] if before == after else [f"{path} was {before!r}, now {after!r}"]
