"""Starts three servers of one HistGradientBoosting model, loads them in turn, prints a table and a line of JSON.

    full         monitoring, prediction log, micro-batching: what pods run
    bare         the same without monitoring and log            full / bare >= 0.85
    unbatched    the same as full with one request a call       full / unbatched >= 4

Targets are judged by answers per second of the server's CPU: what one core can do. Answers per second of the clock
say the same on a machine that has nothing else to do, and little on any other.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.server import load

ROOT = Path(__file__).parents[2]
TARGETS = {"full / bare": 0.85, "full / unbatched": 4.0}


@dataclass(frozen=True)
class Variant:
    """A server to measure."""

    name: str
    options: tuple[str, ...] = ()
    log: bool = True


VARIANTS = (
    Variant("full", ("--log-part-seconds", "0.5")),
    Variant("bare", ("--no-monitoring",), log=False),
    Variant("unbatched", ("--batch-requests", "1", "--log-part-seconds", "0.5")),
)


def train(folder: Path) -> tuple[str, str, bytes]:
    """An artifact like the demo's (nine columns, two of them categories): its URI, its digest, and a request body."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    from modelmend.runtime import artifact, packing

    random = np.random.default_rng(0)
    rows = 3000
    table = pd.DataFrame({f"x{number}": random.normal(size=rows) for number in range(7)})
    for name in ("origin", "carrier"):
        table[name] = pd.Categorical(random.choice([f"{name}-{number}" for number in range(12)], rows))
    target = (table["x0"] + table["x1"] + random.normal(size=rows) > 0).astype(int)
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0).fit(
        table, target
    )
    options = packing.Options(holdout=0, metrics={})
    loaded, _ = artifact.pack(
        model, table, target, uri=(folder / "v1").as_uri(), model="bench", version="v1", options=options
    )
    row = table.iloc[0]
    inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": "BYTES" if isinstance(row[name], str) else "FP64",
            "data": [row[name]],
        }
        for name in table.columns
    ]
    return (folder / "v1").as_uri(), loaded.digest, json.dumps({"inputs": inputs}).encode()


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of CPU that it used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Turn:
    """One server, loaded for a while."""

    measured: load.Measured
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        """Answers a second of CPU."""
        return self.measured.answers / self.cpu


@contextlib.contextmanager
def started(
    variant: Variant, environ: dict[str, str], folder: Path, core: int
) -> Iterator[subprocess.Popen[str]]:
    """A server's process."""
    told = environ | ({"MODELMEND_LOG_URI": (folder / f"log-{variant.name}").as_uri()} if variant.log else {})
    ports = [part for name in ("solo", "shadow", "canary", "metrics") for part in (f"--{name}-port", "0")]
    command = [sys.executable, "-m", "modelmend.runtime.server", "--host", "127.0.0.1", *ports]
    with subprocess.Popen(
        [*command, "--lame-duck-seconds", "0", *variant.options], env=told, stderr=subprocess.PIPE, text=True
    ) as process:
        os.sched_setaffinity(process.pid, {core})
        try:
            yield process
        finally:
            process.terminate()


def ready(process: subprocess.Popen[str]) -> Server:
    """The server, once it answers."""
    assert process.stderr
    port = 0
    for line in process.stderr:
        said = json.loads(line)
        port = said.get("ports", {}).get("solo", port)
        if said["message"] == "ready":
            return Server(process.pid, port)
    raise RuntimeError("a server ended before it was ready")


def request(body: bytes) -> bytes:
    head = f"POST /v2/models/bench/infer HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def measure(rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    """Medians by server, and the ratios."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        uri, digest, body = train(folder)
        (folder / "key").write_bytes(os.urandom(32))
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "MODELMEND_MODEL": "bench",
            "MODELMEND_VERSION": "v1",
            "MODELMEND_ROLLOUT": "bench-1",
            "MODELMEND_URI": uri,
            "MODELMEND_DIGEST": digest,
            "MODELMEND_FEEDBACK_KEY_FILE": str(folder / "key"),
        }
        processes = {
            each.name: stack.enter_context(started(each, environ, folder, cores[0])) for each in VARIANTS
        }
        servers = {name: ready(process) for name, process in processes.items()}
        os.sched_setaffinity(0, {cores[-1]})
        sent = request(body)

        def turn(name: str, lasting: float) -> Turn:
            before = servers[name].cpu()
            measured = asyncio.run(load.run(servers[name].port, sent, connections, lasting))
            return Turn(measured, servers[name].cpu() - before)

        turns: dict[str, list[Turn]] = {each.name: [] for each in VARIANTS}
        for name in turns:  # the first requests pay for lazy imports
            turn(name, 0.5)
        for number in range(rounds):
            # Every other round backwards, so that a machine that slows down favours nobody.
            for name in turns if number % 2 == 0 else reversed(turns):
                turns[name].append(turn(name, seconds))
    return {
        "connections": connections,
        "servers": {name: summary(taken) for name, taken in turns.items()},
        "ratios": {
            f"full / {name}": round(
                statistics.median(
                    a.per_cpu_second / b.per_cpu_second
                    for a, b in zip(turns["full"], turns[name], strict=True)
                ),
                3,
            )
            for name in ("bare", "unbatched")
        },
    }


def summary(turns: list[Turn]) -> dict[str, float]:
    """Medians over the turns of one server."""

    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 1)

    return {
        "per_second": median(each.measured.rate for each in turns),
        "per_cpu_second": median(each.per_cpu_second for each in turns),
        "p50_ms": median(each.measured.quantile(0.5) * 1000 for each in turns),
        "p99_ms": median(each.measured.quantile(0.99) * 1000 for each in turns),
    }


def main() -> int:
    """The command; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.2, help="of each turn")
    parser.add_argument("--connections", type=int, default=32)
    told = parser.parse_args()
    began = time.monotonic()
    found = measure(told.rounds, told.seconds, told.connections)
    columns = ("per_second", "per_cpu_second", "p50_ms", "p99_ms")
    print(f"{'server':12}" + "".join(f"{name:>16}" for name in columns))
    for name, figures in found["servers"].items():
        print(f"{name:12}" + "".join(f"{figures[column]:16.1f}" for column in columns))
    for name, ratio in found["ratios"].items():
        met = "met" if ratio >= TARGETS[name] else "MISSED"
        print(f"{name:18} {ratio:6.2f}   target {TARGETS[name]:g}: {met}")
    print(json.dumps(found | {"seconds": round(time.monotonic() - began, 1)}))
    return int(any(ratio < TARGETS[name] for name, ratio in found["ratios"].items()))


if __name__ == "__main__":
    sys.exit(main())
