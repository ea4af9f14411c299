"""The image that ours are built on, where no registry can be reached: Debian with its Python 3.11, by debootstrap.

It stands in for the public `python:3.11-slim` of the Dockerfile under the name `localhost/python:3.11-slim`.
"""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localcluster import commands, kernel, lock, packages, progress
from localcluster.errors import CommandFailedError

NAME = "localhost/python:3.11-slim"
SUITE = "bookworm"  # its Python is 3.11
# python3 and not python3-minimal, which lacks parts of the standard library (http, ssl).
INCLUDE = "python3,ca-certificates"
LAYERS = 150
# Of no use in an image; debootstrap leaves them behind.
LITTER = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/zoneinfo/right",
    "var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "var/log",
)  # fmt: skip
RECIPE = hashlib.sha256(repr((SUITE, INCLUDE, LITTER)).encode()).hexdigest()[:12]


class Buildah:
    """buildah with a storage of its own in the cache, so that images of this machine's user stay out of it."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "images"

    def __call__(self, *words: str | Path, purpose: str, seconds: float = 1800.0) -> str:
        return commands.run(
            ["buildah", "--root", self.folder / "storage", "--runroot", self.folder / "run", *words],
            purpose=purpose,
            # chroot: no container inside of a container or of a sandboxed machine has to be possible.
            environment={"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"},
            seconds=seconds,
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keeps others out of the storage, and leaves none of the mounts that buildah forgets."""
        with lock.held(self.folder / "lock", wait_seconds=1800):
            try:
                yield
            finally:
                kernel.unmount_below(self.folder)

    def has(self, image: str, recipe: str) -> bool:
        """Whether the image is there and was made by this recipe."""
        path = self._recipe(image)
        if not path.exists() or path.read_text() != recipe:
            return False
        try:
            self(
                "inspect",
                "--type",
                "image",
                "--format",
                "{{.FromImageID}}",
                image,
                purpose=f"look at {image}",
            )
        except CommandFailedError:
            return False
        return True

    def remember(self, image: str, recipe: str) -> None:
        """Says by which recipe the image was made; only after it is complete."""
        self._recipe(image).write_text(recipe)

    def forget_old_layers(self) -> None:
        """Layers without a name are what the next build is quick with, so they go only when they are very many."""
        if len(self("images", "--all", "--quiet", purpose="count the layers").split()) > LAYERS:
            self("rm", "--all", purpose="remove working containers")
            self("rmi", "--prune", purpose="remove outdated layers")

    def _recipe(self, image: str) -> Path:
        return self.folder / f"{image.translate(str.maketrans('/:', '--'))}.recipe"


def ensure(cache: Path) -> None:
    """Makes the base image unless this very recipe has made it before."""
    packages.install_tools(["buildah", "debootstrap"])
    buildah = Buildah(cache)
    buildah.folder.mkdir(parents=True, exist_ok=True)
    with buildah.session():
        if buildah.has(NAME, RECIPE):
            return
        with tempfile.TemporaryDirectory(dir=buildah.folder, prefix=".base-") as scratch:
            root = Path(scratch) / "root"
            _debootstrap(root)
            _commit(buildah, root)
        buildah.remember(NAME, RECIPE)


def _debootstrap(root: Path) -> None:
    def size() -> str:
        return f"{sum(path.lstat().st_size for path in (root / 'usr').rglob('*')) >> 20} MB"

    mirror = packages.debian_mirror()
    with progress.step("making the base image by debootstrap", size):
        commands.run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={INCLUDE}",
                SUITE,
                root,
                *([mirror] if mirror else []),
            ],
            purpose="make the base image",
        )
    for litter in LITTER:
        shutil.rmtree(root / litter, ignore_errors=True)
        (root / litter).mkdir(parents=True, exist_ok=True)
    # As in the public image.
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def _commit(buildah: Buildah, root: Path) -> None:
    container = buildah("from", "scratch", purpose="begin the base image").strip()
    try:
        buildah("add", "--quiet", container, root, "/", purpose="fill the base image")
        buildah("config", "--cmd", "python3", container, purpose="configure the base image")
        buildah("commit", "--quiet", container, NAME, purpose="store the base image")
    finally:
        buildah("rm", container, purpose="remove the working container")
