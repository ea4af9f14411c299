"""Fixtures of the simulator's tests."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import threadpoolctl

from modelmend.simulate import simulation
from modelmend.simulate.outcome import Outcome
from simulate import worlds


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits on a busy machine spend their time waiting for each other's threads."""
    with threadpoolctl.threadpool_limits(1):
        yield


def _run(folder: Path, frame: pd.DataFrame | None, body: Any, **options: Any) -> Outcome:
    file, data = worlds.write(folder, frame, body)
    return simulation.run(replace(simulation.Options(file, data, "late", "ts"), **options))


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of the artifact that every simulation begins with, unless it says otherwise."""
    return worlds.pack(tmp_path_factory.mktemp("first"))


@pytest.fixture
def simulate(tmp_path: Path, first: str) -> worlds.Simulate:
    """Simulates a policy on rows; both have defaults. Further arguments are fields of `simulation.Options`."""

    def run(frame: pd.DataFrame | None = None, body: Any = None, **options: Any) -> Outcome:
        return _run(tmp_path, frame, body, **{"model": first, **options})

    return run


@pytest.fixture(scope="session")
def healed(tmp_path_factory: pytest.TempPathFactory, first: str) -> Outcome:
    """The default policy on the default rows."""
    return _run(tmp_path_factory.mktemp("healed"), None, None, model=first)
