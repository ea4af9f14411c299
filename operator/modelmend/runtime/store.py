"""Reads, writes, lists and deletes what lies at a URI. The only module of the runtime that knows fsspec.

`pvc://claim/path` is a folder of this pod (`contract.storage.mount_path`); every other scheme is fsspec's.
Failures become one sentence that names the URI and the remedy. A library's own message is never quoted, since it
may hold a signed URL or a key; neither is a URI's query or user part.
"""

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import fsspec

from modelmend.contract import manifest, storage
from modelmend.runtime.errors import NotFoundError, StoreError

_EXTRAS: Final = {"s3": "s3", "gs": "gcs", "abfs": "azure", "abfss": "azure", "https": "s3"}
"""Extra of the distribution that brings the library of a scheme (s3fs brings aiohttp, which https needs)."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    # A cached listing hides what other pods wrote since; boto's own default waits a minute for a dead endpoint.
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 3, "mode": "standard"},
        },
    },
    "gs": {"use_listings_cache": False},
    "abfs": {"use_listings_cache": False},
    "abfss": {"use_listings_cache": False},
    "https": {"use_listings_cache": False},
}
_DENIED: Final = re.compile("AccessDenied|AccessKey|Signature|Token|Forbidden|Unauthorized|UserNotFound")


@dataclass(frozen=True)
class Entry:
    """One file below a folder."""

    name: str
    """Path relative to the folder, with slashes."""
    size: int
    modified: datetime | None
    """None where the store does not say."""


def shown(uri: str) -> str:
    """The URI as errors and logs may show it: without query, fragment and user part."""
    bare = uri.split("?", 1)[0].split("#", 1)[0] if uri.startswith("http") else uri
    scheme, separator, rest = bare.partition("://")
    if not separator:
        return bare.rstrip("/")
    place, slash, path = rest.partition("/")
    if ":" in place.rpartition("@")[0]:
        place = place.rpartition("@")[2]
    return f"{scheme}://{place}{slash}{path}".rstrip("/")


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI and the path on it. Raises StoreError for a URI that cannot be one."""
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme not in _OPTIONS and not is_local(uri):
        raise StoreError(
            f"{shown(uri)} has no scheme that Modelmend reads: use file:///path, pvc://claim/path, s3://, gs://, abfs:// or https://"
        )
    if ".." in uri.split("?", 1)[0].split("/"):
        raise StoreError(f"{shown(uri)} climbs with '..': write the path that is meant")
    if ":" in uri.removeprefix(f"{scheme}://").partition("/")[0].rpartition("@")[0]:
        raise StoreError(
            f"{shown(uri)} carries a credential: remove it and name a Secret in spec.storage.credentialsSecretRef"
        )
    if is_local(uri):
        return fsspec.filesystem("file"), str(local_path(uri))
    try:
        found, path = fsspec.core.url_to_fs(uri, **_OPTIONS[scheme])
    except ImportError:
        raise StoreError(
            f"{shown(uri)} needs a library that this image lacks: use an image with modelmend[{_EXTRAS[scheme]}]"
        ) from None
    except (ValueError, OSError) as problem:
        raise _sentence(uri, "opened", problem) from problem
    return found, str(path)


def is_local(uri: str) -> bool:
    """Whether a URI is a path of this pod."""
    return uri.startswith(("file://", "pvc://"))


def local_path(uri: str) -> Path:
    """The path of a file:// or pvc:// URI in this pod."""
    claimed = storage.split_pvc(uri)
    if claimed is None:
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost"):
            raise StoreError(
                f"{shown(uri)} is not an absolute path: write file:///{parts.netloc}{parts.path} if that is meant"
            )
        return Path(unquote(parts.path))
    claim, path = claimed
    if not claim:
        raise StoreError(f"{shown(uri)} names no claim: write pvc://claim/path")
    mounted = Path(storage.mount_path(claim))
    if not mounted.is_dir():
        raise StoreError(
            f"{shown(uri)} is not mounted in this pod: the claim {claim!r} must exist in the model's namespace"
        )
    return mounted / path


def read(uri: str) -> bytes:
    """The content of a file. Raises NotFoundError, StoreError."""
    found, path = filesystem(uri)
    with _sentences(uri, "read"):
        return bytes(found.cat_file(path))


def read_cached(uri: str, digest: str | None, cache: Path | None) -> bytes:
    """The content of a file, from the local cache when a file with that digest is there; else read and kept.

    A cache that cannot be written is no cache: a pod with a read-only root still serves.
    """
    if cache is None or digest is None or is_local(uri):
        return read(uri)
    kept = cache / digest.replace(":", "-")
    with contextlib.suppress(OSError):
        content = kept.read_bytes()
        if manifest.digest_of(content) == digest:
            return content
    content = read(uri)
    if manifest.digest_of(content) == digest:
        with contextlib.suppress(OSError):
            _write_local(kept, content)
    return content


