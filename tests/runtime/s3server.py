"""A real S3-compatible server on this machine: versitygw over a folder, built once and kept in the cache.

A mock answers what its author thought of; this one checks signatures, refuses wrong keys, and lists as stores do.
"""

import contextlib
import hashlib
import os
import platform
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster import gobuild, lock, settings

MODULE = Path(__file__).parent / "versitygw"
"""go.mod and go.sum pin the server and everything that it is made of."""
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")


@dataclass(frozen=True)
class Server:
    """A running server and its root account."""

    endpoint: str
    access_key: str
    secret_key: str


def binary() -> Path:
    """The server's program, built if the cache lacks it (minutes once, then no time)."""
    digest = hashlib.sha256(repr((FLAGS, platform.machine())).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    cache = settings.cache_folder() / "bin"
    found = cache / f"versitygw-{digest.hexdigest()[:12]}"
    if found.exists():
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with lock.held(cache / "versitygw.lock", wait_seconds=3600):
        if not found.exists():
            # Built beside its place and moved there: a killed build never leaves half a program.
            with tempfile.TemporaryDirectory(dir=cache, prefix=".versitygw-") as scratch:
                built = Path(scratch) / "versitygw"
                subprocess.run(
                    [gobuild.find_go(cache.parent), "build", *FLAGS, "-o", built, PACKAGE],
                    cwd=MODULE,
                    env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"},
                    check=True,
                )
                built.replace(found)
    return found


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """The server over a folder of its own, until the block ends."""
    program = binary()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Metadata in a sidecar: extended attributes are missing on some file systems that CI runs on.
    data, sidecar = folder / "data", folder / "sidecar"
    data.mkdir()
    sidecar.mkdir()
    keys = {"ROOT_ACCESS_KEY": "AKIAMODELMENDTEST", "ROOT_SECRET_KEY": "a-secret-that-no-error-may-show"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program,
                "--port",
                f"127.0.0.1:{port}",
                "--region",
                "us-east-1",
                "posix",
                "--sidecar",
                sidecar,
                data,
            ],
            env={**os.environ, **keys},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield Server(f"http://127.0.0.1:{port}", keys["ROOT_ACCESS_KEY"], keys["ROOT_SECRET_KEY"])
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
