"""Commands that run to their end: their output kept, their failure a sentence."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.errors import CommandFailedError, NotPossibleHereError


def run(
    argv: Sequence[str | Path],
    *,
    purpose: str,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    seconds: float = 1800.0,
) -> str:
    """What the command printed. `purpose` completes "could not ..." if it fails."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=folder,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise NotPossibleHereError(
            f"Could not {purpose}: {words[0]} is not installed on this machine."
        ) from None
    except subprocess.TimeoutExpired:
        raise CommandFailedError(
            f"Could not {purpose}: {words[0]} was not done after {seconds:.0f} s."
        ) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise CommandFailedError(
            f"Could not {purpose}: {' '.join(words[:3])} … ended with code {done.returncode} and said\n"
            + "\n".join("    " + line[:600] for line in said)
        )
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, seconds: float = 10.0) -> bool:
    """Whether the command exists and ends well; for questions, so its output is nobody's business."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def on_path(name: str) -> Path | None:
    """Where the shell would find the command."""
    found = shutil.which(name)
    return Path(found) if found else None
