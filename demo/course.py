"""The demo's course: cluster, images, chart, first model, replay, a bad push, verdict.

Exit 0 only when everything in `report.checks` holds. Whatever ends it, Ctrl-C included, ends what it has started.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from rich.console import Console
from rich.live import Live
from rich.text import Text

import traffic
from demo import cluster, flights, programs, recording, replay, report, view, watch
from demo.cluster import HOST, NAME, NAMESPACE, ROOT
from demo.run import Recording, Run, Step
from demo.story import Story, heals

SEED: Final = 2013
DELAY: Final = 3.0
"""Seconds from an answer to its truth."""
PUSH_AT: Final = 0.62
"""Share of the replay after which the worse artifact is pushed, as soon as nothing is in flight."""
REVERT_AFTER: Final = 15.0
"""Seconds from its refusal to the push being reverted, as its author would."""
LAST_LOOK: Final = 5.0
"""Seconds after the last truth, for the last status to arrive."""
INTERRUPTED: Final = 130


@dataclass
class Steps:
    """What is being done, and what each step took."""

    console: Console
    done: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.console.print(f"[bold]==>[/] {what}")
        begun, before = time.monotonic(), cluster.cached()
        yield
        seconds = time.monotonic() - begun
        # The folder of what came in, as `bin/kubernetes-…`: its files are many.
        fetched = sorted({"/".join(path.split("/")[:2]) for path in cluster.cached() - before})
        self.done.append(Step(what, seconds, tuple(fetched)))
        self.console.print(f"    {seconds:.0f} s")


@dataclass(frozen=True)
class Prepared:
    """What the replay needs."""

    on: cluster.Cluster
    frame: Any
    """The flights to replay."""
    frozen_right: np.ndarray[Any, Any]
    """Where the first model alone would be right."""
    worse_digest: str
    facts: dict[str, str]


def pack_models(folder: Path, winter: Any) -> tuple[str, Any]:
    """Writes the first model and a worse one; returns the worse one's digest and the first estimator, the control."""
    from modelmend.runtime import artifact

    features = winter[list(flights.FEATURES)]
    first = flights.pipeline().fit(features, winter["fast"])
    # What a careless push looks like: the labels were joined to the wrong rows.
    shuffled = winter["fast"].sample(frac=1.0, random_state=SEED).to_numpy()
    worse = flights.pipeline().fit(features, shuffled)
    digests = {}
    for name, pipeline, truth in (("v0", first, winter["fast"]), ("careless", worse, shuffled)):
        loaded, _ = artifact.pack(
            pipeline,
            features,
            truth,
            uri=f"file://{folder / name}",
            model=NAME,
            version=name,
            time=winter["time"],
        )
        digests[name] = loaded.digest
    return digests["careless"], first


def prepare(options: argparse.Namespace, steps: Steps) -> Prepared:
    """Everything up to a model that answers."""
    with steps.step("local cluster"):
        cluster.localcluster("up")
        found = cluster.read()
    with steps.step("images"):
        cluster.localcluster("images")
    with diagnosed(found, options.out):
        return fill(found, options, steps)


@contextlib.contextmanager
def diagnosed(on: cluster.Cluster, folder: Path) -> Iterator[None]:
    """Keeps what the cluster says about a failure, for after it was taken down."""
    try:
        yield
    except programs.Failed as failed:
        folder.mkdir(parents=True, exist_ok=True)
        told = folder / "diagnosis.txt"
        told.write_text(cluster.diagnosis(on))
        raise programs.Failed(f"{failed}\nWhat the cluster says about it: {told}") from failed


def fill(found: cluster.Cluster, options: argparse.Namespace, steps: Steps) -> Prepared:
    """From a cluster to a model that answers."""
    with steps.step("operator, by its chart"):
        cluster.clean(found)
        cluster.install(found)
    with steps.step("flights of 2013, and the first model on 1 January to 14 February"):
        everything = flights.load()
        frame = flights.replayed(everything, options.flights, SEED)
        shutil.rmtree(options.out, ignore_errors=True)
        models = options.out / "models"
        models.mkdir(parents=True)
        worse_digest, first = pack_models(models, flights.winter(everything))
        frozen_right = np.asarray(first.predict(frame[list(flights.FEATURES)])) == frame["fast"].to_numpy()
    with steps.step("artifacts to the claim, ModelDeployment applied, serving"):
        cluster.upload(found, models)
        found.run("apply", "-f", str(ROOT / "demo/modeldeployment.yaml"))
        cluster.wait_until_serving(found)
    return Prepared(found, frame, frozen_right, worse_digest, cluster.facts(found))


async def push_and_revert(on: cluster.Cluster, story: Story, record: replay.Record, total: int) -> None:
    """Pushes the worse artifact when the moment has come, and takes it back some time after it was refused."""

    async def patch(uri: str) -> None:
        await asyncio.to_thread(
            on.run,
            *("-n", NAMESPACE, "patch", "modeldeployment", NAME, "--type=merge", "--request-timeout=20s"),
            *("--field-manager=careless-author", "-p", json.dumps({"spec": {"model": {"uri": uri}}})),
        )

    def is_free() -> bool:
        return record.at >= PUSH_AT * total and story.latest.get("status", {}).get("stage") == "Serving"

    while not is_free():
        await asyncio.sleep(0.2)
    await patch("pvc://storage/careless")
    while not (story.latest.get("status", {}).get("refusal")):
        await asyncio.sleep(0.2)
    await asyncio.sleep(REVERT_AFTER)
    await patch("pvc://storage/v0")


