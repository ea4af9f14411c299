"""`modelmend tune`: which minLabels and falseAlarmEvery to write, and what to expect of them. No cluster, no network."""

import enum
import sys
from typing import Annotated

import typer

from modelmend.advise import tuned, tuning
from modelmend.cli import durations

BAD_INPUT = 2


class Output(enum.StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


def tune(
    labels_per_day: Annotated[
        float, typer.Option(min=0.01, max=1e7, help="Labelled requests a day, all pods together.")
    ],
    minimum: Annotated[
        float | None, typer.Option(min=0.01, max=0.999, help="The accuracy that must be exceeded.")
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1.0,
            help="Accuracy of the healthy model, instead of --minimum: a maxDrop is advised.",
        ),
    ] = None,
    fall: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=0.9,
            help="Smallest fall worth seeing, below --minimum or --accuracy; .03 is 3 points.",
        ),
    ] = 0.03,
    false_alarms_per_month: Annotated[
        float,
        typer.Option(min=0.01, max=1e6, help="On average, in 30 days, while the accuracy is at the limit."),
    ] = 1.0,
    interval: Annotated[str, typer.Option(help="monitoring.interval, from 1s to 1h.")] = "30s",
    within: Annotated[str, typer.Option(help="When the fall should be seen, in 9 of 10 cases.")] = "7d",
    disagree: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Share of requests in which exactly one of champion and candidate is wrong.",
        ),
    ] = 0.06,
    margin: Annotated[
        float, typer.Option(min=0.0, max=0.499, help="rollout.analysis.margin.")
    ] = tuning.ANALYSIS.margin,
    shadow: Annotated[
        int, typer.Option(min=1, max=100, help="rollout.shadow.traffic, in percent.")
    ] = tuning.ROLLOUT.shadow.traffic,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Say which minLabels and falseAlarmEvery fulfil a wish, and how long detection and rollouts will take.

    Simulated with the operator's own tests. Exit code 0 when the wish is within reach, 1 when it is not,
    2 when it makes no sense.
    """
    try:
        every = durations.parse("--interval", interval)
        if not 1 <= every.total_seconds() <= 3600:
            raise ValueError(f"--interval {interval!r} is out of range: give 1s to 1h")
        wish = tuning.Wish(
            labels_per_day=labels_per_day,
            minimum=minimum,
            accuracy=accuracy,
            fall=fall,
            false_alarms_per_month=false_alarms_per_month,
            interval=every,
            within=durations.parse("--within", within),
            discordant=disagree,
            margin=margin,
            shadow=shadow,
            seed=seed,
        )
    except ValueError as problem:
        typer.echo(f"modelmend tune: {problem}", err=True)
        raise typer.Exit(BAD_INPUT) from None
    with typer.progressbar(length=1000, label="simulating", file=sys.stderr) as bar:
        done = 0

        def passed(share: float) -> None:
            nonlocal done
            bar.update(round(1000 * share) - done)
            done = max(done, round(1000 * share))

        found = tuning.advise(wish, passed)
    typer.echo(tuned.as_json(found) if output is Output.JSON else tuned.text(found))
    if found.out_of_reach or found.rollout_out_of_reach:
        raise typer.Exit(1)
