"""One question to one package: arrays in a file, the answer as JSON."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.evidence.rivals import environment


class Absent(Exception):
    """One sentence: why a package has no row."""


def ask(
    package: str, question: str, streams: dict[str, dict[str, Any]], more: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """What `by_<package>.py question` says of the arrays of each stream. more: by stream, or "" for all of them. Raises
    Absent."""
    try:
        python = environment.python(package)
    except environment.Uninstalled as problem:
        raise Absent(str(problem)) from None
    with tempfile.TemporaryDirectory(prefix="modelmend-rivals-") as folder:
        data = Path(folder) / "arrays.npz"
        named = {
            f"{name}:{stream}": array for stream, arrays in streams.items() for name, array in arrays.items()
        }
        np.savez(data, **named)
        program = environment.HERE / f"by_{package}.py"
        ran = subprocess.run(
            [python, program, question, data, json.dumps(more)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            # Both packages tell their makers that they are used, unless they are told not to.
            env={**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "PYTHONPATH": ""},
        )
    if ran.returncode:
        raise Absent(
            f"{package} {environment.version(package)} failed: {' '.join(ran.stderr.split())[-300:]}"
        )
    found: dict[str, dict[str, float]] = json.loads(ran.stdout.splitlines()[-1])
    return found
