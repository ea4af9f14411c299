"""What kopf is told: credentials that it takes, again and again."""

import asyncio
import inspect
from pathlib import Path

import kopf
import pytest
import yaml

from modelmend.shell import watch


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "me", "user": {"token": "secret"}}],
            }
        )
    )
    return path


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DELAYS", (0.0,))


def test_login_is_a_handler_that_kopf_takes_for_asynchronous() -> None:
    assert inspect.iscoroutinefunction(watch._Login(None).give)


async def test_same_credentials_given_twice_are_not_equal_for_kopf(kubeconfig: Path) -> None:
    login = watch._Login(str(kubeconfig))
    first, second = await login.give(), await login.give()
    assert (first.server, first.token) == (second.server, second.token) == ("https://127.0.0.1:1", "secret")
    assert first != second


def test_credentials_that_cannot_be_read_are_told_and_asked_for_again(
    kubeconfig: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = kubeconfig.read_text()
    kubeconfig.unlink()
    login = watch._Login(str(kubeconfig))
    with pytest.raises(kopf.TemporaryError):
        asyncio.run(login.give())
    assert "watching cannot begin: no credentials for a cluster" in caplog.text
    kubeconfig.write_text(content)
    assert asyncio.run(login.give()).token == "secret"
