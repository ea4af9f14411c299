"""One lock per folder, so that two runs never share one.

flock, because the kernel drops it with the process that held it: a killed run leaves no stale lock to judge.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from localcluster import progress
from localcluster.errors import BusyError


@contextlib.contextmanager
def held(path: Path, *, wait_seconds: float = 600.0) -> Iterator[None]:
    """Holds the lock file `path`; waits for another holder, and says for whom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        _acquire(file.fileno(), path, wait_seconds)
        # Only for people who look: who holds it. The lock itself is the kernel's.
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), f"{os.getpid()} {' '.join(sys.argv)}".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace") or "unknown"
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{path.parent} is in use by another run (pid and command: {holder}): "
                    "wait for it to end, or choose another folder with MODELMEND_LOCAL_STATE."
                ) from None
            if not told and wait_seconds > 1:
                progress.say(f"waiting for another run (pid and command: {holder})")
                told = True
            time.sleep(0.1)
        else:
            return
