"""Other programs, none of which outlives us; and when Ctrl-C may disturb us.

Each runs in a process group of its own. Ctrl-C in a terminal goes to the whole foreground group, so it would hit
`kubectl` and half of a clean-up behind our back; this way it comes to us alone, and we pass it on to whole groups:
a compiler that `localcluster up` has started ends as well.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

PATIENCE: Final = 30.0
"""Seconds that an interrupted program has to put its things in order."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Failed(Exception):
    """Something the demo needs did not work; says what in one sentence."""


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it said."""

    code: int
    said: str
    complaint: str


def heed_signals() -> None:
    """From now on `kill` takes the same way out as Ctrl-C: KeyboardInterrupt, and in asyncio a cancellation.

    Also where Ctrl-C was ignored before, as it is for a shell's background jobs: `kill -INT` shall work there too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def ignore_signals() -> None:
    """From now on nothing disturbs the clean-up. Not SIG_IGN, which programs started later would inherit."""

    def nothing(_: int, __: FrameType | None) -> None: ...

    for number in SIGNALS:
        signal.signal(number, nothing)


def run(
    words: Sequence[str | Path],
    *,
    content: str | None = None,
    shown: bool = False,
    output: IO[bytes] | None = None,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
) -> Done:
    """Runs a program to its end.

    `content` is what it reads; `shown` sends everything it says to the terminal, `output` what it answers to a file.
    """
    kept: Any = None if shown else subprocess.PIPE
    process: subprocess.Popen[str] | None = None
    try:
        with _signals_postponed():
            process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL if content is None else subprocess.PIPE,
                stdout=output or kept,
                stderr=kept,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                text=True,
                errors="replace",
                process_group=0,
            )
        said, complaint = process.communicate(content)
    except BaseException:
        ignore_signals()
        if process is not None:
            _end(process)
        raise
    return Done(process.returncode, said or "", (complaint or "").strip())


@contextlib.contextmanager
def _signals_postponed() -> Iterator[None]:
    """Ctrl-C while a program is being started would leave it running, with nobody who knows of it: it comes after.

    Python's handlers rather than the signal mask, which the program would inherit. Only the main thread has them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda which, _: came.append(which)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def _end(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C would; insists when that does not help."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE)
            break
    # What is left of its group: children that did not end with it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
