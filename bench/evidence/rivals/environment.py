"""Environments of the rivals, in the user's cache: made once for each lock, every package checked against its hash."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


class Uninstalled(Exception):
    """One sentence: which package could not be installed, and why."""


def python(package: str) -> Path:
    """Its interpreter. Raises Uninstalled."""
    lock = HERE / f"{package}.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelmend" / "rivals"
    folder = cache / f"{package}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    found = folder / "bin" / "python"
    if (folder / "whole").exists():
        return found
    print(f"         installing {package} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    uv = ROOT / ".venv" / "bin" / "uv"
    # As for .venv: an interpreter that is there, and the one that the locks were resolved for.
    _run(package, [uv, "venv", "--quiet", "--no-python-downloads", "--python", "3.11", folder])
    _run(package, [uv, "pip", "sync", "--quiet", "--python", found, "--require-hashes", lock])
    (folder / "whole").touch()
    return found


def version(package: str) -> str:
    """The locked one."""
    for line in (HERE / f"{package}.txt").read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.removeprefix(f"{package}==").split()[0]
    raise AssertionError(f"{package} is not in its own lock")


def _run(package: str, command: list[object]) -> None:
    made = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if made.returncode:
        last = " ".join(made.stderr.split())[-300:] or f"exit code {made.returncode}"
        raise Uninstalled(f"{package} {version(package)} could not be installed: {last}")