async def play(
    on: cluster.Cluster,
    stream: traffic.Traffic,
    record: replay.Record,
    frame: Any,
    console: Console,
    troubles: list[str],
) -> Story:
    """The replay with its watcher, its careless author and its live view, until the last truth is told."""
    story = Story()
    following = asyncio.create_task(watch.follow(on.kubectl, on.kubeconfig, NAMESPACE, NAME, story))
    pushing = asyncio.create_task(push_and_revert(on, story, record, len(frame)))
    playing = asyncio.create_task(stream.run())

    def frame_of(drawn: Any) -> Any:
        day = f"{frame['time'].iloc[max(record.at - 1, 0)]:%-d %B}"
        return drawn(story, record, len(frame), day, len(heals(story, time.time())))

    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                while not playing.done():
                    live.update(frame_of(view.draw), refresh=True)
                    await asyncio.wait([playing], timeout=0.5)
        else:
            while not playing.done():
                await asyncio.wait([playing], timeout=5)
                print(frame_of(view.line), flush=True)
        await playing
        await asyncio.sleep(LAST_LOOK)
    except asyncio.CancelledError:
        programs.ignore_signals()
        raise
    finally:
        for task in (playing, pushing, following):
            task.cancel()
        await asyncio.gather(playing, pushing, following, return_exceptions=True)
    for task, what in ((pushing, "careless push"), (following, "watch")):
        if not task.cancelled() and (problem := task.exception()):
            troubles.append(f"{what}: {problem}")
    return story


def decisions(on: cluster.Cluster, path: Path) -> Recording:
    """The operator's decisions, copied and decided again; a failure is a finding like any other."""
    try:
        cluster.fetch_tape(on, path)
        return recording.decide_again(path)
    except programs.Failed as failed:
        return Recording(said=str(failed))


def measure(ready: Prepared, options: argparse.Namespace, console: Console, steps: tuple[Step, ...]) -> Run:
    """The replay, and all there is to know about it."""
    frame = ready.frame
    rate = len(frame) / (options.minutes * 60)
    resource = yaml.safe_load((ROOT / "demo/modeldeployment.yaml").read_text())
    minimum = float(resource["spec"]["monitoring"]["signals"][0]["minimum"])
    console.print(
        f"[bold]==>[/] replay of {len(frame):,} flights at {rate:.0f} a second, truths {DELAY:g} s later, "
        f"minimum accuracy {minimum}",
        soft_wrap=True,
    )
    record = replay.Record.of(frame["fast"].to_numpy(), ready.frozen_right)
    target = traffic.Target(ready.on.gateway_url, HOST, NAME)
    stream = traffic.Traffic(replay.questions(frame), target, rate, DELAY, record.take)
    troubles: list[str] = []
    begun = time.time()
    story = asyncio.run(play(ready.on, stream, record, frame, console, troubles))
    ended = time.time()
    versions = ready.on.json("-n", NAMESPACE, "get", "modelversions")["items"]
    console.print("[bold]==>[/] the operator's decisions, decided again")
    return Run(
        time=frame["time"],
        record=record,
        story=story,
        versions=sorted(versions, key=lambda version: int(version["spec"]["number"])),
        worse_digest=ready.worse_digest,
        begun=begun,
        ended=ended,
        seconds=ended - LAST_LOOK - begun,
        rate=rate,
        delay=DELAY,
        minimum=minimum,
        labelled=stream.labelled,
        failures=stream.failures,
        troubles=troubles,
        steps=steps,
        facts=ready.facts,
        recording=decisions(ready.on, options.out / "decisions.jsonl"),
        made_on=time.strftime("%Y-%m-%d"),
    )


def demonstrate(options: argparse.Namespace, steps: Steps) -> int:
    """The whole of it; the exit code."""
    ready = prepare(options, steps)
    run = measure(ready, options, steps.console, tuple(steps.done))
    run.save(options.out)
    picture, told = report.write(run, options.out)
    found = report.checks(run)
    for check in found:
        verdict = Text("holds  ", "green") if check.holds else Text("FAILS  ", "red")
        steps.console.print(verdict + Text(f"{check.what}: {check.found}", ""), soft_wrap=True)
    print(f"picture: {picture}\nreport:  {told}")
    return 0 if all(check.holds for check in found) else 1


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--flights", type=int, default=40_000, help="flights to replay, thinned evenly from 207,278"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the replay")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    parser.add_argument("--out", type=Path, default=ROOT / "out/demo", help="where picture and report go")
    return parser.parse_args()


def main() -> int:
    """The exit code. What was started has ended by then, unless --keep."""
    options = arguments()
    console = Console()
    code = 1
    programs.heed_signals()
    try:
        code = demonstrate(options, Steps(console))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except programs.Failed as failed:
        console.print(Text(str(failed), "red"), soft_wrap=True)
        code = 1
    finally:
        # A second Ctrl-C would leave half a cluster behind; this takes seconds, and says so.
        programs.ignore_signals()
        if not options.keep:
            code = _take_down(console) or code
    if code == INTERRUPTED:
        console.print("ended by hand; the cluster is " + ("still up" if options.keep else "down"))
    return code


def _take_down(console: Console) -> int:
    try:
        cluster.localcluster("down")
    except programs.Failed as failed:
        console.print(Text(str(failed), "red"), soft_wrap=True)
        return 1
    return 0
