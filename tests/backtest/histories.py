"""Histories that a test writes, as model pods would have been scraped, and policies for them. Shared by the tests of
backtest."""

import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import scraped
from modelmend.contract import metrics

START = 1_767_225_600.0
"""2026-01-01."""
MINUTE, HOUR = 60.0, 3600.0
NAMESPACE, MODEL = "ml", "flights"
REFERENCE = {"low": 0.5, "high": 0.5}
REFERENCE_ROWS = 10_000


@dataclass
class Process:
    """One pod's life, scraped every minute from `begin` (included) to `end` (not)."""

    version: str
    rollout: str
    name: str
    begin: float
    end: float
    accuracy: Any
    """At a moment: share of labels that are right."""
    labels: float = 10.0
    """A minute."""
    before: int = 0
    """Labels that it had counted when it was scraped first, all of them right."""
    arm: str = "solo"
    high: Any = None
    """At a moment: share of rows in the bin `high` of the feature `wind`; None: no bins."""
    down: tuple[float, float] = (0.0, 0.0)
    """Not scraped from, to."""


@dataclass
class History:
    """What was scraped: series -> (moment, value), and per process what happened each minute."""

    series: dict[str, dict[str, list[tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    minutes: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    """By process: moment, new labels, wrong ones among them, whether scraped then or not."""

    def put(self, name: str, labels: dict[str, str], at: float, value: float) -> None:
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        self.series[name][f"{{{inside}}}"].append((at, value))

    def write(self, folder: Path) -> None:
        """Blocks in `folder`/data, by promtool."""
        lines = []
        for name, series in self.series.items():
            lines.append(f"# TYPE {name} unknown")
            for labels, samples in series.items():
                lines += [f"{name}{labels} {value:g} {at:.3f}" for at, value in samples]
        text = folder / "history.om"
        text.write_text("\n".join([*lines, "# EOF", ""]))
        command = [
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=720h",
            text,
            folder / "data",
        ]
        subprocess.run([scraped.program("promtool"), *map(str, command)], check=True, capture_output=True)


def made(*processes: Process, seed: int = 0) -> History:
    """What these processes would have left behind."""
    rng, found = np.random.default_rng(seed), History()
    for process in processes:
        told = {
            "namespace": NAMESPACE,
            "model": MODEL,
            "version": process.version,
            "rollout": process.rollout,
        }
        own = {**told, "process": process.name, "arm": process.arm}
        right, wrong, bins = process.before, 0, {"low": 0, "high": 0}
        minutes = found.minutes.setdefault(process.name, [])
        for at in np.arange(process.begin, process.end, MINUTE):
            new = int(rng.poisson(process.labels))
            bad = int(rng.binomial(new, 1 - process.accuracy(at)))
            right, wrong = right + new - bad, wrong + bad
            minutes.append((at, new, bad))
            if process.high is not None:
                high = int(rng.binomial(new, process.high(at)))
                bins = {"low": bins["low"] + new - high, "high": bins["high"] + high}
            if process.down[0] <= at < process.down[1]:
                continue
            found.put(metrics.MODEL_INFO, {**told, "process": process.name, "digest": "d"}, at, 1)
            found.put(metrics.REQUESTS, {**own, "code": "200"}, at, right + wrong)
            for result, value in (("right", right), ("wrong", wrong)):
                if process.arm != "shadow":
                    found.put(metrics.EVIDENCE, {**own, "result": result}, at, value)
            if process.high is not None:
                _bins(found, told, own, at, bins)
    return found


def _bins(found: History, told: dict[str, str], own: dict[str, str], at: float, bins: dict[str, int]) -> None:
    for name, rows in bins.items():
        found.put(metrics.FEATURE_BINS, {**own, "feature": "wind", "bin": name}, at, rows)
        share = (REFERENCE[name] * REFERENCE_ROWS + 0.5) / (REFERENCE_ROWS + 1)
        found.put(metrics.REFERENCE_BIN_FRACTION, {**told, "feature": "wind", "bin": name}, at, share)
    found.put(metrics.REFERENCE_ROWS, {**told, "feature": "wind"}, at, REFERENCE_ROWS)


@dataclass(frozen=True)
class Remembered:
    """A Prometheus, and what it was made from."""

    url: str
    history: History


FALL, SHIFT, GAP = START + 12 * HOUR, START + 10 * HOUR, (START + 8 * HOUR, START + 9 * HOUR)
END = START + 31 * HOUR
PROCESSES = (
    # Served since before the history begins; its pod is replaced at five hours, and nobody scrapes it from eight to nine.
    Process("flights-v1", "u-1", "p1", START - 2 * HOUR, START + 5 * HOUR, lambda at: 0.93, before=5000, high=lambda at: 0.5),
    Process(
        "flights-v1",
        "u-1",
        "p2",
        START + 5 * HOUR,
        START + 20 * HOUR,
        lambda at: 0.93 if at < FALL else 0.80,
        high=lambda at: 0.5 if at < SHIFT else 0.8,
        down=GAP,
    ),
    # Its successor, which is gone an hour before the end; and a candidate that nobody wanted.
    Process("flights-v2", "u-2", "q1", START + 19 * HOUR, START + 30 * HOUR, lambda at: 0.93, high=lambda at: 0.5),
    Process("flights-v3", "u-3", "r1", START + 25 * HOUR, START + 26 * HOUR, lambda at: 0.93, arm="shadow"),
)  # fmt: skip


def wait_for(url: str) -> None:
    """Returns when it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/-/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail("Prometheus does not answer")


def policy(folder: Path, **monitoring: Any) -> Path:
    """A file with a ModelDeployment that looks every minute."""
    signal = {"name": "accuracy", "minimum": 0.88, "minLabels": 100, "window": "6h"}
    body = {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {
                "gateway": {
                    "parentRef": {"name": "public", "namespace": "infra"},
                    "hostnames": ["f.example.com"],
                }
            },
            "monitoring": {"interval": "1m", "signals": [signal]} | monitoring,
        },
    }
    path = folder / "modeldeployment.yaml"
    path.write_text(yaml.safe_dump(body))
    return path
