"""Nothing outlives the demo, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo import programs, watch
from demo.story import Story

from localcluster import processes

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from demo import programs
programs.heed_signals()
try:
    # A child of the child, which tells who it is: a compiler of `localcluster up`, say.
    programs.run(["sh", "-c", "sleep 300 & echo $!; wait"], shown=True)
except KeyboardInterrupt:
    programs.run(["sh", "-c", f"echo cleaning up; cat {sys.argv[1]}"], shown=True)
    print("ended", flush=True)
    sys.exit(130)
"""


def holder(gate: Path, **options: object) -> subprocess.Popen[str]:
    """Runs HOLDER, whose clean-up lasts until somebody has written to `gate`."""
    os.mkfifo(gate)
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, gate],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def has_ended(pid: int) -> bool:
    """Whether it is gone, or ended and only not yet buried by whoever adopted it; at once, but for the kernel's own delay."""
    deadline = time.monotonic() + 5
    while processes.identify(pid) is not None:
        if time.monotonic() > deadline:
            return False
    return True


def ignore_ctrl_c() -> None:
    """As a shell does for its background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("before", [None, ignore_ctrl_c])
def test_interrupted_program_ends_with_its_children(
    number: signal.Signals, before: object, tmp_path: Path
) -> None:
    with holder(tmp_path / "gate", preexec_fn=before) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        process.send_signal(number)

        assert process.stdout.readline() == "cleaning up\n"
        assert has_ended(grandchild)
        (tmp_path / "gate").write_text("")
        assert process.wait() == 130


def test_second_interrupt_does_not_disturb_the_clean_up(tmp_path: Path) -> None:
    with holder(tmp_path / "gate") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").write_text("")

        assert process.stdout.readline() == "ended\n"
        assert process.wait() == 130


@pytest.fixture
def signals() -> Iterator[None]:
    """The handlers of this process, as they were."""
    before = {number: signal.getsignal(number) for number in programs.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_program_that_is_just_being_started_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = subprocess.Popen, []

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(real(*words, **options))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    programs.heed_signals()
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        programs.run(["sleep", "300"])

    assert started[0].returncode == -signal.SIGINT


def test_program_that_fails_is_told_and_not_raised() -> None:
    assert programs.run(["sh", "-c", "cat; echo no >&2; exit 3"], content="yes") == programs.Done(
        3, "yes", "no"
    )


async def test_watch_reads_objects_however_they_are_cut(tmp_path: Path) -> None:
    # A long sentence with characters of several bytes, so that some chunk ends within one.
    kubectl = tmp_path / "kubectl"
    because = "é" * 70_000
    (tmp_path / "object.json").write_text(f'{{"status": {{"stage": "Serving", "because": "{because}"}}}}\n')
    kubectl.write_text(f"#!/bin/sh\nprintf ' '; cat {tmp_path}/object.json; kill -9 $$\n")
    kubectl.chmod(0o755)
    seen: list[str] = []

    class Enough(Exception):
        pass

    class Once(Story):
        def take(self, body: dict[str, object], at: float) -> None:
            super().take(body, at)
            seen.append(self.moments[-1].because)
            raise Enough

    with pytest.raises(Enough):
        await watch.follow(kubectl, tmp_path / "kubeconfig", "flights", "flights", Once())

    assert seen == [because]
