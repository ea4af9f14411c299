"""OCI archives, written by hand: which blobs go in is our choice, so a changed source moves kilobytes, not images.

An archive is a tar of `oci-layout`, `index.json` and `blobs/sha256/<digest>`. containerd reads what is in it and
takes the rest from its own store, where the layers of the last import already are.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def write(tar: Path, name: str, manifest: Mapping[str, Any], blobs: Iterable[Path | bytes]) -> None:
    """An archive of one image called `name`, with its manifest's descriptor and the given blobs only."""
    labelled = {**manifest, "annotations": {"io.containerd.image.name": name}}
    index = {"schemaVersion": 2, "manifests": [labelled]}
    with tarfile.open(tar, "w") as output:
        _add(output, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        for blob in blobs:
            if isinstance(blob, bytes):
                _add(output, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
            else:
                output.add(blob, arcname=f"blobs/sha256/{blob.name}", recursive=False)
        # Last: containerd resolves the index when it has seen the rest.
        _add(output, "index.json", json.dumps(index).encode())


def write_single_program(tar: Path, name: str, program: Path) -> None:
    """An image that holds one static program and starts it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        entry = tarfile.TarInfo(program.name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as file:
            files.addfile(entry, file)
    content = layer.getvalue()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                platform.machine(), platform.machine()
            ),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, content)],
        }
    ).encode()
    write(tar, name, descriptor(MANIFEST, manifest), [content, config, manifest])


def descriptor(kind: str, content: bytes) -> dict[str, Any]:
    """How OCI refers to a blob."""
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def digest(content: bytes) -> str:
    """The blob's name, with its algorithm."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add(output: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    output.addfile(entry, io.BytesIO(content))
