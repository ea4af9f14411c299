"""The operator's recorded decisions, decided again here: the same worlds must give the same plans."""

import re
import sys
import time
from pathlib import Path
from typing import Final

from demo import programs
from demo.run import Recording

VERDICT: Final = re.compile(r"^([\d,]+) decisions, ([\d,]+) differ$", re.MULTILINE)


def decide_again(path: Path) -> Recording:
    """`modelmend replay`, as anybody would run it on that file."""
    begun = time.monotonic()
    done = programs.run([sys.executable, "-m", "modelmend.cli", "replay", path])
    return judge(done, path.stat().st_size, time.monotonic() - begun)


def judge(done: programs.Done, size: int, seconds: float) -> Recording:
    """What the command's answer means."""
    if (found := VERDICT.search(done.said)) is None:
        return Recording(size=size, said=f"`modelmend replay` failed: {done.complaint or done.said}")
    decisions, differing = (int(number.replace(",", "")) for number in found.groups())
    # Its exit code and its words must agree.
    if bool(done.code) != bool(differing):
        return Recording(decisions, max(differing, 1), size, seconds, f"it ended with code {done.code}")
    return Recording(decisions, differing, size, seconds, done.said.strip())
