"""Where things lie below `spec.storage.uri`, and where a claim is mounted.

A pod reads `pvc://claim/path` at `mount_path("claim")/path`; every other scheme goes to fsspec as it is.
"""

from pathlib import PurePosixPath
from typing import Final

PVC_SCHEME: Final = "pvc://"
MOUNT_ROOT: Final = PurePosixPath("/mnt/pvc")
LOG_MOUNT: Final = PurePosixPath("/mnt/log")
"""The log folder of a claim, writable, while the claim itself is mounted read-only in servers."""
ARTIFACTS: Final = "artifacts"
STAGING: Final = "staging"
LOG: Final = "log"


def mount_path(claim: str) -> PurePosixPath:
    """Folder at which the claim's root is mounted in every pod of ours."""
    return MOUNT_ROOT / claim


def split_pvc(uri: str) -> tuple[str, str] | None:
    """(claim, path inside it) of a `pvc://` URI; None for every other scheme."""
    if not uri.startswith(PVC_SCHEME):
        return None
    claim, _, path = uri.removeprefix(PVC_SCHEME).partition("/")
    return claim, path.strip("/")


def join(uri: str, *parts: str) -> str:
    """The URI of something below another URI; never a double slash, whatever the user wrote."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])
