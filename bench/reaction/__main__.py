"""Measures both several times; prints every run, the median and the worst; exit 1 when a target is missed."""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.reaction import breach, rollout
from localcluster import progress
from trial import cluster as clusters

NAMESPACE: Final = "bench"


def judge(what: str, seconds: list[float], target: float) -> bool:
    """Prints the runs of one figure. The worst must meet the target."""
    met = max(seconds) <= target
    runs = " ".join(f"{each:.2f}" for each in seconds)
    print(f"{what}\n  runs [s]: {runs}")
    print(
        f"  median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s, "
        f"target {target:g} s: {'met' if met else 'MISSED'}"
    )
    return met


def judge_failures(what: str, asked: int, failures: list[str]) -> bool:
    """Prints how many requests failed. None may."""
    print(f"{what}\n  {len(failures)} of {asked:,} requests failed: {'MISSED' if failures else 'met'}")
    for failure in failures[:20]:
        print(f"  {failure}")
    return not failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reaction", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    cluster = clusters.present()
    breaches: list[breach.Breach] = []
    rollouts: list[rollout.Rollout] = []
    with tempfile.TemporaryDirectory() as name:
        rollout.write_artifacts(Path(name))
        progress.say("the operator, a namespace and three artifacts")
        clusters.install(cluster)
        with clusters.room(cluster, NAMESPACE, Path(name)):
            for number in range(1, options.runs + 1):
                found = breach.measure(cluster, NAMESPACE, number)
                breaches.append(found)
                progress.say(
                    f"breach {number} of {options.runs}: shown after {found.shown:.2f} s, "
                    f"Job after {found.job:.2f} s more"
                )
            for number in range(1, options.runs + 1):
                seen = rollout.measure(cluster, NAMESPACE, number)
                rollouts.append(seen)
                progress.say(
                    f"rollout {number} of {options.runs}: {seen.share:.0%} of answers were the candidate's, the last "
                    f"{seen.gone:.2f} s after the decision, {seen.after} in that time; "
                    f"{len(seen.failures[0]) + len(seen.failures[1])} of {sum(seen.asked):,} requests failed"
                )
    targets = [
        judge(
            f"breach in Prometheus to the retraining Job, with an interval of {breach.INTERVAL:g} s",
            [each.job for each in breaches],
            breach.TARGET,
        ),
        judge(
            "decision to roll back to the candidate's last answer at the client",
            [each.gone for each in rollouts],
            rollout.TARGET,
        ),
        judge_failures(
            "canary and rollback",
            sum(each.asked[0] for each in rollouts),
            [failure for each in rollouts for failure in each.failures[0]],
        ),
        judge_failures(
            "canary and promotion",
            sum(each.asked[1] for each in rollouts),
            [failure for each in rollouts for failure in each.failures[1]],
        ),
    ]
    runs = {
        "breaches": list(map(dataclasses.asdict, breaches)),
        "rollouts": list(map(dataclasses.asdict, rollouts)),
    }
    print(json.dumps(runs))
    return 0 if all(targets) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except clusters.TrialError as error:
        sys.exit(f"bench.reaction: {error}")
