"""Servers that tests of this folder share: a candidate with its champion, and a champion's replica alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runtime.server import replicas


@pytest.fixture(scope="session")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> replicas.Packed:
    return replicas.pack_boosting(tmp_path_factory.mktemp("boosting"))


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> replicas.Packed:
    return replicas.pack_strict(tmp_path_factory.mktemp("strict"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(boosting: replicas.Packed, strict: replicas.Packed) -> AsyncIterator[replicas.Replica]:
    """The strict candidate beside the boosting champion."""
    async with replicas.running(replicas.settings(strict, boosting)) as replica:
        yield replica


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def solo(boosting: replicas.Packed) -> AsyncIterator[replicas.Replica]:
    """The boosting champion alone: another replica of the same model."""
    async with replicas.running(replicas.settings(boosting)) as replica:
        yield replica


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    return tmp_path / "log"
