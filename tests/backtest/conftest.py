"""A real Prometheus with a history that is known to the last label."""

from collections.abc import Iterator

import pytest

import scraped
from backtest import histories
from backtest.histories import Remembered


@pytest.fixture(scope="session")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembered]:
    folder = tmp_path_factory.mktemp("history")
    history = histories.made(*histories.PROCESSES)
    history.write(folder)
    # Far less than the million points that a replay asks about at once: it has to ask for less at a time.
    with scraped.prometheus(folder, flags=("--query.max-samples=20000",)) as url:
        histories.wait_for(url)
        yield Remembered(url, history)
