"""What the API server tells of some objects, with the moment at which we heard it."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trial.cluster import Cluster, TrialError


@dataclass(frozen=True)
class Told:
    """One event of the watch; `at` in seconds since the epoch."""

    at: float
    body: Any


class Watch:
    """A watch of one path, from its `with` on. Unprocessed by kubectl, which would only add its own time."""

    def __init__(self, cluster: Cluster, path: str, selector: str = "") -> None:
        chosen = f"&fieldSelector={selector}" if selector else ""
        self._command = [*cluster.command(), "get", "--raw", f"{path}?watch=true&timeoutSeconds=3600{chosen}"]
        self._told: list[Told] = []
        self._news = threading.Condition()

    def __enter__(self) -> "Watch":
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at = time.time()
            told = Told(at, json.loads(line)["object"])
            with self._news:
                self._told.append(told)
                self._news.notify_all()

    def wait(self, what: str, finding: Callable[[Any], Any], seconds: float) -> Told:
        """The first object that the finding holds for, of all that were or will be told."""
        deadline, seen = time.monotonic() + seconds, 0
        with self._news:
            while True:
                for told in self._told[seen:]:
                    if finding(told.body):
                        return told
                seen = len(self._told)
                if not self._news.wait(deadline - time.monotonic()):
                    status = self._told[-1].body.get("status", {}) if self._told else {}
                    raise TrialError(
                        f"waited {seconds:.0f} s for {what}; seen: {status.get('stage')}, {status.get('because')}"
                    )
