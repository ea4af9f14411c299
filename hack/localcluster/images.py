"""The operator's and the runtime's image, and those of tests: built from Dockerfiles without a network, loaded into
the node.

Three savings, since this is what a developer waits for after each change: nothing is done when no input changed;
dependencies are layers that stay; and only layers that the node does not have are handed over.
"""

import dataclasses
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from localcluster import archive, baseimage, binaries, commands, lock, processes, progress
from localcluster.containerd import Containerd
from localcluster.settings import Settings

SOURCE = Path(__file__).resolve().parents[2]
WHEEL_BUILD = "hack/localcluster/wheel.txt"


@dataclasses.dataclass(frozen=True)
class Image:
    """One target of the Dockerfile; or, with a folder, what that folder's own Dockerfile makes."""

    target: str
    folder: str | None = None

    @property
    def name(self) -> str:
        return f"localhost/modelmend-{self.target}:dev"

    @property
    def lock(self) -> str:
        return f"locks/{self.target}.txt" if self.folder is None else f"{self.folder}/requirements.txt"

    @property
    def context(self) -> Path:
        """What the build may read."""
        return SOURCE if self.folder is None else SOURCE / self.folder

    def target_words(self) -> tuple[str, ...]:
        """How a builder is told the target."""
        return ("--target", self.target) if self.folder is None else ()

    def files(self) -> Iterator[Path]:
        """Everything that the image is made of."""
        if self.folder is None:
            return _files(self.lock)
        return (path for path in sorted(self.context.iterdir()) if path.is_file())

    def inputs(self) -> str:
        """A digest of all of it."""
        digest = hashlib.sha256(baseimage.RECIPE.encode())
        for path in self.files():
            digest.update(str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()


ALL = (Image("operator"), Image("runtime"))
FOREIGN = (Image("plain", "tests/foreign/plain"), Image("mlserver", "tests/foreign/mlserver"))
"""Servers and trainers that know nothing of ours, for tests of users' own images."""
NAMES = tuple(image.target for image in (*ALL, *FOREIGN))


def chosen(names: Sequence[str]) -> tuple[Image, ...]:
    """The images of these names; ours without any."""
    return tuple(image for image in (*ALL, *FOREIGN) if image.target in names) or ALL


def _files(lock_file: str) -> Iterator[Path]:
    scripts = "hack/localcluster/with-uv.sh"
    for name in (
        "Dockerfile",
        ".dockerignore",
        lock_file,
        WHEEL_BUILD,
        scripts,
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        yield SOURCE / name
    for path in sorted((SOURCE / "operator").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def ensure(settings: Settings, wanted: Sequence[Image] = ALL) -> list[str]:
    """Builds and loads what changed; the names of the images. Without a running node it only builds."""
    runtime = Containerd(settings)
    node_runs = processes.Processes(settings.state).running("containerd") is not None
    loaded_path = settings.state / "images.json"
    loaded: dict[str, str] = json.loads(loaded_path.read_text()) if loaded_path.exists() else {}
    present = runtime.images() if node_runs else set()
    buildah = baseimage.Buildah(settings.cache)
    for image in wanted:
        inputs = image.inputs()
        if node_runs and image.name in present and loaded.get(image.name) == inputs:
            continue
        _build(settings, buildah, image, inputs)
        if node_runs:
            _load(buildah, runtime, image)
            loaded[image.name] = inputs
            loaded_path.write_text(json.dumps(loaded, indent=1))
    if not node_runs:
        progress.say(
            "the images are built; no cluster is up to load them into: run `up`, then `images` again"
        )
    return [image.name for image in wanted]


def prepare(settings: Settings) -> None:
    """What takes long and hardly ever changes: the base image and the wheels. Runs beside the compilers at first."""
    baseimage.ensure(settings.cache)
    for image in ALL:
        wheelhouse(settings, image)


def _build(settings: Settings, buildah: baseimage.Buildah, image: Image, inputs: str) -> None:
    baseimage.ensure(settings.cache)
    wheels = wheelhouse(settings, image)
    with buildah.session():
        if buildah.has(image.name, inputs):
            return
        uv = binaries.find(settings.cache, "uv")
        with progress.step(f"building {image.name}"):
            buildah(
                "build", "--quiet", "--layers", "--force-rm", "--pull-never",
                "--build-arg", f"PYTHON={baseimage.NAME}",
                "--build-arg", "UV_OFFLINE=1",
                "--build-arg", "UV_FIND_LINKS=/wheelhouse",
                "--volume", f"{wheels}:/wheelhouse:ro",
                "--volume", f"{uv}:/usr/local/bin/uv:ro",
                *image.target_words(),
                "--tag", image.name,
                image.context,
                purpose=f"build {image.name}",
            )  # fmt: skip
        buildah.remember(image.name, inputs)
        buildah.forget_old_layers()


def _load(buildah: baseimage.Buildah, runtime: Containerd, image: Image) -> None:
    with (
        progress.step(f"loading {image.name}"),
        buildah.session(),
        tempfile.TemporaryDirectory(dir=buildah.folder, prefix=".export-") as scratch,
    ):
        export = Path(scratch) / "export"
        # Uncompressed, since it only crosses from one folder of this machine to another; compressing takes five
        # times as long as all the rest.
        buildah(
            "push", "--quiet", "--disable-compression", "--format", "oci", image.name, f"dir:{export}",
            purpose=f"export {image.name}",
        )  # fmt: skip
        manifest = (export / "manifest.json").read_bytes()
        described = archive.descriptor(archive.MANIFEST, manifest)
        content = json.loads(manifest)
        present = runtime.blobs()
        parts = [content["config"], *content["layers"]]
        missing = dict.fromkeys(part["digest"] for part in parts if part["digest"] not in present)
        tar = Path(scratch) / "image.tar"
        blobs = [export / digest.removeprefix("sha256:") for digest in missing]
        archive.write(tar, image.name, described, [*blobs, manifest])
        runtime.load(tar)


def wheelhouse(settings: Settings, image: Image) -> Path:
    """A folder with every wheel that the image installs, checked by hash; made once for each state of the locks."""
    digest = hashlib.sha256(
        (SOURCE / image.lock).read_bytes() + (SOURCE / WHEEL_BUILD).read_bytes()
    ).hexdigest()[:12]
    folder = settings.cache / "wheelhouse" / f"{image.target}-{digest}"
    if folder.exists():
        return folder
    with lock.held(settings.cache / "wheelhouse" / "lock"):
        if not folder.exists():
            _download(settings, image, folder)
    return folder


def _download(settings: Settings, image: Image, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{image.target}-") as scratch:
        draft = Path(scratch) / "wheels"
        draft.mkdir()

        def fetched() -> str:
            files = [path.stat().st_size for path in draft.iterdir()]
            return f"{len(files)} files, {sum(files) >> 20} MB"

        with progress.step(f"fetching the wheels of {image.lock}", fetched):
            for requirements in (image.lock, WHEEL_BUILD):
                # pip, because uv has no `download`; uv brings it along where this Python has none.
                commands.run(
                    [*_pip(settings), "download", "--quiet", "--require-hashes", "--only-binary", ":all:",
                     "--dest", draft, "-r", SOURCE / requirements],
                    purpose=f"fetch the wheels of {requirements}",
                )  # fmt: skip
        draft.replace(folder)


def _pip(settings: Settings) -> list[str | Path]:
    """A pip that runs on Python 3.11, as the images do: it picks wheels for the Python that runs it."""
    here = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    if sys.version_info[:2] == (3, 11) and commands.succeeds([*here, "--version"]):
        return list(here)
    return [binaries.find(settings.cache, "uv"), "tool", "run", "--python", "3.11", "pip"]
