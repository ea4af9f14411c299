"""A program is recognised by its life and never by its pid alone; nothing that is not ours is ever ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import processes
from localcluster.errors import DidNotStartError

SLEEP = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[processes.Processes]:
    started = processes.Processes(tmp_path)
    yield started
    started.stop(started.names(), seconds=1)
    processes.end(started.strays(), seconds=1)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody here started by way of `Processes`."""
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def pid_file(programs: processes.Processes, name: str) -> Path:
    return programs.state / "pid" / f"{name}.json"


def test_a_started_program_is_found_again(programs: processes.Processes) -> None:
    assert programs.start("one", SLEEP)

    assert programs.running("one") == processes.Processes(programs.state).running("one") is not None


def test_a_program_that_runs_is_not_started_twice(programs: processes.Processes) -> None:
    programs.start("one", SLEEP)
    first = programs.running("one")

    assert not programs.start("one", SLEEP)
    assert programs.running("one") == first


def test_a_program_whose_words_changed_is_replaced(programs: processes.Processes) -> None:
    programs.start("one", SLEEP)
    first = programs.running("one")

    assert programs.start("one", [*SLEEP, "more"])
    assert programs.running("one") not in (None, first)


def test_a_program_whose_file_changed_is_replaced(programs: processes.Processes, tmp_path: Path) -> None:
    configuration = tmp_path / "configuration"
    configuration.write_text("old")
    programs.start("one", SLEEP, reads=[configuration])
    first = programs.running("one")

    configuration.write_text("new")

    assert programs.start("one", SLEEP, reads=[configuration])
    assert programs.running("one") not in (None, first)


def test_a_killed_program_is_not_running_and_its_pid_file_goes(programs: processes.Processes) -> None:
    programs.start("one", SLEEP)
    identity = programs.running("one")
    assert identity is not None

    os.kill(identity.pid, signal.SIGKILL)
    processes.end([identity], seconds=5)

    assert programs.running("one") is None
    assert not pid_file(programs, "one").exists()


@pytest.mark.parametrize("changed", [{"started": 1}, {"boot": "another"}])
def test_a_pid_that_somebody_else_has_now_is_not_ours(
    programs: processes.Processes, bystander: subprocess.Popen[bytes], changed: dict[str, object]
) -> None:
    identity = processes.identify(bystander.pid)
    assert identity is not None
    pid_file(programs, "one").parent.mkdir()
    pid_file(programs, "one").write_text(json.dumps({**vars(identity), **changed}))

    programs.stop(["one"])

    assert bystander.poll() is None
    assert programs.running("one") is None


@pytest.mark.parametrize("content", ["", "{", "17", "[]", '{"pid": 1}'])
def test_a_half_written_pid_file_is_no_program(programs: processes.Processes, content: str) -> None:
    pid_file(programs, "one").parent.mkdir()
    pid_file(programs, "one").write_text(content)

    assert programs.running("one") is None


def test_a_program_that_lost_its_pid_file_is_known_by_its_mark(
    programs: processes.Processes, bystander: subprocess.Popen[bytes]
) -> None:
    programs.start("one", SLEEP)
    identity = programs.running("one")
    pid_file(programs, "one").unlink()

    assert programs.strays() == [identity]
    assert bystander.pid not in {stray.pid for stray in programs.strays()}


def test_a_program_that_ignores_the_first_signal_is_ended_all_the_same(programs: processes.Processes) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    programs.start("one", [sys.executable, "-c", stubborn])
    programs.wait("one", lambda: "deaf" in programs.log("one").read_text(), seconds=20)

    programs.stop(["one"], seconds=0.1)

    assert programs.strays() == []


def test_a_program_that_dies_while_it_starts_shows_its_last_words(programs: processes.Processes) -> None:
    programs.start("one", [sys.executable, "-c", "raise SystemExit('the port is taken')"])

    with pytest.raises(DidNotStartError, match="the port is taken"):
        programs.wait("one", lambda: False, seconds=20)


def test_a_program_that_is_never_ready_is_an_error_that_says_how_long_it_was_waited_for(
    programs: processes.Processes,
) -> None:
    programs.start("one", SLEEP)

    with pytest.raises(DidNotStartError, match="not ready after 0 s"):
        programs.wait("one", lambda: False, seconds=0.2)


def test_a_program_gets_no_proxy_from_our_environment(
    programs: processes.Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nowhere")
    programs.start("one", [sys.executable, "-c", "import os; print(sorted(os.environ), flush=True)"])

    with pytest.raises(DidNotStartError):
        programs.wait("one", lambda: False, seconds=20)
    assert "PROXY" not in programs.log("one").read_text()


def test_the_log_of_the_life_before_is_kept(programs: processes.Processes) -> None:
    programs.start("one", SLEEP)
    programs.wait("one", lambda: "begun" in programs.log("one").read_text(), seconds=20)
    programs.stop(["one"], seconds=1)

    programs.start("one", SLEEP)

    assert "begun" in (programs.state / "log" / "one.previous.log").read_text()
