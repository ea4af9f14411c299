"""The artifact: written once by `pack` and the trainer, loaded and verified by servers and Jobs.

`load` believes nothing: the digest when one is expected, the hash of every file, the library versions, the types
inside the model, and that model, manifest and reference speak of the same columns and classes. Whatever is wrong
becomes one sentence that names the file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import sklearn
import sklearn.base
import skops

from modelmend.contract import environment, manifest, storage
from modelmend.contract.manifest import Manifest
from modelmend.runtime import frames, packing, reference, store, trust
from modelmend.runtime.errors import ArtifactError, DataError, NotFoundError
from modelmend.runtime.loaded import LoadedModel
from modelmend.runtime.packing import Draft
from modelmend.runtime.targets import Classes

__all__ = ["LoadedModel", "load", "pack", "trusted_types", "write"]


def load(
    uri: str, expected_digest: str | None = None, trusted: Sequence[str] = (), cache: Path | None = None
) -> LoadedModel:
    """The verified model at the URI, ready to predict.

    `expected_digest` refuses any other artifact than that one. `trusted` are types beyond `trust.DEFAULT`, from
    the operator's configuration. `cache` is a folder in which a remote artifact of a known digest is kept, so
    that a container that restarts needs no network. Raises ArtifactError and StoreError.
    """
    place = store.shown(uri)
    described = _manifest_bytes(uri, expected_digest, cache)
    digest = manifest.digest_of(described)
    if expected_digest is not None and digest != expected_digest:
        raise ArtifactError(
            f"{place}/{manifest.MANIFEST_FILE} has digest {digest} and {expected_digest} was expected: an artifact "
            "never changes, so give the new one a folder of its own"
        )
    read = _parse_manifest(described, place)
    _check_versions(read, place)
    files = {name: _verified(uri, name, expected, digest, cache) for name, expected in read.files.items()}
    described_by = _parse_reference(files[manifest.REFERENCE_FILE], place)
    built = trust.build(files[manifest.MODEL_FILE], f"{place}/{manifest.MODEL_FILE}", trusted)
    _check_estimator(built, read, described_by, place)
    schema = frames.Schema(read.features, described_by.dtypes, described_by.layout)
    return LoadedModel(read, described_by, digest, built, schema)


def write(draft: Draft, uri: str) -> str:
    """Writes a packed model to a folder and returns its digest. The manifest goes last.

    A folder that holds this very artifact already is left as it is; one that holds another is refused
    (ArtifactError), since whoever serves it counts on its digest.
    """
    try:
        present = store.read(storage.join(uri, manifest.MANIFEST_FILE))
    except NotFoundError:
        present = None
    if present is not None:
        if manifest.digest_of(present) == draft.digest:
            return draft.digest
        raise ArtifactError(
            f"{store.shown(uri)} already holds another artifact: an artifact never changes, choose another folder"
        )
    for name, content in draft.files.items():
        store.write(storage.join(uri, name), content)
    store.write(storage.join(uri, manifest.MANIFEST_FILE), draft.manifest_bytes)
    return draft.digest


def pack(
    pipeline: Any,
    X: Any,  # noqa: N803
    y: Any,
    *,
    uri: str,
    model: str,
    version: str = "v0",
    time: Any = None,
    options: packing.Options | None = None,
) -> tuple[LoadedModel, tuple[str, ...]]:
    """Turns a fitted scikit-learn classifier or regressor and its training table into an artifact at `uri`.

    `X` is the DataFrame (or array of numbers) of n rows that it was fitted on, `y` the n classes or numbers, `time` the n
    instants of the rows if they have any. The accuracy, or the mean error, is measured on rows that a clone did not see: the latest
    ones when `time` is given, else random ones; the pipeline itself is stored as it is. Returns the model as read
    back and verified, and warnings. Raises DataError, ArtifactError and StoreError.
    """
    chosen = options or packing.Options()
    draft, warnings = packing.prepare(pipeline, packing.Training(X, y, time), model, version, chosen)
    # Before anything is written: a folder that holds a model which no server would load helps nobody.
    trust.build(draft.files[manifest.MODEL_FILE], f"the pipeline ({type(pipeline).__name__})", chosen.trusted)
    write(draft, uri)
    loaded = load(uri, draft.digest, chosen.trusted)
    loaded.smoke()
    return loaded, warnings


def trusted_types(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The operator's list of types beyond `trust.DEFAULT` (`MODELMEND_TRUSTED_TYPES`)."""
    return tuple(
        name for item in environ.get(environment.TRUSTED_TYPES, "").split(",") if (name := item.strip())
    )


def _manifest_bytes(uri: str, expected: str | None, cache: Path | None) -> bytes:
    try:
        return store.read_cached(storage.join(uri, manifest.MANIFEST_FILE), expected, cache)
    except NotFoundError:
        raise ArtifactError(
            f"there is no {manifest.MANIFEST_FILE} at {store.shown(uri)}: the URI is wrong, the artifact is still being "
            "written, or the folder was not made by `modelmend pack`"
        ) from None


