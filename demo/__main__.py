"""The demo's thread: cluster, images, chart, first model, replay, a bad push, verdict.

Exit 0 only when everything in `report.checks` holds. Ctrl-C ends what was started; so does a failure.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from rich.console import Console
from rich.live import Live

import traffic
from demo import flights, replay, report, view, watch

ROOT: Final = Path(__file__).resolve().parent.parent
NAMESPACE: Final = "flights"
OPERATOR_NAMESPACE: Final = "modelmend-system"
NAME: Final = "flights"
HOST: Final = "flights.example.com"
SEED: Final = 2013
PUSH_AT: Final = 0.62
"""Share of the replay after which the worse artifact is pushed, as soon as nothing is in flight."""
REVERT_AFTER: Final = 15.0
"""Seconds from its refusal to the push being reverted, as its author would."""
LAST_LOOK: Final = 5.0
"""Seconds after the last truth, for the last status to arrive."""


@dataclass
class Cluster:
    """The local cluster, as its `status` tells."""

    kubeconfig: Path
    kubectl: Path
    helm: Path
    gateway_url: str
    prometheus_url: str
    storage_class: str

    def run(self, *arguments: str, content: str | None = None, check: bool = True) -> str:
        """kubectl, with its output."""
        done = subprocess.run(
            [self.kubectl, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=content,
            text=True,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise SystemExit(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """kubectl get … -o json."""
        return json.loads(self.run(*arguments, "-o", "json"))


@dataclass
class Steps:
    """What is being done, and how long each step took."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.console.print(f"[bold]==>[/] {what}")
        begun = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - begun
        self.console.print(f"    {self.seconds[what]:.0f} s")


