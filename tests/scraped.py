"""A real Prometheus that scrapes a metrics page which a test writes. Called by tests of what is asked of it."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localcluster import binaries, errors, settings

PLACE = ("ml", "flights", "12345678-1")


class Exporter:
    """A model pod's metrics page, as a test wants it."""

    def __init__(self) -> None:
        self.page = ""
        self.up = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if outer.up else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(outer.page.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, *series: tuple[str, dict[str, str], float | str]) -> None:
        """Replace the page."""
        lines = []
        for name, labels, value in series:
            own = {
                "model": "flights",
                "version": "flights-v1",
                "rollout": PLACE[2],
                "process": "p1",
                "arm": "solo",
            } | labels
            inside = ",".join(f'{key}="{text}"' for key, text in own.items())
            lines.append(f"{name}{{{inside}}} {value}")
        self.page = "\n".join([*lines, ""])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def program(name: str) -> str:
    """`prometheus`, or `promtool` that comes with it."""
    try:
        return shutil.which(name) or str(binaries.find(settings.cache_folder(), "prometheus").with_name(name))
    except errors.LocalClusterError as error:
        pytest.skip(f"there is no {name} on this machine: {error}")


@contextlib.contextmanager
def prometheus(
    folder: Path,
    exporter: Exporter | None = None,
    *,
    jobs: int = 1,
    interval: str = "200ms",
    rules: Path | None = None,
    labels: dict[str, str] | None = None,
    flags: tuple[str, ...] = (),
) -> Iterator[str]:
    """URL of a Prometheus that scrapes the exporter, if there is one, by so many jobs; it begins with what lies in
    `folder`/data. `labels` are the target's own."""
    scrapes = [
        {
            "job_name": f"job-{number}",
            "static_configs": [
                {"targets": [exporter.address], "labels": {"namespace": "ml", **(labels or {})}}
            ],
        }
        for number in range(jobs)
        if exporter is not None
    ]
    told = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": scrapes,
        "rule_files": [] if rules is None else [str(rules)],
    }
    (folder / "prometheus.yml").write_text(json.dumps(told))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ask(url: str, query: str, at: float | None = None) -> list[Any]:
    """An instant query."""
    told = {"query": query} | ({} if at is None else {"time": f"{at:.3f}"})
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode(told)}") as answer:
        return list(json.load(answer)["data"]["result"])


async def until(url: str, query: str, holds: Callable[[list[Any]], bool]) -> float:
    """The moment of a query of which it holds."""
    deadline, seen = time.monotonic() + 60, None
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            at = float(ask(url, "vector(time())")[0]["value"][1])
            seen = ask(url, query, at)
            if holds(seen):
                return at
        await asyncio.sleep(0.1)
    pytest.fail(f"{query}: seen last {seen}")


async def shown(
    url: str, exporter: Exporter, page: list[tuple[str, dict[str, str], float | str]], jobs: int = 1
) -> float:
    """The moment at which everything of this page has been scraped, by all jobs."""
    mark = f"{time.monotonic()}"
    exporter.show(*page, ("test_mark", {"mark": mark}, 1))
    return await until(url, f'test_mark{{mark="{mark}"}}', lambda found: len(found) == jobs)