def _parse_manifest(content: bytes, place: str) -> Manifest:
    name = f"{place}/{manifest.MANIFEST_FILE}"
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError):
        raise ArtifactError(
            f"{name} is not JSON: it is cut short or damaged; copy or pack the artifact again"
        ) from None
    if isinstance(raw, dict) and raw.get("format") != manifest.FORMAT:
        raise ArtifactError(
            f"{name} has format {raw.get('format')!r} and this Modelmend reads format {manifest.FORMAT}: "
            "pack the model again with this version"
        )
    try:
        read = Manifest.model_validate_json(content)
    except pydantic.ValidationError as problem:
        raise ArtifactError(f"{name} is not a manifest ({_first(problem)}): pack the model again") from None
    try:
        packing.refuse_odd_metrics(read.metrics)
    except DataError as problem:
        raise ArtifactError(f"{name}: {problem}; pack the model again") from None
    for needed in (manifest.MODEL_FILE, manifest.REFERENCE_FILE):
        if needed not in read.files:
            raise ArtifactError(f"{name} lists no {needed}: pack the model again")
    for listed in read.files:
        # A name is joined to the URI: nothing may climb out of the folder.
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", listed):
            raise ArtifactError(f"{name} lists a file named {listed[:80]!r}: an artifact is one flat folder")
    return read


def _check_versions(read: Manifest, place: str) -> None:
    """The exact scikit-learn (its private state changes in any release), skops to the minor version (its file
    format is versioned by itself). numpy arrays are stored in a stable format: recorded, not pinned."""
    trained, running = read.libraries.get("scikit-learn"), sklearn.__version__
    if trained != running:
        raise ArtifactError(
            f"{place} was trained with scikit-learn {trained} and this image runs {running}, which must be the same: "
            "pack the model again with this version, or serve it with the image that it was trained with"
        )
    written, reading = read.libraries.get("skops", ""), skops.__version__
    if written.split(".")[:2] != reading.split(".")[:2]:
        raise ArtifactError(
            f"{place} was written with skops {written or 'of unknown version'} and this image reads "
            f"{'.'.join(reading.split('.')[:2])}: pack the model again with this version"
        )


def _verified(uri: str, name: str, expected: str, digest: str, cache: Path | None) -> bytes:
    place = f"{store.shown(uri)}/{name}"
    try:
        content = store.read_cached(storage.join(uri, name), expected, cache)
    except NotFoundError:
        raise ArtifactError(
            f"{place} is missing although the manifest lists it: copy or pack the artifact again"
        ) from None
    if manifest.digest_of(content) == expected:
        return content
    if not content or (name == manifest.MODEL_FILE and not trust.is_whole_zip(content)):
        raise ArtifactError(
            f"{place} is cut short or damaged ({len(content)} bytes): copy or pack the artifact again"
        )
    raise ArtifactError(
        f"{place} is not the file that the manifest of {digest[:19]}… describes (its hash differs): it was changed after "
        "packing; copy or pack the artifact again"
    )


def _parse_reference(content: bytes, place: str) -> reference.Reference:
    try:
        return reference.Reference.model_validate_json(content)
    except pydantic.ValidationError as problem:
        raise ArtifactError(
            f"{place}/{manifest.REFERENCE_FILE} is not a reference ({_first(problem)}): pack the model again"
        ) from None


def _check_estimator(built: Any, read: Manifest, described: reference.Reference, place: str) -> None:
    name = f"{place}/{manifest.MODEL_FILE}"
    if not isinstance(built, sklearn.base.BaseEstimator):
        raise ArtifactError(
            f"{name} holds a {type(built).__name__} and not a scikit-learn estimator: pack a pipeline"
        )
    task = packing.check_model(built, name)
    if task is not read.task:
        raise ArtifactError(
            f"{name} is for {task.value} and its manifest says {read.task.value}: pack the model again"
        )
    target = packing.target_of(built, task)
    if (target.values if isinstance(target, Classes) else ()) != read.classes:
        raise ArtifactError(f"{name} knows other classes than its manifest: pack the model again")
    features = [feature.name for feature in read.features]
    if (
        list(described.features) != features
        or list(described.example) != features
        or set(described.dtypes) != set(features)
    ):
        raise ArtifactError(
            f"{place}/{manifest.REFERENCE_FILE} describes other columns than the manifest: pack the model again"
        )
    fitted = getattr(built, "n_features_in_", len(features))
    named = list(getattr(built, "feature_names_in_", features))
    if fitted != len(features) or named != features:
        raise ArtifactError(
            f"{name} was fitted on other columns than its manifest says: pack the model again"
        )


def _first(problem: pydantic.ValidationError) -> str:
    """The first finding as `field: message`, without the value."""
    found = problem.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in found['loc']) or 'content'}: {found['msg']}"
