"""Long-running programs: started with a pid file and a log, recognised later, ended gently.

A pid alone proves nothing, for the kernel gives it to somebody else after a crash or a reboot. So a pid file also
holds the start time and the boot; and every program carries a mark in its environment, by which one that lost its
pid file is still known as ours. Nothing without mark or pid file is ever touched.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from localcluster.errors import DidNotStartError, tail

MARK = "MODELMEND_LOCALCLUSTER_OWNER"


@dataclasses.dataclass(frozen=True)
class Identity:
    """One life of one process; `started` is in clock ticks since boot."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None if nobody has, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may hold anything; what follows the last one is regular.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return Identity(pid=pid, started=int(fields[19]), boot=boot_id())


def boot_id() -> str:
    """A name for this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclasses.dataclass(frozen=True)
class Processes:
    """The programs of one state folder: `pid/<name>.json` and `log/<name>.log` below it."""

    state: Path

    def log(self, name: str) -> Path:
        return self.state / "log" / f"{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self.state / "pid" / f"{name}.json"

    def running(self, name: str) -> Identity | None:
        """The program if it lives; a pid file that speaks of a dead or another process is removed."""
        recorded = self._recorded(name)
        if recorded is None:
            return None
        with contextlib.suppress(KeyError, TypeError):
            identity = Identity(recorded["pid"], recorded["started"], recorded["boot"])
            if identify(identity.pid) == identity:
                return identity
        self._pid_file(name).unlink(missing_ok=True)
        return None

    def _recorded(self, name: str) -> dict[str, Any] | None:
        """What the pid file says; an empty answer for one that says nothing sensible."""
        try:
            said = json.loads(self._pid_file(name).read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def names(self) -> list[str]:
        """The programs with a pid file, dead ones too."""
        return sorted(path.stem for path in (self.state / "pid").glob("*.json"))

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        reads: Sequence[Path] = (),
    ) -> bool:
        """Starts the program unless it runs as it should; True if it had to.

        One that was started with other words, or read other files, is replaced. The log is begun anew, and the one
        before is kept.
        """
        words = [str(word) for word in argv]
        made_of = _digest([words, dict(environment or {}), [path.read_text() for path in reads]])
        if self.running(name):
            if (self._recorded(name) or {}).get("made_of") == made_of:
                return False
            self.stop([name])
        log, pid_file = self.log(name), self._pid_file(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.state,
                env={**_environment(), **(environment or {}), MARK: str(self.state)},
                start_new_session=True,  # Ctrl-C is for the one who waits, not for the cluster
            )
        process.returncode = 0  # it outlives us on purpose: no warning about that when the handle goes
        identity = identify(process.pid)
        if identity is not None:
            draft = pid_file.with_suffix(".draft")
            draft.write_text(json.dumps({**dataclasses.asdict(identity), "made_of": made_of}))
            draft.replace(pid_file)
        return True

    def wait(
        self, name: str, ready: Callable[[], bool], *, seconds: float = 60.0, pause: float = 0.05
    ) -> None:
        """Until `ready()`; a program that dies meanwhile, or never gets there, is an error with the end of its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.running(name) is None:
                raise DidNotStartError(
                    f"{name} ended while it was starting; its log, {self.log(name)}, ends with:\n{tail(self.log(name))}"
                )
            if time.monotonic() > deadline:
                raise DidNotStartError(
                    f"{name} was not ready after {seconds:.0f} s; its log, {self.log(name)}, ends with:\n{tail(self.log(name))}"
                )
            time.sleep(pause)

    def require(self, names: Iterable[str]) -> None:
        """An error that names the first of the programs that does not run."""
        for name in names:
            if self.running(name) is None:
                log = self.log(name)
                raise DidNotStartError(
                    f"{name} does not run any more; its log, {log}, ends with:\n{tail(log)}"
                )

    def stop(self, names: Iterable[str], *, seconds: float = 10.0) -> None:
        """Asks all of them to end, then insists; their pid files go with them."""
        found = {name: identity for name in names if (identity := self.running(name))}
        end(found.values(), seconds=seconds)
        for name in found:
            self._pid_file(name).unlink(missing_ok=True)

    def strays(self) -> list[Identity]:
        """Live processes that carry this folder's mark, with or without a pid file (shims, children, lost ones)."""
        return list(_marked(f"{MARK}={self.state}".encode()))


def _environment() -> dict[str, str]:
    """The little that a daemon needs of ours. A proxy above all is not for traffic that stays on this machine."""
    return {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def end(identities: Iterable[Identity], *, seconds: float) -> None:
    """SIGTERM, then SIGKILL for those still there after `seconds`. Each signal is sent to a checked identity only."""
    waiting = list(identities)
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for identity in waiting:
            if identify(identity.pid) == identity:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, number)
        deadline = time.monotonic() + patience
        while waiting := [identity for identity in waiting if identify(identity.pid) == identity]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if not waiting:
            return


def _marked(mark: bytes) -> Iterator[Identity]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or belongs to another user and so is not ours
        if mark in environment.split(b"\0") and (identity := identify(int(entry.name))):
            yield identity