def localcluster(*arguments: str) -> str:
    """The local cluster's own command; its progress goes to the terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "localcluster", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "hack")},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE if arguments[:1] == ("status",) else None,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"localcluster {' '.join(arguments)} failed, see above")
    return done.stdout or ""


def read_cluster() -> Cluster:
    """Paths and addresses of the cluster that is up."""
    told = json.loads(localcluster("status", "-o", "json"))
    return Cluster(
        kubeconfig=Path(told["kubeconfig"]),
        kubectl=Path(told["kubectl"]),
        helm=Path(told["helm"]),
        gateway_url=told["gateway_url"],
        prometheus_url=told["prometheus_url_in_cluster"],
        storage_class=told["storage_class"],
    )


def install(cluster: Cluster) -> None:
    """The operator, by its chart."""
    done = subprocess.run(
        [
            *(cluster.helm, "upgrade", "--install", "modelmend", str(ROOT / "charts/modelmend")),
            *(
                f"--kubeconfig={cluster.kubeconfig}",
                "-n",
                OPERATOR_NAMESPACE,
                "--create-namespace",
                "--wait",
                "--timeout=180s",
            ),
            *("-f", "-"),
        ],
        input=(ROOT / "demo/values.yaml").read_text().replace("$PROMETHEUS", cluster.prometheus_url),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"helm failed: {done.stderr.strip()}\n{cluster.run('-n', OPERATOR_NAMESPACE, 'get', 'pods', check=False)}"
        )
    # The tag stays while the image changes, so an upgrade alone would leave an older build running.
    cluster.run("-n", OPERATOR_NAMESPACE, "rollout", "restart", "deployment/modelmend")
    cluster.run("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/modelmend", "--timeout=180s")


def pack_models(folder: Path, winter: Any) -> tuple[str, str, Any]:
    """Writes the first model and a worse one; returns their digests and the first estimator, the frozen control."""
    from modelmend.runtime import artifact

    features = winter[list(flights.FEATURES)]
    first = flights.pipeline().fit(features, winter["fast"])
    # What a careless push looks like: the labels were joined to the wrong rows.
    shuffled = winter["fast"].sample(frac=1.0, random_state=SEED).to_numpy()
    worse = flights.pipeline().fit(features, shuffled)
    digests = []
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
        digests.append(loaded.digest)
    return digests[0], digests[1], first


def upload(cluster: Cluster, folder: Path) -> None:
    """Namespace, claim, and both artifacts copied onto it through a short-lived pod."""
    cluster.run(
        "apply",
        "-f",
        "-",
        content=(ROOT / "demo/namespace.yaml").read_text().replace("$STORAGE_CLASS", cluster.storage_class),
    )
    cluster.run("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/upload", "--timeout=120s")
    for name in ("v0", "careless"):
        cluster.run("-n", NAMESPACE, "cp", str(folder / name), f"upload:/mnt/storage/{name}")
    cluster.run("-n", NAMESPACE, "delete", "pod", "upload", "--now", "--wait=true")


def clean(cluster: Cluster) -> None:
    """The namespace of an earlier run."""
    cluster.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s")
    localcluster("volumes")


def wait_until_serving(cluster: Cluster) -> None:
    """Ready, and answering through the Gateway."""
    cluster.run("-n", NAMESPACE, "wait", "--for=condition=Ready", f"modeldeployment/{NAME}", "--timeout=180s")
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "-m",
                "2",
                "-o",
                os.devnull,
                "-w",
                "%{http_code}",
                "-H",
                f"Host: {HOST}",
                f"{cluster.gateway_url}/v2/models/{NAME}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout == "200":
            return
        if time.monotonic() > deadline:
            raise SystemExit(
                f"the Gateway answers {done.stdout or done.stderr.strip()} for {NAME} after 30 s"
            )
        time.sleep(0.2)


async def push_and_revert(cluster: Cluster, story: watch.Story, record: replay.Record, total: int) -> None:
    """Pushes the worse artifact when the moment has come, and takes it back some time after it was refused."""

    async def patch(uri: str) -> None:
        patched = json.dumps({"spec": {"model": {"uri": uri}}})
        await asyncio.to_thread(
            cluster.run,
            "-n",
            NAMESPACE,
            "patch",
            "modeldeployment",
            NAME,
            "--type=merge",
            "--field-manager=careless-author",
            "-p",
            patched,
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
    cluster: Cluster, stream: traffic.Traffic, record: replay.Record, frame: Any, console: Console
) -> watch.Story:
    """The replay with its watcher, its careless author and its live view, until the last truth is told."""
    story = watch.Story()
    following = asyncio.create_task(watch.follow(cluster.kubectl, cluster.kubeconfig, NAMESPACE, NAME, story))
    pushing = asyncio.create_task(push_and_revert(cluster, story, record, len(frame)))
    playing = asyncio.create_task(stream.run())

    def frame_of(drawn: Any) -> Any:
        day = f"{frame['time'].iloc[max(record.at - 1, 0)]:%d %B}"
        return drawn(story, record, len(frame), day, len(watch.heals(story)))

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
    finally:
        for task in (playing, pushing, following):
            task.cancel()
        await asyncio.gather(playing, pushing, following, return_exceptions=True)
    if not pushing.cancelled() and (problem := pushing.exception()):
        raise problem
    return story


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--flights", type=int, default=40_000, help="flights to replay, thinned evenly from 207,278"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the replay")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    parser.add_argument("--out", type=Path, default=ROOT / "out/demo", help="where picture and report go")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    console = Console()
    steps = Steps(console)
    # kill and Ctrl-C take the same way out.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return demonstrate(options, steps)
    except KeyboardInterrupt:
        console.print("ended by hand")
        return 130
    finally:
        if not options.keep:
            localcluster("down")


def demonstrate(options: argparse.Namespace, steps: Steps) -> int:
    with steps.step("local cluster"):
        localcluster("up")
        cluster = read_cluster()
    with steps.step("images"):
        localcluster("images")
    with steps.step("operator, by its chart"):
        clean(cluster)
        install(cluster)
    with steps.step("flights of 2013, and the first model on 1 January to 14 February"):
        everything = flights.load()
        winter = flights.winter(everything)
        frame = flights.replayed(everything, options.flights, SEED)
        models = options.out / "models"
        subprocess.run(["rm", "-rf", str(options.out)], check=True)
        models.mkdir(parents=True)
        _, worse_digest, first = pack_models(models, winter)
        frozen_right = np.asarray(first.predict(frame[list(flights.FEATURES)])) == frame["fast"].to_numpy()
    with steps.step("artifacts to the claim, ModelDeployment applied, serving"):
        upload(cluster, models)
        cluster.run("apply", "-f", str(ROOT / "demo/modeldeployment.yaml"))
        wait_until_serving(cluster)
    rate = len(frame) / (options.minutes * 60)
    resource = yaml.safe_load((ROOT / "demo/modeldeployment.yaml").read_text())
    delay = 3.0
    steps.console.print(
        f"[bold]==>[/] replay of {len(frame):,} flights at {rate:.0f} a second, truths {delay:g} s later, "
        f"minimum accuracy {resource['spec']['monitoring']['signals'][0]['minimum']}"
    )
    begun = time.time()
    record = replay.Record.of(frame["fast"].to_numpy(), frozen_right)
    target = traffic.Target(cluster.gateway_url, HOST, NAME)
    stream = traffic.Traffic(replay.questions(frame), target, rate, delay, record.take)
    story = asyncio.run(play(cluster, stream, record, frame, steps.console))
    versions = cluster.json("-n", NAMESPACE, "get", "modelversions")["items"]
    versions.sort(key=lambda version: version["spec"]["number"])
    run = report.Run(
        frame,
        record,
        stream.labelled,
        stream.failures,
        story,
        versions,
        worse_digest,
        begun,
        rate,
        delay,
        steps.seconds,
    )
    picture, text = report.write(run, options.out)
    for check in report.checks(run):
        steps.console.print(
            f"{'[green]holds[/]' if check.holds else '[red]FAILS[/]'}  {check.what}: {check.found}"
        )
    steps.console.print(f"picture: {picture}\nreport:  {text}")
    return 0 if all(check.holds for check in report.checks(run)) else 1


if __name__ == "__main__":
    sys.exit(main())
