"""The operator as a process of its own: started, killed, stopped, and asked for its metrics and its log."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.apiserver import eventually
from localcluster.controlplane import free_port

ROOT = Path(__file__).parents[3]


@dataclass
class Operator:
    """One operator of one namespace."""

    kubeconfig: Path
    namespace: str
    prometheus: str
    folder: Path
    flags: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    health: int = 0
    metrics_port: int = 0
    starts: int = 0
    record: bool = True

    def start(self, *, wait: bool = True) -> None:
        """A new process; ready when this returns."""
        self.health, self.metrics_port = free_port(), free_port()
        self.starts += 1
        with (self.folder / "log.jsonl").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "modelmend.cli",
                    "run",
                    f"--kubeconfig={self.kubeconfig}",
                    f"--namespace={self.namespace}",
                    f"--lease-namespace={self.namespace}",
                    f"--prometheus-url={self.prometheus}",
                    "--runtime-image=example.com/modelmend-runtime:test",
                    f"--health-port={self.health}",
                    f"--metrics-port={self.metrics_port}",
                    *([f"--record={self.folder}"] if self.record else []),
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT / "operator"), "PYTHONWARNINGS": "default"},
                cwd=self.folder,
            )
        if wait:
            eventually(f"the operator is ready\n{self.log()[-3000:]}", self.is_ready, seconds=180)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        assert self.process is not None
        assert self.process.poll() is None, f"the operator ended by itself:\n{self.log()[-3000:]}"
        return self._get(self.health, "/readyz") is not None

    def kill(self) -> None:
        """SIGKILL, in the middle of anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def metric(self, series: str) -> float:
        """The value of one series, as `name{labels}`; 0 when there is none."""
        for line in (self._get(self.metrics_port, "/metrics") or "").splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def memory(self) -> int:
        """Resident bytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        """Of all its threads, since its start."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """Everything it said."""
        path = self.folder / "log.jsonl"
        return path.read_text() if path.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """Its log, parsed; a line that is not JSON fails."""
        return [json.loads(line) for line in self.log().splitlines()]

    def _get(self, port: int, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        code = self.process.wait(40)
        self.process = None
        return code


@contextmanager
def running(operator: Operator) -> Iterator[Operator]:
    """Started, and ended whatever happens."""
    operator.start()
    try:
        yield operator
    finally:
        operator.kill()
