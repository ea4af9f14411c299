"""Reads an artifact for the operator, who reads none. Called by `modelmend resolve URI`.

Every bad artifact becomes one sentence. A good one is reported with its digest, rows, metrics and label delay; when
a champion is named and labelled rows are there, both are compared on the latest of them that neither has seen.
That comparison is a gift: without it the rollout starts all the same, so its obstacles are warnings.
"""

import logging

from modelmend.contract import manifest, result, storage
from modelmend.runtime import artifact, dataset, holdout, reference, store, targets
from modelmend.runtime.errors import ArtifactError, DataError, SentenceError
from modelmend.runtime.grading import Grading
from modelmend.runtime.job import Origin, Task
from modelmend.runtime.loaded import LoadedModel

_log = logging.getLogger(__name__)


def resolve(task: Task, origin: Origin) -> result.Succeeded:
    """Verifies the artifact where it lies. Raises ArtifactError and StoreError."""
    if task.opaque and not store.exists(storage.join(origin.uri, manifest.MANIFEST_FILE)):
        return _as_it_is(origin)
    candidate = artifact.load(origin.uri, origin.digest, task.trusted)
    candidate.smoke()
    described = candidate.manifest
    # One kind of model only goes with a tolerance; whoever installs it shall not wait for its first label to hear so.
    targets.of(candidate, task.grading)
    measured = _metrics(candidate, task.grading)
    warnings = []
    if "accuracy" not in measured:
        warnings.append(
            "the artifact has no measured accuracy: an Accuracy signal needs `minimum`, since `maxDrop` has nothing to drop from"
        )
    evaluation = None
    if task.parent is not None:
        try:
            evaluation, more = _compare(task, task.parent, candidate)
            warnings += more
        except targets.OtherKindError:
            raise
        except SentenceError as problem:
            warnings.append(f"not compared with the champion: {problem}")
    return result.Succeeded(
        digest=candidate.digest,
        uri=origin.uri,
        rows=described.rows,
        metrics=measured,
        task=described.task,
        classes=candidate.counted_classes,
        parent=described.parent,
        window=described.window,
        label_delay=described.label_delay,
        holdout=described.holdout,
        evaluation=evaluation,
        warnings=tuple(warnings),
    )


def _as_it_is(origin: Origin) -> result.Succeeded:
    """An artifact in a format of its server's own: every byte counts, none is understood.

    The digest is that of the lines `sha256:<hash>  <name>`, one for each file, sorted by name; a single file has the
    name of its own.
    """
    if store.exists(origin.uri):
        name = origin.uri.rstrip("/").rpartition("/")[2]
        lines = [(name, manifest.digest_of(store.read(origin.uri)))]
    else:
        lines = [
            (entry.name, manifest.digest_of(store.read(storage.join(origin.uri, entry.name))))
            for entry in store.listing(origin.uri)
        ]
    if not lines:
        raise ArtifactError(
            f"{store.shown(origin.uri)} holds no file: name the file or folder that is the model"
        )
    text = "".join(f"{digest}  {name}\n" for name, digest in lines)
    return result.Succeeded(
        digest=manifest.digest_of(text.encode()),
        uri=origin.uri,
        warnings=(
            "the artifact is no Modelmend artifact: an Accuracy signal needs `minimum`, since `maxDrop` has nothing to drop "
            "from, and the champion was compared on no holdout",
        ),
    )


def _metrics(model: LoadedModel, grading: Grading | None) -> dict[str, float]:
    """As the manifest has them; of a regressor the accuracy is that within the present tolerance."""
    found, errors = dict(model.manifest.metrics), model.reference.errors
    if grading is None:
        return found
    found.pop("accuracy", None)
    return (
        found
        if errors is None
        else {
            **found,
            "accuracy": reference.within(errors, grading.tolerance),
            "tolerance": grading.tolerance,
        }
    )


def _compare(task: Task, parent: Origin, candidate: LoadedModel) -> tuple[result.Evaluation, list[str]]:
    champion = artifact.load(parent.uri, parent.digest, task.trusted)
    own = {feature.name: feature for feature in champion.manifest.features}
    features = {feature.name: feature for feature in candidate.manifest.features}
    for name in own.keys() & features.keys():
        if own[name].datatype is not features[name].datatype:
            raise DataError(
                f"{name!r} is {own[name].datatype} for the champion and {features[name].datatype} for the candidate"
            )
    target = targets.together(champion, candidate, task.grading)
    warnings = []
    if set(champion.class_keys) != set(candidate.class_keys):
        warnings.append(
            f"the classes differ: the champion knows {', '.join(champion.class_keys[:5])} and the candidate "
            f"{', '.join(candidate.class_keys[:5])}"
        )
    rows = dataset.read(task.data, list((own | features).values()), target)
    known, own_window = champion.manifest.window, candidate.manifest.window
    if own_window is None:
        # Rows that the candidate learnt from would flatter it, and what it does not deserve would be promoted.
        raise DataError("when its training ended is unknown; pack it with the time of its rows")
    if known is None:
        warnings.append(
            "when the champion's training ended is unknown: it may have learnt from the compared rows"
        )
    if not rows.timed:
        raise DataError(
            "the dataset has no time column, so which rows are new to both is unknown; name it in the data"
        )
    ends = [own_window.end, *([] if known is None else [known.end])]
    held = holdout.unseen(rows, task.holdout, ends)
    if len(held) < holdout.MINIMUM_ROWS:
        raise DataError(
            f"only {len(held):,} labelled rows are newer than what both were fitted on, where {holdout.MINIMUM_ROWS} are needed"
        )
    _log.info("compared on %s rows", f"{len(held):,}")
    return holdout.compare(champion, candidate, target, held), [*warnings, *rows.warnings]
