"""What can go wrong, as a tree. Every message is a sentence with the remedy in it, ready to be shown as it is.

LocalClusterError                 the command line prints it and exits 1, without a traceback
├── NotPossibleHereError          this machine cannot do it (no root, no Linux, a tool is missing)
├── CommandFailedError            a command that was run to its end said no; carries the end of its output
├── DidNotStartError              a process ended, or never answered; carries the end of its log
└── BusyError                     another run holds the state folder
"""

from pathlib import Path


class LocalClusterError(Exception):
    """A sentence for a person."""


class NotPossibleHereError(LocalClusterError):
    """The machine lacks something that no retry brings."""


class CommandFailedError(LocalClusterError):
    """A finished command with a bad exit code."""


class DidNotStartError(LocalClusterError):
    """A process that is not what it should be by now."""


class BusyError(LocalClusterError):
    """The lock is held by a run that goes on."""


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, indented, for the end of an error; an empty log says so."""
    try:
        text = log.read_text(errors="replace").strip().splitlines()[-lines:]
    except OSError:
        text = []
    return "\n".join("    " + line[:400] for line in text) or "    (the log is empty)"
