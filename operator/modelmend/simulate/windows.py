"""What a window counted, for one rollout: what servers bin and sum up, and Prometheus would say of it. Called by clock.

As in a server (runtime.server.tally), a row counts for the model that answers it, in the bins of that model's own
reference.
"""

import numpy as np
import numpy.typing as npt

from modelmend.evidence import drift, watch
from modelmend.observe import answers, questions
from modelmend.runtime import reference
from modelmend.runtime.loaded import LoadedModel
from modelmend.runtime.server import binning
from modelmend.simulate.models import Models
from modelmend.simulate.traffic import Rows, Traffic


def read(question: questions.Question, traffic: Traffic, models: Models) -> dict[answers.Place, watch.Window]:
    """The window of each place. Its begin is always known: it lies after a poll."""
    return {place: _window(question, place[2], traffic, models) for place in question.places}


def _window(question: questions.Question, rollout: str, traffic: Traffic, models: Models) -> watch.Window:
    version, part, rows = traffic.answered_by(rollout, question.begin, question.end)
    if version is None:
        return watch.Window(is_whole=True)
    model, kind = models.model(version), question.kind
    if kind is watch.Kind.INPUTS:
        return watch.Window(is_whole=True, features=tuple(_inputs(model, part, rows, traffic)))
    if kind is watch.Kind.PREDICTIONS:
        return watch.Window(is_whole=True, features=tuple(_predictions(version, part, rows, models)))
    if kind is watch.Kind.LABELS:
        labelled = traffic.labelled_of(rollout, question.begin, question.end)
        return watch.Window(is_whole=True, sums=_labels(version, *labelled, models))
    return watch.Window(is_whole=True, sums=_sums(kind, version, part, rows, models))


def _sums(kind: watch.Kind, version: str, part: slice, rows: Rows, models: Models) -> dict[str, float]:
    """Predictions by class, or what their scores promise."""
    if kind is watch.Kind.CLASSES:
        keys, codes = models.requests.classes, models.codes(version, part.start, part.stop)[rows]
        counts = np.bincount(codes, minlength=len(keys))
        return {key: float(count) for key, count in zip(keys, counts, strict=True)}
    sure = models.confidences(version, part.start, part.stop)[rows]
    known = sure[~np.isnan(sure)]
    return {watch.ROWS: len(rows), watch.SCORED: len(known), watch.EXPECTED: float(known.sum())}


def _labels(version: str, rows: Rows, right: Rows, models: Models) -> dict[str, float]:
    """Labelled rows that had a score. A model without probabilities counts none."""
    if not models.model(version).has_probabilities or not len(rows):
        return dict.fromkeys((watch.ROWS, watch.RIGHT, watch.EXPECTED), 0.0)
    begin, end = int(rows.min()), int(rows.max()) + 1
    sure = models.confidences(version, begin, end)[rows - begin]
    return {watch.ROWS: len(rows), watch.RIGHT: len(right), watch.EXPECTED: float(sure.sum())}


def _inputs(model: LoadedModel, part: slice, rows: Rows, traffic: Traffic) -> list[drift.Feature]:
    binner = binning.Binner(model)
    counts = binner.count({name: values[part][rows] for name, values in traffic.requests.columns.items()})
    found, begin = [], 0
    for name, bins in binner.bins:
        live = counts[begin : begin + len(bins)]
        begin += len(bins)
        found.append(_feature(name, model.reference.features[name], live))
    return found


def _predictions(version: str, part: slice, rows: Rows, models: Models) -> list[drift.Feature]:
    described, found = models.model(version).reference, []
    if (classes := described.classes) is not None:
        codes = models.codes(version, part.start, part.stop)[rows]
        index = classes.index([models.requests.classes[code] for code in codes])
        found.append(_feature("class", classes, _counts(index, classes)))
    if (score := described.score) is not None:
        index = binning.numeric_index(score)(models.scores(version, part.start, part.stop)[rows])
        found.append(_feature("score", score, _counts(index, score)))
    return found


def _counts(index: Rows, histogram: reference.Numeric | reference.Categorical) -> npt.NDArray[np.intp]:
    return np.bincount(index, minlength=len(histogram.bins))


def _feature(
    name: str, histogram: reference.Numeric | reference.Categorical, live: npt.NDArray[np.intp]
) -> drift.Feature:
    bins = histogram.bins
    return drift.Feature(
        name,
        dict(zip(bins, histogram.counts, strict=True)),
        {each: int(count) for each, count in zip(bins, live, strict=True)},
        histogram.blocks,
    )
