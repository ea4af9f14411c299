"""Two runs never share a folder, and a killed run leaves nothing to judge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster import lock
from localcluster.errors import BusyError

HOLD = """
import sys, time
from pathlib import Path
from localcluster import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_held_lock_refuses_and_names_the_holder(tmp_path: Path) -> None:
    with (
        lock.held(tmp_path / "lock"),
        pytest.raises(BusyError, match=rf"in use by another run.*{os.getpid()}"),
        lock.held(tmp_path / "lock", wait_seconds=0.1),
    ):
        pytest.fail("the lock was taken twice")


def test_the_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.held(tmp_path / "lock", wait_seconds=0):
            pass


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    hack = Path(lock.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(hack)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()

    with lock.held(tmp_path / "lock", wait_seconds=5):
        pass
