"""What a window of drift counted, for one rollout: what servers bin and what Prometheus would say of it. Called by clock.

As in a server (runtime.server.tally), a row is binned by the model that answers it, against that model's own reference.
"""

import numpy as np
import numpy.typing as npt

from modelmend.evidence import drift, watch
from modelmend.observe import answers, histograms
from modelmend.runtime import reference
from modelmend.runtime.loaded import LoadedModel
from modelmend.runtime.server import binning
from modelmend.simulate.models import Models
from modelmend.simulate.traffic import Rows, Traffic


def read(
    question: histograms.Question, traffic: Traffic, models: Models
) -> dict[answers.Place, watch.Window]:
    """The window of each place. Its begin is always known: it lies after a poll."""
    return {place: _window(question, place[2], traffic, models) for place in question.places}


def _window(question: histograms.Question, rollout: str, traffic: Traffic, models: Models) -> watch.Window:
    version, part, rows = traffic.answered_by(rollout, question.begin, question.end)
    if version is None:
        return watch.Window(is_whole=True, features=())
    model = models.model(version)
    if question.of_predictions:
        return watch.Window(is_whole=True, features=tuple(_predictions(version, part, rows, models)))
    return watch.Window(is_whole=True, features=tuple(_inputs(model, part, rows, traffic)))


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