def write(uri: str, content: bytes) -> None:
    """Writes a whole file: a reader sees all of it or nothing. Raises StoreError."""
    found, path = filesystem(uri)
    with _sentences(uri, "written"):
        if is_local(uri):
            _write_local(Path(path), content)
        else:
            found.pipe_file(path, content)


def exists(uri: str) -> bool:
    """Whether a file lies at the URI. Raises StoreError."""
    found, path = filesystem(uri)
    with _sentences(uri, "read"):
        return bool(found.isfile(path))


def listing(uri: str) -> tuple[Entry, ...]:
    """Every file below a folder, however deep, sorted by name; nothing when there is no such folder. A bucket that
    is not there is a NotFoundError.

    Files whose name begins with a dot are somebody's unfinished writes and are left out. Raises StoreError.
    """
    found, path = filesystem(uri)
    with _sentences(uri, "listed"):
        root = found._strip_protocol(path).rstrip("/")
        entries = []
        for name, detail in found.find(root, detail=True).items():
            relative = str(name).removeprefix(root).lstrip("/")
            if relative and not any(part.startswith(".") for part in relative.split("/")):
                entries.append(Entry(relative, int(detail.get("size") or 0), _modified(detail)))
        return tuple(sorted(entries, key=lambda entry: entry.name))


def delete(uri: str) -> None:
    """Deletes one file; one that is gone already is fine. Raises StoreError."""
    found, path = filesystem(uri)
    with contextlib.suppress(NotFoundError), _sentences(uri, "deleted"):
        found.rm_file(path)


def delete_folder(uri: str, first: tuple[str, ...] = ()) -> None:
    """Deletes every file below a folder, those named `first` before the others, then the folder where the store
    has folders. Raises StoreError."""
    names = [entry.name for entry in listing(uri)]
    for name in sorted(names, key=lambda name: name not in first):
        delete(storage.join(uri, name))
    if is_local(uri):
        root = local_path(uri)
        folders = sorted((entry for entry in root.rglob("*") if entry.is_dir()), reverse=True)
        for folder in [*folders, root]:
            # Not empty: somebody is writing there just now, or left a file with a dot.
            with contextlib.suppress(OSError):
                folder.rmdir()


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=".", suffix=".writing", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for its owner alone; servers may run as another user of the claim's group.
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(unfinished).unlink()
        raise


def _modified(detail: dict[str, Any]) -> datetime | None:
    for key in ("LastModified", "last_modified", "updated", "mtime"):
        value = detail.get(key)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value)
    return None


@contextlib.contextmanager
def _sentences(uri: str, what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as problem:
        # Every store brings its own exceptions (botocore, aiohttp, google, azure); none may escape as it is.
        raise _sentence(uri, what, problem) from problem


def _sentence(uri: str, what: str, problem: Exception) -> StoreError:
    place = shown(uri)
    name = type(problem).__name__
    status, code = _answer(problem)
    # Codes before numbers: versitygw answers an access key that it does not know with 404.
    if isinstance(problem, PermissionError) or (code and _DENIED.search(code)) or status in (401, 403):
        return StoreError(
            f"{place} cannot be {what}: access is denied; check the credentials and what they allow"
        )
    if isinstance(problem, FileNotFoundError) or (status == 404 and code in (None, "NotFound")):
        return NotFoundError(f"{place} does not exist: check the URI, and that its bucket or folder is there")
    if isinstance(problem, IsADirectoryError):
        return NotFoundError(f"{place} is a folder and a file was expected")
    if any(word in name for word in ("Credential", "Token", "Authentication")):
        return StoreError(
            f"{place} cannot be {what}: no usable credentials ({name}); name a Secret in spec.storage.credentialsSecretRef"
        )
    if isinstance(problem, TimeoutError) or any(
        word in name for word in ("Timeout", "Connection", "Connector")
    ):
        return StoreError(
            f"{place} cannot be {what}: its endpoint does not answer ({name}); check the endpoint and the network"
        )
    number = problem.errno if isinstance(problem, OSError) else None
    if number == errno.ENOSPC:
        return StoreError(f"{place} cannot be {what}: the disk is full; make room or use a larger claim")
    if number == errno.EROFS:
        return StoreError(f"{place} cannot be {what}: the claim is mounted read-only here")
    # An errno's text comes from the system and a code is one word; a library's text may hold a secret.
    reason = code or (os.strerror(number) if number else name)
    return StoreError(f"{place} cannot be {what} ({reason}): try again, then look into the store's own log")


def _answer(problem: BaseException | None) -> tuple[int | None, str | None]:
    """The HTTP status and the store's one-word code, from wherever in the chain of causes a library left them.

    s3fs turns every code that it does not know, InvalidAccessKeyId among them, into a bare OSError.
    """
    while problem is not None:
        status = getattr(problem, "status", None)
        if isinstance(status, int):
            return status, None
        response = getattr(problem, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status, code if re.fullmatch(r"[A-Za-z]{1,60}", code) else None
        problem = problem.__cause__
    return None, None
