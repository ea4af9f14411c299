"""What the operator costs while nothing happens: writes to the API server, and resident memory.

Two ModelDeployments serve: one was never asked, the other was asked and told for a while. Their last labels were
counted and checkpointed before the count begins (a checkpoint may come five minutes after). Then nobody asks them, and
every write of the operator is counted from the API server's audit log, whatever its kind. Only renewals of the Lease
may stand there.
"""

import argparse
import collections
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import traffic
from localcluster import audit, progress
from trial import cluster as clusters
from trial import models
from trial.deployment import Model

RSS_LIMIT_MB: Final = 150
NAMESPACE: Final = "bench"
LABELS: Final = 500
SETTLED: Final = 330.0
"""Seconds after the last label until everything that it may bring is written."""
SAY_EVERY: Final = 30.0
LEASES: Final = "leases"


def serve(cluster: clusters.Cluster) -> list[Model]:
    """One that is never asked, and one that was."""
    quiet, asked = Model(cluster, NAMESPACE, "never-asked"), Model(cluster, NAMESPACE, "asked-before")
    for model in (quiet, asked):
        model.apply()
    for model in (quiet, asked):
        model.until_serving()
    with traffic.flowing(asked.traffic(models.World())) as stream:
        clusters.until("labels", lambda: stream.labelled >= LABELS, 60, lambda: stream.failures[:3])
        asked.until("the verdict OK", lambda status: status["signals"][0]["verdict"] == "OK", 30)
    return [quiet, asked]


def watch(log: Path, since: float, seconds: float) -> list[audit.Write]:
    """The operator's writes in this time, as it passes."""
    while (left := since + seconds - time.time()) > 0:
        time.sleep(min(left, SAY_EVERY))
        found = audit.writes(log, since)
        others = sum(write.resource != LEASES for write in found)
        progress.say(
            f"{max(since + seconds - time.time(), 0):4.0f} s left, "
            f"{len(found) - others} renewals of the Lease, {others} other writes"
        )
    return audit.writes(log, since)


def memory(cluster: clusters.Cluster) -> tuple[float, float]:
    """The operator's resident memory now, and at its highest since it began, in MB."""
    told = cluster.kubectl("-n", clusters.OPERATOR, "exec", "deploy/modelmend", "--", "cat", "/proc/1/status")
    now, highest = (int(re.findall(rf"{name}:\s+(\d+) kB", told)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--settle", type=float, default=SETTLED, metavar="SECONDS", help="from the last label on"
    )
    options = parser.parse_args()
    cluster = clusters.present()
    if not cluster.told.get("audit_log"):
        raise clusters.TrialError("this cluster keeps no audit log: take MODELMEND_LOCAL_ENGINE=node")
    log = Path(cluster.told["audit_log"])
    with tempfile.TemporaryDirectory() as name:
        models.write_good(Path(name) / "good", "bench")
        progress.say("the operator, a namespace and two ModelDeployments")
        with clusters.room(cluster, NAMESPACE, Path(name)):
            serving = serve(cluster)
            progress.say(f"nobody asks any more; {options.settle:.0f} s until the last label is written down")
            before = watch(log, time.time(), options.settle)
            progress.say(f"counting for {options.minutes:g} minutes")
            found = watch(log, time.time(), options.minutes * 60)
            stages = {model.name: model.status()["stage"] for model in serving}
            now, highest = memory(cluster)
    print(f"{stages}, {options.minutes:g} minutes without requests and labels")
    print(
        f"while it settled: {dict(collections.Counter(f'{write.verb} {write.resource}' for write in before))}"
    )
    renewals = [write for write in found if write.resource == LEASES]
    others = [write for write in found if write.resource != LEASES]
    print(f"renewals of the Lease: {len(renewals)}; other writes: {len(others)}, target 0")
    for write in others:
        at = time.strftime("%H:%M:%S", time.gmtime(write.at))
        print(f"  {at} {write.verb} {write.resource} {write.namespace}/{write.name} {write.code}")
    print(f"operator's resident memory: {now:.0f} MB, at most {highest:.0f} MB, target {RSS_LIMIT_MB} MB")
    # Without renewals nothing was recorded at all.
    met = bool(renewals) and not others and highest < RSS_LIMIT_MB and set(stages.values()) == {"Serving"}
    print("met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except clusters.TrialError as error:
        sys.exit(f"bench.idle: {error}")
