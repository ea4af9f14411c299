"""Says what is going on, since when, and that it still goes on.

A first set-up takes minutes. Somebody who waits wants to see that it moves, so every step longer than a few seconds
repeats itself with a detail (packages compiled, megabytes written). On standard error: standard output belongs to
answers, such as the path that `kubeconfig` prints.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

HEARTBEAT_SECONDS = 10.0

_began = time.monotonic()
_printing = threading.Lock()


def say(text: str) -> None:
    """One line with the seconds since the command began."""
    with _printing:
        print(f"{time.monotonic() - _began:5.0f}s  {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str, detail: Callable[[], str] | None = None) -> Iterator[None]:
    """Announces the step, repeats it while it lasts (with `detail()`, if given), and says what a long one took."""
    say(text)
    began = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            said = ""
            with contextlib.suppress(OSError):  # files vanish while a detail counts them
                said = f", {detail()}" if detail else ""
            say(f"  … {text}: {time.monotonic() - began:.0f}s{said}")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    took = time.monotonic() - began
    if took >= HEARTBEAT_SECONDS:
        say(f"  done in {took:.0f}s: {text}")
